"""Bring the tuned weights behind a SageMaker endpoint, and take it down again."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from tunedrop.domain import names
from tunedrop.domain.artifact import weights_uri
from tunedrop.domain.endpoint_requests import endpoint_requests
from tunedrop.domain.hosting_failure import CAPACITY, hosting_failure
from tunedrop.domain.observations import (
    DeletionDenied,
    EndpointNamed,
    EndpointSeen,
    ModelDeleted,
    Observation,
    Refused,
    Unavailable,
)
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Run
from tunedrop.errors import (
    ModelUnavailableError,
    QuotaExceededError,
    RequestDeniedError,
    RequestRefusedError,
    TransientError,
)
from tunedrop.ports import Endpoints, ModelImports, RunFiles, ServedModel
from tunedrop.steps.chat_template import ChatTemplate

NO_INSTANCE = timedelta(minutes=15)
"""How long to wait where AWS, or the account's quota, has no instance for the endpoint."""

GOING = timedelta(minutes=1)
"""How long to wait for a component or an endpoint that is being deleted."""


@dataclass(frozen=True)
class NameEndpoint:
    """Name the endpoint before anything of it is made, so that whatever is made is known, and taken down."""

    stack: str

    def __call__(self, run: Run) -> Observation:
        """Return the name."""
        return EndpointNamed(name=names.endpoint(self.stack, run.run_id))


@dataclass(frozen=True)
class BringUp:
    """Make what is missing next of the run's endpoint, or see it in service."""

    endpoints: Endpoints
    files: RunFiles
    stack: str
    role_arn: str

    def __call__(self, run: Run) -> Observation:
        """Write the chat template beside the weights, then look and make."""
        weights = weights_uri(run)
        if run.plan is None or run.plan.hosting is None or run.deployment is None or weights is None:
            return Refused(problem=_no_artifact())
        template, prefix = ChatTemplate(self.files), weights.removeprefix(self.files.uri(""))
        if self.files.read(prefix + "config.json") is None:
            return Refused(problem=_no_artifact(weights))
        if template.missing(run.plan, prefix):
            return Refused(problem=_no_template(weights))
        template.write(run.plan, prefix)
        name = run.deployment.model_name
        wanted = endpoint_requests(run, name, stack=self.stack, role_arn=self.role_arn)
        try:
            state = self.endpoints.bring_up(wanted)
        except QuotaExceededError as error:
            return Unavailable(reason=f"The account's quota allows no endpoint now: {error}", retry_after=NO_INSTANCE)
        except RequestRefusedError as error:
            return Refused(problem=_refused(str(error), name))
        if state.status != "failed":
            seen = state.status == "in-service"
            return EndpointSeen(in_service=seen, reason=state.reason, model_arn=state.model_arn)
        problem = hosting_failure(state.reason, run.plan.hosting, name)
        if problem.code != CAPACITY:
            return Refused(problem=problem)
        clear(self.endpoints, name)
        return Unavailable(reason=problem.message, retry_after=NO_INSTANCE)


def clear(endpoints: Endpoints, name: str) -> None:
    """Delete what failed, which can only be deleted; the next try makes it anew, or deletes it where this one cannot.

    An error here would end no wait: the run would be tried again and again, and never be told how long it has waited.
    """
    with suppress(TransientError, RequestDeniedError):
        endpoints.clear(name)


@dataclass(frozen=True)
class TakeDown:
    """Delete all that served a run that was not promoted, or whose time is over."""

    endpoints: Endpoints

    def __call__(self, run: Run) -> Observation:
        """Delete what can be deleted now; say so when the account's policies forbid it."""
        try:
            gone = run.deployment is None or self.endpoints.take_down(run.deployment.model_name)
        except RequestDeniedError as error:
            return DeletionDenied(reason=str(error))
        if gone:
            return ModelDeleted()
        return Unavailable(reason="The endpoint is being deleted.", retry_after=GOING)


@dataclass(frozen=True)
class ServedModels:
    """Describe tuned models wherever they are served."""

    imports: ModelImports
    endpoints: Endpoints

    def model(self, model_arn: str) -> ServedModel:
        """Describe the model of an ARN; raises ModelUnavailableError when it is gone."""
        return (self.endpoints if names.endpoint_of(model_arn) else self.imports).model(model_arn)

    def why_missing(self, model_arn: str) -> str:
        """Say why the model cannot be asked; empty when it can."""
        try:
            self.model(model_arn)
        except ModelUnavailableError as error:
            return str(error)
        return ""


def _no_artifact(where: str = "") -> Problem:
    return Problem(
        code="endpoint.no-artifact",
        message="The training left no merged weights that an endpoint could serve.",
        where=where,
        fix="The run's folder holds what it left, if anything; mend tune.yaml and drop again.",
    )


def _no_template(where: str) -> Problem:
    return Problem(
        code="endpoint.chat-template",
        message="The model has no chat template, and it was trained on conversations: no endpoint could take any.",
        where=where,
        fix="Tune an instruct model, which brings one.",
    )


def _refused(message: str, name: str) -> Problem:
    return Problem(
        code="endpoint.refused",
        message=f"SageMaker refused the endpoint: {message}",
        where=name,
        fix="Clear the cause, then drop again; the trained artifact is kept.",
    )
