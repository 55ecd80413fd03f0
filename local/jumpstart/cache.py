"""Lay out a bucket like JumpStart's own, `jumpstart-cache-prod-<region>`, with the local models.

models_manifest.json                           one row per model version
proprietary-sdk-manifest.json                  none of ours; the SDK reads it all the same
community_models/<model id>/specs_v<version>.json
source-directory-tarballs/…/sourcedir.tar.gz   the training script
huggingface-training/…/                        weights, uncompressed, one prefix per model
fmhMetadata/eula/…                             what a gated model asks to accept
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.jumpstart.specs import (
    CATALOGUE,
    EULA_KEY,
    EULA_TEXT,
    RECIPE_HYPERPARAMETERS,
    SCRIPT_KEY,
    CatalogueModel,
    recipe_hyperparameters_key,
)

MANIFEST_KEY = "models_manifest.json"
PROPRIETARY_MANIFEST_KEY = "proprietary-sdk-manifest.json"

_SCRIPTS = Path(__file__).with_name("scripts")
_DIGEST = "sha256"  # the object's metadata key; an ETag is a digest only of small, unencrypted objects


def publish(s3_client: Any, bucket: str, models: Sequence[CatalogueModel] = CATALOGUE) -> list[str]:
    """Write the models into a bucket, skipping every object that is there with the same bytes.

    A gated model's weights lie in the same bucket: the SDK's override for JumpStart's gated bucket may name it too.

    Args:
        s3_client: boto3's.
        bucket: one that exists.
        models: what the manifest is to list.

    Returns:
        The keys that were written; the manifest, if at all, last, so that a listed model is always whole.

    Raises:
        ClientError: when the bucket is missing or closed.
        ModelUnavailableError: when a model's weights cannot be fetched.
    """
    written = []
    for key, content in _objects(models):
        with content as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if _digest_of(s3_client, bucket, key) == digest:
                continue
            stream.seek(0)
            s3_client.put_object(Bucket=bucket, Key=key, Body=stream, Metadata={_DIGEST: digest})
        written.append(key)
    return written


def _objects(models: Sequence[CatalogueModel]) -> Iterator[tuple[str, BufferedIOBase]]:
    yield SCRIPT_KEY, io.BytesIO(_script_archive())
    yield EULA_KEY, io.BytesIO(EULA_TEXT.encode())
    for model in models:
        for file in sorted(model.weights().iterdir()):
            yield model.weights_key + file.name, file.open("rb")
        yield model.spec_key, _json(model.spec())
    if any(model.serverless for model in models):
        for technique, listed in RECIPE_HYPERPARAMETERS.items():
            yield recipe_hyperparameters_key(technique), _json(listed)
    yield PROPRIETARY_MANIFEST_KEY, _json([])
    yield MANIFEST_KEY, _json([model.header() for model in models])


def _json(value: Any) -> BufferedIOBase:
    return io.BytesIO(json.dumps(value, indent=1).encode())


def _script_archive() -> bytes:
    """Pack the training script; the same sources give the same bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for source in sorted(_SCRIPTS.glob("*.py")):
            member = tarfile.TarInfo(source.name)
            content = source.read_bytes()
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _digest_of(s3_client: Any, bucket: str, key: str) -> str | None:
    try:
        head: dict[str, Any] = s3_client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
            return None
        raise
    digest: str | None = head["Metadata"].get(_DIGEST)
    return digest
