"""Look at what AWS is doing for a run."""

from dataclasses import dataclass

from tunedrop.domain.diagnosis import LINES_READ
from tunedrop.domain.observations import ImportSeen, JobMissing, JobSeen, Observation
from tunedrop.domain.run import Run
from tunedrop.ports import ModelImports, TrainingJobs, TrainingLog


@dataclass(frozen=True)
class DescribeTraining:
    """Ask SageMaker how the training job stands."""

    jobs: TrainingJobs
    log: TrainingLog | None = None
    """Left out by who only wants to know what a job has cost."""

    def __call__(self, run: Run) -> Observation:
        """Describe the run's training job: the one whose cost is open, else the last one that is known.

        Of one that failed, the log often says more than SageMaker's reason.
        """
        job = run.charge or run.training
        if job is None:
            raise AssertionError(f"run {run.run_id} is {run.status} without a training job")
        seen = self.jobs.describe(job.job_name, job.attempt)
        if seen is None:
            return JobMissing()
        training, failure_reason = seen
        log_tail = self.log.tail(training.job_name, LINES_READ) if self.log and training.status == "Failed" else ()
        return JobSeen(training=training, failure_reason=failure_reason, log_tail=log_tail)


@dataclass(frozen=True)
class DescribeImport:
    """Ask Bedrock how the import job stands; Bedrock sends no event of it.

    https://docs.aws.amazon.com/bedrock/latest/userguide/monitoring-eventbridge.html
    """

    imports: ModelImports

    def __call__(self, run: Run) -> Observation:
        """Describe the run's import job."""
        if run.deployment is None:
            raise AssertionError(f"run {run.run_id} is {run.status} without an import job")
        state = self.imports.state(run.deployment.import_job_arn)
        if state is None:
            return ImportSeen(status="Failed", failure_message="Bedrock does not know the import job that it accepted.")
        return ImportSeen(status=state.status, failure_message=state.failure_message, model_arn=state.model_arn)
