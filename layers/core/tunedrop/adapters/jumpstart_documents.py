"""Read JumpStart's own documents: the manifest, a model's spec, and its document in a SageMaker hub.

They say all that a plan asks of a model. The SageMaker Python SDK reads the same, but it drops the licence and the
provider, refuses the older documents of hubs, and fills a layer of its own, which the command `tunedrop` does without.
What is left to the SDK is the container image of a spec that names none.

A spec spells its fields `training_supported`, a hub's document `TrainingSupported`, and its older form uses both.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from botocore.exceptions import ClientError

from tunedrop.adapters import failures
from tunedrop.adapters.document_fields import field
from tunedrop.adapters.recipes import listed_hyperparameters, recipes
from tunedrop.domain.accelerators import family
from tunedrop.domain.jumpstart import (
    CustomizationRecipe,
    HostingArtifacts,
    HyperparameterSpec,
    JumpStartModel,
    MetricDefinition,
    TrainingArtifacts,
)
from tunedrop.domain.model import Record
from tunedrop.errors import UnknownModelError, UnknownModelVersionError, UnreadableModelError

MANIFEST_KEY = "models_manifest.json"

READS = (3, 0, 0)
"""The version of the SDK whose documents are understood here; a row of the manifest names the oldest that it suits."""

SUGGESTIONS = 5

VISION_TASK = "vlm"
"""The task that stands in the id of a vision language model, such as `meta-vlm-llama-3-2-11b-vision-instruct`."""

DEFAULT_VOLUME_GB = 30
"""What the SDK asks for when a spec names no volume size."""

DEFAULT_MAX_RUNTIME_SECONDS = 24 * 3600
"""What SageMaker takes when a spec names no limit."""

GATED_WEIGHTS = "SageMakerGatedModelS3Uri"
"""The environment variable by which JumpStart's scripts find gated weights."""


@dataclass(frozen=True)
class Place:
    """Say where a Region's JumpStart keeps its files."""

    region: str
    content_bucket: str
    gated_bucket: str
    domain: str = "amazonaws.com"

    @classmethod
    def of(cls, region: str) -> "Place":
        """Return AWS's own buckets of the Region."""
        return cls(region, f"jumpstart-cache-prod-{region}", f"jumpstart-private-cache-prod-{region}")

    def url(self, uri: str | None) -> str | None:
        """Turn `s3://bucket/key`, or a key of the content bucket, into a link for people."""
        if not uri:
            return None
        bucket, _, key = uri.removeprefix("s3://").partition("/") if uri.startswith("s3://") else ("", "", uri)
        return f"https://{bucket or self.content_bucket}.s3.{self.region}.{self.domain}/{key}"


class ManifestRow(Record):
    """Name one version of a model, and where its spec lies."""

    model_id: str
    version: str
    min_version: str
    spec_key: str
    deprecated: bool = False
    provider: str | None = None
    search_keywords: tuple[str, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether the spec suits what is understood here."""
        return _ordinal(self.min_version) <= READS


class SpecCatalogue:
    """Look models up in the manifest and the specs of one Region."""

    def __init__(self, place: Place, read: Callable[[str], bytes]) -> None:
        """Read the catalogue by `read`, which returns the bytes of a key of the content bucket."""
        self._place = place
        self._read = read
        self._latest: ModelDocument | None = None

    def rows(self) -> tuple[ManifestRow, ...]:
        """Return the newest readable version of every model, by id."""
        newest: dict[str, ManifestRow] = {}
        for row in sorted(self._manifest(), key=lambda each: _ordinal(each.version)):
            if row.readable:
                newest[row.model_id] = row
        return tuple(newest[model_id] for model_id in sorted(newest))

    def model(self, model_id: str, version: str | None = None) -> JumpStartModel:
        """Return the model, in the newest readable version unless one is named.

        Raises UnknownModelError with the nearest ids, UnknownModelVersionError, UnreadableModelError.
        """
        rows = self._manifest()
        own = sorted((each for each in rows if each.model_id == model_id), key=lambda each: _ordinal(each.version))
        if not own:
            known = sorted({each.model_id for each in rows})
            raise UnknownModelError(model_id, tuple(get_close_matches(model_id, known, n=SUGGESTIONS)))
        asked = [each for each in own if version in (None, each.version)]
        if not asked:
            raise UnknownModelVersionError(model_id, str(version), tuple(each.version for each in reversed(own)))
        readable = [each for each in asked if each.readable]
        if not readable:
            raise UnreadableModelError(
                model_id, f"its spec asks for version {asked[-1].min_version} of the SageMaker SDK, or a newer one"
            )
        self._latest = self._document(readable[-1])
        model = self._latest.model()
        return JumpStartModel.model_validate({**dict(model), "recipes": tuple(map(self._listed, model.recipes))})

    def described(self, row: ManifestRow) -> JumpStartModel:
        """Return the model of a row; raises UnreadableModelError."""
        return self._document(row).model()

    def artifacts(self, model: JumpStartModel, instance_type: str) -> TrainingArtifacts:
        """Locate script, weights and, where the spec names it, the image; `image_uri` is empty where it does not."""
        return self.document(model).artifacts(instance_type)

    def hosting(self, model: JumpStartModel, instance_type: str) -> HostingArtifacts:
        """Say what serves the model; `image_uri` is empty where the spec names no image."""
        return self.document(model).hosting(instance_type)

    def document(self, model: JumpStartModel) -> "ModelDocument":
        """Return the model's document, without reading it again for the one that was looked up last."""
        if self._latest is None or not self._latest.describes(model):
            rows = (each for each in self._manifest() if each.model_id == model.model_id)
            self._latest = self._document(next(each for each in rows if each.version == model.version))
        return self._latest

    def _listed(self, recipe: CustomizationRecipe) -> CustomizationRecipe:
        """Add the recipe's hyperparameters, where they can be read: it runs without them."""
        if recipe.hyperparameters_key is None:
            return recipe
        try:
            listed = json.loads(self._read(recipe.hyperparameters_key))
        except (OSError, ValueError):
            return recipe
        except ClientError as error:
            if failures.code(error) in ("NoSuchKey", "AccessDenied"):
                return recipe
            raise
        return CustomizationRecipe.model_validate({**dict(recipe), "hyperparameters": listed_hyperparameters(listed)})

    def _manifest(self) -> list[ManifestRow]:
        fields = ManifestRow.model_fields.keys()
        return [
            ManifestRow.model_validate({name: value for name, value in row.items() if name in fields})
            for row in json.loads(self._read(MANIFEST_KEY))
        ]

    def _document(self, row: ManifestRow) -> "ModelDocument":
        body = json.loads(self._read(row.spec_key))
        return ModelDocument(row.model_id, row.version, {"provider": row.provider, **body}, self._place)


class ModelDocument:
    """Read what one document says of one version of a model."""

    def __init__(
        self,
        model_id: str,
        version: str,
        body: Mapping[str, Any],
        place: Place,
        hub_content_arn: str | None = None,
    ) -> None:
        """Take the document as JSON gives it; `hub_content_arn` names the entry of a private hub that it is from."""
        self._model_id = model_id
        self._version = version
        self._body = body
        self._place = place
        self._hub_content_arn = hub_content_arn
        self._training = _Variants(field(body, "training_instance_type_variants") or {}, place.region)
        self._hosting = _Variants(field(body, "hosting_instance_type_variants") or {}, place.region)

    def describes(self, model: JumpStartModel) -> bool:
        """Tell whether it is the model's own document."""
        return (self._model_id, self._version) == (model.model_id, model.version)

    def model(self) -> JumpStartModel:
        """Describe the model; raises UnreadableModelError for a document of another shape."""
        try:
            return self._model()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UnreadableModelError(self._model_id, f"its document has an unknown shape ({error})") from error

    def artifacts(self, instance_type: str) -> TrainingArtifacts:
        """Locate what a training job on the instance type runs."""
        gated = self._gated_weights(instance_type)
        # A private hub gives out gated weights through the `model` channel alone, and the two ways exclude each other.
        by_channel = self._hub_content_arn is not None
        return TrainingArtifacts(
            image_uri=self._training_image(instance_type),
            script_uri=self._script(),
            model_uri=(gated if by_channel else None) or (self._open_weights(instance_type) if self._is_open else None),
            environment={
                **self._training.properties(instance_type, "environment_variables"),
                **({GATED_WEIGHTS: gated} if gated and not by_channel else {}),
            },
            hyperparameters=self.model().on(instance_type).defaults,
        )

    def hosting(self, instance_type: str) -> HostingArtifacts:
        """Say what serves the model, or one tuned from it, on the instance type, as JumpStart's SDK does."""
        variables = self._get("inference_environment_variables") or ()
        needs = self._get("hosting_resource_requirements") or {}
        return HostingArtifacts(
            image_uri=self._hosting.image(instance_type) or self._text("hosting_ecr_uri") or "",
            environment={
                **{
                    str(field(each, "name")): str(field(each, "default"))
                    for each in variables
                    if field(each, "required_for_model_class")
                },
                **self._hosting.properties(instance_type, "environment_variables"),
            },
            memory_mb=field(needs, "min_memory_mb"),
            weights_uri=self._served_weights(instance_type),
            gated_weights=self._gated_bucket,
        )

    def _model(self) -> JumpStartModel:
        trainable = bool(self._get("training_supported"))
        estimator = self._get("estimator_kwargs") or {}
        eula = self._text("hosting_eula_uri") or self._text("hosting_eula_key")
        default = self._text("default_training_instance_type")
        named = dict.fromkeys(
            [*(self._get("supported_training_instance_types") or ()), *([default] if default else ())]
        )
        types = tuple(each for each in named if self._has_image(each)) if trainable else ()
        return JumpStartModel(
            model_id=self._model_id,
            version=self._version,
            training_supported=trainable,
            recipes=() if trainable else recipes(self._body),
            gated=self._gated_bucket or eula is not None,
            vision=VISION_TASK in self._model_id.split("-"),
            provider=self._text("provider"),
            licence=self._text("license"),
            eula_uri=self._place.url(eula),
            hyperparameters=tuple(map(_hyperparameter, self._get("hyperparameters") or ())) if trainable else (),
            instance_defaults=dict(self._training.defaults()) if trainable else {},
            instance_types=types,
            default_instance_type=default if default in types else next(iter(types), None),
            metrics=tuple(
                MetricDefinition(name=each["Name"], regex=each["Regex"])
                for each in self._get("training_metrics") or self._get("metrics") or ()
            )
            if trainable
            else (),
            volume_size_gb=self._get("training_volume_size") or DEFAULT_VOLUME_GB,
            max_runtime_seconds=estimator.get("max_run")
            or self._get("max_runtime_in_seconds")
            or DEFAULT_MAX_RUNTIME_SECONDS,
            compress_output=not estimator.get(
                "disable_output_compression", self._get("disable_output_compression", default=False)
            ),
            encrypt_inter_container_traffic=estimator.get(
                "encrypt_inter_container_traffic", self._get("encrypt_inter_container_traffic", default=True)
            ),
            network_isolation=self._get("training_enable_network_isolation", default=True),
            deprecated=bool(self._get("deprecated")),
            vulnerabilities=tuple(self._get("training_vulnerabilities") or ()),
            hosting_instance_types=tuple(self._get("supported_inference_instance_types") or ()),
            default_hosting_instance_type=self._text("default_inference_instance_type"),
            hosting_network_isolation=self._get("inference_enable_network_isolation", default=True),
            hub_content_arn=self._hub_content_arn,
        )

    @property
    def _gated_bucket(self) -> bool:
        return bool(self._get("gated_bucket"))

    def _get(self, name: str, *, default: Any = None) -> Any:
        return field(self._body, name, default=default)

    def _text(self, name: str) -> str | None:
        return self._get(name) or None

    def _script(self) -> str:
        key = (
            self._text("training_script_uri")
            or self._text("training_prepacked_script_key")
            or self._text("training_script_key")
        )
        if key is None:
            raise UnreadableModelError(self._model_id, "its document names no training script")
        return _uri(key, self._place.content_bucket)

    def _has_image(self, instance_type: str) -> bool:
        """Tell whether there is an image for the type in the Region: one that is named, or that the SDK can find."""
        return bool(self._training_image(instance_type) or self.framework)

    @property
    def framework(self) -> Mapping[str, str]:
        """Return the framework whose image the training takes where none is named, with its versions."""
        return self._get("training_ecr_specs") or {}

    @property
    def hosting_framework(self) -> Mapping[str, str]:
        """Return the framework whose image serves the model where none is named, with its versions."""
        return self._get("hosting_ecr_specs") or {}

    def _training_image(self, instance_type: str) -> str:
        return self._training.image(instance_type) or self._text("training_ecr_uri") or ""

    def _gated_weights(self, instance_type: str) -> str | None:
        named = self._training.property(instance_type, "gated_model_env_var_uri") or self._training.property(
            instance_type, "gated_model_key_env_var_value"
        )
        return _uri(named, self._place.gated_bucket) if named else None

    def _open_weights(self, instance_type: str) -> str | None:
        named = (
            self._training.property(instance_type, "training_artifact_uri")
            or self._training.property(instance_type, "training_artifact_key")
            or self._text("training_artifact_uri")
            or self._text("training_artifact_key")
        )
        return _uri(named, self._place.content_bucket) if named else None

    def _served_weights(self, instance_type: str) -> str | None:
        """Locate the weights as they are served: ready for the container, which takes a script for any others.

        https://github.com/aws/sagemaker-python-sdk/blob/master/src/sagemaker/jumpstart/artifacts/model_uris.py
        """
        bucket = self._place.gated_bucket if self._gated_bucket else self._place.content_bucket
        named = (
            self._hosting.property(instance_type, "prepacked_artifact_key")
            or self._text("hosting_prepacked_artifact_uri")
            or self._text("hosting_prepacked_artifact_key")
        )
        if named is None and not self._get("hosting_use_script_uri", default=True):
            named = (
                self._hosting.property(instance_type, "artifact_key")
                or self._text("hosting_artifact_uri")
                or self._text("hosting_artifact_key")
            )
        return _uri(named, bucket) if named else None

    @property
    def _is_open(self) -> bool:
        """Whether the job is given the weights by their URI."""
        if self._hub_content_arn is None and self._gated_bucket:
            return False
        return not self._get("training_model_package_artifact_uris")


class _Variants:
    """Read what differs by instance type: of a type itself, else of its family."""

    def __init__(self, document: Mapping[str, Any], region: str) -> None:
        self._variants: Mapping[str, Any] = field(document, "variants") or {}
        regional = field(document, "regional_aliases") or {}
        self._aliases: Mapping[str, str] = regional.get(region) or field(document, "aliases") or {}

    def image(self, instance_type: str) -> str | None:
        """Find the image; a name with `$` stands for an alias."""
        for variant in self._of(instance_type):
            for properties in (field(variant, "regional_properties"), field(variant, "properties")):
                image = field(properties or {}, "image_uri")
                if image and image.startswith("$"):
                    image = self._aliases.get(image[1:])
                if image:
                    return str(image)
        return None

    def property(self, instance_type: str, name: str) -> str | None:
        for variant in self._of(instance_type):
            if value := field(field(variant, "properties") or {}, name):
                return str(value)
        return None

    def properties(self, instance_type: str, name: str) -> dict[str, str]:
        """Join the entries of the type and of its family; the type's go first."""
        found = [field(field(each, "properties") or {}, name) or {} for each in self._of(instance_type)]
        return {key: str(value) for each in reversed(found) for key, value in each.items()}

    def defaults(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield each type or family that has other hyperparameters, and their defaults."""
        for name, variant in self._variants.items():
            specs = field(field(variant, "properties") or {}, "hyperparameters") or ()
            if specs:
                yield name, {str(field(each, "name")): str(field(each, "default")) for each in specs}

    def _of(self, instance_type: str) -> Iterator[Mapping[str, Any]]:
        for name in (instance_type, family(instance_type)):
            if name in self._variants:
                yield self._variants[name]


def _uri(key: str, bucket: str) -> str:
    """Return what a hub's document names by URI and a spec by key."""
    return key if key.startswith("s3://") else f"s3://{bucket}/{key}"


def _hyperparameter(spec: Mapping[str, Any]) -> HyperparameterSpec:
    return HyperparameterSpec(
        name=field(spec, "name"),
        type=field(spec, "type"),
        default=str(field(spec, "default")),
        options=tuple(map(str, field(spec, "options") or ())),
        minimum=field(spec, "min"),
        maximum=field(spec, "max"),
        exclusive_minimum=field(spec, "exclusive_min"),
        exclusive_maximum=field(spec, "exclusive_max"),
        container=field(spec, "scope") == "container",
    )


def _ordinal(version: str) -> tuple[int, ...]:
    """Order versions, each of three numbers."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
