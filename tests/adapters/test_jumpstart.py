"""The catalogue answers from JumpStart's own files, by the SDK's own look-ups."""

import json
import logging
import socket
from pathlib import Path
from typing import NoReturn

import pytest

from tests.catalogue import CLASSIFIER, GATED, OPEN, RECIPE_ONLY, VISION, reader, write_catalogue
from tunedrop.adapters.jumpstart import JumpStartCatalogue
from tunedrop.errors import TransientError, UnknownModelError, UnknownModelVersionError, UnreadableModelError

REGION = "us-east-1"


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JumpStartCatalogue:
    """Read folders, as the SDK allows, and fail on any connection: neither S3 nor telemetry may be spoken to."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a look-up opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    folder = write_catalogue(tmp_path)
    # Where the SDK reads its own copy from.
    monkeypatch.setenv("AWS_JUMPSTART_MANIFEST_LOCAL_ROOT_DIR_OVERRIDE", str(folder))
    monkeypatch.setenv("AWS_JUMPSTART_SPECS_LOCAL_ROOT_DIR_OVERRIDE", str(folder))
    return JumpStartCatalogue(REGION, reader(folder))


def test_a_gated_model_is_described(catalogue: JumpStartCatalogue) -> None:
    model = catalogue.model(GATED)

    assert (model.model_id, model.version) == (GATED, "1.10.0")
    assert model.training_supported
    assert model.gated
    assert model.eula_uri == "https://jumpstart-cache-prod-us-east-1.s3.us-east-1.amazonaws.com/eula/example.txt"
    assert model.instance_types == ("ml.g5.2xlarge", "ml.p4d.24xlarge")
    assert model.default_instance_type == "ml.g5.2xlarge"
    assert model.volume_size_gb == 256
    assert model.max_runtime_seconds == 360_000
    assert not model.compress_output
    assert model.network_isolation
    assert model.encrypt_inter_container_traffic
    assert [(each.name, each.regex) for each in model.metrics] == [("example:eval-loss", r"eval_loss=([0-9\.]+)")]


def test_hyperparameters_have_their_types_bounds_and_options(catalogue: JumpStartCatalogue) -> None:
    specs = {each.name: each for each in catalogue.model(GATED).hyperparameters}

    assert (specs["epoch"].type, specs["epoch"].default) == ("int", "5")
    assert (specs["epoch"].minimum, specs["epoch"].maximum) == (1, 1000)
    assert (specs["lora_dropout"].minimum, specs["lora_dropout"].maximum) == (0, None)
    assert specs["lora_dropout"].exclusive_maximum == 1
    assert specs["instruction_tuned"].options == ("True", "False")
    assert {name for name, spec in specs.items() if spec.container} == {
        "sagemaker_submit_directory",
        "sagemaker_program",
        "sagemaker_container_log_level",
    }


def test_a_version_can_be_named(catalogue: JumpStartCatalogue) -> None:
    assert catalogue.model(GATED, "1.9.0").version == "1.9.0"


def test_an_open_model_is_not_gated(catalogue: JumpStartCatalogue) -> None:
    model = catalogue.model(OPEN)

    assert (model.gated, model.eula_uri) == (False, None)


def test_what_the_sdk_would_refuse_is_told_so_that_the_plan_can_warn(catalogue: JumpStartCatalogue) -> None:
    model = catalogue.model(OPEN)

    assert model.deprecated
    assert model.vulnerabilities == ("CVE-2026-0001",)
    assert catalogue.artifacts(model, "ml.g5.2xlarge").script_uri


def test_a_model_tuned_by_recipes_alone_has_no_training(catalogue: JumpStartCatalogue) -> None:
    model = catalogue.model(RECIPE_ONLY)

    assert not model.training_supported
    assert (model.instance_types, model.default_instance_type, model.hyperparameters) == ((), None, ())


def test_a_vision_language_model_is_known_by_its_id(catalogue: JumpStartCatalogue) -> None:
    assert catalogue.model(VISION).vision
    assert not catalogue.model(OPEN).vision


def test_a_spec_that_leaves_limits_out_has_sagemakers(catalogue: JumpStartCatalogue) -> None:
    model = catalogue.model(CLASSIFIER)

    assert (model.volume_size_gb, model.max_runtime_seconds, model.compress_output) == (30, 86_400, True)


def test_gated_weights_are_named_by_the_environment_for_the_instance_family(catalogue: JumpStartCatalogue) -> None:
    artifacts = catalogue.artifacts(catalogue.model(GATED), "ml.p4d.24xlarge")

    bucket = "jumpstart-private-cache-prod-us-east-1"
    key = f"example-training/p4d/v1.0.0/train-{GATED}.tar.gz"
    assert artifacts.environment == {"SageMakerGatedModelS3Uri": f"s3://{bucket}/{key}"}
    assert artifacts.model_uri is None


def test_open_weights_have_a_uri(catalogue: JumpStartCatalogue) -> None:
    artifacts = catalogue.artifacts(catalogue.model(OPEN), "ml.g5.2xlarge")

    assert artifacts.model_uri == f"s3://jumpstart-cache-prod-us-east-1/example-training/train-{OPEN}.tar.gz"
    assert artifacts.environment == {}
    assert artifacts.image_uri == "123456789012.dkr.ecr.us-east-1.amazonaws.com/training:2.0-gpu"
    assert artifacts.script_uri == (
        "s3://jumpstart-cache-prod-us-east-1/scripts/training/prepack/v1.1.0/sourcedir.tar.gz"
    )


def framed(tmp_path: Path, **framework: str) -> JumpStartCatalogue:
    """Name the framework of the open model's training in place of its images."""
    folder = write_catalogue(tmp_path)
    (spec,) = folder.rglob(f"*{OPEN}/*.json")
    body = {**json.loads(spec.read_bytes()), "training_instance_type_variants": None}
    body["training_ecr_specs"] = {"framework_version": "2.0.0", "py_version": "py310", **framework}
    spec.write_text(json.dumps(body))
    return JumpStartCatalogue(REGION, reader(folder))


def test_an_image_that_no_document_names_is_the_sdks_for_the_framework(tmp_path: Path) -> None:
    framework = {"framework": "huggingface", "huggingface_transformers_version": "4.28.1"}
    catalogue = framed(tmp_path, **framework)

    assert catalogue.artifacts(catalogue.model(OPEN), "ml.g5.2xlarge").image_uri == (
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-training:"
        "2.0.0-transformers4.28.1-gpu-py310-cu118-ubuntu20.04"
    )


@pytest.mark.parametrize("framework", [{}, {"framework": "pytorch", "framework_version": "99.9"}])
def test_a_framework_that_the_sdk_does_not_know_makes_the_model_unreadable(
    tmp_path: Path, framework: dict[str, str]
) -> None:
    catalogue = framed(tmp_path, **framework)

    with pytest.raises(UnreadableModelError, match="no image of its framework"):
        catalogue.artifacts(catalogue.model(OPEN), "ml.g5.2xlarge")


def test_an_instance_types_own_defaults_hold(catalogue: JumpStartCatalogue) -> None:
    model = catalogue.model(OPEN)

    assert catalogue.artifacts(model, "ml.g5.2xlarge").hyperparameters["epoch"] == "5"
    assert catalogue.artifacts(model, "ml.p4d.24xlarge").hyperparameters["epoch"] == "2"


def test_another_bucket_can_stand_in_for_jumpstarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_JUMPSTART_CONTENT_BUCKET_OVERRIDE", "our-jumpstart")
    monkeypatch.setenv("AWS_JUMPSTART_GATED_CONTENT_BUCKET_OVERRIDE", "our-gated-jumpstart")
    catalogue = JumpStartCatalogue(REGION, reader(write_catalogue(tmp_path)))
    model = catalogue.model(GATED)
    artifacts = catalogue.artifacts(model, "ml.g5.2xlarge")

    assert artifacts.script_uri.startswith("s3://our-jumpstart/")
    assert artifacts.environment["SageMakerGatedModelS3Uri"].startswith("s3://our-gated-jumpstart/")
    assert model.eula_uri == "https://our-jumpstart.s3.us-east-1.amazonaws.com/eula/example.txt"


def test_an_unknown_model_is_told_with_the_nearest(catalogue: JumpStartCatalogue) -> None:
    with pytest.raises(UnknownModelError) as unknown:
        catalogue.model("example-textgeneration-gated-2b")

    assert unknown.value.suggestions[0] == GATED
    assert len(set(unknown.value.suggestions)) == len(unknown.value.suggestions)


def test_an_unknown_version_is_told_with_those_that_exist(catalogue: JumpStartCatalogue) -> None:
    with pytest.raises(UnknownModelVersionError) as unknown:
        catalogue.model(GATED, "3.0.0")

    assert unknown.value.versions == ("1.10.0", "1.9.0")


def test_a_model_that_wants_a_newer_sdk_fails_loudly(catalogue: JumpStartCatalogue) -> None:
    with pytest.raises(UnreadableModelError, match=r"99\.0\.0 of the SageMaker SDK"):
        catalogue.model("example-too-new")


def test_the_sdk_writes_to_no_handler_of_its_own(catalogue: JumpStartCatalogue) -> None:
    catalogue.model(GATED)

    assert logging.getLogger("sagemaker.jumpstart").handlers == []


def test_a_lost_connection_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    with pytest.raises(TransientError):
        JumpStartCatalogue(REGION).model(GATED)
