"""The short edition of ``make chaos``: a handful of drops, and more trouble for each."""

from dataclasses import replace
from pathlib import Path

from tests.chaos.load import at_once
from tests.chaos.world import KINDS, TROUBLE, violations, world

PATIENCE = 600.0
MORE_TROUBLE = replace(TROUBLE, seed=11, lose=0.05, duplicate=0.3, lost_response=0.02)
SHORT = [kind for kind in KINDS if kind.name in {"learns", "bad-rows"}]


def test_each_run_ends_once_whatever_goes_wrong(tmp_path: Path) -> None:
    with world(tmp_path / "aws", say=lambda _: None, async_concurrency=2) as deployed:
        deployed.trouble(MORE_TROUBLE)
        for kind in SHORT:
            deployed.drop_kind(kind)
        deployed.live_on(PATIENCE)
        deployed.calm_down()
        assert violations(deployed) == []
        assert sum(deployed.met.values()), "nothing went wrong"


def test_spans_that_meet_are_not_at_once() -> None:
    assert at_once([(0, 2), (2, 3), (1, 2)]) == 2
