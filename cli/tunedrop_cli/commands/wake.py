"""`tunedrop wake`."""

import time
from typing import Annotated

import typer
from botocore.exceptions import ClientError

from tunedrop.domain.decide import NO_WAKE
from tunedrop.domain.hosting import hosting_words
from tunedrop.domain.plan import ServeTarget
from tunedrop.domain.run import Run
from tunedrop_cli import options
from tunedrop_cli.aws import Stack
from tunedrop_cli.errors import CommandError, code
from tunedrop_cli.records import RunRecords
from tunedrop_cli.views import console, for_stack
from tunedrop_cli.wishes import send

EXAMPLES = """
Examples:

  tunedrop wake mfrggzdf      the endpoint of a run, by the beginning of its id

An endpoint is taken down when nobody has called it for the ttl_hours of its tune.yaml, or some days after another model
became the champion. Its weights stay in the run bucket, so that it comes back without training, in some minutes.
So does one that somebody deleted by hand.
"""

PATIENCE_SECONDS = 1800.0
"""How long an endpoint is waited for: SageMaker finds an instance and loads the weights."""

POLL_SECONDS = 2.0


def wake(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of one that is unique.")],
) -> None:
    """Bring back the endpoint of a promoted run that was taken down, or deleted by hand.

    Needs events:PutEvents on the stack's bus, and sagemaker:DescribeInferenceComponent to see what was deleted by hand.
    Exit status: 0 when it answers again, 1 when it did not come back.
    """
    stack = options.stack(context)
    records = RunRecords(stack)
    found = _taken_down(stack, records, records.resolve(run))
    terminal = console()
    if found.plan and found.plan.hosting:
        for line in hosting_words(found.plan.hosting):
            terminal.print(f"- {line}")
    send(stack, "Endpoint Wanted", {"run_id": found.run_id})
    with console(stderr=True).status("Waking"):
        after = _awake(stack, records, found)
    deployment = after.deployment
    if deployment is None or deployment.retirement:
        terminal.print(f"The endpoint did not come back. {deployment.retirement if deployment else ''}")
        raise typer.Exit(1)
    terminal.print(f"The endpoint {deployment.model_name} is in service.")
    terminal.print(for_stack(f"  tunedrop chat {after.dataset}", options.options(context).named_stack))


def _taken_down(stack: Stack, records: RunRecords, run_id: str) -> Run:
    run = records.get(run_id)
    if run is None:
        raise CommandError(f"There is no run {run_id}.", "List the runs: tunedrop runs")
    deployment = run.deployment
    if deployment is None or deployment.target is not ServeTarget.ENDPOINT or run.promotion is None:
        raise CommandError(
            f"Run {run_id} was not promoted to an endpoint: there is nothing to bring back.",
            f"See it: tunedrop show {run_id}",
        )
    going = deployment.retirement and not deployment.left
    state = "on its way back" if deployment.waking else "being taken down" if going else "up"
    if not deployment.deleted and (state != "up" or is_there(stack, deployment.model_name)):
        raise CommandError(f"The endpoint of run {run_id} is {state}.", f"See it: tunedrop show {run_id}")
    return run


def is_there(stack: Stack, name: str) -> bool:
    """Ask SageMaker for the component, which somebody may have deleted by hand; who may not ask believes the record."""
    try:
        stack.client("sagemaker").describe_inference_component(InferenceComponentName=name)
    except ClientError as error:
        # SageMaker has no ResourceNotFound of what does not exist.
        return code(error) != "ValidationException"
    return True


def _awake(stack: Stack, records: RunRecords, before: Run) -> Run:
    """Wait until the endpoint is in service, or given up."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        run = records.get(before.run_id)
        deployment = run.deployment if run else None
        # Until the wish is recorded nothing has changed; or something else has, and what was deleted is not back.
        changed = run is not None and run.version > before.version
        if run and deployment and changed and not deployment.waking:
            given_up = deployment.retirement.startswith(NO_WAKE)
            if given_up or (not deployment.retirement and is_there(stack, deployment.model_name)):
                return run
        time.sleep(POLL_SECONDS)
    raise CommandError(
        f"The endpoint of run {before.run_id} is not in service after {PATIENCE_SECONDS / 60:.0f} minutes.",
        f"It may still come: tunedrop show {before.run_id}. What fails for good: tunedrop redrive",
    )
