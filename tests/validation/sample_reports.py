"""A report as it comes from a dataset with a bit of everything, and variations of it."""

from typing import Any

from tunedrop.domain.plan import FileRole, Technique
from tunedrop.validation.findings import Finding, Flaw, finding
from tunedrop.validation.limits import Limits
from tunedrop.validation.report import (
    Duplicates,
    FileStatistics,
    HistogramBin,
    LabelCount,
    Tokens,
    ValidationReport,
)

FINDINGS = (
    *(
        finding(
            Flaw("data.missing-field", "The row lacks response.", "response", 7, '{"instruction": "a"}'),
            "train.jsonl",
            3 * number,
            500 * number,
        )
        for number in range(1, 13)
    ),
    finding(Flaw("data.not-json", "A comma is missing."), "training/b.jsonl", 201, 9_000),
    *(finding(Flaw("data.duplicate", "It stands above."), "train.jsonl", 900 + number, 7_000) for number in range(3)),
    finding(Flaw("data.few-held-out-rows", "28 rows are held out.")),
)


def report(**changes: Any) -> ValidationReport:
    values: dict[str, Any] = {
        "technique": Technique.INSTRUCTION,
        "technique_from": "files",
        "model_id": None,
        "files": (
            FileStatistics(
                name="train.jsonl", role=FileRole.TRAINING, bytes=78_700, rows=988, faulty_rows=12, blank_lines=1
            ),
            FileStatistics(
                name="training/b.jsonl", role=FileRole.TRAINING, bytes=1_203, rows=4, faulty_rows=1, blank_lines=0
            ),
        ),
        "bytes": 79_903,
        "training_rows": 964,
        "validation_rows": 0,
        "held_out_rows": 28,
        "held_out_source": "split",
        "faulty_rows": 13,
        "findings": FINDINGS,
        "counts": {"data.missing-field": 12, "data.not-json": 1, "data.duplicate": 103, "data.few-held-out-rows": 1},
        "tokens": Tokens(
            basis="estimate",
            tokenizer="characters",
            bytes_per_token=4.1,
            total=20_000,
            mean=20.7,
            median=18,
            p95=40,
            longest=77,
            max_input_length=64,
            truncated_rows=5,
            tokens_lost=31,
        ),
        "lengths": (
            HistogramBin(low=8, high=16, rows=300),
            HistogramBin(low=16, high=32, rows=600),
            HistogramBin(low=32, high=64, rows=59),
            HistogramBin(low=64, high=128, rows=5),
        ),
        "labels": tuple(LabelCount(label=f"label {number}", rows=60 - number) for number in range(23)),
        "duplicates": Duplicates(compared=964, exact=103, near=None, leaked=2, near_leaked=None),
        "expected_steps": 241,
        "not_checked": ("Near duplicates were not looked for.",),
        "limits": Limits(),
    }
    return ValidationReport(**(values | changes))


def clean(**changes: Any) -> ValidationReport:
    return report(**({"findings": (), "counts": {}, "faulty_rows": 0} | changes))


def one(**fields: Any) -> Finding:
    """Make a finding of whatever text."""
    return FINDINGS[0].model_copy(update=fields)
