"""The request has the shape that JumpStart's scripts are known to accept: the one of the SageMaker SDK 2."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator

from tests.captured_specs import REAL, real, real_catalogue
from tests.catalogue import GATED, OPEN, reader, write_catalogue
from tests.samples import DATA, DROP, RUN_ID
from tunedrop.adapters.jumpstart import JumpStartCatalogue
from tunedrop.contracts.tune_spec import parse_tune_yaml
from tunedrop.domain import names
from tunedrop.domain.plan import PinnedObject, Plan, VpcConfig
from tunedrop.domain.planning import PlanRules, make_plan
from tunedrop.domain.run import Run
from tunedrop.domain.training_request import (
    REQUEST_HASH_TAG,
    RUN_ID_TAG,
    STACK_TAG,
    create_training_job_request,
)

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
REGION = "us-east-1"
STACK = "tunedrop"
JOB = names.training_job(STACK, RUN_ID, 1)
ROLE = "arn:aws:iam::123456789012:role/training"


def read_catalogue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> JumpStartCatalogue:
    monkeypatch.setenv("AWS_JUMPSTART_MANIFEST_LOCAL_ROOT_DIR_OVERRIDE", str(folder))
    monkeypatch.setenv("AWS_JUMPSTART_SPECS_LOCAL_ROOT_DIR_OVERRIDE", str(folder))
    return JumpStartCatalogue(REGION, reader(folder))


def planned(catalogue: JumpStartCatalogue, spec: str, rules: PlanRules | None = None) -> Run:
    asked = parse_tune_yaml(spec.encode())
    model = catalogue.model(asked.model)
    plan = make_plan(
        asked,
        model,
        lambda instance_type: catalogue.artifacts(model, instance_type),
        DROP,
        [PinnedObject(key="datasets/receipts/train.jsonl", version_id="v", etag="e", size=1)],
        lambda _file: b"",
        rules or PlanRules(region=REGION),
        NOW,
    )
    assert isinstance(plan, Plan), plan
    return Run(
        run_id=RUN_ID,
        dataset="receipts",
        created_at=NOW,
        updated_at=NOW,
        entered_at=NOW,
        drop=DROP,
        plan=plan,
        data=DATA,
    )


def request_of(run: Run) -> dict[str, Any]:
    return create_training_job_request(run, stack=STACK, role_arn=ROLE, run_bucket="runs")


def tags(request: dict[str, Any]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in request["Tags"]}


def channels(request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["ChannelName"]: each for each in request["InputDataConfig"]}


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JumpStartCatalogue:
    return read_catalogue(write_catalogue(tmp_path), monkeypatch)


@pytest.fixture
def gated(catalogue: JumpStartCatalogue) -> Run:
    return planned(catalogue, f"model: {GATED}\naccept_eula: true\nhyperparameters: {{epoch: 3}}")


@pytest.fixture
def opened(catalogue: JumpStartCatalogue) -> Run:
    return planned(catalogue, f"model: {OPEN}")


def test_the_request_of_a_gated_model_is_the_expected_one(gated: Run) -> None:
    expected = json.loads((Path(__file__).parent / "create-training-job.gated.json").read_text())
    request = request_of(gated)
    assert len(tags(request)[REQUEST_HASH_TAG]) == 64
    request["Tags"] = [each for each in request["Tags"] if each["Key"] != REQUEST_HASH_TAG]

    assert request == expected


def test_open_weights_arrive_by_the_channel_model(opened: Run) -> None:
    request = request_of(opened)

    assert channels(request)["model"] == {
        "ChannelName": "model",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": f"s3://jumpstart-cache-prod-us-east-1/example-training/train-{OPEN}.tar.gz",
                "S3DataDistributionType": "FullyReplicated",
            }
        },
        "ContentType": "application/x-sagemaker-model",
        "CompressionType": "None",
        "InputMode": "File",
    }
    assert request["Environment"] == {}


@pytest.mark.parametrize("kind", ["gated", "opened"])
def test_botocores_own_model_accepts_the_request(kind: str, request: pytest.FixtureRequest) -> None:
    client = boto3.client("sagemaker", region_name=REGION)
    shape = client.meta.service_model.operation_model("CreateTrainingJob").input_shape

    report = ParamValidator().validate(request_of(request.getfixturevalue(kind)), shape)

    assert not report.has_errors(), report.generate_report()


def test_the_job_reads_the_runs_own_files_and_never_the_drop(gated: Run) -> None:
    request = request_of(gated)

    assert set(channels(request)) == {"training", "code"}
    uri = channels(request)["training"]["DataSource"]["S3DataSource"]["S3Uri"]
    assert uri == f"s3://runs/{names.channel_prefix(RUN_ID, 'training')}"
    assert DROP.bucket not in json.dumps(request)


def test_validation_rows_have_a_channel_of_their_own(gated: Run) -> None:
    run = gated.model_copy(update={"data": DATA.model_copy(update={"validation_rows": 5})})

    uri = channels(request_of(run))["validation"]["DataSource"]["S3DataSource"]["S3Uri"]

    assert uri == f"s3://runs/{names.channel_prefix(RUN_ID, 'validation')}"


def test_the_job_is_tagged_with_its_run(gated: Run) -> None:
    found = tags(request_of(gated))

    assert found["sagemaker-sdk:jumpstart-model-id"] == GATED
    assert found["sagemaker-sdk:jumpstart-model-version"] == "1.10.0"
    assert (found[STACK_TAG], found[RUN_ID_TAG]) == (STACK, RUN_ID)


def test_the_same_run_makes_the_same_request(gated: Run) -> None:
    again = Run.model_validate_json(gated.model_dump_json())

    assert request_of(again) == request_of(gated)


def test_another_plan_has_another_hash(gated: Run, opened: Run) -> None:
    assert gated.plan is not None
    longer = gated.plan.training.model_copy(update={"max_runtime_seconds": 1})
    other = gated.model_copy(update={"plan": gated.plan.model_copy(update={"training": longer})})

    hashes = {tags(request_of(run))[REQUEST_HASH_TAG] for run in (gated, opened, other)}

    assert len(hashes) == 3


def test_another_attempt_has_another_name(gated: Run) -> None:
    request = create_training_job_request(gated, stack=STACK, role_arn=ROLE, run_bucket="runs", attempt=2)

    assert request["TrainingJobName"] == names.training_job(STACK, RUN_ID, 2)
    assert request["HyperParameters"]["sagemaker_job_name"] == f'"{names.training_job(STACK, RUN_ID, 2)}"'


def test_compressed_output_is_said_so(gated: Run) -> None:
    assert gated.plan is not None
    training = gated.plan.training.model_copy(update={"compress_output": True})
    run = gated.model_copy(update={"plan": gated.plan.model_copy(update={"training": training})})

    assert request_of(run)["OutputDataConfig"]["CompressionType"] == "GZIP"


def test_a_private_hubs_weights_come_by_the_channel_that_names_its_entry(gated: Run) -> None:
    assert gated.plan is not None
    entry = "arn:aws:sagemaker:us-east-1:123456789012:hub-content/curated/ModelReference/example/1.0.0"
    changes = {"hub_content_arn": entry, "model_uri": "s3://jumpstart-private/train.tar.gz"}
    # As the plan has it for every type that may be trained on.
    choices = tuple(each.model_copy(update={"model_uri": changes["model_uri"]}) for each in gated.plan.choices)
    training = gated.plan.training.model_copy(update=changes)
    plan = gated.plan.model_copy(update={"training": training, "choices": choices})

    weights = channels(request_of(gated.model_copy(update={"plan": plan})))["model"]["DataSource"]["S3DataSource"]

    assert weights["S3Uri"] == "s3://jumpstart-private/train.tar.gz"
    assert weights["HubAccessConfig"] == {"HubContentArn": entry}
    assert weights["ModelAccessConfig"] == {"AcceptEula": True}


@pytest.mark.parametrize("missing", ["plan", "data"])
def test_a_run_that_is_not_ready_makes_no_request(gated: Run, missing: str) -> None:
    with pytest.raises(ValueError, match="not ready"):
        request_of(gated.model_copy(update={missing: None}))


@real
def test_the_request_for_llama_3_1_70b_is_the_sdks_field_by_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = json.loads((REAL / "create-training-job.llama-3-1-70b.sdk-v2.json").read_text())
    run = planned(
        read_catalogue(real_catalogue(tmp_path), monkeypatch),
        "model: meta-textgeneration-llama-3-1-70b\naccept_eula: true\nhyperparameters: {epoch: 3}",
        PlanRules(
            region=REGION,
            kms_key_arn="alias/out",
            vpc=VpcConfig(subnets=("subnet-1",), security_group_ids=("sg-1",)),
        ),
    )
    assert run.plan is not None
    spot = run.plan.training.model_copy(update={"max_runtime_seconds": 36000, "max_wait_seconds": 72000})
    request = request_of(run.model_copy(update={"plan": run.plan.model_copy(update={"training": spot})}))

    assert differing(request, golden) == {
        "TrainingJobName": (JOB, "deterministic-name-1"),
        "RoleArn": (ROLE, "arn:aws:iam::123456789012:role/FtExec"),
        # Ours: the stack, the run and the request's hash.
        "Tags.tunedrop:stack": (STACK, None),
        "Tags.tunedrop:run-id": (RUN_ID, None),
        "Tags.tunedrop:request-hash": (tags(request)[REQUEST_HASH_TAG], None),
        # The spec's own 256 GB: the SDK sends its estimators' default, on which 70 billion parameters do not fit.
        "ResourceConfig.VolumeSizeInGB": (256, 30),
        # ml.g5 has local NVMe, encrypted by itself, and refuses a volume key.
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
        "ResourceConfig.VolumeKmsKeyId": (None, "alias/vol"),
        # Validated copies in the run's own prefix, and its own output.
        "InputDataConfig.training.DataSource.S3DataSource.S3Uri": (
            f"s3://runs/runs/{RUN_ID}/channels/training/",
            "s3://my-bucket/datasets/ds1/",
        ),
        "CheckpointConfig.S3Uri": (f"s3://runs/checkpoints/{RUN_ID}/ml.g5.48xlarge", "s3://my-bucket/ckpt/job1"),
        "OutputDataConfig.S3OutputPath": (f"s3://runs/runs/{RUN_ID}/training", "s3://my-bucket/out"),
        # The toolkit in the container is told the job's name.
        "HyperParameters.sagemaker_job_name": (f'"{JOB}"', '"deterministic-name-1"'),
        # The SDK's debugger and profiler: their hooks are not in JumpStart's scripts, and nobody reads what they store.
        "DebugHookConfig.S3OutputPath": (None, "s3://my-bucket/out"),
        "DebugHookConfig.CollectionConfigurations": (None, []),
        "ProfilerConfig.S3OutputPath": (None, "s3://my-bucket/out"),
        "ProfilerConfig.DisableProfiler": (None, False),
    }


def differing(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[object, object]]:
    """Return every leaf that is not the same on both sides, None where a side lacks it."""
    mine, other = flat(ours), flat(theirs)
    return {
        path: (mine.get(path), other.get(path))
        for path in {**mine, **other}
        if (path in mine, mine.get(path)) != (path in other, other.get(path))
    }


def flat(value: object, path: str = "") -> dict[str, object]:
    """Flatten to leaves; channels and tags go by their names, other lists are leaves."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        if "ChannelName" in value[0]:
            value = {each["ChannelName"]: each for each in value}
        elif "Key" in value[0]:
            value = {each["Key"]: each["Value"] for each in value}
    if not isinstance(value, dict):
        return {path: value}
    return {
        leaf: found
        for key, each in value.items()
        for leaf, found in flat(each, f"{path}.{key}" if path else str(key)).items()
    }


@pytest.mark.parametrize(("instance_type", "key"), [("ml.g5.2xlarge", None), ("ml.p3.2xlarge", "arn:of:key")])
def test_a_volume_has_the_stack_s_key_where_the_instance_takes_one(
    catalogue: JumpStartCatalogue, instance_type: str, key: str | None
) -> None:
    run = planned(catalogue, f"model: {OPEN}", PlanRules(region=REGION, kms_key_arn="arn:of:key"))
    assert run.plan is not None
    training = run.plan.training.model_copy(update={"instance_type": instance_type})
    request = request_of(run.model_copy(update={"plan": run.plan.model_copy(update={"training": training})}))

    assert request["ResourceConfig"].get("VolumeKmsKeyId") == key
    assert request["OutputDataConfig"]["KmsKeyId"] == "arn:of:key"


def test_a_job_on_spot_keeps_its_checkpoints_beside_the_run(catalogue: JumpStartCatalogue) -> None:
    request = request_of(planned(catalogue, f"model: {OPEN}\nspot: true\nmax_wait_hours: 1"))

    assert request["EnableManagedSpotTraining"]
    assert request["CheckpointConfig"] == {"S3Uri": f"s3://runs/checkpoints/{RUN_ID}/ml.g5.2xlarge"}
    limits = request["StoppingCondition"]
    assert limits["MaxWaitTimeInSeconds"] == limits["MaxRuntimeInSeconds"] + 3600
    assert "KeepAlivePeriodInSeconds" not in request["ResourceConfig"]
