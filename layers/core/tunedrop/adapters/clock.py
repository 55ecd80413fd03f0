"""The time of day."""

from datetime import UTC, datetime


class SystemClock:
    """Tell the time of the machine."""

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC)


class FixedClock:
    """Tell one time, such as the one for which a schedule woke the function."""

    def __init__(self, time: datetime) -> None:
        """Stop at a time in UTC."""
        self._time = time

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return self._time
