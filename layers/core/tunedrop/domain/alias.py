"""Who is the champion of a dataset, and who was: the record behind the alias.

The record is one item beside the runs (`id` = `alias#receipts`, `kind` = `alias`). The store writes it in the
transaction that writes the run which becomes the champion, under the condition that the champion before is still the
one that the promotion speaks of: of two runs that finish together, the second finds out.
"""

from datetime import datetime

from tunedrop.domain.model import Record
from tunedrop.domain.run import Promotion, Run

HISTORY = 100
"""Promotions that the record keeps, the newest."""


class Champion(Record):
    """Say which run's model became the champion, when, and by whom."""

    run_id: str
    model_arn: str
    since: datetime
    by: str
    """`evaluation`, or the principal who asked for it."""
    request: str


class Alias(Record):
    """Hold the champions of one dataset, oldest first; the last one is the champion now."""

    dataset: str
    version: int = 0
    """Counts the writes, and guards each of them."""
    history: tuple[Champion, ...] = ()

    @property
    def champion(self) -> Champion | None:
        """The champion now."""
        return self.history[-1] if self.history else None

    @property
    def former(self) -> Champion | None:
        """The champion before this one: whom a rollback brings back."""
        return self.history[-2] if len(self.history) > 1 else None

    def allows(self, promotion: Promotion) -> bool:
        """Tell whether the champion is still the one to replace, and the request is not an old one that comes again."""
        champion = self.champion.run_id if self.champion else None
        return champion == promotion.instead_of and promotion.request not in {each.request for each in self.history}

    def with_champion(self, run: Run) -> "Alias":
        """Return the alias as it is once the run has become the champion."""
        if run.promotion is None or run.deployment is None or run.deployment.model_arn is None:
            raise AssertionError(f"run {run.run_id} has no model to be promoted")
        champion = Champion(
            run_id=run.run_id,
            model_arn=run.deployment.model_arn,
            since=run.promotion.at,
            by=run.promotion.by,
            request=run.promotion.request,
        )
        return Alias(dataset=self.dataset, version=self.version + 1, history=(*self.history, champion)[-HISTORY:])

    def ended(self, run_id: str) -> datetime | None:
        """Return when a run that was promoted ceased to be the champion; None while it is, or when nobody ever was."""
        if self.champion is None or self.champion.run_id == run_id:
            return None
        successor = self.history[0]  # the champions of before are forgotten: it ended no later than that
        for before, after in zip(self.history, self.history[1:], strict=False):
            if before.run_id == run_id:
                successor = after
        return successor.since


def newly_promoted(before: Run, after: Run) -> Promotion | None:
    """Return the promotion that a write brings, for the alias to be written with it."""
    known = before.promotion.request if before.promotion else None
    return after.promotion if after.promotion and after.promotion.request != known else None
