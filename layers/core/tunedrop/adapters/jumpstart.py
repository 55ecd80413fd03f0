"""The JumpStart catalogue of plan_run: the models from JumpStart's own documents, image and script by the SDK.

The SageMaker Python SDK costs seconds to import and fills a layer of its own, so plan_run alone may import this. It
knows the image of a spec that names none. Both read the public bucket `jumpstart-cache-prod-<region>`, or another one
that AWS_JUMPSTART_CONTENT_BUCKET_OVERRIDE (for gated weights AWS_JUMPSTART_GATED_CONTENT_BUCKET_OVERRIDE) names.
Look-ups send no telemetry: that hangs on the SDK's own `Session`, which is not used here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from sagemaker.core import environment_variables, hyperparameters, image_uris, model_uris, script_uris
from sagemaker.core.common_utils import get_domain_for_region
from sagemaker.core.jumpstart.accessors import JumpStartModelsAccessor
from sagemaker.core.jumpstart.constants import JUMPSTART_LOGGER
from sagemaker.core.jumpstart.utils import get_jumpstart_content_bucket

from tunedrop.adapters import failures
from tunedrop.adapters.jumpstart_documents import Place, SpecCatalogue
from tunedrop.domain.jumpstart import JumpStartModel, TrainingArtifacts

if TYPE_CHECKING:
    from botocore.client import BaseClient

# The SDK logs licence links and version advice on a handler of its own, which would break the JSON of our logs. The
# plan holds the same facts.
JUMPSTART_LOGGER.handlers.clear()

CALLS = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=30)
"""How patiently S3 is asked: three small objects for a model."""


@dataclass(frozen=True)
class _Session:
    """Be all that a look-up needs of the SDK's `Session`, whose other clients cost half a CPU second and 30 MB."""

    s3_client: "BaseClient"


class JumpStartCatalogue:
    """Look models up in one region."""

    def __init__(self, region: str, read: Callable[[str], bytes] | None = None) -> None:
        """Read the catalogue of the region; the SDK's own default would be another one.

        `read` returns the bytes of a key of JumpStart's bucket, by default from S3.
        """
        self._region = region
        self._s3_client: BaseClient = boto3.client("s3", region_name=region, config=CALLS)
        self._read = read or self._read_s3

    def model(self, model_id: str, version: str | None = None) -> JumpStartModel:
        """Return the model, in the newest version unless one is named.

        Raises UnknownModelError with the nearest ids, UnknownModelVersionError, UnreadableModelError, and
        TransientError when S3 fails.
        """
        region = self._region
        # Artifacts are the SDK's to locate, so that the bucket of gated weights does not matter here.
        place = replace(Place.of(region), content_bucket=self._bucket, domain=get_domain_for_region(region))
        with failures.transient():
            return SpecCatalogue(place, self._read).model(model_id, version)

    def artifacts(self, model: JumpStartModel, instance_type: str) -> TrainingArtifacts:
        """Locate image, script and weights for a type that the model supports; raises TransientError when S3 fails."""
        where = self._where(model.model_id, model.version)
        with failures.transient():
            specs = JumpStartModelsAccessor.get_model_specs(
                region=self._region, model_id=model.model_id, version=model.version, s3_client=self._s3_client
            )
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

    @property
    def _bucket(self) -> str:
        return str(get_jumpstart_content_bucket(self._region))

    def _read_s3(self, key: str) -> bytes:
        answer: Any = self._s3_client.get_object(Bucket=self._bucket, Key=key)
        return bytes(answer["Body"].read())
