"""Where the weights of a trained run lie, in the layout that Bedrock imports."""

from tunedrop.domain.plan import ServerlessTrainingPlan
from tunedrop.domain.run import Run
from tunedrop.domain.serverless import MERGED_WEIGHTS


def weights_uri(run: Run) -> str | None:
    """Return the S3 URI of the folder with merged weights, with its slash; None before there is an artifact."""
    if run.plan is None or run.training is None or run.training.artifact_uri is None:
        return None
    artifact_uri = run.training.artifact_uri.rstrip("/") + "/"
    return artifact_uri + MERGED_WEIGHTS if isinstance(run.plan.training, ServerlessTrainingPlan) else artifact_uri
