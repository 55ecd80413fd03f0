"""A private hub as the catalogue: what a platform team put there, and nothing else, can be tuned.

https://docs.aws.amazon.com/sagemaker/latest/dg/jumpstart-curated-hubs.html
"""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import failures
from tunedrop.adapters.jumpstart_documents import SUGGESTIONS, ManifestRow, ModelDocument, Place
from tunedrop.domain.jumpstart import HostingArtifacts, JumpStartModel, TrainingArtifacts
from tunedrop.errors import UnknownModelError, UnknownModelVersionError, UnreadableModelError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_KINDS = ("ModelReference", "Model")
"""A reference to one of JumpStart's models, and a model of the hub's own."""


class HubCatalogue:
    """Look models up in one private hub by SageMaker's API."""

    def __init__(self, client: "BaseClient", region: str, hub: str) -> None:
        """Use a client of the service `sagemaker` for the hub of that name in the Region."""
        self._client: Any = client
        self._place = Place.of(region)
        self._hub = hub

    def rows(self) -> tuple[ManifestRow, ...]:
        """Return every model of the hub, by id."""
        with failures.transient():
            found = {each["HubContentName"]: each for each in self._summaries()}
        return tuple(
            ManifestRow(
                model_id=name,
                version=str(found[name]["HubContentVersion"]),
                min_version="0.0.0",
                spec_key=str(found[name]["HubContentArn"]),
                deprecated=found[name].get("SupportStatus") == "Deprecated",
                search_keywords=tuple(found[name].get("HubContentSearchKeywords", ())),
            )
            for name in sorted(found)
        )

    def described(self, row: ManifestRow) -> JumpStartModel:
        """Return the model of a row; raises UnreadableModelError."""
        return self.model(row.model_id, row.version)

    def model(self, model_id: str, version: str | None = None) -> JumpStartModel:
        """Return the model, in the hub's newest version unless one is named.

        Raises UnknownModelError with the nearest ids of the hub, UnknownModelVersionError, UnreadableModelError, and
        TransientError.
        """
        return self._document(model_id, version).model()

    def artifacts(self, model: JumpStartModel, instance_type: str) -> TrainingArtifacts:
        """Locate image, script and weights for a type that the model supports.

        Raises UnreadableModelError when the document names no image or no script, and TransientError.
        """
        found = self._document(model.model_id, model.version).artifacts(instance_type)
        if not found.image_uri:
            raise UnreadableModelError(model.model_id, f"its document in the hub names no image for {instance_type}")
        return found

    def hosting(self, model: JumpStartModel, instance_type: str) -> HostingArtifacts:
        """Say what serves the model; raises UnreadableModelError when the document names no image."""
        found = self._document(model.model_id, model.version).hosting(instance_type)
        if not found.image_uri:
            raise UnreadableModelError(model.model_id, "its document in the hub names no image to serve it")
        return found

    def _document(self, model_id: str, version: str | None) -> ModelDocument:
        with failures.transient():
            entry = self._entry(model_id, version)
            if entry is None:
                newest = self._entry(model_id, None) if version else None
                if newest:
                    raise UnknownModelVersionError(model_id, str(version), (str(newest["HubContentVersion"]),))
                known = sorted({str(each["HubContentName"]) for each in self._summaries()})
                near = get_close_matches(model_id, known, n=SUGGESTIONS)
                raise UnknownModelError(model_id, tuple(near), self._hub)
        try:
            body = json.loads(entry["HubContentDocument"])
        except ValueError as error:
            raise UnreadableModelError(model_id, f"its document in the hub is not JSON ({error})") from error
        return ModelDocument(model_id, str(entry["HubContentVersion"]), body, self._place, str(entry["HubContentArn"]))

    def _entry(self, model_id: str, version: str | None) -> dict[str, Any] | None:
        for kind in _KINDS:
            request = {"HubName": self._hub, "HubContentType": kind, "HubContentName": model_id}
            try:
                answer = self._client.describe_hub_content(
                    **request, **({"HubContentVersion": version} if version else {})
                )
            except ClientError as error:
                if failures.code(error) == "ResourceNotFound":
                    continue
                raise
            return dict(answer)
        return None

    def _summaries(self) -> Iterator[dict[str, Any]]:
        for kind in _KINDS:
            request = {"HubName": self._hub, "HubContentType": kind, "MaxResults": 100}
            while True:
                answer = self._client.list_hub_contents(**request)
                yield from answer["HubContentSummaries"]
                if not answer.get("NextToken"):
                    break
                request["NextToken"] = answer["NextToken"]
