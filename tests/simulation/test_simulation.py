"""A short part of the simulator, for every run of the tests; `make simulate` is the whole."""

import json
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS, ROOT, Mutant, planted
from tests.simulation.play import by_schedule, by_seed, shrunk
from tests.simulation.stage import stage
from tunedrop.domain.run import Run

SEEDS = range(30)
SCHEDULES = sorted((Path(__file__).parent / "schedules").glob("*.json"))
TOLD_IN_SHORT = 8
"""Choices of a schedule that people can follow."""

FOUND = next(each for each in MUTANTS if each.name == "a run that lies idle is left alone")


def test_every_promise_is_kept_in_some_histories() -> None:
    for seed in SEEDS:
        history = by_seed(seed)
        assert not history.violation, f"make simulate SEED={seed}: {history.violation}"


@pytest.mark.parametrize("path", SCHEDULES, ids=lambda path: path.stem)
def test_a_schedule_that_once_broke_a_promise_breaks_none(path: Path) -> None:
    history = by_schedule(json.loads(path.read_text())["schedule"])
    assert not history.violation, history.violation
    assert history.schedule == json.loads(path.read_text())["schedule"], "the schedule names sites that are no more"


@pytest.mark.parametrize("seed", range(6))
def test_a_history_is_the_same_by_its_seed_and_by_its_schedule(seed: int) -> None:
    history = by_seed(seed)
    again = by_schedule(history.schedule)
    assert (again.schedule, again.world.log) == (history.schedule, history.world.log)


def test_the_handlers_that_are_simulated_are_all_there_are() -> None:
    folders = {each.name for each in (Path(__file__).parents[2] / "functions").iterdir() if (each / "app.py").exists()}
    assert set(stage().handlers) == folders


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_still_fits_the_code_that_it_changes(mutant: Mutant) -> None:
    assert mutant.source() != (ROOT / mutant.file).read_text()


def test_a_fault_that_was_planted_is_gone_afterwards() -> None:
    with planted(MUTANTS[0]):
        assert by_schedule({}).violation
    assert not by_schedule({}).violation


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_is_shown_by_a_short_history(mutant: Mutant) -> None:
    with planted(mutant):
        assert by_schedule(mutant.shown_by, reconciled=mutant.reconciled).violation
    assert len(mutant.shown_by) <= TOLD_IN_SHORT


def test_a_fault_is_found_and_told_in_short() -> None:
    with planted(FOUND):
        broken = next(history for seed in range(200) if (history := by_seed(seed)).violation)
        short = shrunk(broken.schedule, broken.promise)
    assert len(short.schedule) <= TOLD_IN_SHORT


def test_records_are_written_and_read_as_production_does() -> None:
    documents = stage().documents
    for seed in SEEDS[:4]:
        items = by_seed(seed).world.dynamodb.items.values()
        for run in [documents.read(item["document"]["S"]) for item in items if item["kind"]["S"] == "run"]:
            values = run.model_dump(mode="json")
            assert Run.model_validate(values) == run
            assert documents.read(documents.write(run)) == run
