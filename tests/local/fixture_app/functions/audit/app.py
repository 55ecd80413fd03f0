"""Print what arrives, with nothing but the standard library."""

import importlib.util
import json
import sys
from typing import Any


def handler(event: dict[str, Any], _context: Any) -> None:
    """Log the event as one line."""
    line = {"audited": event, "boto3": importlib.util.find_spec("boto3") is not None}
    sys.stdout.write(json.dumps(line) + "\n")
