"""Bring a base model behind an endpoint for as long as a run is evaluated, and take it down again."""

from dataclasses import dataclass

from tunedrop.domain import names
from tunedrop.domain.endpoint_requests import base_endpoint_requests
from tunedrop.domain.hosting_failure import CAPACITY, hosting_failure
from tunedrop.domain.observations import (
    BaseDeletionDenied,
    BaseGone,
    BaseMissing,
    BaseNamed,
    BaseSeen,
    Observation,
    Unavailable,
)
from tunedrop.domain.run import Run
from tunedrop.errors import QuotaExceededError, RequestDeniedError, RequestRefusedError
from tunedrop.ports import Endpoints
from tunedrop.steps.endpoint import GOING, NO_INSTANCE, clear


@dataclass(frozen=True)
class NameBase:
    """Name the endpoint before anything of it is made, so that whatever is made is known, and taken down."""

    stack: str

    def __call__(self, run: Run) -> Observation:
        """Return the name."""
        return BaseNamed(name=names.base_endpoint(self.stack, run.run_id))


@dataclass(frozen=True)
class BringBaseUp:
    """Make what is missing next of the base model's endpoint, or see it in service."""

    endpoints: Endpoints
    stack: str
    role_arn: str

    def __call__(self, run: Run) -> Observation:
        """Look and make; what fails for good is a comparison less, not the end of a run that was trained."""
        base = run.plan.evaluation.base_endpoint if run.plan else None
        if base is None or run.base is None:
            raise AssertionError(f"run {run.run_id} asks no base model on an endpoint")
        name = run.base.name
        try:
            state = self.endpoints.bring_up(base_endpoint_requests(run, name, stack=self.stack, role_arn=self.role_arn))
        except QuotaExceededError as error:
            reason = f"The account's quota allows no endpoint now: {error}"
            return BaseSeen(in_service=False, reason=reason, retry_after=NO_INSTANCE)
        except (RequestDeniedError, RequestRefusedError) as error:
            return BaseMissing(reason=f"SageMaker refused its endpoint: {error}")
        if state.status != "failed":
            seen = state.status == "in-service"
            return BaseSeen(in_service=seen, reason=state.reason, model_arn=state.model_arn)
        problem = hosting_failure(state.reason, base.hosting, name)
        if problem.code != CAPACITY:
            return BaseMissing(reason=problem.message)
        clear(self.endpoints, name)
        return BaseSeen(in_service=False, reason=problem.message, retry_after=NO_INSTANCE)


@dataclass(frozen=True)
class TakeBaseDown:
    """Delete all that served the base model of a run that has ended, however it ended."""

    endpoints: Endpoints

    def __call__(self, run: Run) -> Observation:
        """Delete what can be deleted now; say so when the account's policies forbid it."""
        try:
            gone = run.base is None or self.endpoints.take_down(run.base.name)
        except RequestDeniedError as error:
            return BaseDeletionDenied(reason=str(error))
        return (
            BaseGone() if gone else Unavailable(reason="The base model's endpoint is being deleted.", retry_after=GOING)
        )
