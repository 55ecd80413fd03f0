"""Start the training job."""

from dataclasses import dataclass
from datetime import timedelta

from tunedrop.domain import names
from tunedrop.domain.observations import JobAccepted, Observation, Refused, Unavailable
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Run
from tunedrop.domain.training_request import create_training_job_request
from tunedrop.errors import RequestRefusedError, UnavailableError
from tunedrop.ports import TrainingJobs

QUOTA_WAIT = timedelta(minutes=5)
"""How long to wait before a job is tried again that the account's quota had no room for."""

FIRST_ATTEMPT = 1


@dataclass(frozen=True)
class LaunchTraining:
    """Create the job under its deterministic name."""

    jobs: TrainingJobs
    stack: str
    role_arn: str
    run_bucket: str

    def __call__(self, run: Run) -> Observation:
        """Create the job, or find it made."""
        request = create_training_job_request(run, stack=self.stack, role_arn=self.role_arn, run_bucket=self.run_bucket)
        try:
            job_arn = self.jobs.create(request)
        except UnavailableError as error:
            return Unavailable(reason=f"SageMaker cannot take the job now: {error}", retry_after=QUOTA_WAIT)
        except RequestRefusedError as error:
            return Refused(
                problem=Problem(
                    code="launch.refused",
                    message=f"SageMaker refused the training job: {error}",
                    fix="Mend tune.yaml as the message says, then drop it again.",
                )
            )
        name = names.training_job(self.stack, run.run_id, FIRST_ATTEMPT)
        return JobAccepted(job_name=name, job_arn=job_arn, attempt=FIRST_ATTEMPT)
