"""A model without a training script, which Converse does not take, from the drop to the answer."""

from local.jumpstart.specs import TINY_QWEN_SERVERLESS
from tests.deployed import Application, lines
from tunedrop.domain.artifact import weights_uri
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.plan import ServerlessTrainingPlan, Technique
from tunedrop.domain.run import RunStatus

LEARNS = {"max_epochs": 20, "learning_rate": 0.005, "global_batch_size": 8}


def approve(application: Application, run_id: str) -> str:
    """Approve a run: the stack launches by itself what costs little, and nobody knows what this costs."""
    application.wait(run_id, RunStatus.AWAITING_APPROVAL)
    assert application.training_jobs(run_id) == []
    approved = application.command("approve", run_id)
    assert approved.returncode == 0, approved.stderr
    return approved.stdout


def test_a_recipe_s_model_is_approved_trained_imported_and_judged(application: Application) -> None:
    started = application.drop("colours-serverless", model=TINY_QWEN_SERVERLESS.model_id, hyperparameters=LEARNS)

    said = approve(application, started)
    run = application.wait(started)

    assert run.approval is not None
    assert run.approval.answer is not None
    assert run.approval.answer.approved
    assert run.approval.answer.by in said
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


def test_pairs_of_answers_are_preferred_by_dpo(application: Application) -> None:
    pairs = [
        {
            "prompt": f"{colour} {number}",
            "chosen": "warm" if colour == "red" else "cold",
            "rejected": "cold" if colour == "red" else "warm",
        }
        for number in range(20)
        for colour in ("red", "blue")
    ]
    application.upload("preferences", {"train.jsonl": lines(pairs[:32]), "held-out.jsonl": lines(pairs[32:])})
    hyperparameters = {"max_epochs": 2, "learning_rate": 0.01, "global_batch_size": 8, "beta": 0.5}
    started = application.start("preferences", model=TINY_QWEN_SERVERLESS.model_id, hyperparameters=hyperparameters)
    approve(application, started)

    run = application.wait(started)

    assert run.plan is not None
    assert run.training is not None, run.reason
    assert run.plan.data.technique is Technique.DPO
    assert run.status in (RunStatus.PROMOTED, RunStatus.NOT_PROMOTED), run.reason
    assert run.evaluation is not None
    assert run.evaluation.metric == "token_f1"
    job = application.engine.client("sagemaker").describe_training_job(TrainingJobName=run.training.job_name)
    assert job["ServerlessJobConfig"]["CustomizationTechnique"] == "DPO"
    assert job["HyperParameters"]["beta"] == "0.5"
