"""Schedules that fire on time, and, where wanted, faster than on AWS."""

from __future__ import annotations

from ministack.services import eventbridge, scheduler

_LOOK_SECONDS = 0.25
_MINUTE = 60


def install(seconds_per_minute: float) -> None:
    """Let a minute of every ``rate()`` last so many seconds, for rules and for EventBridge Scheduler."""
    parse = eventbridge._parse_rate_seconds

    def rate_seconds(expression: str) -> float | None:
        seconds = parse(expression)
        return None if seconds is None else seconds * seconds_per_minute / _MINUTE

    eventbridge._parse_rate_seconds = rate_seconds
    # ministack looks every ten seconds or so, which would make a faster minute uneven.
    eventbridge._SCHEDULER_TICK_INTERVAL = _LOOK_SECONDS
    scheduler._SCHEDULE_TICK_INTERVAL = _LOOK_SECONDS
