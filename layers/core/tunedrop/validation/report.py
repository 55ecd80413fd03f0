"""The report on a dataset: what was read, what is wrong with it, and what training will make of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import computed_field, model_validator

from tunedrop.domain.model import Record
from tunedrop.domain.plan import DataTarget, FileRole, Technique
from tunedrop.domain.problem import Problem
from tunedrop.validation.findings import MEANINGS, Finding, Severity
from tunedrop.validation.limits import Limits

_WARNINGS = frozenset(code for code, meaning in MEANINGS.items() if meaning.severity is Severity.WARNING)


class FileStatistics(Record):
    """Count what one file holds."""

    name: str
    role: FileRole
    bytes: int
    """As it lies there: compressed, for a gzip file."""
    rows: int
    """Good rows."""
    faulty_rows: int
    blank_lines: int


class HistogramBin(Record):
    """Count the rows of a length; bins join without a gap and grow by a quarter of an octave."""

    low: int
    """Tokens, inclusive."""
    high: int
    """Tokens, exclusive."""
    rows: int


class Tokens(Record):
    """Say how long the rows are for the model, prompt and answer together.

    `basis` is "tokenizer" when bytes a token were measured with the model's own tokenizer on the head of the first
    training file, and "estimate" when they come from the characters alone.
    """

    basis: Literal["tokenizer", "estimate"]
    tokenizer: str
    """What counted: the tokenizer's file, or the name of the estimate."""
    bytes_per_token: float
    total: int
    """Tokens of the rows to train on, once over."""
    mean: float
    median: int
    p95: int
    longest: int
    max_input_length: int | None
    """Tokens that training reads of a row; None when nothing is cut."""
    truncated_rows: int
    tokens_lost: int


class LabelCount(Record):
    """Count the rows to train on that have an answer."""

    label: str
    rows: int


class Duplicates(Record):
    """Count rows that stand more than once; a group of three equal rows counts two."""

    compared: int
    """Good rows that were compared; `ValidationReport.not_checked` says which were not."""
    exact: int | None
    """None when no row was compared."""
    near: int | None
    """None when near duplicates were not looked for; `ValidationReport.not_checked` says why."""
    leaked: int | None
    """Rows held out, or of the validation file, that stand among the training rows too; None as for `exact`."""
    near_leaked: int | None


class ValidationReport(Record):
    """Hold all that was found; equal whether the dataset was read in one pass or in parts."""

    format: Literal[1] = 1
    technique: Technique
    technique_from: Literal["tune.yaml", "files"]
    model_id: str | None
    """The model that the rules were chosen for; None for a folder without one."""
    files: tuple[FileStatistics, ...]
    bytes: int
    """Bytes read of all files, inflated."""
    training_rows: int
    validation_rows: int
    held_out_rows: int
    held_out_source: Literal["file", "split"]
    faulty_rows: int
    findings: tuple[Finding, ...]
    """The first thousand: errors first, in the order of files and lines; at most a hundred warnings of one code."""
    counts: dict[str, int]
    """All findings, by code. Beyond the first thousand faulty rows each row counts once, for its first fault."""
    tokens: Tokens | None
    """None when no row is good."""
    lengths: tuple[HistogramBin, ...]
    labels: tuple[LabelCount, ...] | None
    """The answers by number, most frequent first, when answers are labels."""
    duplicates: Duplicates
    expected_steps: int | None
    """Optimiser steps of the whole training; None when the batch size is not known."""
    not_checked: tuple[str, ...]
    """What was not looked for, and why: one sentence each."""
    limits: Limits

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way to write it
    @property
    def accepted(self) -> bool:
        """Tell whether the dataset may be trained on."""
        return not self.errors

    @model_validator(mode="before")
    @classmethod
    def _without_verdict(cls, values: Any) -> Any:
        """Read what was written: the verdict follows from the rest."""
        return (
            {key: value for key, value in values.items() if key != "accepted"} if isinstance(values, dict) else values
        )

    @property
    def errors(self) -> dict[str, int]:
        """Count what refuses the dataset, by code; problems with other things than rows do, too."""
        return {code: number for code, number in self.counts.items() if code not in _WARNINGS}

    @property
    def warnings(self) -> dict[str, int]:
        """Count what informs, by code."""
        return {code: number for code, number in self.counts.items() if code in _WARNINGS}

    def with_problems(self, problems: Sequence[Problem]) -> Self:
        """Return the report with what is wrong with the files as a whole, or with `tune.yaml`, before all else."""
        counts = dict(Counter(each.code for each in problems))
        findings = (*map(_told, problems), *self.findings)[: self.limits.findings]
        return self.model_copy(update={"findings": findings, "counts": {**counts, **self.counts}})


def unread(target: DataTarget) -> ValidationReport:
    """Report on a dataset of which no row was read, because of problems with its files."""
    return ValidationReport(
        technique=target.technique,
        technique_from=target.technique_from,
        model_id=target.model_id,
        files=(),
        bytes=0,
        training_rows=0,
        validation_rows=0,
        held_out_rows=0,
        held_out_source="file",
        faulty_rows=0,
        findings=(),
        counts={},
        tokens=None,
        lengths=(),
        labels=None,
        duplicates=Duplicates(compared=0, exact=None, near=None, leaked=None, near_leaked=None),
        expected_steps=None,
        not_checked=("The rows: they are read when the problems above are mended.",),
        limits=Limits(),
    )


def _told(problem: Problem) -> Finding:
    file, _, line = problem.where.rpartition(":")
    located = bool(file) and line.isascii() and line.isdigit()
    return Finding(
        code=problem.code,
        severity=Severity.ERROR,
        message=problem.message,
        file=file if located else problem.where,
        line=int(line) if located else None,
        fix=problem.fix,
    )
