"""The benchmark reads the same bytes each time, and its defects are where it says."""

import hashlib
import json
from itertools import islice
from pathlib import Path

import pytest

from bench import scale as months
from bench.validator import datasets, faults, generator, measuring, scale

MEASURED = 0.3


def digest(path: Path, variant: str) -> str:
    generator.write(variant, MEASURED, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("variant", generator.VARIANTS)
def test_the_same_bytes_are_written_each_time(tmp_path: Path, variant: str) -> None:
    assert digest(tmp_path / "a" / "train.jsonl", variant) == digest(tmp_path / "b" / "train.jsonl", variant)


def test_a_smaller_file_is_the_beginning_of_a_larger_one(tmp_path: Path) -> None:
    generator.write("chat", MEASURED, tmp_path / "small")
    generator.write("chat", 2 * MEASURED, tmp_path / "large")

    small = (tmp_path / "small").read_bytes()
    assert len(small) >= MEASURED * generator.MEGABYTE
    assert (tmp_path / "large").read_bytes().startswith(small)


def test_rows_are_of_their_technique() -> None:
    chats = [json.loads(line)["messages"] for line in islice(generator.rows("chat"), 300)]
    rows = [json.loads(line) for line in islice(generator.rows("instruction"), 300)]

    assert {message["role"] for chat in chats for message in chat} == {"system", "user", "assistant"}
    assert all(chat[-1]["role"] == "assistant" for chat in chats)
    assert all(list(row) == ["instruction", "context", "response"] for row in rows)


def test_one_row_in_so_many_is_spoilt() -> None:
    lines = list(islice(generator.rows("chat"), 400))

    spoilt = list(generator.spoilt(lines, 100))

    assert [number for number, line in enumerate(spoilt) if line != lines[number].encode()] == [99, 199, 299, 399]


def test_every_defect_stands_where_the_benchmark_says() -> None:
    files, defects = datasets.planted(list(faults.CODES))
    lines = {name: content.splitlines() for name, content in files.items()}
    clean, nothing = datasets.planted([])
    good = set(clean[faults.TRAIN].splitlines())

    assert nothing == []
    assert len(defects) == len({defect.name for defect in defects}) == 25
    copies = {"exact duplicate", "row shared with validation"}
    for defect in defects:
        at = {place: lines[place[0]][place[1] - 1] for place in defect.places}
        if defect.name in copies:
            assert len(set(at.values())) == 1
            assert len(at) == 2
        else:
            assert len([line for line in at.values() if line not in good]) == 1, defect.name
    assert len(lines[faults.TRAIN]) == datasets.GOOD_ROWS + 24
    assert sum(line not in good for line in lines[faults.TRAIN]) == 23


@pytest.mark.parametrize(
    ("out", "counts"),
    [('{"rows": 3, "refused": 0}', True), ('{"rows": 0, "refused": 1, "said": "row 1"}', False), ("", False)],
)
def test_a_run_that_did_not_read_everything_does_not_count(out: str, counts: bool) -> None:  # noqa: FBT001
    usage = measuring.Usage(0.1, 1, 0, out, "Traceback\nImportError: no")

    assert (measuring.failure(usage) == "") is counts


def test_the_page_on_scale_holds_the_computed_table() -> None:
    assert scale.table() in (Path(__file__).parents[1] / "docs/scale.md").read_text(), "run bench.validator.scale"


def test_the_page_on_scale_holds_what_a_month_of_drops_costs() -> None:
    assert months.table() in (Path(__file__).parents[1] / "docs/scale.md").read_text(), "run bench.scale"


def test_what_a_month_costs_grows_with_its_drops_and_no_faster() -> None:
    few, many = months.month(10_000), months.month(1_000_000)
    idle = months.month(0).application
    assert (many.application - idle) / (few.application - idle) == pytest.approx(100, rel=0.01)
