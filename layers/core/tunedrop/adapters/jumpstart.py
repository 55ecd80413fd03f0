"""The JumpStart catalogue, by the look-ups of the SageMaker Python SDK; the one module that imports it.

The SDK costs seconds to import and fills a layer of its own, so plan_run alone may import this. It reads the public
bucket `jumpstart-cache-prod-<region>`, or another one that AWS_JUMPSTART_CONTENT_BUCKET_OVERRIDE (for gated weights
AWS_JUMPSTART_GATED_CONTENT_BUCKET_OVERRIDE) names. Look-ups send no telemetry: that hangs on the SDK's own `Session`,
which is not used here.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from packaging.version import Version
from sagemaker.core import (
    environment_variables,
    hyperparameters,
    image_uris,
    instance_types,
    metric_definitions,
    model_uris,
    script_uris,
)
from sagemaker.core.common_utils import get_domain_for_region
from sagemaker.core.jumpstart.accessors import JumpStartModelsAccessor
from sagemaker.core.jumpstart.cache import JumpStartModelsCache
from sagemaker.core.jumpstart.constants import JUMPSTART_LOGGER
from sagemaker.core.jumpstart.utils import get_jumpstart_content_bucket

from tunedrop.adapters import failures
from tunedrop.domain.jumpstart import HyperparameterSpec, JumpStartModel, MetricDefinition, TrainingArtifacts
from tunedrop.errors import UnknownModelError, UnknownModelVersionError

if TYPE_CHECKING:
    from botocore.client import BaseClient

# The SDK logs licence links and version advice on a handler of its own, which would break the JSON of our logs. The
# plan holds the same facts.
JUMPSTART_LOGGER.handlers.clear()

CALLS = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=30)
"""How patiently S3 is asked: three small objects for a model."""

NEWEST = "*"

SUGGESTIONS = 5

VISION_TASK = "vlm"
"""The task that stands in the id of a vision language model, such as `meta-vlm-llama-3-2-11b-vision-instruct`.

A spec's `input_modalities` would say the same, but the SDK drops it.
"""

DEFAULT_VOLUME_GB = 30
"""What the SDK asks for when a spec names no volume size."""

DEFAULT_MAX_RUNTIME_SECONDS = 24 * 3600
"""What SageMaker takes when a spec names no limit."""


@dataclass(frozen=True)
class _Session:
    """Be all that a look-up needs of the SDK's `Session`, whose other clients cost half a CPU second and 30 MB."""

    s3_client: "BaseClient"


class JumpStartCatalogue:
    """Look models up in one region."""

    def __init__(self, region: str) -> None:
        """Read the catalogue of the region; the SDK's own default would be another one."""
        self._region = region
        self._s3_client: BaseClient = boto3.client("s3", region_name=region, config=CALLS)

    def model(self, model_id: str, version: str | None = None) -> JumpStartModel:
        """Return the model, in the newest version unless one is named.

        Raises UnknownModelError with the nearest ids, UnknownModelVersionError, and TransientError when S3 fails.
        """
        with failures.transient():
            specs = self._specs(model_id, version)
            where = self._where(model_id, specs.version)
            trainable = bool(specs.training_supported)
            estimator = getattr(specs, "estimator_kwargs", {})
            return JumpStartModel(
                model_id=model_id,
                version=specs.version,
                training_supported=trainable,
                gated=bool(specs.is_gated_model()),
                vision=VISION_TASK in model_id.split("-"),
                eula_uri=self._eula_uri(specs.hosting_eula_key),
                hyperparameters=tuple(map(_hyperparameter, specs.hyperparameters)) if trainable else (),
                instance_types=tuple(instance_types.retrieve(scope="training", **where)) if trainable else (),
                default_instance_type=instance_types.retrieve_default(scope="training", **where) if trainable else None,
                metrics=_metrics(metric_definitions.retrieve_default(**where)) if trainable else (),
                volume_size_gb=getattr(specs, "training_volume_size", None) or DEFAULT_VOLUME_GB,
                max_runtime_seconds=estimator.get("max_run", DEFAULT_MAX_RUNTIME_SECONDS),
                compress_output=not estimator.get("disable_output_compression", False),
                encrypt_inter_container_traffic=estimator.get("encrypt_inter_container_traffic", True),
                network_isolation=getattr(specs, "training_enable_network_isolation", True),
                deprecated=bool(specs.deprecated),
                vulnerabilities=tuple(specs.training_vulnerabilities),
            )

    def artifacts(self, model: JumpStartModel, instance_type: str) -> TrainingArtifacts:
        """Locate image, script and weights for a type that the model supports; raises TransientError when S3 fails."""
        where = self._where(model.model_id, model.version)
        with failures.transient():
            specs = self._specs(model.model_id, model.version)
            return TrainingArtifacts(
                image_uri=image_uris.retrieve(
                    framework=None, image_scope="training", instance_type=instance_type, **where
                ),
                script_uri=script_uris.retrieve(script_scope="training", **where),
                model_uri=model_uris.retrieve(model_scope="training", instance_type=instance_type, **where)
                if specs.use_training_model_artifact()
                else None,
                environment=environment_variables.retrieve_default(
                    script="training", instance_type=instance_type, **where
                ),
                hyperparameters=hyperparameters.retrieve_default(
                    include_container_hyperparameters=True, instance_type=instance_type, **where
                ),
            )

    def _specs(self, model_id: str, version: str | None) -> Any:
        try:
            return JumpStartModelsAccessor.get_model_specs(
                region=self._region, model_id=model_id, version=version or NEWEST, s3_client=self._s3_client
            )
        except KeyError:
            # The SDK says in a KeyError's sentence that the manifest lacks something; the manifest itself says what.
            manifest = JumpStartModelsCache(region=self._region, s3_client=self._s3_client).get_manifest()
            versions = {each.version for each in manifest if each.model_id == model_id}
            if not versions:
                known = sorted({each.model_id for each in manifest})
                near = get_close_matches(model_id, known, n=SUGGESTIONS)
                raise UnknownModelError(model_id, tuple(near)) from None
            if version is not None and version not in versions:
                newest_first = tuple(sorted(versions, key=Version, reverse=True))
                raise UnknownModelVersionError(model_id, version, newest_first) from None
            raise  # the catalogue has it: the layer's SDK is too old for it, or the spec is broken

    def _where(self, model_id: str, version: str) -> dict[str, Any]:
        """Name the model to a look-up; the plan warns of what is tolerated here."""
        return {
            "region": self._region,
            "model_id": model_id,
            "model_version": version,
            "sagemaker_session": _Session(self._s3_client),
            "tolerate_deprecated_model": True,
            "tolerate_vulnerable_model": True,
        }

    def _eula_uri(self, key: str | None) -> str | None:
        if key is None:
            return None
        host = f"{get_jumpstart_content_bucket(self._region)}.s3.{self._region}.{get_domain_for_region(self._region)}"
        return f"https://{host}/{key}"


def _hyperparameter(spec: Any) -> HyperparameterSpec:
    return HyperparameterSpec(
        name=spec.name,
        type=spec.type,
        default=str(spec.default),
        options=tuple(map(str, getattr(spec, "options", ()))),
        minimum=getattr(spec, "min", None),
        maximum=getattr(spec, "max", None),
        exclusive_minimum=getattr(spec, "exclusive_min", None),
        exclusive_maximum=getattr(spec, "exclusive_max", None),
        container=spec.scope == "container",
    )


def _metrics(definitions: list[dict[str, str]]) -> tuple[MetricDefinition, ...]:
    return tuple(MetricDefinition(name=each["Name"], regex=each["Regex"]) for each in definitions)
