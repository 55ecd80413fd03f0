"""A month's money is never promised twice, whatever the order of events."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.fakes import InMemoryRunStore
from tests.samples import new_run
from tunedrop.domain.budget import Charge, Ledger, cap_cents, cents, longest_runtime, month_of, most_cents, words
from tunedrop.domain.run import Run
from tunedrop.errors import CapReachedError, VersionConflictError

MONTH = "2026-11"


def test_a_month_is_the_one_in_utc() -> None:
    new_year_in_tokyo = datetime(2027, 1, 1, 8, 59, tzinfo=timezone(timedelta(hours=9)))
    assert month_of(new_year_in_tokyo) == "2026-12"
    assert month_of(datetime(2027, 1, 1, tzinfo=UTC)) == "2027-01"


@pytest.mark.parametrize(("usd", "whole"), [(0, 0), (0.001, 1), (10, 1000), (0.07 * 100, 700), (10.001, 1001)])
def test_dollars_are_rounded_up_to_cents(usd: float, whole: int) -> None:
    assert cents(usd) == whole


@pytest.mark.parametrize(("usd", "whole"), [(0, None), (0.001, 0), (10, 1000), (0.07 * 100, 700), (10.009, 1000)])
def test_a_cap_is_rounded_down_to_cents_and_none_for_zero(usd: float, whole: int | None) -> None:
    assert cap_cents(usd) == whole


@pytest.mark.parametrize(("amount", "text"), [(0, "$0"), (96_00, "$96"), (1_234_05, "$1,234.05")])
def test_cents_are_told_as_dollars(amount: int, text: str) -> None:
    assert words(amount) == text


def test_a_reservation_covers_the_limit_and_the_grace_after_it() -> None:
    assert most_cents(36, timedelta(hours=1)) == 37_20


@given(budget=st.floats(0.01, 1_000), price=st.floats(2, 1_000))
def test_a_job_never_costs_more_than_its_budget_and_a_second_more_would(budget: float, price: float) -> None:
    longest = longest_runtime(budget, price)
    if longest:
        assert most_cents(price, longest) <= cents(budget)
        assert price * (longest.total_seconds() + 121) / 3600 >= budget * (1 - 1e-9)


class Month(RuleBasedStateMachine):
    """Reserve, settle and release in any order, each write perhaps repeated; the cap never moves."""

    live = Bundle("live")

    def __init__(self) -> None:
        super().__init__()
        self.store = InMemoryRunStore(cap_cents=10_000)
        self.reserved: dict[str, int] = {}
        self.spent = 0
        self.names = 0

    def write(self, before: Run, after: Run, *, twice: bool) -> None:
        self.store.commit(before, after)
        if twice:
            with pytest.raises(VersionConflictError):
                self.store.commit(before, after)

    @rule(target=live, amount=st.integers(0, 4_000), twice=st.booleans())
    def launch(self, amount: int, *, twice: bool) -> str:
        self.names += 1
        run = new_run(f"run-{self.names}")
        self.store.create(run)
        job_name = f"job-{self.names}"
        charge = Charge(month=MONTH, job_name=job_name, attempt=1, usd_per_hour=1.0, most_cents=amount)
        try:
            self.write(run, run.model_copy(update={"charges": (charge,)}), twice=twice)
        except CapReachedError:
            assert sum(self.reserved.values()) + self.spent + amount > 10_000
        else:
            self.reserved[run.run_id] = amount
        return run.run_id

    @rule(run_id=consumes(live), share=st.floats(0, 1), twice=st.booleans())
    def end(self, run_id: str, share: float, *, twice: bool) -> None:
        run = self.store.get(run_id)
        assert run
        if run.charge is None:
            return
        actual = int(run.charge.most_cents * share)
        settled = run.charge.model_copy(update={"cents": actual})
        self.write(run, run.model_copy(update={"charges": (settled,)}), twice=twice)
        del self.reserved[run_id]
        self.spent += actual

    @invariant()
    def counts_exactly_and_never_above_the_cap(self) -> None:
        ledger = self.store.ledger(MONTH)
        assert sorted(ledger.reserved.values()) == sorted(self.reserved.values())
        assert ledger.spent == self.spent
        assert 0 <= ledger.committed <= 10_000
        assert ledger == Ledger.model_validate_json(ledger.model_dump_json())


TestMonth = Month.TestCase
