"""msgspec's typed decoder alone, a megabyte at a time: how fast rows can be read at all. No rule, no line number."""

from pathlib import Path
from typing import Literal

import msgspec
from protocol import Verdict, run

BLOCK = 1 << 20


class Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Hold one message."""

    role: Literal["system", "user", "assistant"]
    content: str


class Conversation(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Hold a conversation."""

    messages: list[Message]


class Instruction(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Hold one row of the default template."""

    instruction: str
    context: str
    response: str


def check(technique: str, path: Path) -> Verdict:
    """Decode blocks that end with a line."""
    decode = msgspec.json.Decoder(Conversation if technique == "chat" else Instruction).decode_lines
    verdict = Verdict()
    rest = b""
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            end = block.rfind(b"\n") + 1
            try:
                verdict.rows += len(decode(rest + block[:end]))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                verdict.refuse(error)
            rest = block[end:]
    return verdict


run(check)
