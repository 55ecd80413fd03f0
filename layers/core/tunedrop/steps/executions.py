"""Follow the workflow of a run: one execution after the other, until one succeeds or too many have failed."""

from collections.abc import Callable
from datetime import timedelta

from tunedrop.domain.problem import Problem
from tunedrop.ports import Execution, Workflows

EXECUTIONS = 3
"""How often a workflow is started for one piece of work; each execution has retried its functions before it fails."""

LOOK_AGAIN = timedelta(minutes=5)
"""When a run looks at its execution though no event of its end came."""

SUCCEEDED = "SUCCEEDED"

_FAILED = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})


def latest(
    workflows: Workflows, name_of: Callable[[int], str], start: Callable[[str], None], hopeless: str = ""
) -> Execution | None:
    """Return the execution that counts, after starting the next one where that is due; None when it was started now.

    `name_of` names the executions, from 1; `hopeless` is an error after which none is started any more.
    """
    execution: Execution | None = None
    for attempt in range(1, EXECUTIONS + 1):
        name = name_of(attempt)
        execution = workflows.state(name)
        if execution is None:
            start(name)
            return None
        if not failed(execution) or (hopeless and execution.error == hopeless):
            return execution
    return execution


def failed(execution: Execution) -> bool:
    """Tell whether an execution has ended without success."""
    return execution.status in _FAILED


def gave_up(code: str, work: str, execution: Execution) -> Problem:
    """Tell what became of the last execution; `work` is what it was for: `The validation`."""
    # The cause of a function's failure is its exception as JSON, which may quote what it was reading.
    cause = "" if execution.cause.startswith("{") else f": {execution.cause}".rstrip(": .")
    return Problem(
        code=code,
        message=f"{work} failed {EXECUTIONS} times, last {execution.error or execution.status}{cause}.",
        where=execution.arn,
        fix="Read the execution in the Step Functions console, clear the cause, and drop again.",
    )
