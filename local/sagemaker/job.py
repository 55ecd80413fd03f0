"""Keep training jobs: their state machine, their record on disk, their announcements."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from local.engine.host import Host
from local.sagemaker import events

TERMINAL = frozenset({"Completed", "Failed", "Stopped"})
_STATUS_OF = {
    "Starting": "InProgress",
    "Downloading": "InProgress",
    "Training": "InProgress",
    "Uploading": "InProgress",
    "Stopping": "Stopping",
    "Stopped": "Stopped",
    "MaxRuntimeExceeded": "Stopped",
    "Completed": "Completed",
    "Failed": "Failed",
}
_MESSAGE_OF = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "Completed": "Training job completed",
}
_MAX_REASON = 1024


class TrainingJob:
    """Hold one training job, on disk at every change.

    Args:
        host: the engine.
        folder: where the job's record lies.
        event_copies: how often each change is announced.
        description: the job as DescribeTrainingJob answers it, times in epoch seconds.
        tags: the job's tags.
    """

    def __init__(
        self, host: Host, folder: Path, event_copies: int, description: dict[str, Any], tags: dict[str, str]
    ) -> None:
        self._host = host
        self._path = folder / f"{description['TrainingJobName']}.json"
        self._event_copies = event_copies
        self._description = description
        self._tags = tags
        self._lock = threading.RLock()

    @classmethod
    def create(cls, host: Host, folder: Path, event_copies: int, parameters: Mapping[str, Any]) -> TrainingJob:
        """Start the record of an accepted CreateTrainingJob request, and announce it."""
        name, now = parameters["TrainingJobName"], time.time()
        description = {
            "EnableNetworkIsolation": False,
            "EnableInterContainerTrafficEncryption": False,
            "EnableManagedSpotTraining": False,
            **{key: value for key, value in parameters.items() if key != "Tags"},
            "TrainingJobArn": f"arn:aws:sagemaker:{host.region}:{host.account_id}:training-job/{name.lower()}",
            "CreationTime": now,
            "SecondaryStatusTransitions": [],
        }
        tags = {tag["Key"]: tag["Value"] for tag in parameters.get("Tags", [])}
        job = cls(host, folder, event_copies, description, tags)
        job.enter("Starting")
        return job

    @classmethod
    def load(cls, host: Host, folder: Path, event_copies: int) -> Iterator[TrainingJob]:
        """Read every job of the folder."""
        for path in sorted(folder.glob("*.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            yield cls(host, folder, event_copies, record["description"], record["tags"])

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self._description["TrainingJobName"])

    @property
    def arn(self) -> str:
        """The job's ARN."""
        return str(self._description["TrainingJobArn"])

    @property
    def status(self) -> str:
        """The TrainingJobStatus."""
        return str(self._description["TrainingJobStatus"])

    @property
    def tags(self) -> dict[str, str]:
        """A copy of the job's tags."""
        with self._lock:
            return dict(self._tags)

    def describe(self) -> dict[str, Any]:
        """Return a copy of the job as DescribeTrainingJob answers it, times in epoch seconds."""
        with self._lock:
            return copy.deepcopy(self._description)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add or replace tags."""
        with self._lock:
            self._tags.update(tags)
            self._save()

    def measure(self, metrics: Sequence[Mapping[str, Any]]) -> None:
        """Replace the latest value of each metric: MetricName, Value, Timestamp in epoch seconds."""
        with self._lock:
            self._description["FinalMetricDataList"] = [dict(metric) for metric in metrics]
            self._save()

    def enter(self, secondary_status: str, message: str = "", **fields: Any) -> None:
        """Move to a secondary status, keep that on disk, and announce it.

        Args:
            secondary_status: one of SageMaker's; the job's status follows from it.
            message: the transition's message; SageMaker's own by default, and the FailureReason of a failed job.
            fields: members of DescribeTrainingJob to set with it.
        """
        with self._lock:
            now, job = time.time(), self._description
            if job.get("TrainingJobStatus") == "Stopping":
                # A job that was asked to stop does not go back to work, and what it finished is not complete.
                if _STATUS_OF[secondary_status] == "InProgress":
                    return
                secondary_status = "Stopped" if secondary_status == "Completed" else secondary_status
            transitions = job["SecondaryStatusTransitions"]
            if transitions:
                transitions[-1]["EndTime"] = now
            status, text = (
                _STATUS_OF[secondary_status],
                (message or _MESSAGE_OF.get(secondary_status, ""))[:_MAX_REASON],
            )
            transitions.append({"Status": secondary_status, "StartTime": now, "StatusMessage": text})
            job.update(fields, TrainingJobStatus=status, SecondaryStatus=secondary_status, LastModifiedTime=now)
            if secondary_status == "Downloading":
                job["TrainingStartTime"] = now
            if status == "Failed":
                job["FailureReason"] = text
            if status in TERMINAL:
                transitions[-1]["EndTime"] = job["TrainingEndTime"] = now
                seconds = round(now - job.get("TrainingStartTime", now))
                job.update(TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)
            self._save()
            detail = events.state_change(copy.deepcopy(job), self._tags)
        for _ in range(self._event_copies):
            self._host.emit(events.SOURCE, events.DETAIL_TYPE, detail, [self.arn])

    def request_stop(self) -> bool:
        """Enter Stopping, or return False when the job is no longer in progress."""
        with self._lock:
            if self.status != "InProgress":
                return False
            self.enter("Stopping")
            return True

    def _save(self) -> None:
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps({"description": self._description, "tags": self._tags}), encoding="utf-8")
        draft.replace(self._path)


class TrainingJobs:
    """Keep all training jobs of the account by name; safe between threads.

    Args:
        jobs: what was on disk.
    """

    def __init__(self, jobs: Iterator[TrainingJob]) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def admission(self) -> Iterator[dict[str, TrainingJob]]:
        """Hold the jobs still while one more is checked and added."""
        with self._lock:
            yield self._jobs

    def get(self, name: str) -> TrainingJob | None:
        """Return the job of that name."""
        return self._jobs.get(name)

    def by_arn(self, arn: str) -> TrainingJob | None:
        """Return the job of that ARN."""
        return next((job for job in self.all() if job.arn == arn), None)

    def all(self) -> list[TrainingJob]:
        """Return all jobs, oldest first."""
        return list(self._jobs.values())
