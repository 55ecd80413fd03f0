"""The time of day."""

from datetime import UTC, datetime


class SystemClock:
    """Tell the time of the machine."""

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC)
