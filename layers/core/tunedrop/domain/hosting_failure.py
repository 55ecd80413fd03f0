"""Why an endpoint or its component failed, by SageMaker's own words, and what to do about it."""

import re

from tunedrop.domain.plan import HostingPlan
from tunedrop.domain.problem import Problem

CAPACITY = "endpoint.capacity"
"""AWS has no instance now: tried again, for what is short in the evening may be there at night."""

_LONGEST_REASON = 300

_CAUSES = (
    (
        CAPACITY,
        r"InsufficientInstanceCapacity|Unable to provision requested ML compute capacity|does not have enough capacity",
        "AWS has no {type} for the endpoint now.",
        "Name another endpoint.instance_type, or wait: it is tried again for a day.",
    ),
    (
        "endpoint.health",
        r"ping health check|out of memory|OutOfMemory|MemoryError",
        "The model's container did not start on {type}.",
        "Read its log group {logs}; if memory was short, name a larger endpoint.instance_type, and drop again.",
    ),
    (
        "endpoint.artifact",
        r"[Ff]ailed to download|Could not find model data|AccessDenied|Access Denied",
        "The endpoint could not read the trained weights.",
        "See that the stack's hosting role may read the run bucket, and its key if it has one; then drop again.",
    ),
)


def hosting_failure(reason: str, hosting: HostingPlan, name: str) -> Problem:
    """Return the problem; what nobody has met before is told in SageMaker's words."""
    logs = f"/aws/sagemaker/InferenceComponents/{name}"
    told = reason[:_LONGEST_REASON]
    for code, words, message, fix in _CAUSES:
        if re.search(words, reason):
            cause = message.format(type=hosting.instance_type)
            return Problem(code=code, message=f"{cause} SageMaker: {told}", where=name, fix=fix.format(logs=logs))
    return Problem(
        code="endpoint.failed",
        message=f"The endpoint failed: {told}",
        where=name,
        fix=f"Read its log group {logs}, clear the cause, and drop again; the trained artifact is kept.",
    )
