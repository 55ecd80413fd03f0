"""Regular expressions that are looked for together, in one pass of Hyperscan."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import hyperscan

Found = Callable[[int, int, int, int, Any], None]
"""Takes the number of an expression, the start of its match (not told: 0), its end, flags, and the context."""


class Expressions:
    """Hold compiled expressions; several threads may use them at once."""

    def __init__(self, expressions: Sequence[bytes], *, numbers: Sequence[int] = (), flags: int = 0) -> None:
        """Compile expressions of Hyperscan's dialect (https://intel.github.io/hyperscan/dev-reference/compilation.html).

        Their matches are told under `numbers`, which several may share; counted from 0 where there are none.
        """
        self._database = hyperscan.Database()
        self._database.compile(
            expressions=expressions,
            ids=list(numbers or range(len(expressions))),
            flags=[flags] * len(expressions),
        )
        self._of_thread = threading.local()

    def scan(self, data: bytes | memoryview, found: Found, context: object = None) -> None:
        """Tell `found` of every match, also of those that overlap, in the order of their ends."""
        # What a scan writes down while it goes on is not to be shared.
        scratch = getattr(self._of_thread, "scratch", None)
        if scratch is None:
            scratch = self._of_thread.scratch = hyperscan.Scratch(self._database)
        read: Any = data  # the library takes any buffer, whatever its types say
        self._database.scan(read, match_event_handler=found, context=context, scratch=scratch)
