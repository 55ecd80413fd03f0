"""Private hubs: what a platform team puts in, and what training jobs name to be given a model's weights."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from local.engine.host import AwsError

PERMISSIONS = {
    "CreateHub": "hub",
    "ImportHubContent": "hub",
    "ListHubContents": "hub",
    "DescribeHubContent": "hub-content",
}
"""The operations, and the resource that each is allowed on.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
"""


class Hubs:
    """Keep hubs and their contents, a file each.

    Args:
        folder: where they are kept.
        account: `<region>:<account id>`, as their ARNs have it.
    """

    def __init__(self, folder: Path, account: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._account = account

    def create(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Make an empty hub."""
        folder = self._folder / parameters["HubName"]
        if folder.exists():
            raise AwsError("ResourceInUse", f"Hub {parameters['HubName']} already exists")
        folder.mkdir()
        return {"HubArn": self._hub_arn(parameters["HubName"])}

    def import_content(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Put a document into a hub."""
        hub, kind, name = parameters["HubName"], parameters["HubContentType"], parameters["HubContentName"]
        version = parameters.get("HubContentVersion", "1.0.0")
        path = self._hub(hub) / kind / name / f"{version}.json"
        if path.exists():
            raise AwsError("ResourceInUse", f"Hub content {name} {version} already exists in {hub}")
        arn = f"arn:aws:sagemaker:{self._account}:hub-content/{hub}/{kind}/{name}/{version}"
        content = {
            "HubContentName": name,
            "HubContentArn": arn,
            "HubContentVersion": version,
            "HubContentType": kind,
            "DocumentSchemaVersion": parameters["DocumentSchemaVersion"],
            "HubName": hub,
            "HubArn": self._hub_arn(hub),
            "HubContentDocument": parameters["HubContentDocument"],
            "HubContentSearchKeywords": parameters.get("HubContentSearchKeywords", []),
            "HubContentStatus": "Available",
            "CreationTime": time.time(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return {"HubArn": content["HubArn"], "HubContentArn": arn}

    def describe(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a content with its document, in the newest version unless one is named."""
        name, kind = parameters["HubContentName"], parameters["HubContentType"]
        versions = self._versions(parameters["HubName"], kind, name)
        version = parameters.get("HubContentVersion") or next(iter(versions), None)
        if version not in versions:
            raise AwsError("ResourceNotFound", f"Hub content {name} of type {kind} does not exist")
        return versions[version]

    def summaries(self, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the newest version of every content of a type, without its document."""
        hub, kind = parameters["HubName"], parameters["HubContentType"]
        contains = parameters.get("NameContains", "")
        names = sorted(path.name for path in (self._hub(hub) / kind).glob("*") if contains in path.name)
        newest = (next(iter(self._versions(hub, kind, name).values())) for name in names)
        left_out = ("HubName", "HubArn", "HubContentDocument")
        return [{key: value for key, value in each.items() if key not in left_out} for each in newest]

    def has(self, arn: str) -> bool:
        """Tell whether a content exists."""
        hub, kind, name, version = arn.rpartition(":hub-content/")[2].split("/")
        return (self._folder / hub / kind / name / f"{version}.json").is_file()

    def _versions(self, hub: str, kind: str, name: str) -> dict[str, dict[str, Any]]:
        files = (self._hub(hub) / kind / name).glob("*.json")
        newest_first = sorted(files, key=lambda path: [int(part) for part in path.stem.split(".")], reverse=True)
        return {path.stem: json.loads(path.read_text()) for path in newest_first}

    def _hub(self, name: str) -> Path:
        folder = self._folder / name
        if not folder.is_dir():
            raise AwsError("ResourceNotFound", f"Hub {name} does not exist")
        return folder

    def _hub_arn(self, name: str) -> str:
        return f"arn:aws:sagemaker:{self._account}:hub/{name}"
