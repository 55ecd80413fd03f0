"""Drops, which are only read, and a run's own files, on S3."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import failures
from tunedrop.domain.plan import PinnedFile, PinnedObject
from tunedrop.errors import ObjectTooLargeError
from tunedrop.ports import DropListing

if TYPE_CHECKING:
    from botocore.client import BaseClient

BLOCK = 1 << 20
"""Bytes read at a time."""

PART = 16 << 20
"""Bytes of one part of a multipart upload; S3 wants at least 5 MiB, and 10,000 parts at most."""


class S3Drops:
    """Read the drop bucket."""

    def __init__(self, client: "BaseClient", bucket: str) -> None:
        """Use a versioned bucket."""
        self._client: Any = client
        self.bucket = bucket

    def files(self, dataset: str) -> list[PinnedObject]:
        """List the newest version of every object under the drop's folder."""
        return [
            PinnedObject(key=each["Key"], version_id=each["VersionId"], etag=each["ETag"], size=each["Size"])
            for each in self._newest(f"datasets/{dataset}/")
        ]

    def read(self, key: str, version_id: str, limit: int) -> bytes:
        """Return one version of a small object."""
        with failures.transient():
            answer = self._client.get_object(Bucket=self.bucket, Key=key, VersionId=version_id)
            if answer["ContentLength"] > limit:
                raise ObjectTooLargeError(f"{key} has {answer['ContentLength']} bytes; {limit} are allowed")
            return bytes(answer["Body"].read())

    def head(self, file: PinnedObject, limit: int) -> bytes:
        """Return the first bytes of the pinned version of an object."""
        if not file.size:
            return b""  # S3 refuses every range of an empty object
        with failures.transient():
            answer = self._client.get_object(
                Bucket=self.bucket, Key=file.key, VersionId=file.version_id, Range=f"bytes=0-{limit - 1}"
            )
            return bytes(answer["Body"].read())

    def blocks(self, file: PinnedFile) -> Iterator[bytes]:
        """Stream the pinned version of a file."""
        with failures.transient():
            body = self._client.get_object(Bucket=self.bucket, Key=file.key, VersionId=file.version_id)["Body"]
            while block := body.read(BLOCK):
                yield block

    def specs(self) -> Iterator[DropListing]:
        """Yield the newest version of every `tune.yaml`."""
        for each in self._newest("datasets/"):
            if each["Key"].endswith("/tune.yaml"):
                yield DropListing(
                    key=each["Key"],
                    version_id=each["VersionId"],
                    etag=each["ETag"],
                    last_modified=each["LastModified"],
                    uploaded_by=each.get("Owner", {}).get("ID", "unknown"),
                )

    def _newest(self, prefix: str) -> Iterator[dict[str, Any]]:
        with failures.transient():
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from (each for each in page.get("Versions", ()) if each["IsLatest"])


class S3RunFiles:
    """Write and read the run bucket."""

    def __init__(self, client: "BaseClient", bucket: str) -> None:
        """Use the bucket of the runs' own files."""
        self._client: Any = client
        self._bucket = bucket

    def uri(self, key: str) -> str:
        """Return the S3 URI of a key."""
        return f"s3://{self._bucket}/{key}"

    def write(self, key: str, data: bytes) -> None:
        """Write a small object."""
        with failures.transient():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data)

    @contextmanager
    def writer(self, key: str) -> Iterator[Callable[[bytes], None]]:
        """Write an object of any size piece by piece; readers see it when the block has ended well, and whole.

        The bucket's lifecycle clears away the parts of a writer that died.
        """
        upload = ""
        parts: list[dict[str, Any]] = []
        buffer = bytearray()

        def write(piece: bytes) -> None:
            nonlocal upload
            buffer.extend(piece)
            if len(buffer) >= PART:
                with failures.transient():
                    upload = upload or self._client.create_multipart_upload(Bucket=self._bucket, Key=key)["UploadId"]
                parts.append(self._part(key, upload, len(parts) + 1, bytes(buffer)))
                buffer.clear()

        yield write
        if not upload:
            self.write(key, bytes(buffer))
            return
        if buffer:
            parts.append(self._part(key, upload, len(parts) + 1, bytes(buffer)))
        with failures.transient():
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, or None."""
        try:
            with failures.transient():
                return bytes(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except ClientError as error:
            if failures.code(error) == "NoSuchKey":
                return None
            raise

    def _part(self, key: str, upload: str, number: int, body: bytes) -> dict[str, Any]:
        with failures.transient():
            answer = self._client.upload_part(
                Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=body
            )
        return {"ETag": answer["ETag"], "PartNumber": number}
