"""Metrics that functions print into their logs, extracted as CloudWatch extracts them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import cloudwatch

_MARK = '"_aws"'


def extract(line: str) -> None:
    """Record the metrics of a log line in the embedded format; any other line, or one that is malformed, has none."""
    if _MARK not in line:
        return
    try:
        record = json.loads(line)
        directives = record["_aws"]["CloudWatchMetrics"]
        seconds = record["_aws"]["Timestamp"] / 1000
        for directive in directives:
            for names in directive["Dimensions"]:
                dimensions = {name: str(record[name]) for name in names}
                for metric in directive["Metrics"]:
                    _record(directive["Namespace"], metric, dimensions, seconds, record[metric["Name"]])
    except (ValueError, LookupError, TypeError):
        return


def _record(namespace: str, metric: dict[str, Any], dimensions: dict[str, str], seconds: float, value: Any) -> None:
    values = value if isinstance(value, list) else [value]
    cloudwatch._store_datum(
        namespace, metric["Name"], dimensions, seconds, metric.get("Unit", "None"), None, values, None, None
    )
