"""The report on a dataset: what was read, what is wrong with it, and what training will make of it."""

from typing import Literal

from tunedrop.domain.model import Record
from tunedrop.domain.plan import FileRole, Technique
from tunedrop.validation.findings import MEANINGS, Finding, Severity
from tunedrop.validation.limits import Limits

_ERRORS = frozenset(code for code, meaning in MEANINGS.items() if meaning.severity is Severity.ERROR)


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

    exact: int
    near: int | None
    """None when near duplicates were not looked for; `ValidationReport.not_checked` says why."""
    leaked: int
    """Rows held out, or of the validation file, that stand among the training rows too."""
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

    @property
    def accepted(self) -> bool:
        """Tell whether the dataset may be trained on."""
        return not self.errors

    @property
    def errors(self) -> dict[str, int]:
        """Count what refuses the dataset, by code."""
        return {code: number for code, number in self.counts.items() if code in _ERRORS}

    @property
    def warnings(self) -> dict[str, int]:
        """Count what informs, by code."""
        return {code: number for code, number in self.counts.items() if code not in _ERRORS}
