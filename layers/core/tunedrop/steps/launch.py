"""Start the training job of a run's current attempt."""

from dataclasses import dataclass
from datetime import timedelta

from tunedrop.domain import names
from tunedrop.domain.observations import JobAccepted, JobRefused, Observation, Refused, RoomWanted, Unavailable
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Run
from tunedrop.domain.training_request import create_training_job_request, request_hash
from tunedrop.errors import (
    ForeignResourceError,
    QuotaExceededError,
    RequestDeniedError,
    RequestRefusedError,
    TransientError,
    UnavailableError,
)
from tunedrop.ports import TrainingJobs

DELETION_WAIT = timedelta(minutes=5)
"""How long to wait before a job is tried again whose name is not free yet."""


@dataclass(frozen=True)
class ReserveRoom:
    """Ask for room in the month's account, before the job is created."""

    stack: str

    def __call__(self, run: Run) -> Observation:
        """Name the job; the commit that follows decides whether there is room for it."""
        return RoomWanted(job_name=names.training_job(self.stack, run.run_id, run.attempt), attempt=run.attempt)


@dataclass(frozen=True)
class LaunchTraining:
    """Create the job under its deterministic name."""

    jobs: TrainingJobs
    stack: str
    role_arn: str
    run_bucket: str

    def __call__(self, run: Run) -> Observation:
        """Create the job, or find it made."""
        request = create_training_job_request(
            run, stack=self.stack, role_arn=self.role_arn, run_bucket=self.run_bucket, attempt=run.attempt
        )
        try:
            job_arn = self.jobs.create(request)
        except QuotaExceededError as error:
            return JobRefused(attempt=run.attempt, reason=f"ResourceLimitExceeded: {error}")
        except TransientError as error:
            return JobRefused(attempt=run.attempt, reason=f"ThrottlingException: {error}")
        except UnavailableError as error:
            return Unavailable(reason=f"SageMaker cannot take the job now: {error}", retry_after=DELETION_WAIT)
        except RequestDeniedError as error:
            return Refused(
                problem=Problem(
                    code="launch.denied",
                    message=f"A policy of this account denies the training job: {error}",
                    fix="Ask those who deployed the stack: its parameters (such as InstanceTypes and "
                    "LongestTrainingSeconds), a permissions boundary or an organisation's policy say what is allowed. "
                    "Then drop the dataset again.",
                )
            )
        except ForeignResourceError as error:
            return Refused(
                problem=Problem(
                    code="launch.foreign-job",
                    message=f"The training job was not made: {error}.",
                    fix="Drop the dataset again: another run has another name.",
                )
            )
        except RequestRefusedError as error:
            return Refused(
                problem=Problem(
                    code="launch.refused",
                    message=f"SageMaker refused the training job: {error}",
                    fix="Mend tune.yaml as the message says, then drop it again.",
                )
            )
        name = names.training_job(self.stack, run.run_id, run.attempt)
        return JobAccepted(job_name=name, job_arn=job_arn, attempt=run.attempt, request_hash=request_hash(request))
