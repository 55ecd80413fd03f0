"""What is wrong, where, and how to mend it: the one shape in which every refusal reaches a person."""

from tunedrop.domain.model import Record


class Problem(Record):
    """Say one thing that is wrong.

    `code` is stable and documented; `where` names a file and line (`train.jsonl:17`), or a key of `tune.yaml`;
    `fix` is an imperative sentence. None of them holds text of a user's row.
    """

    code: str
    message: str
    where: str = ""
    fix: str = ""

    def __str__(self) -> str:
        """Render the problem on one line, as notifications print it."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}" + (f" Fix: {self.fix}" if self.fix else "")


EXCERPT_LIMIT = 80
"""Characters of a user's text that a message repeats."""


def excerpt(text: str) -> str:
    """Escape a name or a value of a user's, so that it is one line of printable ASCII, cut at 80 characters."""
    escaped = text.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= EXCERPT_LIMIT else f"{escaped[: EXCERPT_LIMIT - 3]}..."
