"""Instruction rows under judgement: every line of every file, before anything is paid for."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from tunedrop.domain.model import Record
from tunedrop.domain.plan import FileRole
from tunedrop.domain.problem import Problem
from tunedrop.domain.prompt_template import PromptTemplate
from tunedrop.domain.strict_json import JsonError, JsonValue, kind_of, parse_object, quoted

LINE_LIMIT_BYTES = 1 << 20
"""The longest line that is read: several times the longest context that JumpStart trains on."""

PROBLEM_LIMIT = 1_000
"""Problems that are kept; all of them are counted."""

MINIMUM_TRAINING_ROWS = 10
"""Fewer rows teach nothing that their own prompt could not say, and JumpStart takes a fifth of them for validation."""

NAMES_LIMIT = 10
"""Field names that one message lists."""

_BOM = b"\xef\xbb\xbf"
_FOREIGN_FORMATS = {
    b"\x1f\x8b": "gzip-compressed",
    b"PK\x03\x04": "a zip archive",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}

_JSON_FIX = "Write one JSON object a line, in UTF-8."
_FIXES = {
    "not-an-object": _JSON_FIX,
    "not-utf8": "Save the file as UTF-8.",
    "nul": "Remove the character.",
    "duplicate-key": "Keep one of the two.",
    "not-finite": "Write a finite number, or text.",
    "number-too-large": "Write the number as text, in quotes.",
}


class HeldOutSplit(Record):
    """Set rows apart by their digest, so that neither the rows' order nor the files' number matters.

    Equal rows have equal digests: a row is never on both sides.
    """

    ratio: float
    """The share that is set apart, in 0..1."""
    seed: int

    def holds_out(self, line: bytes) -> bool:
        """Tell whether the row written as `line` is set apart."""
        digest = hashlib.sha256(f"{self.seed}\n".encode() + line).digest()
        return int.from_bytes(digest[:8]) < self.ratio * 2**64


class ValidRow(NamedTuple):
    """Hand on one row that may be trained on, validated with, or asked."""

    role: FileRole
    line: bytes
    """A JSON object of the template's fields alone, in their order, UTF-8, ended by a newline."""
    prompt: str
    """The filled-in prompt, without demarcation."""
    completion: str


class DataReport(Record):
    """Say what was read, and all that is wrong with it."""

    training_rows: int
    validation_rows: int
    held_out_rows: int
    held_out_source: Literal["file", "split"]
    longest_prompt_bytes: int
    longest_completion_bytes: int
    bytes: int
    """Bytes read, of all files."""
    problems: tuple[Problem, ...]
    """The first thousand."""
    problem_counts: dict[str, int]
    """All problems, by code."""
    warnings: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Tell whether the data may be trained on."""
        return not self.problem_counts


class InstructionValidator:
    """Judge the files of one drop, in any number and order, block by block.

    Rows are handed on with the template's fields only: JumpStart's reader infers one type for each column of a
    file, so a column that no template names could still fail the job. For the same reason a value must be text: the
    reader renders the number 1 as `1` or `1.0` by what other rows hold. Memory: one line, and a digest a row.
    """

    def __init__(self, template: PromptTemplate, split: HeldOutSplit | None) -> None:
        """Judge against `template`; `split` sets training rows apart when the drop has no held-out file."""
        self._template = template
        self._fields = template.fields
        self._prompt_fields = template.prompt_fields
        self._split = split
        self._rows: Counter[FileRole] = Counter()
        self._seen: dict[FileRole, set[bytes]] = {role: set() for role in FileRole}
        self._longest_prompt = 0
        self._longest_completion = 0
        self._bytes = 0
        self._problems: list[Problem] = []
        self._problem_counts: Counter[str] = Counter()
        self._warnings: list[str] = []

    def read(self, role: FileRole, name: str, blocks: Iterable[bytes]) -> Iterator[ValidRow]:
        """Yield the valid rows of a file; what is wrong with the others goes to the report."""
        rows = blank = first_blank = 0
        for number, raw in enumerate(_lines(self._counted(blocks)), start=1):
            line = raw
            if number == 1:
                if foreign := next((kind for magic, kind in _FOREIGN_FORMATS.items() if raw.startswith(magic)), None):
                    self._problem("foreign-format", f"The file is {foreign}.", name, "Upload plain text, in UTF-8.")
                    return
                if raw.startswith(_BOM):
                    self._warnings.append(f"{name}: a byte order mark was skipped")
                    line = raw.removeprefix(_BOM)
            if not line.strip(b" \t\r"):
                blank += 1
                first_blank = first_blank or number
                continue
            rows += 1
            if (valid := self._judge(role, f"{name}:{number}", line)) is not None:
                yield valid
        if blank:
            self._warnings.append(f"{name}: {_count(blank, 'blank line')} skipped, the first is line {first_blank}")
        if not rows:
            self._problem("empty-file", "The file holds no row.", name, "Add rows, or remove the file.")

    def report(self) -> DataReport:
        """Sum up, once every file has been read to its end; adds what only the whole can show."""
        problems, counts = list(self._problems), self._problem_counts.copy()
        shortages = list(self._shortages())
        counts.update(shortage.code for shortage in shortages)
        # Bad rows come first, for they may be why so few are left; but a shortage outlives the thousandth of them.
        problems = [*problems[: PROBLEM_LIMIT - len(shortages)], *shortages]
        return DataReport(
            training_rows=self._rows[FileRole.TRAINING],
            validation_rows=self._rows[FileRole.VALIDATION],
            held_out_rows=self._rows[FileRole.HELD_OUT],
            held_out_source="split" if self._split else "file",
            longest_prompt_bytes=self._longest_prompt,
            longest_completion_bytes=self._longest_completion,
            bytes=self._bytes,
            problems=tuple(problems),
            problem_counts=dict(counts),
            warnings=(*self._warnings, *self._repetitions()),
        )

    def _counted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._bytes += len(block)
            yield block

    def _judge(self, role: FileRole, where: str, raw: bytes) -> ValidRow | None:
        if len(raw) > LINE_LIMIT_BYTES:
            self._problem(
                "line-too-long",
                f"The row is longer than {LINE_LIMIT_BYTES:,} bytes.",
                where,
                "Shorten the row, or split it.",
            )
            return None
        try:
            document = parse_object(raw)
        except JsonError as error:
            self._problem(error.code, f"The row {error.message}.", where, _FIXES.get(error.code, _JSON_FIX))
            return None
        row = self._texts(where, document)
        if row is None:
            return None
        prompt, completion = self._template.prompt(row), self._template.completion(row)
        if not completion.strip():
            self._problem(
                "empty-completion", "The row has an empty completion.", where, "Give the answer, or remove the row."
            )
            return None
        if not any(row[field].strip() for field in self._prompt_fields):
            self._problem(
                "empty-prompt", "The row has an empty prompt.", where, "Give the question, or remove the row."
            )
            return None
        self._longest_prompt = max(self._longest_prompt, len(prompt.encode()))
        self._longest_completion = max(self._longest_completion, len(completion.encode()))
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        return ValidRow(self._side(role, line), line, prompt, completion)

    def _texts(self, where: str, document: dict[str, JsonValue]) -> dict[str, str] | None:
        """Take the template's fields from a row; None when one of them is missing or no text."""
        row: dict[str, str] = {}
        if missing := [field for field in self._fields if field not in document]:
            self._problem(
                "missing-field",
                f"The row lacks {_names(missing)}; it has {_names(list(document)) or 'no field'}.",
                where,
                f"Add {_names(missing)}, or name the fields you have in template.json.",
            )
        for field in self._fields:
            value = document.get(field)
            if isinstance(value, str):
                if fault := _unfit(value):
                    self._problem(
                        fault, f"The row has {_UNFIT[fault]} in {quoted(field)}.", where, "Remove the character."
                    )
                else:
                    row[field] = value
            elif field in document:
                self._problem(
                    "not-text",
                    f"The row holds {kind_of(value)} in {quoted(field)}.",
                    where,
                    'Write it as text: "42".',
                )
        return row if len(row) == len(self._fields) else None

    def _side(self, role: FileRole, line: bytes) -> FileRole:
        """Count a row on the side it belongs to: a training row may be held out."""
        if role is FileRole.TRAINING and self._split and self._split.holds_out(line):
            role = FileRole.HELD_OUT
        self._rows[role] += 1
        self._seen[role].add(hashlib.blake2b(line, digest_size=8).digest())
        return role

    def _shortages(self) -> Iterator[Problem]:
        rows = self._rows[FileRole.TRAINING]
        if rows < MINIMUM_TRAINING_ROWS:
            apart = ", and set some apart to measure with" if self._split else ""
            yield Problem(
                code="data.too-few-rows",
                message=f"{_count(rows, 'valid row')} to train on; at least {MINIMUM_TRAINING_ROWS} are needed.",
                fix=f"Add rows to a training file{apart}.",
            )
        if self._split and not self._rows[FileRole.HELD_OUT] and rows:
            yield Problem(
                code="data.nothing-held-out",
                message=f"none of the {_count(rows, 'training row')} could be set apart to measure the model with.",
                fix="Add rows, raise the held-out ratio, or upload held-out.jsonl.",
            )

    def _repetitions(self) -> Iterator[str]:
        for role, seen in self._seen.items():
            if copies := self._rows[role] - len(seen):
                yield f"{role}: {_count(copies, 'row')} repeat another row exactly"
        trained = self._seen[FileRole.TRAINING]
        for role in (FileRole.VALIDATION, FileRole.HELD_OUT):
            if shared := len(trained & self._seen[role]):
                yield f"{role}: {_count(shared, 'row')} also in the training files: the score will flatter the model"

    def _problem(self, code: str, message: str, where: str, fix: str) -> None:
        problem = Problem(code=f"data.{code}", message=message, where=where, fix=fix)
        self._problem_counts[problem.code] += 1
        if len(self._problems) < PROBLEM_LIMIT:
            self._problems.append(problem)


_UNFIT = {"nul": "a NUL character", "lone-surrogate": "half of a surrogate pair"}


def _unfit(text: str) -> str | None:
    """Name what no tokeniser can read in `text`."""
    if "\0" in text:
        return "nul"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "lone-surrogate"
    return None


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Cut at `\n` only; a line beyond the limit is cut off one byte after it, so that memory stays bounded."""
    pending = bytearray()
    for block in blocks:
        *heads, tail = block.split(b"\n")
        for head in heads:
            pending += head[: LINE_LIMIT_BYTES + 1 - len(pending)]
            yield bytes(pending)
            pending.clear()
        pending += tail[: LINE_LIMIT_BYTES + 1 - len(pending)]
    if pending:
        yield bytes(pending)


def _names(names: list[str]) -> str:
    shown = ", ".join(quoted(name) for name in names[:NAMES_LIMIT])
    return f"{shown} and {len(names) - NAMES_LIMIT} more" if len(names) > NAMES_LIMIT else shown


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
