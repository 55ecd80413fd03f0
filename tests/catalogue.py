"""A JumpStart catalogue of made-up models, in JumpStart's own layout and schema, for tests of what reads it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

GATED = "example-textgeneration-gated-1b"
OPEN = "example-textgeneration-open-1b"
RECIPE_ONLY = "example-reasoning-recipe-only-9b"
GATED_RECIPE = "example-reasoning-gated-recipe-7b"
CLASSIFIER = "example-classifier"
VISION = "example-vlm-open-1b"

_RECIPE_HYPERPARAMETERS = "recipes/example_sft_lora_override_params_sm_jobs_v1.0.0.json"
_DPO_HYPERPARAMETERS = "recipes/example_dpo_override_params_sm_jobs_v1.0.0.json"
_ON_OFF = ["True", "False"]
_IMAGE = "123456789012.dkr.ecr.{region}.amazonaws.com/training:2.0-gpu"


def write_catalogue(folder: Path) -> Path:
    """Write the manifest and the specs, and return the folder."""
    specs = [_gated("1.9.0"), _gated("1.10.0"), _open(), _recipe_only(), _gated_recipe(), _classifier(), _vision()]
    manifest = [
        {
            "model_id": each["model_id"],
            "version": each["version"],
            "min_version": "2.0.0",
            "spec_key": f"community_models/{each['model_id']}/specs_v{each['version']}.json",
        }
        for each in specs
    ]
    too_new = {"model_id": "example-too-new", "version": "1.0.0", "min_version": "99.0.0", "spec_key": "nowhere.json"}
    (folder / "models_manifest.json").write_text(json.dumps([*manifest, too_new]))
    for row, spec in zip(manifest, specs, strict=True):
        path = folder / row["spec_key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(spec))
    (folder / _RECIPE_HYPERPARAMETERS).parent.mkdir(exist_ok=True)
    listed = {
        "max_epochs": {"type": "integer", "min": 1, "max": 100, "required": True},
        "learning_rate": {"type": "float", "default": 0.0002, "min": 0, "max": 1},
        "global_batch_size": {"type": "integer", "default": 16, "enum": [8, 16, 32]},
        "data_path": {"type": "string", "required": True},
    }
    (folder / _RECIPE_HYPERPARAMETERS).write_text(json.dumps(listed))
    (folder / _DPO_HYPERPARAMETERS).write_text(json.dumps({**listed, "beta": {"type": "float", "default": 0.01}}))
    return folder


def reader(folder: Path) -> Callable[[str], bytes]:
    """Read a catalogue's files as a bucket would give them."""
    return lambda key: (folder / key).read_bytes()


def hub_document(variants: dict[str, Any]) -> dict[str, Any]:
    """Describe the gated model as a SageMaker hub does, with what is particular to some instance types."""
    bucket = "s3://jumpstart-cache-prod-us-east-1"
    return {
        "Provider": "example",
        "License": "Example Community License",
        "TrainingSupported": True,
        "GatedBucket": True,
        "HostingEulaUri": f"{bucket}/eula/example.txt",
        "Hyperparameters": [
            {name.capitalize(): value for name, value in each.items()}
            for each in _trainable(GATED, "1.0.0")["hyperparameters"]
            if "exclusive_max" not in each
        ],
        "TrainingScriptUri": f"{bucket}/scripts/training/prepack/v1.1.0/sourcedir.tar.gz",
        "TrainingArtifactUri": "s3://jumpstart/train.tar.gz",
        "TrainingEcrUri": "registry/training:1",
        "DefaultTrainingInstanceType": "ml.g5.2xlarge",
        "SupportedTrainingInstanceTypes": ["ml.g5.2xlarge", "ml.g5.48xlarge", "ml.p4d.24xlarge"],
        "TrainingMetrics": [{"Name": "example:eval-loss", "Regex": "eval_loss=([0-9\\.]+)"}],
        "TrainingVolumeSize": 256,
        "TrainingEnableNetworkIsolation": True,
        "EncryptInterContainerTraffic": True,
        "DisableOutputCompression": True,
        "MaxRuntimeInSeconds": 360000,
        "TrainingInstanceTypeVariants": {"Variants": variants},
    }


def _trainable(model_id: str, version: str, **others: Any) -> dict[str, Any]:
    return {
        **_any(model_id, version),
        "training_supported": True,
        "incremental_training_supported": False,
        "training_artifact_key": f"example-training/train-{model_id}.tar.gz",
        "training_script_key": "scripts/training/v1.0.0/sourcedir.tar.gz",
        "training_prepacked_script_key": "scripts/training/prepack/v1.1.0/sourcedir.tar.gz",
        "training_ecr_specs": {"framework": "huggingface", "framework_version": "2.0.0", "py_version": "py310"},
        "training_enable_network_isolation": True,
        "estimator_kwargs": {
            "disable_output_compression": True,
            "encrypt_inter_container_traffic": True,
            "max_run": 360000,
        },
        "default_training_instance_type": "ml.g5.2xlarge",
        "supported_training_instance_types": ["ml.g5.2xlarge", "ml.p4d.24xlarge"],
        "training_instance_type_variants": {
            "regional_aliases": {"us-east-1": {"gpu_uri": _IMAGE.format(region="us-east-1")}},
            "variants": {
                "g5": {"regional_properties": {"image_uri": "$gpu_uri"}},
                "p4d": {
                    "regional_properties": {"image_uri": "$gpu_uri"},
                    "properties": {
                        "hyperparameters": [{"name": "epoch", "type": "int", "default": 2, "scope": "algorithm"}]
                    },
                },
            },
        },
        "metrics": [{"Name": "example:eval-loss", "Regex": "eval_loss=([0-9\\.]+)"}],
        "hyperparameters": [
            {"name": "epoch", "type": "int", "default": 5, "min": 1, "max": 1000, "scope": "algorithm"},
            {
                "name": "lora_dropout",
                "type": "float",
                "default": 0.05,
                "min": 0,
                "exclusive_max": 1,
                "scope": "algorithm",
            },
            {"name": "target_modules", "type": "text", "default": "q_proj,v_proj", "scope": "algorithm"},
            {"name": "instruction_tuned", "type": "text", "default": "False", "options": _ON_OFF, "scope": "algorithm"},
            {"name": "chat_dataset", "type": "text", "default": "False", "options": _ON_OFF, "scope": "algorithm"},
            {"name": "int8_quantization", "type": "text", "default": "True", "options": _ON_OFF, "scope": "algorithm"},
            {"name": "enable_fsdp", "type": "text", "default": "False", "options": _ON_OFF, "scope": "algorithm"},
            {
                "name": "sagemaker_submit_directory",
                "type": "text",
                "default": "/opt/ml/input/data/code/sourcedir.tar.gz",
                "scope": "container",
            },
            {"name": "sagemaker_program", "type": "text", "default": "transfer_learning.py", "scope": "container"},
            {"name": "sagemaker_container_log_level", "type": "text", "default": "20", "scope": "container"},
        ],
        **others,
    }


def _gated(version: str) -> dict[str, Any]:
    spec = _trainable(
        GATED,
        version,
        gated_bucket=True,
        hosting_eula_key="eula/example.txt",
        training_volume_size=256,
        provider="example",
        license="Example Community License",
    )
    for family, variant in spec["training_instance_type_variants"]["variants"].items():
        key = f"example-training/{family}/v1.0.0/train-{GATED}.tar.gz"
        variant.setdefault("properties", {})["gated_model_key_env_var_value"] = key
    return spec


def _open() -> dict[str, Any]:
    return _trainable(
        OPEN, "2.0.0", deprecated=True, training_vulnerable=True, training_vulnerabilities=["CVE-2026-0001"]
    )


def _classifier() -> dict[str, Any]:
    spec = _trainable(CLASSIFIER, "1.0.0", estimator_kwargs={})
    spec["hyperparameters"] = [each for each in spec["hyperparameters"] if each["name"] == "epoch"]
    return spec


def _vision() -> dict[str, Any]:
    spec = _trainable(VISION, "1.0.0", input_modalities=["Text", "Image"])
    spec["hyperparameters"] = [each for each in spec["hyperparameters"] if each["name"] == "epoch"]
    return spec


def _recipe_only() -> dict[str, Any]:
    """Describe a model with recipes of every kind: two a technique that suit, and those that nobody can use here."""
    recipes = [
        _recipe(RECIPE_ONLY, "SFT", peft=None, name="sft_full"),
        _recipe(RECIPE_ONLY, "SFT", name="sft_lora", smtj_override_params_s3_key=_RECIPE_HYPERPARAMETERS),
        _recipe(RECIPE_ONLY, "SFT", name="sft_subscribed", is_subscription_model=True),
        _recipe(RECIPE_ONLY, "DPO", name="dpo_full", peft=None),
        _recipe(RECIPE_ONLY, "DPO", name="dpo_lora", smtj_override_params_s3_key=_DPO_HYPERPARAMETERS),
        _recipe(RECIPE_ONLY, "RLVR", name="by_reward", serverless_metering_type="Hourly"),
        {"type": "FineTuning", "customization_technique": "SFT", "peft": "LORA", "name": "on_instances_of_ones_own"},
        {"type": "Evaluation", "evaluation_type": "LLMAJEvaluation", "name": "judge"},
    ]
    return {**_untrainable(RECIPE_ONLY, "3.0.0"), "recipe_collection": recipes}


def _gated_recipe() -> dict[str, Any]:
    recipe = _recipe(GATED_RECIPE, "SFT", smtj_override_params_s3_key="recipes/that-nobody-may-read.json")
    spec = {**_untrainable(GATED_RECIPE, "1.0.0"), "recipe_collection": [recipe]}
    return {**spec, "gated_bucket": True, "hosting_eula_key": "eula/example.txt"}


def _recipe(model_id: str, technique: str, **others: Any) -> dict[str, Any]:
    peft = others.get("peft", "LORA")
    usage_type = f"ServerlessTraining:FineTuning-{technique}-{peft or 'FULLRANK'}-{model_id}"
    return {
        "type": "FineTuning",
        "customization_technique": technique,
        "peft": "LORA",
        "name": "sft_lora",
        "sequence_length": "4K",
        "is_subscription_model": False,
        "serverless_metering_type": "Token-based",
        "regional_parameters": {
            "prod": {
                "us-east-1": {"serverless_sku": f"USE1-{usage_type}"},
                "us-west-2": {"serverless_sku": f"USW2-{usage_type}"},
                "eu-central-1": {"smtj_regional_ecr_uri": _IMAGE.format(region="eu-central-1")},
            }
        },
        **others,
    }


def _untrainable(model_id: str, version: str) -> dict[str, Any]:
    return {**_any(model_id, version), "training_supported": False, "incremental_training_supported": False}


def _any(model_id: str, version: str) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "version": version,
        "min_sdk_version": "2.0.0",
        "url": "",
        "deprecated": False,
        "hyperparameters": [],
        "metrics": [],
        "inference_environment_variables": [],
        "inference_vulnerable": False,
        "inference_vulnerabilities": [],
        "inference_dependencies": [],
        "training_vulnerable": False,
        "training_vulnerabilities": [],
        "training_dependencies": [],
        "hosting_ecr_specs": {"framework": "djl-lmi", "framework_version": "0.29.0", "py_version": "py310"},
        "hosting_artifact_key": f"{model_id}/artifacts/",
        "hosting_script_key": f"{model_id}/sourcedir.tar.gz",
        "default_inference_instance_type": "ml.g5.2xlarge",
        "supported_inference_instance_types": ["ml.g5.2xlarge"],
    }
