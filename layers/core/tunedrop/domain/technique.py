"""Tell from a drop's files which technique they are meant for."""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from tunedrop.domain.drop_files import TEMPLATES, is_image, role_of
from tunedrop.domain.plan import FileRole, Technique

HEAD_BYTES = 1 << 20
"""How much of a file is looked at: the longest row that is accepted fits into it."""

LOOKS: Mapping[Technique, str] = {
    Technique.INSTRUCTION: "rows of named texts, such as instruction, context and response, in .jsonl files",
    Technique.CHAT: "rows with a list of messages in .jsonl files",
    Technique.DPO: "pairs of a chosen and a rejected answer in .jsonl files",
    Technique.DOMAIN_ADAPTATION: "running text in one .txt, .csv or .json file",
    Technique.VISUAL_QA: "rows of file_name, prompt and completion in metadata.jsonl, and the images that they name",
}
"""How a technique's data looks, in words for a person."""

_ROWS_LOOKED_AT = 100

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
CONVERSATION_KEYS = ("messages", "dialog", "conversations")
"""The keys under which JumpStart's scripts read a conversation."""

_MESSAGE = frozenset({"role", "content"})
_PAIR = frozenset({"chosen", "rejected"})
OPENAI_PAIR = frozenset({"preferred_output", "non_preferred_output"})
"""The answers of a pair as OpenAI's preference data name them."""
_PICTURE_ROW = frozenset({"file_name", "prompt", "completion"})


def seen_technique(
    asked: Technique | None, names: Collection[str], head_of: Callable[[str], bytes]
) -> Technique | None:
    """Tell what the files look like; when a technique is asked for, those of its layout, if it has any to train on.

    A file of another layout contradicts nothing then: it is ignored. `head_of` reads the first bytes of a file.
    """
    if asked and _training(names, asked):
        names = [name for name in names if role_of(name, asked) or (asked is Technique.VISUAL_QA and is_image(name))]
    telling = telling_file(names)
    return technique_of(names, head_of(telling) if telling else b"")


def telling_file(names: Collection[str]) -> str | None:
    """Name the file whose first records tell the technique; None when the names alone do, or nothing does."""
    if any(map(is_image, names)) and _training(names, Technique.VISUAL_QA):
        return None
    return next(iter(_training(names, Technique.INSTRUCTION)), None)


def technique_of(names: Collection[str], head: bytes) -> Technique | None:
    """Tell the technique from the names under the drop's folder and the head of their `telling_file`.

    Returns None when there is nothing to tell it from, or no record can be read.
    """
    if any(map(is_image, names)) and _training(names, Technique.VISUAL_QA):
        return Technique.VISUAL_QA
    if not _training(names, Technique.INSTRUCTION):
        return Technique.DOMAIN_ADAPTATION if _training(names, Technique.DOMAIN_ADAPTATION) else None
    return Technique.INSTRUCTION if TEMPLATES & set(names) else _technique_of_records(head)


def _training(names: Collection[str], technique: Technique) -> list[str]:
    return sorted(name for name in names if role_of(name, technique) is FileRole.TRAINING)


def first_rows(head: bytes) -> list[dict[str, object]]:
    """Read the first records, and forgive everything: what is wrong is the validator's to say.

    Of an array, and of records that go over lines, there is the first one alone.
    """
    try:
        text = _inflated(head).removeprefix(_BOM).decode(errors="replace").lstrip()
    except zlib.error:
        return []
    first, *others = text.split("\n", _ROWS_LOOKED_AT)[:_ROWS_LOOKED_AT]
    row = _row(text)
    if row is not None and _row(first) is None:
        return [row]
    return [each for each in (row, *map(_row, others)) if each is not None]


def _row(text: str) -> dict[str, object] | None:
    try:
        row, _ = json.JSONDecoder().raw_decode(text.lstrip().removeprefix("[").lstrip())
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def is_conversation(value: object) -> bool:
    """Tell whether a value is a list of messages, whatever key it stands under."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and value[0].keys() >= _MESSAGE


def _technique_of_records(head: bytes) -> Technique | None:
    """Tell the technique of most of the first records: any one of them may be at fault."""
    told = Counter(map(_technique_of_record, first_rows(head)))
    return told.most_common(1)[0][0] if told else None


def _technique_of_record(row: Mapping[str, object]) -> Technique:
    if row.keys() >= _PAIR or row.keys() >= OPENAI_PAIR:
        return Technique.DPO
    listed = any(isinstance(row.get(key), list) for key in CONVERSATION_KEYS)
    # A key that nobody reads, such as "conversation", is the validator's to name.
    if listed or row.keys() >= _MESSAGE or any(map(is_conversation, row.values())):
        return Technique.CHAT
    return Technique.VISUAL_QA if row.keys() >= _PICTURE_ROW else Technique.INSTRUCTION


def _inflated(head: bytes) -> bytes:
    if not head.startswith(_GZIP):
        return head
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, HEAD_BYTES)
