"""A model without a training script is customised serverless, from the drop to the Converse answer."""

from local.jumpstart.specs import TINY_LLAMA_SERVERLESS
from tests.deployed import Application
from tunedrop.domain.artifact import weights_uri
from tunedrop.domain.plan import ServerlessTrainingPlan
from tunedrop.domain.run import RunStatus

LEARNS = {"max_epochs": 10, "learning_rate": 0.02, "global_batch_size": 8}


def test_a_recipe_s_model_is_trained_imported_and_judged(application: Application) -> None:
    started = application.drop("colours-serverless", model=TINY_LLAMA_SERVERLESS.model_id, hyperparameters=LEARNS)

    run = application.wait(started)

    assert run.plan is not None
    assert run.training is not None
    assert run.deployment is not None
    assert isinstance(run.plan.training, ServerlessTrainingPlan)
    assert run.status in (RunStatus.PROMOTED, RunStatus.NOT_PROMOTED), run.reason
    assert run.evaluation is not None
    assert run.evaluation.base is not None
    assert run.evaluation.candidate.value >= run.evaluation.base.value + 0.4, "it learnt the rows"
    job = application.engine.client("sagemaker").describe_training_job(TrainingJobName=run.training.job_name)
    assert job["ServerlessJobConfig"]["CustomizationTechnique"] == "SFT"
    assert "ResourceConfig" not in job
    assert weights_uri(run) == f"{run.training.artifact_uri}checkpoints/hf_merged/"
