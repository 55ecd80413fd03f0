"""Print what arrives, with nothing but the standard library."""

import importlib.util
import json


def handler(event, context):
    """Log the event as one line."""
    print(json.dumps({"audited": event, "boto3": importlib.util.find_spec("boto3") is not None}))
