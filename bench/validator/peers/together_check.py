"""Together's `check_file`, which `together files check` and every upload run; it stops at the first fault."""

import re
from pathlib import Path

from protocol import Verdict, run

try:
    from together.lib import check_file
except ImportError:  # before 2.0
    from together.utils.files import check_file


def check(_technique: str, path: Path) -> Verdict:
    """Take its report."""
    report = check_file(path)
    verdict = Verdict(rows=report.get("num_samples") or 0)
    if not report["is_check_passed"]:
        line = re.search(r"line (\d+)", str(report["message"]))
        verdict.refuse(report["message"], int(line[1]) if line else None)
    return verdict


run(check)
