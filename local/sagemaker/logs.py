"""Follow a training script's output: into CloudWatch Logs as it comes, and through the job's metric definitions."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from local.engine.host import Host
from local.sagemaker.job import TrainingJob

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_FLUSH_SECONDS = 0.5
_TAIL_LINES = 40


class TrainingLog:
    """Carry a job's log lines to CloudWatch while they arrive.

    Args:
        host: the engine.
        job: the job whose metrics the lines hold.
    """

    def __init__(self, host: Host, job: TrainingJob) -> None:
        description = job.describe()
        self._host = host
        self._job = job
        self._stream = f"{job.name}/algo-1-{int(description['CreationTime'])}"
        self._patterns = {
            definition["Name"]: re.compile(definition["Regex"])
            for definition in description.get("AlgorithmSpecification", {}).get("MetricDefinitions", [])
        }
        self._metrics: dict[str, dict[str, Any]] = {}
        self._waiting: list[tuple[int, str]] = []
        self._lock = threading.Lock()
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def write(self, line: str) -> None:
        """Add one line, to be sent with the next flush, and read its metrics."""
        now = time.time()
        self.tail.append(line)
        with self._lock:
            self._waiting.append((round(now * 1000), line))
        found = {name: match for name, pattern in self._patterns.items() if (match := pattern.search(line))}
        for name, match in found.items():
            value = _number(match)
            if value is not None:
                self._metrics[name] = {"MetricName": name, "Value": value, "Timestamp": now}
                self._host.put_metric(LOG_GROUP, name, value, {"TrainingJobName": self._job.name})
        if found:
            self._job.measure(list(self._metrics.values()))

    def flush(self) -> None:
        """Send what has arrived."""
        with self._lock:
            lines, self._waiting = self._waiting, []
        if lines:
            self._host.put_logs(LOG_GROUP, self._stream, lines)

    def follow(self, lines: Iterable[str]) -> None:
        """Write and send lines until there are no more."""
        ended = threading.Event()

        def send() -> None:
            while not ended.wait(_FLUSH_SECONDS):
                self.flush()

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        for line in lines:
            self.write(line.rstrip("\n"))
        ended.set()
        sender.join()
        self.flush()


def _number(match: re.Match[str]) -> float | None:
    try:
        return float(match[1] if match.re.groups else match[0])
    except (TypeError, ValueError):
        return None
