"""Bring input channels from S3 to a training container."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.s3_prefix import S3Object, S3Prefix, download


class ArtifactCache:
    """Keep downloaded objects by what S3 says of their bytes, so that a base model is downloaded once.

    Args:
        folder: on the file system of the containers, because files are hard links.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def provide(self, s3: Any, source: S3Object, target: Path) -> None:
        """Put the object at the target, from the cache when its ETag is known there.

        The client's own permission to read the object is checked either way.
        """
        kept = self._folder / hashlib.sha256(repr(source).encode()).hexdigest()
        if kept.exists():
            s3.head_object(Bucket=source.bucket, Key=source.key, IfMatch=source.etag)
        else:
            draft = kept.with_name(f"{kept.name}.{os.getpid()}.{id(source)}")
            download(s3, source, draft)
            draft.chmod(0o444)
            draft.replace(kept)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(kept, target)


def download_channel(s3: Any, prefix: S3Prefix, folder: Path, cache: ArtifactCache | None) -> None:
    """Copy all objects of a prefix into a channel's folder, through the cache if one is given.

    Raises:
        ClientError: when the job's role may not list or read.
        UnsafeKeyError: when a key would leave the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in prefix.objects(s3):
        target = folder / source.path
        if cache:
            cache.provide(s3, source, target)
        else:
            download(s3, source, target)


def with_gated_model(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job with the gated model that its environment names as a `model` channel.

    Version 2 of the SDK sends gated models so: variables in place of a channel with a ModelAccessConfig.
    https://github.com/aws/sagemaker-python-sdk/blob/v2.257.6/src/sagemaker/jumpstart/artifacts/environment_variables.py
    """
    channels, environment = list(job.get("InputDataConfig", [])), job.get("Environment", {})
    if "SageMakerGatedModelS3Uri" in environment:
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": environment["SageMakerGatedModelS3Uri"],
            "ModelAccessConfig": {"AcceptEula": environment.get("accept_eula") == "true"},
        }
        channels.append({"ChannelName": "model", "DataSource": {"S3DataSource": source}})
    return {**job, "InputDataConfig": channels}
