"""JumpStart's documents are read as the SageMaker SDK reads them, and what the SDK drops is read too."""

import json
from pathlib import Path
from typing import Any

import pytest
from sagemaker.core import environment_variables, hyperparameters, image_uris, model_uris, script_uris
from sagemaker.core.jumpstart.accessors import JumpStartModelsAccessor

from tests.captured_specs import REAL, real, real_catalogue
from tests.catalogue import (
    CLASSIFIER,
    GATED,
    GATED_RECIPE,
    OPEN,
    RECIPE_ONLY,
    VISION,
    hub_document,
    reader,
    write_catalogue,
)
from tunedrop.adapters.jumpstart import JumpStartCatalogue
from tunedrop.adapters.jumpstart_documents import ModelDocument, Place, SpecCatalogue
from tunedrop.domain.hyperparameters import choose_hyperparameters, techniques_of
from tunedrop.domain.jumpstart import JumpStartModel, TrainingArtifacts
from tunedrop.domain.plan import Technique
from tunedrop.errors import UnreadableModelError

REGION = "us-east-1"
PLACE = Place.of(REGION)
ENTRY = f"arn:aws:sagemaker:{REGION}:123456789012:hub-content/curated/ModelReference/{GATED}/1.0.0"


def read_as_the_sdk_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Compare the artifacts of every trainable model and instance type, and count them."""
    monkeypatch.setenv("AWS_JUMPSTART_MANIFEST_LOCAL_ROOT_DIR_OVERRIDE", str(folder))
    monkeypatch.setenv("AWS_JUMPSTART_SPECS_LOCAL_ROOT_DIR_OVERRIDE", str(folder))
    JumpStartModelsAccessor.reset_cache()
    catalogue = JumpStartCatalogue(REGION, reader(folder))
    compared = 0
    for row in SpecCatalogue(PLACE, reader(folder)).rows():
        model = catalogue.model(row.model_id)
        for instance_type in model.instance_types:
            assert catalogue.artifacts(model, instance_type) == of_the_sdk(model, instance_type)
            compared += 1
    return compared


def of_the_sdk(model: JumpStartModel, instance_type: str) -> TrainingArtifacts:
    of_model = {"region": REGION, "model_id": model.model_id, "model_version": model.version}
    where: dict[str, Any] = {**of_model, "tolerate_deprecated_model": True, "tolerate_vulnerable_model": True}
    on: dict[str, Any] = {**where, "instance_type": instance_type}
    specs = JumpStartModelsAccessor.get_model_specs(region=REGION, model_id=model.model_id, version=model.version)
    weights = specs.use_training_model_artifact()
    return TrainingArtifacts(
        image_uri=image_uris.retrieve(framework=None, image_scope="training", **on),
        script_uri=script_uris.retrieve(script_scope="training", **where),
        model_uri=model_uris.retrieve(model_scope="training", **on) if weights else None,
        environment=environment_variables.retrieve_default(script="training", **on),
        hyperparameters=hyperparameters.retrieve_default(include_container_hyperparameters=True, **on),
    )


def test_artifacts_are_those_that_the_sdk_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_as_the_sdk_does(write_catalogue(tmp_path), monkeypatch) == 8


@real
def test_artifacts_of_real_specs_are_those_that_the_sdk_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_as_the_sdk_does(real_catalogue(tmp_path), monkeypatch) == 5


def test_the_manifest_lists_the_newest_readable_version_of_each_model(tmp_path: Path) -> None:
    rows = SpecCatalogue(PLACE, reader(write_catalogue(tmp_path))).rows()

    assert {row.model_id: row.version for row in rows} == {
        GATED: "1.10.0",
        OPEN: "2.0.0",
        RECIPE_ONLY: "3.0.0",
        GATED_RECIPE: "1.0.0",
        CLASSIFIER: "1.0.0",
        VISION: "1.0.0",
    }


def test_provider_and_licence_are_read_where_jumpstart_tells_them(tmp_path: Path) -> None:
    catalogue = SpecCatalogue(PLACE, reader(write_catalogue(tmp_path)))

    told, untold = catalogue.model(GATED), catalogue.model(CLASSIFIER)

    assert (told.provider, told.licence) == ("example", "Example Community License")
    assert (untold.provider, untold.licence) == (None, None)


def test_another_default_of_an_instance_type_goes_before_its_familys() -> None:
    document = hub_document(
        {
            "g5": {"Properties": {"Hyperparameters": [{"Name": "epoch", "Default": 2}]}},
            "ml.g5.48xlarge": {"Properties": {"Hyperparameters": [{"name": "epoch", "default": 3}]}},
        }
    )
    model = ModelDocument(GATED, "1.0.0", document, PLACE).model()

    types = ("ml.p4d.24xlarge", "ml.g5.2xlarge", "ml.g5.48xlarge")
    assert [model.on(each).defaults["epoch"] for each in types] == ["5", "2", "3"]


def test_the_choice_of_memory_mode_starts_from_the_instance_types_own_defaults() -> None:
    own = [{"name": "int8_quantization", "default": "False"}, {"name": "enable_fsdp", "default": "True"}]
    document = hub_document({"ml.g5.48xlarge": {"Properties": {"Hyperparameters": own}}})
    model = ModelDocument(GATED, "1.0.0", document, PLACE).model()

    def chosen(model: JumpStartModel) -> dict[str, str]:
        switched_off = {"enable_fsdp": "False"}
        found, problems = choose_hyperparameters(model, Technique.INSTRUCTION, switched_off, str)
        assert not problems
        return found

    # Where FSDP is on by default, switching it off takes int8; where int8 is on already, nothing more is to be said.
    assert chosen(model.on("ml.g5.48xlarge"))["int8_quantization"] == "True"
    assert "int8_quantization" not in chosen(model)


def test_a_hubs_document_in_its_newer_form_is_read() -> None:
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/training:2.0-gpu"
    document = hub_document(
        {"g5": {"Properties": {"ImageUri": image, "GatedModelEnvVarUri": "s3://jumpstart-private/g5.tar.gz"}}}
    )
    read = ModelDocument(GATED, "1.0.0", document, PLACE, ENTRY)
    model, artifacts = read.model(), read.artifacts("ml.g5.2xlarge")

    assert (model.gated, model.provider, model.licence) == (True, "example", "Example Community License")
    assert model.eula_uri == "https://jumpstart-cache-prod-us-east-1.s3.us-east-1.amazonaws.com/eula/example.txt"
    assert (model.volume_size_gb, model.max_runtime_seconds, model.compress_output) == (256, 360_000, False)
    assert model.hub_content_arn == ENTRY
    assert artifacts.image_uri == image
    # A private hub gives weights out through the channel alone.
    assert (artifacts.model_uri, artifacts.environment) == ("s3://jumpstart-private/g5.tar.gz", {})


def test_a_hubs_document_in_its_older_form_is_read() -> None:
    document = hub_document(
        {"g5": {"properties": {"image_uri": "$gpu_ecr_uri_1", "gated_model_env_var_uri": "s3://private/g5.tar.gz"}}}
    )
    document["TrainingInstanceTypeVariants"]["Aliases"] = {"gpu_ecr_uri_1": "registry/image:1"}
    artifacts = ModelDocument(GATED, "1.0.0", document, PLACE, ENTRY).artifacts("ml.g5.2xlarge")

    assert (artifacts.image_uri, artifacts.model_uri) == ("registry/image:1", "s3://private/g5.tar.gz")


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"hosting_prepacked_artifact_key": "base/prepack/"}, "s3://open/base/prepack/"),
        ({"hosting_artifact_key": "base/weights.tar.gz"}, None),
        ({"hosting_artifact_key": "base/weights.tar.gz", "hosting_use_script_uri": True}, None),
        (
            {"hosting_artifact_key": "base/weights.tar.gz", "hosting_use_script_uri": False},
            "s3://open/base/weights.tar.gz",
        ),
        ({"hosting_prepacked_artifact_key": "base/", "gated_bucket": True}, "s3://gated/base/"),
        (
            {
                "hosting_prepacked_artifact_key": "base/",
                "hosting_instance_type_variants": {
                    "variants": {"g5": {"properties": {"prepacked_artifact_key": "base-g5/"}}}
                },
            },
            "s3://open/base-g5/",
        ),
        ({"HostingPrepackedArtifactUri": "s3://elsewhere/base/"}, "s3://elsewhere/base/"),
    ],
)
def test_weights_are_served_as_they_are_where_the_container_takes_no_script(
    told: dict[str, Any], found: str | None
) -> None:
    document = ModelDocument(OPEN, "1.0.0", told, Place("us-east-1", "open", "gated"))
    hosting = document.hosting("ml.g5.2xlarge")
    assert hosting.weights_uri == found
    assert hosting.gated_weights is bool(told.get("gated_bucket"))


def test_a_type_without_an_image_of_its_own_has_the_models() -> None:
    artifacts = ModelDocument(GATED, "1.0.0", hub_document({}), PLACE, ENTRY).artifacts("ml.g5.2xlarge")

    assert (artifacts.image_uri, artifacts.model_uri) == ("registry/training:1", "s3://jumpstart/train.tar.gz")


def test_a_type_that_has_no_image_in_the_region_is_none_to_train_on() -> None:
    def types(variants: dict[str, Any], **others: Any) -> tuple[tuple[str, ...], str | None]:
        document = {**hub_document(variants), "TrainingEcrUri": None, **others}
        model = ModelDocument(GATED, "1.0.0", document, PLACE).model()
        return model.instance_types, model.default_instance_type

    def alias(region: str) -> dict[str, Any]:
        """Name the image of the family p4d by an alias that one Region has."""
        found = {"p4d": {"regional_properties": {"image_uri": "$gpu_image"}}}
        return {"TrainingInstanceTypeVariants": {"variants": found, "regional_aliases": {region: {"gpu_image": "one"}}}}

    assert types({}) == ((), None)
    assert types({}, **alias(REGION)) == (("ml.p4d.24xlarge",), "ml.p4d.24xlarge")
    assert types({}, **alias("eu-west-9")) == ((), None)
    # Some documents name their default alone.
    alone = types({}, TrainingEcrUri="registry/training:1", SupportedTrainingInstanceTypes=None)
    assert alone == (("ml.g5.2xlarge",), "ml.g5.2xlarge")
    # The SDK finds the image of a framework's version.
    specs = {"framework": "huggingface", "framework_version": "2.0.0"}
    assert types({}, training_ecr_specs=specs)[0] == ("ml.g5.2xlarge", "ml.g5.48xlarge", "ml.p4d.24xlarge")


@pytest.mark.parametrize(
    "change",
    [
        {"Hyperparameters": [{"Name": "epoch", "Type": "complex", "Default": 1}]},
        {"Hyperparameters": [{"Name": "epoch", "Default": 1}]},
        {"Hyperparameters": 7},
        {"TrainingMetrics": [{"Name": "loss"}]},
    ],
)
def test_a_document_of_another_shape_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(UnreadableModelError, match=f"{GATED} cannot be read"):
        ModelDocument(GATED, "1.0.0", {**hub_document({}), **change}, PLACE).model()


@real
def test_the_real_document_of_a_hub_is_read() -> None:
    model_id = "meta-textgeneration-llama-2-13b-f"
    body = json.loads((REAL / f"hub-document.{model_id}.json").read_bytes())
    read = ModelDocument(model_id, "4.19.0", body, PLACE, ENTRY)
    model, small = read.model(), read.artifacts("ml.g4dn.12xlarge")

    assert (model.provider, model.licence, model.gated) == ("meta", None, True)
    assert model.eula_uri is not None
    assert model.eula_uri.endswith("/fmhMetadata/eula/llamaEula.txt")
    assert techniques_of(model) == (Technique.INSTRUCTION, Technique.CHAT, Technique.DOMAIN_ADAPTATION)
    # The document holds other defaults for the small type, in another spelling than its own.
    assert (model.defaults["int8_quantization"], model.defaults["enable_fsdp"]) == ("False", "True")
    assert (small.hyperparameters["int8_quantization"], small.hyperparameters["enable_fsdp"]) == ("True", "False")
    assert small.model_uri is not None
    assert "/g4dn/" in small.model_uri


@real
def test_every_real_spec_is_read_with_its_provider(tmp_path: Path) -> None:
    catalogue = SpecCatalogue(PLACE, reader(real_catalogue(tmp_path)))
    models = [catalogue.model(row.model_id) for row in catalogue.rows()]

    assert {model.model_id: (model.provider, model.licence) for model in models} == {
        "meta-textgeneration-llama-3-1-70b": ("meta", "Llama 3.1 Community License"),
        "openai-reasoning-gpt-oss-20b": ("openai", "Apache 2.0"),
        "pytorch-ic-mobilenet-v2": ("pytorch", None),
    }
    for model in models:
        for spec in model.hyperparameters:
            if not spec.container and model.model_id.startswith("meta-"):
                asked = {spec.name: spec.default}
                chosen, problems = choose_hyperparameters(model, Technique.DOMAIN_ADAPTATION, asked, str)
                assert not problems, "a model's own default is allowed"
                assert chosen[spec.name] == spec.default
