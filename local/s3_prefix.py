"""Read and write folders of S3 objects with somebody's own permissions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

# The engine answers on one process: a few large parts are faster there than many small ones.
_TRANSFER = TransferConfig(multipart_threshold=64 << 20, multipart_chunksize=64 << 20, max_concurrency=2)


class UnsafeKeyError(Exception):
    """Report an object key that would leave the folder it is copied to."""


@dataclass(frozen=True, slots=True)
class S3Object:
    """Hold one object of a listing: its path below the prefix, and what identifies its bytes."""

    bucket: str
    key: str
    path: PurePosixPath
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class S3Prefix:
    """Name all objects whose keys start with a prefix (``S3DataType: S3Prefix``)."""

    bucket: str
    prefix: str

    @classmethod
    def of(cls, uri: str) -> S3Prefix:
        """Read an ``s3://bucket/prefix`` URI."""
        parts = urlsplit(uri, allow_fragments=False)
        return cls(parts.netloc, parts.path.removeprefix("/"))

    def objects(self, s3: Any) -> list[S3Object]:
        """List the objects, folder markers left out.

        Raises:
            ClientError: when the client may not list the bucket, or there is none.
            UnsafeKeyError: when a key holds ``..``.
        """
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return [
            S3Object(self.bucket, entry["Key"], self._below(entry["Key"]), entry["Size"], entry["ETag"])
            for page in pages
            for entry in page.get("Contents", [])
            if not entry["Key"].endswith("/")
        ]

    def _below(self, key: str) -> PurePosixPath:
        rest = key.removeprefix(self.prefix)
        # An exact key or a partial name ("train" for "training/a") keeps its own last folder, as on SageMaker.
        whole_folder = self.prefix.endswith("/") or rest.startswith("/") or not self.prefix
        path = PurePosixPath((rest if whole_folder else key[self.prefix.rfind("/") + 1 :]).lstrip("/"))
        if ".." in path.parts:
            msg = f"s3://{self.bucket}/{key}"
            raise UnsafeKeyError(msg)
        return path


def download(s3: Any, source: S3Object, target: Path) -> None:
    """Copy one object to a file, making its folders."""
    target.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(source.bucket, source.key, str(target), Config=_TRANSFER)


def upload_folder(s3: Any, folder: Path, target: S3Prefix, extra: dict[str, str]) -> None:
    """Copy every file of a folder below the prefix, which ends with a slash; ``extra`` is boto3's ExtraArgs."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        upload(s3, file, S3Prefix(target.bucket, target.prefix + file.relative_to(folder).as_posix()), extra)


def upload(s3: Any, file: Path, target: S3Prefix, extra: dict[str, str]) -> None:
    """Copy one file to the object that the target names."""
    s3.upload_file(str(file), target.bucket, target.prefix, ExtraArgs=extra, Config=_TRANSFER)


def cause(error: Exception) -> str:
    """Say an S3 failure as AWS's services quote it: ``AccessDenied (403): Access Denied``."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        return f"{error.response['Error']['Code']} ({status}): {error.response['Error'].get('Message', '')}"
    return str(error)
