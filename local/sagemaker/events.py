"""Describe a training job as its EventBridge events do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SOURCE = "aws.sagemaker"
DETAIL_TYPE = "SageMaker Training Job State Change"
_COPIED = (
    "TrainingJobName",
    "TrainingJobArn",
    "TrainingJobStatus",
    "SecondaryStatus",
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "ModelArtifacts",
    "OutputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "StoppingCondition",
)
_TIMES = ("CreationTime", "TrainingStartTime", "TrainingEndTime", "LastModifiedTime")


def state_change(job: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the `detail` of a state change event.

    Unlike DescribeTrainingJob, times are epoch milliseconds, tags are a map and there are no metrics.
    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html#eventbridge-training

    Args:
        job: the job as DescribeTrainingJob answers it, times in epoch seconds.
        tags: the job's tags.
    """
    detail = {name: job[name] for name in _COPIED if name in job}
    detail |= {name: _milliseconds(job[name]) for name in _TIMES if name in job}
    detail["SecondaryStatusTransitions"] = [
        {key: _milliseconds(value) if key.endswith("Time") else value for key, value in transition.items()}
        for transition in job["SecondaryStatusTransitions"]
    ]
    if job["TrainingJobStatus"] == "Failed":
        detail["FailureReason"] = job["FailureReason"]
    detail["Tags"] = dict(tags)
    return detail


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
