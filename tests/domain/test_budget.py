"""A month's money is never promised twice, whatever the order of events."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tunedrop.domain.budget import Ledger, cents, month_of, most_cents, release, reserve, room, settle

EMPTY = Ledger(month="2026-11")


def test_thirty_drops_of_ten_dollars_under_a_cap_of_a_hundred_are_ten_launches() -> None:
    ledger, launched = EMPTY, 0
    for number in range(30):
        after = reserve(ledger, f"job-{number}", cents(10), cents(100))
        if after:
            ledger, launched = after, launched + 1
    assert (launched, ledger.committed, room(ledger, cents(100))) == (10, 100_00, 0)


def test_a_job_that_cost_less_makes_room() -> None:
    ledger = reserve(EMPTY, "a", 60_00, 100_00)
    assert ledger
    assert reserve(ledger, "b", 60_00, 100_00) is None
    ledger = settle(ledger, "a", 12_34)
    assert (ledger.spent, dict(ledger.reserved)) == (12_34, {})
    assert reserve(ledger, "b", 60_00, 100_00)


def test_a_job_that_was_never_billed_gives_all_of_it_back() -> None:
    ledger = reserve(EMPTY, "a", 60_00, 100_00)
    assert ledger
    assert release(ledger, "a") == EMPTY


def test_asking_twice_reserves_once_and_settling_twice_books_once() -> None:
    once = reserve(EMPTY, "a", 10, 100)
    assert once
    assert reserve(once, "a", 10, 100) == once
    settled = settle(once, "a", 7)
    assert settle(settled, "a", 7) == settled
    assert release(settled, "a") == settled


def test_what_aws_bills_beyond_the_reservation_is_booked_and_holds_back_the_next() -> None:
    ledger = reserve(EMPTY, "a", 100, 100)
    assert ledger
    ledger = settle(ledger, "a", 103)
    assert (ledger.committed, room(ledger, 100)) == (103, 0)
    assert reserve(ledger, "b", 1, 100) is None


def test_negative_amounts_are_no_amounts() -> None:
    with pytest.raises(ValueError, match="-1 cents"):
        reserve(EMPTY, "a", -1, 100)
    with pytest.raises(ValueError, match="-1 cents"):
        settle(EMPTY, "a", -1)


def test_a_month_is_the_one_in_utc() -> None:
    new_year_in_tokyo = datetime(2027, 1, 1, 8, 59, tzinfo=timezone(timedelta(hours=9)))
    assert month_of(new_year_in_tokyo) == "2026-12"
    assert month_of(datetime(2027, 1, 1, tzinfo=UTC)) == "2027-01"


@pytest.mark.parametrize(("usd", "whole"), [(0, 0), (0.001, 1), (10, 1000), (0.07 * 100, 700), (10.001, 1001)])
def test_dollars_are_rounded_up_to_cents(usd: float, whole: int) -> None:
    assert cents(usd) == whole


def test_a_reservation_covers_the_limit_and_the_grace_after_it() -> None:
    assert most_cents(36, timedelta(hours=1)) == 37_20


class Month(RuleBasedStateMachine):
    """Reserve, settle and release in any order, each event perhaps delivered twice; the cap never moves."""

    live = Bundle("live")

    def __init__(self) -> None:
        super().__init__()
        self.cap = 10_000
        self.ledger = EMPTY
        self.reserved: dict[str, int] = {}
        self.spent = 0
        self.names = 0

    @rule(target=live, amount=st.integers(0, 4_000))
    def launch(self, amount: int) -> str:
        self.names += 1
        name = f"job-{self.names}"
        after = reserve(self.ledger, name, amount, self.cap)
        fits = sum(self.reserved.values()) + self.spent + amount <= self.cap
        assert (after is not None) == fits
        if after:
            self.ledger = after
            self.reserved[name] = amount
        return name

    @rule(name=live, amount=st.integers(0, 4_000))
    def launch_again(self, name: str, amount: int) -> None:
        if name in self.reserved:
            assert reserve(self.ledger, name, amount, self.cap) == self.ledger

    @rule(name=consumes(live), share=st.floats(0, 1), twice=st.booleans())
    def end(self, name: str, share: float, *, twice: bool) -> None:
        actual = int(self.reserved.get(name, 0) * share)
        for _ in range(2 if twice else 1):
            self.ledger = settle(self.ledger, name, actual)
        if name in self.reserved:
            del self.reserved[name]
            self.spent += actual

    @rule(name=consumes(live))
    def never_start(self, name: str) -> None:
        self.ledger = release(self.ledger, name)
        self.reserved.pop(name, None)

    @invariant()
    def never_above_the_cap(self) -> None:
        assert 0 <= self.ledger.committed <= self.cap
        assert self.ledger.committed + room(self.ledger, self.cap) == self.cap

    @invariant()
    def counts_exactly(self) -> None:
        assert dict(self.ledger.reserved) == self.reserved
        assert self.ledger.spent == self.spent
        assert self.ledger == Ledger.model_validate_json(self.ledger.model_dump_json())


TestMonth = Month.TestCase
