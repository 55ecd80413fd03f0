"""What one may set about the local SageMaker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the quotas and times of the local SageMaker.

    Attributes:
        instance_quota: instances of one type that may train at once; more is ResourceLimitExceeded.
        stop_grace_seconds: time between SIGTERM and SIGKILL (120 on AWS).
        event_copies: how often each state change is announced. AWS: "SageMaker AI may send multiple events to
            EventBridge for each state change. This behavior is expected".
            https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
        endpoint_quota: instances of one type that endpoints may hold at once.
        scale_in_seconds: after so long without a call a component that may have no copies has none; on AWS a target
            tracking policy's alarm looks at 15 minutes.
    """

    instance_quota: int = 2
    stop_grace_seconds: float = 120
    event_copies: int = 2
    endpoint_quota: int = 4
    scale_in_seconds: float = 900
