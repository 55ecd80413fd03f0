"""Describe the local JumpStart models in the schema of JumpStart's own specs.

The hyperparameters, their bounds and the metrics are those of JumpStart's Llama scripts; the defaults differ where a
model of 135 million parameters on two cores wants another value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.jumpstart.models import smollm2, tiny_llama, tiny_mllama, tiny_qwen3, word_counts

SCRIPT_KEY = "source-directory-tarballs/training/huggingface-textgeneration/v1.0.0/sourcedir.tar.gz"
_SFT_HYPERPARAMETERS = {
    "max_epochs": {"type": "integer", "default": 5, "min": 1, "max": 1000},
    "learning_rate": {"type": "float", "default": 0.0001, "min": 1e-08, "max": 1},
    "global_batch_size": {"type": "integer", "default": 8, "enum": [1, 2, 4, 8, 16, 32]},
    "data_path": {"type": "string", "default": None, "required": True},
}
RECIPE_HYPERPARAMETERS = {
    "SFT": _SFT_HYPERPARAMETERS,
    "DPO": {**_SFT_HYPERPARAMETERS, "beta": {"type": "float", "default": 0.01, "min": 0.001, "max": 10}},
}
"""The recipes' own lists by technique, in the form that AWS's trainers read; the names are those that are known of
AWS's recipes."""
EULA_KEY = "fmhMetadata/eula/tunedropLocalEula.txt"
EULA_TEXT = (
    "Random numbers need no licence. This text stands where a gated model's end-user licence agreement stands, so "
    "that accepting one can be tried.\n"
)

_VERSION = "1.0.0"
_MINIMUM_SDK_VERSION = (
    "2.232.1"  # the SDK that JumpStart's Llama specs ask for, so that versions 2 and 3 both read ours
)
_DEFAULT_INSTANCE_TYPE = "ml.g5.2xlarge"
_INSTANCE_TYPES = (_DEFAULT_INSTANCE_TYPE, "ml.g5.xlarge", "ml.g5.4xlarge", "ml.g6.xlarge", "ml.g6.2xlarge")
# AWS's deep-learning containers; this account serves each of these regions:
# https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html
_REGIONS = (
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
)
_IMAGE = (
    "763104351884.dkr.ecr.{region}.amazonaws.com/huggingface-pytorch-training"
    ":2.8.0-transformers4.56.2-gpu-py312-cu129-ubuntu22.04"
)
_METRICS = {
    "eval-loss": r"eval_epoch_loss=tensor\(([0-9\.]+)",
    "eval-ppl": r"eval_ppl=tensor\(([0-9\.]+)",
    "train-loss": r"train_epoch_loss=([0-9\.]+)",
}


def recipe_hyperparameters_key(technique: str) -> str:
    """Return the S3 key of a technique's list of hyperparameters."""
    return f"recipes/local_{technique.lower()}_lora_override_params_sm_jobs_v1.0.0.json"


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """Describe one model of the local JumpStart.

    Attributes:
        model_id: JumpStart's id of it.
        name: for people.
        licence: of the weights.
        gated: whether it can be used only after its EULA was accepted.
        weights: makes the folder in Hugging Face layout, or finds it in the cache.
        vision: whether it reads pictures beside text; then its id has the segment `vlm`, as in JumpStart.
        serverless: whether it has no training script, and recipes by which SageMaker customises it serverless.
        program: the training script, of the archive that all share.
    """

    model_id: str
    name: str
    licence: str
    gated: bool
    weights: Callable[[], Path]
    vision: bool = False
    serverless: bool = False
    program: str = "transfer_learning.py"

    @property
    def spec_key(self) -> str:
        """The S3 key of the spec."""
        return f"community_models/{self.model_id}/specs_v{_VERSION}.json"

    @property
    def weights_key(self) -> str:
        """The S3 prefix of the weights, with its slash."""
        return f"huggingface-training/v{_VERSION}/train-{self.model_id}/"

    def header(self) -> dict[str, Any]:
        """Return the model's row of `models_manifest.json`."""
        return {
            "model_id": self.model_id,
            "version": _VERSION,
            "min_version": _MINIMUM_SDK_VERSION,
            "spec_key": self.spec_key,
            "deprecated": False,
            "provider": "huggingface",
            "search_keywords": ["Visual Question Answering" if self.vision else "Text Generation"],
        }

    def spec(self) -> dict[str, Any]:
        """Return the model's spec."""
        return {
            "model_id": self.model_id,
            "version": _VERSION,
            "min_sdk_version": _MINIMUM_SDK_VERSION,
            "url": "",
            "license": self.licence,
            "provider": "huggingface",
            "ml_framework": "Hugging Face",
            "resource_name_base": self.model_id,
            "input_modalities": ["Text", "Image"] if self.vision else ["Text"],
            "output_modalities": ["Text"],
            "languages": ["English"],
            "deprecated": False,
            "model_access": "Gated" if self.gated else "Open Weight",
            **({"gated_bucket": True, "hosting_eula_key": EULA_KEY} if self.gated else {}),
            "training_supported": not self.serverless,
            "fine_tuning_supported": not self.serverless,
            **({"recipe_collection": [*map(self.recipe, RECIPE_HYPERPARAMETERS)]} if self.serverless else {}),
            "incremental_training_supported": False,
            "validation_supported": True,
            "training_vulnerable": False,
            "training_vulnerabilities": [],
            "training_dependencies": ["peft==0.21.2", "torch==2.13.0", "transformers==5.23.0"],
            "training_enable_network_isolation": True,
            "training_volume_size": 30,
            "training_ecr_specs": {
                "framework": "huggingface",
                "framework_version": "2.8.0",
                "huggingface_transformers_version": "4.56.2",
                "py_version": "py312",
            },
            "training_artifact_key": self.weights_key,
            "training_script_key": SCRIPT_KEY,
            "training_instance_type_variants": {
                "regional_aliases": {region: {"gpu_ecr_uri_1": _IMAGE.format(region=region)} for region in _REGIONS},
                "variants": {family: self._variant() for family in _families()},
            },
            "default_training_instance_type": _DEFAULT_INSTANCE_TYPE,
            "supported_training_instance_types": list(_INSTANCE_TYPES),
            "estimator_kwargs": {
                "disable_output_compression": True,
                "encrypt_inter_container_traffic": True,
                "max_run": 360000,
            },
            "fit_kwargs": {},
            # The weights are served as they are trained from.
            "hosting_prepacked_artifact_key": self.weights_key,
            # As JumpStart serves Llama: DJL's container, which the local SageMaker answers for.
            "hosting_ecr_specs": {"framework": "djl-lmi", "framework_version": "0.29.0", "py_version": "py310"},
            "inference_enable_network_isolation": True,
            "inference_environment_variables": [
                _variable("HF_MODEL_ID", "/opt/ml/model"),
                _variable("MODEL_CACHE_ROOT", "/opt/ml/model"),
                _variable("OPTION_ENFORCE_EAGER", "true"),
            ],
            "default_inference_instance_type": _DEFAULT_INSTANCE_TYPE,
            "supported_inference_instance_types": list(_INSTANCE_TYPES),
            "metrics": [
                {"Name": f"huggingface-textgeneration:{name}", "Regex": regex} for name, regex in _METRICS.items()
            ],
            "hyperparameters": [
                *(_vision_hyperparameters() if self.vision else _hyperparameters()),
                _container("sagemaker_program", self.program),
            ],
        }

    def recipe(self, technique: str) -> dict[str, Any]:
        """Return a recipe as a spec lists it: what the serverless customisation does, and where it is offered."""
        name = f"local_{self.model_id.replace('-', '_')}_{technique.lower()}_lora"
        usage_type = f"LOCAL-ServerlessTraining:FineTuning-{technique}-LORA-{self.model_id}"
        return {
            "name": name,
            "display_name": f"{self.name}, {technique} with LoRA",
            "type": "FineTuning",
            "customization_technique": technique,
            "peft": "LORA",
            "sequence_length": "1K",
            "is_subscription_model": False,
            "serverless_metering_type": "Token-based",
            "smtj_override_params_s3_key": recipe_hyperparameters_key(technique),
            "regional_parameters": {"prod": {region: {"serverless_sku": usage_type} for region in _REGIONS}},
        }

    def _variant(self) -> dict[str, Any]:
        image = {"regional_properties": {"image_uri": "$gpu_ecr_uri_1"}}
        # A gated model's weights are named per instance family, in an environment variable of the job.
        return {"properties": {"gated_model_key_env_var_value": self.weights_key}, **image} if self.gated else image


SMOLLM2 = CatalogueModel(
    model_id="huggingface-textgeneration-smollm2-135m-instruct",
    name="SmolLM2 135M Instruct",
    licence="Apache-2.0",
    gated=False,
    weights=smollm2,
)
TINY_LLAMA = CatalogueModel(
    model_id="huggingface-textgeneration-tiny-random-llama",
    name="Tiny random Llama",
    licence="Apache-2.0",
    gated=False,
    weights=tiny_llama,
)
TINY_LLAMA_GATED = CatalogueModel(
    model_id="tunedrop-textgeneration-tiny-random-llama-gated",
    name="Tiny random Llama, behind a EULA",
    licence="Tunedrop local EULA",
    gated=True,
    weights=tiny_llama,
)
TINY_MLLAMA = CatalogueModel(
    model_id="huggingface-vlm-tiny-random-mllama",
    name="Tiny random Llama vision model",
    licence="Apache-2.0",
    gated=False,
    weights=tiny_mllama,
    vision=True,
)
TINY_LLAMA_SERVERLESS = CatalogueModel(
    model_id="huggingface-reasoning-tiny-random-llama",
    name="Tiny random Llama, without a training script",
    licence="Apache-2.0",
    gated=False,
    weights=tiny_llama,
    serverless=True,
)
TINY_QWEN_SERVERLESS = CatalogueModel(
    model_id="huggingface-reasoning-tiny-random-qwen3",
    name="Tiny random Qwen3, without a training script",
    licence="Apache-2.0",
    gated=False,
    weights=tiny_qwen3,
    serverless=True,
)
WORD_COUNTS = CatalogueModel(
    model_id="huggingface-textgeneration-word-counts",
    name="Word counts, which are no language model",
    licence="Apache-2.0",
    gated=False,
    weights=word_counts,
    program="count_words.py",
)
"""Trained and served in milliseconds, for chaos and load; not in the catalogue that people see."""
CATALOGUE = (SMOLLM2, TINY_LLAMA, TINY_LLAMA_GATED, TINY_MLLAMA, TINY_LLAMA_SERVERLESS, TINY_QWEN_SERVERLESS)


def _families() -> list[str]:
    return sorted({instance_type.split(".")[1] for instance_type in _INSTANCE_TYPES})


def _hyperparameters() -> list[dict[str, Any]]:
    return [
        _number("epoch", 5, minimum=1, maximum=1000),
        _number("learning_rate", 0.0001, minimum=1e-08, maximum=1),
        _number("lora_r", 8, minimum=1),
        _number("lora_alpha", 32, minimum=1),
        _text("target_modules", "q_proj,v_proj"),
        _number("lora_dropout", 0.05, minimum=0, maximum=1),
        _switch("instruction_tuned", default=False),
        _switch("chat_dataset", default=False),
        _switch("add_input_output_demarcation_key", default=True),
        # One row at a time, the default of JumpStart's 70B models, would leave most of a core idle.
        _number("per_device_train_batch_size", 8, minimum=1, maximum=1000),
        _number("per_device_eval_batch_size", 8, minimum=1, maximum=1000),
        _number("max_train_samples", -1, minimum=-1),
        _number("max_val_samples", -1, minimum=-1),
        _number("seed", 10, minimum=1, maximum=1000),
        _number("max_input_length", -1, minimum=-1),
        _number("validation_split_ratio", 0.2, minimum=0, maximum=1),
        _number("train_data_split_seed", 0, minimum=0),
        _text("preprocessing_num_workers", "None"),
        _switch("int8_quantization", default=False),
        _switch("enable_fsdp", default=False),
        _text("chat_template", "None"),
        _container("sagemaker_submit_directory", "/opt/ml/input/data/code/sourcedir.tar.gz"),
        _container("sagemaker_container_log_level", "20"),
    ]


def _vision_hyperparameters() -> list[dict[str, Any]]:
    """Return those of a vision script, which has one technique and so no switches.

    Adapters on random weights learn nothing in minutes, so all weights are trained unless LoRA is asked for.
    """
    changed = {
        "epoch": _number("epoch", 20, minimum=1, maximum=1000),
        "learning_rate": _number("learning_rate", 0.001, minimum=1e-08, maximum=1),
        "per_device_train_batch_size": _number("per_device_train_batch_size", 16, minimum=1, maximum=1000),
        "per_device_eval_batch_size": _number("per_device_eval_batch_size", 16, minimum=1, maximum=1000),
        "chat_template": _text("chat_template", "True", "True"),
    }
    left_out = {"instruction_tuned", "chat_dataset", "add_input_output_demarcation_key"}
    common = [entry for entry in _hyperparameters() if entry["name"] not in left_out]
    peft_type = _text("peft_type", "None", "None", "lora")
    return [peft_type, *(changed.get(entry["name"], entry) for entry in common)]


def _number(name: str, default: float, *, minimum: float, maximum: float | None = None) -> dict[str, Any]:
    bounds = {"min": minimum} if maximum is None else {"min": minimum, "max": maximum}
    kind = "int" if isinstance(default, int) else "float"
    return {"name": name, "type": kind, "default": default, **bounds, "scope": "algorithm"}


def _text(name: str, default: str, *options: str) -> dict[str, Any]:
    choice = {"options": list(options)} if options else {}
    return {"name": name, "type": "text", "default": default, **choice, "scope": "algorithm"}


def _switch(name: str, *, default: bool) -> dict[str, Any]:
    return _text(name, str(default), "True", "False")


def _variable(name: str, default: str) -> dict[str, Any]:
    return {**_container(name, default), "required_for_model_class": True}


def _container(name: str, default: str) -> dict[str, Any]:
    return {"name": name, "type": "text", "default": default, "scope": "container"}
