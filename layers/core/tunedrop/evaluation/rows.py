"""What models are asked, and what they answered: the lines of the files that an evaluation reads and writes."""

from typing import Literal

from pydantic import ConfigDict, Field

from tunedrop.domain.model import Record
from tunedrop.domain.plan import MetricName
from tunedrop.ports import Answer

REFUSED = "refused"
"""The stop reason of an answer that the model did not give; the text is Bedrock's reason."""


class Message(Record):
    """Hold one message of a conversation that goes before the answer."""

    role: Literal["system", "user", "assistant"]
    content: str


class HeldOutRow(Record):
    """Hold one row as training would have seen it, and the completion that is right."""

    model_config = ConfigDict(extra="ignore")

    prompt: str = ""
    """The filled-in prompt; empty for a conversation."""
    messages: tuple[Message, ...] = ()
    image: str | None = None
    """The key of the picture that the prompt is about, in the run bucket."""
    completion: str
    answers: tuple[str, ...] = ()
    """Further answers that are right."""
    segment: str | None = None
    """The group of customers, or of cases, that the row is counted with."""
    document: str | None = None
    """What the row is about, where several rows may be about the same."""

    @property
    def right(self) -> tuple[str, ...]:
        """Return every answer that is right, the completion first."""
        return tuple(dict.fromkeys((self.completion, *self.answers)))

    @property
    def source(self) -> str | None:
        """Return what the row shares with other rows about the same: its document, else its picture."""
        return self.document or self.image

    @property
    def asked(self) -> str:
        """Return the text that the answer is to: the prompt, or the last message."""
        return self.messages[-1].content if self.messages else self.prompt


class StoredAnswer(Record):
    """Hold what one model answered to one row."""

    side: str
    model_id: str
    row: int
    expected: str
    answer: Answer
    scores: dict[MetricName, float] = Field(default_factory=dict)
    """By every metric; empty while answers are still collected."""
