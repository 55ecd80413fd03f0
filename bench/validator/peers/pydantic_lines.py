"""Strict pydantic models, `model_validate_json` a line."""

from pathlib import Path
from typing import Annotated, Literal, Self

from protocol import Verdict, run
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

Said = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]


class Strict(BaseModel):
    """Convert nothing, and know every key."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Message(Strict):
    """Hold one message."""

    role: Literal["system", "user", "assistant"]
    content: Said


class Conversation(Strict):
    """Hold messages that take turns."""

    messages: list[Message] = Field(min_length=2)

    @model_validator(mode="after")
    def in_order(self) -> Self:
        """Allow one system message, then user and assistant in turns, the assistant last."""
        start = 1 if self.messages[0].role == "system" else 0
        for place, message in enumerate(self.messages[start:]):
            if message.role != ("user", "assistant")[place % 2]:
                raise ValueError(f"role order at {place + start}")
        if self.messages[-1].role != "assistant":
            raise ValueError("the last message is not the assistant's")
        return self


class Instruction(Strict):
    """Hold one row of the default template."""

    instruction: Said
    context: str
    response: Said


def check(technique: str, path: Path) -> Verdict:
    """Judge each line."""
    judge = (Conversation if technique == "chat" else Instruction).model_validate_json
    verdict = Verdict()
    with path.open("rb") as lines:
        for verdict.rows, line in enumerate(lines, 1):
            try:
                judge(line)
            except ValidationError as error:
                verdict.refuse(error.errors(include_url=False, include_input=False), verdict.rows)
    return verdict


run(check)
