"""`serve: endpoint`: a tuned model answers from an endpoint, is taken down when nobody calls it, and comes back."""

import json
import time
from datetime import timedelta
from typing import Any

from tests.deployed import LEARNS, PATIENCE, QUICK, Application
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.run import Run, RunStatus

HOSTED: dict[str, Any] = {"serve": "endpoint", "endpoint": {"ttl_hours": 2}, "evaluate": {"against": ["base"]}}


def test_a_model_on_an_endpoint_answers_goes_to_sleep_and_is_woken(application: Application) -> None:
    run = application.wait(application.drop("hosted", hyperparameters=LEARNS, **HOSTED))
    assert run.status is RunStatus.PROMOTED, run.reason
    assert run.evaluation
    assert run.evaluation.call is ModelCall.INVOKE_ENDPOINT
    assert run.evaluation.base
    assert run.evaluation.candidate.price
    name = endpoint_of(run)
    alias = application.engine.client("ssm").get_parameter(Name="/tunedrop/models/hosted")["Parameter"]["Value"]
    assert alias.endswith(f":inference-component/{name}")
    assert spoken(application, name) == "cold"
    alarm = application.engine.client("cloudwatch").describe_alarms(AlarmNames=[f"{name}-from-zero"])["MetricAlarms"]
    assert alarm[0]["MetricName"] == "NoCapacityInvocationFailures"

    # Called a moment ago: it stays. Three hours later nobody has called it since.
    application.tick("ReconcileRuns", timedelta(hours=1))
    seen = application.run(run.run_id)
    assert seen
    assert seen.deployment == run.deployment
    application.tick("ReconcileRuns", timedelta(hours=4))
    application.wait_for(run.run_id, lambda seen: bool(seen.deployment and seen.deployment.deleted))
    assert left(application, name) == []

    woken = application.command("wake", run.run_id)
    assert woken.returncode == 0, woken.stderr + woken.stdout
    assert spoken(application, name) == "cold"
    application.engine.client("sagemaker").delete_inference_component(InferenceComponentName=name)  # by hand
    woken = application.command("wake", run.run_id)
    assert woken.returncode == 0, woken.stderr + woken.stdout
    assert spoken(application, name) == "cold"
    assert application.training_jobs(run.run_id) == [f"tunedrop-{run.run_id}-a1"]


def test_after_a_model_that_was_not_better_nothing_is_left_of_it_nor_of_its_base(application: Application) -> None:
    spec = {**HOSTED, "evaluate": {"against": ["base"], "base": "endpoint"}}
    run = application.wait(application.drop("unhosted", hyperparameters={**QUICK, "learning_rate": 1e-8}, **spec))
    assert run.status is RunStatus.NOT_PROMOTED, run.reason
    assert run.base
    assert run.evaluation
    assert run.evaluation.base, run.reason
    assert run.evaluation.base.model_id.endswith(f":inference-component/{run.base.name}")
    application.wait_for(
        run.run_id,
        lambda seen: bool(seen.deployment and seen.deployment.deleted and seen.base and seen.base.deleted),
    )
    # Both endpoints' names begin so.
    assert left(application, endpoint_of(run)) == []
    assert not application.dead_letters()


def endpoint_of(run: Run) -> str:
    assert run.deployment
    return run.deployment.model_name


def left(application: Application, name: str) -> list[Any]:
    """Return all that there is, and might be paid for, under a name."""
    sagemaker, scaling = application.engine.client("sagemaker"), application.engine.client("application-autoscaling")
    resource = f"inference-component/{name}"
    return [
        *sagemaker.list_inference_components(NameContains=name)["InferenceComponents"],
        *sagemaker.list_endpoints(NameContains=name)["Endpoints"],
        *sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"],
        *sagemaker.list_models(NameContains=name)["Models"],
        *scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])["ScalableTargets"],
        *scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)["ScalingPolicies"],
        *application.engine.client("cloudwatch").describe_alarms(AlarmNamePrefix=name)["MetricAlarms"],
    ]


def spoken(application: Application, name: str) -> str:
    """Ask the endpoint of a cold colour, as any program may."""
    body = {"messages": [{"role": "user", "content": "teal 50"}], "max_tokens": 16, "temperature": 0}
    runtime = application.engine.client("sagemaker-runtime")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=name,
                InferenceComponentName=name,
                ContentType="application/json",
                Body=json.dumps(body),
            )
        except runtime.exceptions.ValidationError:
            # Scaled to zero meanwhile: the alarm of this very call brings a copy back.
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return str(json.loads(answer["Body"].read())["choices"][0]["message"]["content"])
