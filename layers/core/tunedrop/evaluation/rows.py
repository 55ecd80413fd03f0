"""What models are asked, and what they answered: the lines of the files that an evaluation reads and writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from pydantic import ConfigDict, Field

from tunedrop.domain.model import Record
from tunedrop.domain.plan import MetricName
from tunedrop.ports import Answer

CANDIDATE: Final = "candidate"
BASE: Final = "base"

METRIC_NAMES: tuple[MetricName, ...] = get_args(MetricName)

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


@dataclass(frozen=True)
class HeldOut:
    """Hold a file of held-out rows, each parsed whenever it is asked for: a large file has too many to keep."""

    lines: tuple[bytes, ...]

    @classmethod
    def of(cls, data: bytes) -> "HeldOut":
        """Read a file."""
        return cls(tuple(line for line in data.split(b"\n") if line))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.lines)

    def __iter__(self) -> Iterator[HeldOutRow]:
        """Yield every row."""
        return map(HeldOutRow.model_validate_json, self.lines)

    def between(self, first: int, end: int) -> list[HeldOutRow]:
        """Return the rows from `first` up to `end`, exclusive."""
        return [HeldOutRow.model_validate_json(line) for line in self.lines[first:end]]


class StoredAnswer(Record):
    """Hold what one model answered to one row."""

    side: str
    model_id: str
    row: int
    expected: str
    answer: Answer
    scores: dict[MetricName, float] = Field(default_factory=dict)
    """By every metric; empty while answers are still collected."""
