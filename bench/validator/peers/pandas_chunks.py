"""pandas `read_json(lines=True)` in chunks of 10,000 rows."""

from pathlib import Path

import pandas as pd
from protocol import Verdict, run


def check(_technique: str, path: Path) -> Verdict:
    """Read every chunk; the first that cannot be read ends the reading."""
    verdict = Verdict()
    try:
        with pd.read_json(path, lines=True, chunksize=10_000) as chunks:
            for chunk in chunks:
                verdict.rows += len(chunk)
    except (ValueError, TypeError, AttributeError) as error:
        verdict.refuse(f"{type(error).__name__}: {error}")
    return verdict


run(check)
