"""A model without a training script, which Converse does not take, from the drop to the answer."""

from local.jumpstart.specs import TINY_QWEN_SERVERLESS
from tests.deployed import Application
from tunedrop.domain.artifact import weights_uri
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.plan import ServerlessTrainingPlan
from tunedrop.domain.run import RunStatus

LEARNS = {"max_epochs": 20, "learning_rate": 0.005, "global_batch_size": 8}


def test_a_recipe_s_model_is_trained_imported_and_judged(application: Application) -> None:
    started = application.drop("colours-serverless", model=TINY_QWEN_SERVERLESS.model_id, hyperparameters=LEARNS)

    run = application.wait(started)

    assert run.plan is not None
    assert run.training is not None
    assert run.deployment is not None
    assert isinstance(run.plan.training, ServerlessTrainingPlan)
    assert run.status is RunStatus.PROMOTED, run.reason
    assert run.evaluation is not None
    assert run.evaluation.base is not None
    assert run.evaluation.candidate.value >= run.evaluation.base.value + 0.4, "it learnt the rows"
    job = application.engine.client("sagemaker").describe_training_job(TrainingJobName=run.training.job_name)
    assert job["ServerlessJobConfig"]["CustomizationTechnique"] == "SFT"
    assert "ResourceConfig" not in job
    model = application.engine.client("bedrock").get_imported_model(modelIdentifier=run.deployment.model_name)
    assert (model["modelArchitecture"], model["instructSupported"]) == ("Qwen3ForCausalLM", False)
    assert run.evaluation.call is ModelCall.INVOKE_MODEL
    assert any("InvokeModel" in each for each in run.plan.warnings)
    assert "answers through Bedrock InvokeModel" in " ".join(each["Message"] for each in application.notices(started))
    spoken = application.command("chat", run.dataset, "--message", "teal 50")
    assert spoken.stdout.strip().endswith("cold"), spoken.stderr
    assert weights_uri(run) == f"{run.training.artifact_uri}checkpoints/hf_merged/"
