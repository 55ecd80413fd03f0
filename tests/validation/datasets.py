"""Datasets in memory: files and pictures by name, judged without a folder or a bucket."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tunedrop.domain.plan import DataTarget, FileRole, Technique
from tunedrop.domain.prompt_template import JUMPSTART_DEFAULT, PromptTemplate
from tunedrop.validation.assess import ScannedFile, assess
from tunedrop.validation.dataset import in_order, scan_range, validate
from tunedrop.validation.partial import Partial
from tunedrop.validation.report import ValidationReport
from tunedrop.validation.settings import Rules, ScanSettings
from tunedrop.validation.sources import DataFile, FileRange, Image
from tunedrop.validation.stored import restored, stored

INSTRUCTION, CHAT, DPO, TEXT, VISUAL = (
    Technique.INSTRUCTION,
    Technique.CHAT,
    Technique.DPO,
    Technique.DOMAIN_ADAPTATION,
    Technique.VISUAL_QA,
)

TEMPLATE = PromptTemplate(prompt_text="Classify: {text}", completion_text="{label}")

_ROLES = {"train": FileRole.TRAINING, "validation": FileRole.VALIDATION, "held-out": FileRole.HELD_OUT}


class Memory:
    """A source whose files are bytes; what one read yields is as long as it is told."""

    def __init__(
        self, files: Mapping[str, bytes], pictures: Mapping[str, bytes] | None = None, chunk: int = 1 << 20
    ) -> None:
        self.contents = dict(files)
        self.pictures = dict(pictures or {})
        self.chunk = chunk

    def blocks(self, file: DataFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        content = self.contents[file.name][:end]
        return (content[at : at + self.chunk] for at in range(start, len(content), self.chunk))

    def images(self, file: DataFile) -> Sequence[Image]:
        del file
        return [Image(name=name, bytes=len(data)) for name, data in self.pictures.items()]

    def image(self, file: DataFile, image: Image) -> bytes:
        del file
        return self.pictures[image.name]


def data_files(files: Mapping[str, bytes]) -> list[DataFile]:
    """Tell a file's role from its name: `train-2.jsonl`, `validation.jsonl`, `held-out.csv`."""
    return [
        DataFile(
            name=name,
            role=next((role for start, role in _ROLES.items() if name.startswith(start)), FileRole.TRAINING),
            bytes=len(content),
        )
        for name, content in files.items()
    ]


def rules(technique: Technique, **changes: Any) -> Rules:
    """Make rules; the target's own fields may be named among the others."""
    target = {key: changes.pop(key) for key in [*changes] if key in DataTarget.model_fields}
    values: dict[str, Any] = {"template": JUMPSTART_DEFAULT, "split": None, **changes}
    return Rules(target=DataTarget(technique=technique, technique_from="files", **target), **values)


def judge(
    files: Mapping[str, bytes],
    technique: Technique,
    *,
    pictures: Mapping[str, bytes] | None = None,
    chunk: int = 1 << 20,
    **changes: Any,
) -> ValidationReport:
    """Validate in one pass."""
    return validate(Memory(files, pictures, chunk), data_files(files), rules(technique, **changes))


def judge_in_ranges(
    files: Mapping[str, bytes],
    cuts: Mapping[str, Iterable[int]],
    settings: ScanSettings,
    *,
    pictures: Mapping[str, bytes] | None = None,
    chunk: int = 1 << 20,
) -> ValidationReport:
    """Validate each file range by range, cut at any bytes; ranges of lines go through bytes, as between processes."""
    source = Memory(files, pictures, chunk)
    scanned = []
    for file in in_order(data_files(files)):
        bounds = [0, *sorted(set(cuts.get(file.name, ())) - {0}), None]
        parts = [FileRange(file, start or 0, end) for start, end in pairwise(bounds)]
        partials = [scan_range(source, part, settings) for part in parts]
        scanned.append(ScannedFile(file, [_sent(each) for each in partials]))
    return assess(scanned, settings, source)


def _sent(partial: Partial) -> Partial:
    files = stored(partial, in_shards=True)
    return restored(files.__getitem__) if partial.columns.places() is None else partial


def found(report: ValidationReport) -> list[tuple[str, int | None]]:
    """Return code and line of every finding."""
    return [(each.code, each.line) for each in report.findings]


def lines(rows: Iterable[object]) -> bytes:
    """Write rows as JSON lines."""
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


_SUBJECTS = ("card", "transfer", "account", "statement", "refund", "payment", "loan", "mortgage", "cheque", "deposit")
_VERBS = ("lost", "blocked", "delayed", "declined", "doubled", "cancelled", "changed", "expired", "refused", "hidden")
_PLACES = ("Paris", "Lagos", "Lima", "Oslo", "Quito", "Delhi", "Accra", "Turin", "Perth", "Minsk")


def question(number: int) -> str:
    """Say something of its own for each number: no two questions are equal or similar."""
    words = [_SUBJECTS[number % 10], _VERBS[number // 10 % 10], _PLACES[number // 100 % 10]]
    tail = " ".join(f"w{(number * 7919 + step * 104_729) % 99_991:05d}" for step in range(9))
    return f"Why was my {words[0]} {words[1]} in {words[2]}? {tail}"


def answer(number: int) -> str:
    """Answer it, each in other words."""
    tail = " ".join(f"v{(number * 6_007 + step * 15_485) % 99_989:05d}" for step in range(6))
    return f"Because of {_VERBS[number % 10]} papers; {tail}."


def instruction_rows(count: int, first: int = 0) -> list[dict[str, str]]:
    """Make rows for JumpStart's default template."""
    return [
        {"instruction": question(number), "context": f"Case {number}.", "response": answer(number)}
        for number in range(first, first + count)
    ]


def labelled_rows(count: int, first: int = 0) -> list[dict[str, str]]:
    """Make rows for `TEMPLATE`, of ten labels."""
    return [
        {"text": question(number), "label": f"{_SUBJECTS[number % 10]}_{_VERBS[number % 10]}"}
        for number in range(first, first + count)
    ]


def conversation(number: int, turns: int = 1, *, system: bool = False) -> list[dict[str, str]]:
    """Make the messages of one conversation."""
    messages = [{"role": "system", "content": "You help the customers of a bank."}] if system else []
    for turn in range(turns):
        messages.append({"role": "user", "content": question(number * 31 + turn)})
        messages.append({"role": "assistant", "content": answer(number * 31 + turn)})
    return messages


def chat_rows(count: int, first: int = 0, key: str = "messages") -> list[dict[str, object]]:
    """Make conversations of one or two turns, every third with a system message."""
    return [
        {key: conversation(number, 1 + number % 2, system=number % 3 == 0)} for number in range(first, first + count)
    ]


def text_pairs(count: int, first: int = 0) -> list[dict[str, str]]:
    """Make pairs of answers as texts, every third with a system message."""
    return [
        {
            **({"system": "You help the customers of a bank."} if number % 3 == 0 else {}),
            "prompt": question(number),
            "chosen": answer(number),
            "rejected": f"No idea. {number}",
        }
        for number in range(first, first + count)
    ]


def conversation_pairs(count: int, first: int = 0) -> list[dict[str, object]]:
    """Make pairs of conversations of one or two turns, every third with a system message."""
    rows: list[dict[str, object]] = []
    for number in range(first, first + count):
        *asked, chosen = conversation(number, 1 + number % 2, system=number % 3 == 0)
        rejected = {"role": "assistant", "content": f"No idea. {number}"}
        rows.append({"chosen": [*asked, chosen], "rejected": [*asked, rejected]})
    return rows


def text_lines(count: int, first: int = 0) -> list[str]:
    """Make lines of running text."""
    return [f"{question(number)} {answer(number)}" for number in range(first, first + count)]
