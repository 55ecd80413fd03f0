"""The JumpStart catalogue of plan_run: JumpStart's own documents, and the SDK for an image that none of them names.

The SageMaker Python SDK costs seconds to import and fills a layer of its own, so plan_run alone may import this. The
documents lie in the public bucket `jumpstart-cache-prod-<region>`, or in another one that
AWS_JUMPSTART_CONTENT_BUCKET_OVERRIDE (for gated weights AWS_JUMPSTART_GATED_CONTENT_BUCKET_OVERRIDE) names. Look-ups
send no telemetry: that hangs on the SDK's own `Session`, which is not used here.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from sagemaker.core import image_uris
from sagemaker.core.common_utils import get_domain_for_region
from sagemaker.core.jumpstart.constants import JUMPSTART_LOGGER
from sagemaker.core.jumpstart.utils import get_jumpstart_content_bucket, get_jumpstart_gated_content_bucket

from tunedrop.adapters import failures
from tunedrop.adapters.jumpstart_documents import Place, SpecCatalogue
from tunedrop.domain.jumpstart import HostingArtifacts, JumpStartModel, TrainingArtifacts
from tunedrop.errors import UnreadableModelError

if TYPE_CHECKING:
    from botocore.client import BaseClient

# The SDK logs licence links and version advice on a handler of its own, which would break the JSON of our logs. The
# plan holds the same facts.
JUMPSTART_LOGGER.handlers.clear()

CALLS = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=30)
"""How patiently S3 is asked: three small objects for a model."""


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
        with failures.transient():
            return self._documents.model(model_id, version)

    def artifacts(self, model: JumpStartModel, instance_type: str) -> TrainingArtifacts:
        """Locate image, script and weights for a type that the model supports.

        Raises UnreadableModelError when nobody knows the image, and TransientError when S3 fails.
        """
        with failures.transient():
            document = self._documents.document(model)
        found = document.artifacts(instance_type)
        if found.image_uri:
            return found
        return found.model_copy(update={"image_uri": self._image(model, document.framework, instance_type, "training")})

    def hosting(self, model: JumpStartModel, instance_type: str) -> HostingArtifacts:
        """Say with which image and environment JumpStart serves the model; raises as `artifacts` does."""
        with failures.transient():
            document = self._documents.document(model)
        found = document.hosting(instance_type)
        if found.image_uri:
            return found
        image = self._image(model, document.hosting_framework, instance_type, "inference")
        return found.model_copy(update={"image_uri": image})

    def _image(
        self,
        model: JumpStartModel,
        framework: Mapping[str, str],
        instance_type: str,
        scope: str,
    ) -> str:
        try:
            return self._image_of(framework, instance_type, scope)
        except (KeyError, ValueError) as error:
            reason = f"the SageMaker SDK knows no image of its framework for {instance_type} ({error})"
            raise UnreadableModelError(model.model_id, reason) from error

    def _image_of(self, framework: Mapping[str, str], instance_type: str, scope: str) -> str:
        """Ask the SDK, whose tables tell the registry and the tag of a framework's version."""
        version, transformers = framework["framework_version"], framework.get("huggingface_transformers_version")
        found = image_uris.retrieve(
            framework=framework["framework"],
            region=self._region,
            version=transformers or version,
            base_framework_version=f"pytorch{version}" if transformers else None,
            py_version=framework["py_version"],
            instance_type=instance_type,
            image_scope=scope,
        )
        return str(found)

    @cached_property
    def _documents(self) -> SpecCatalogue:
        region = self._region
        gated = str(get_jumpstart_gated_content_bucket(region))
        return SpecCatalogue(Place(region, self._bucket, gated, get_domain_for_region(region)), self._read)

    @property
    def _bucket(self) -> str:
        return str(get_jumpstart_content_bucket(self._region))

    def _read_s3(self, key: str) -> bytes:
        answer: Any = self._s3_client.get_object(Bucket=self._bucket, Key=key)
        return bytes(answer["Body"].read())
