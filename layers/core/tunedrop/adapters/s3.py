"""Drops, which are only read, and a run's own files, on S3."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError

from tunedrop.adapters import failures
from tunedrop.domain.plan import PinnedFile, PinnedObject
from tunedrop.errors import ObjectTooLargeError, SourceChangedError, TransientError
from tunedrop.ports import DropListing

if TYPE_CHECKING:
    from botocore.client import BaseClient

BLOCK = 1 << 20
"""Bytes read at a time."""

CONTENT_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json"}
"""What a browser is told of an object that it opens from the console."""

LINKS = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
"""How a client is set up whose links are good: else they have a signature that KMS's keys do not take, or the host of
another Region, from which S3 sends whoever opens them on to one that the signature is not for.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

PART = 16 << 20
"""Bytes of one part of a multipart upload; S3 wants at least 5 MiB, and 10,000 parts at most."""


_DROP_FOLDER = re.compile("datasets/[^/]+/")


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
        with failures.transient(), _pinned(key):
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

    def blocks(self, file: PinnedFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Stream a range of the pinned version of a file."""
        last = file.size if end is None else min(end, file.size)
        if start >= last:
            return  # S3 refuses a range without a byte
        with failures.transient(), _pinned(file.name):
            answer = self._client.get_object(
                Bucket=self.bucket, Key=file.key, VersionId=file.version_id, Range=f"bytes={start}-{last - 1}"
            )
            # Whoever has read enough stops, and what S3 has left to send is not waited for.
            with closing(answer["Body"]) as body:
                while block := body.read(BLOCK):
                    yield block

    def specs(self) -> Iterator[DropListing]:
        """Yield every version of every `tune.yaml` that was not deleted: each is a drop of its own.

        One that lies where none belongs is yielded, too, unless more than a page of other files lies around it.
        """
        there = ""
        for each in self._around_specs():
            # The versions of a key come one after the other, the newest first.
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
            if each["IsLatest"]:
                there = each["Key"]
            if each["Key"] == there and there.endswith("/tune.yaml"):
                yield DropListing(
                    key=each["Key"],
                    version_id=each["VersionId"],
                    etag=each["ETag"],
                    last_modified=each["LastModified"],
                    uploaded_by=each.get("Owner", {}).get("ID", "unknown"),
                )

    def _around_specs(self) -> Iterator[dict[str, Any]]:
        """List versions below `datasets/`, and pass over those of a folder that fill a page: S3 bills each page."""
        markers: dict[str, str] = {}
        while True:
            with failures.transient():
                page = self._client.list_object_versions(Bucket=self.bucket, Prefix="datasets/", **markers)
            yield from page.get("Versions", ())
            if not page["IsTruncated"]:
                return
            markers = _next_markers(page["NextKeyMarker"], page["NextVersionIdMarker"])

    def _newest(self, prefix: str) -> Iterator[dict[str, Any]]:
        yield from (each for each in self._versions(prefix) if each["IsLatest"])

    def _versions(self, prefix: str) -> Iterator[dict[str, Any]]:
        with failures.transient():
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from page.get("Versions", ())


def _next_markers(key: str, version_id: str) -> dict[str, str]:
    """Say where to go on behind a version so that no `tune.yaml` of a drop is missed; S3 sorts keys by their bytes."""
    if found := _DROP_FOLDER.match(key):
        folder = found.group()
        if key < (before := f"{folder}tune.yam"):
            return {"KeyMarker": before}
        if key > f"{folder}tune.yaml":
            return {"KeyMarker": f"{folder.removesuffix('/')}0"}  # "0" follows "/": behind all of the folder
    return {"KeyMarker": key, "VersionIdMarker": version_id}


def _content_type(key: str) -> str:
    return CONTENT_TYPES.get(PurePosixPath(key).suffix, "binary/octet-stream")


class S3RunFiles:
    """Write and read the run bucket."""

    def __init__(self, client: "BaseClient", bucket: str) -> None:
        """Use the bucket of the runs' own files."""
        self._client: Any = client
        self._bucket = bucket

    def uri(self, key: str) -> str:
        """Return the S3 URI of a key."""
        return f"s3://{self._bucket}/{key}"

    def link(self, key: str, seconds: int) -> str:
        """Return a link to an object, there or not yet; asks nobody. The client is to be one with `LINKS`."""
        place = {"Bucket": self._bucket, "Key": key}
        return str(self._client.generate_presigned_url("get_object", Params=place, ExpiresIn=seconds))

    def write(self, key: str, data: bytes) -> None:
        """Write a small object."""
        with failures.transient():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=_content_type(key))

    def write_once(self, key: str, data: bytes) -> bytes:
        """Write a small object unless there is one; returns what lies there then."""
        try:
            with failures.transient():
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=data, ContentType=_content_type(key), IfNoneMatch="*"
                )
        except ClientError as error:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
            match failures.code(error):
                case "PreconditionFailed":
                    with failures.transient():
                        return bytes(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())
                case "ConditionalRequestConflict":
                    raise TransientError(f"{key} is being written by another") from error
            raise
        return data

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

    def sizes(self, prefix: str) -> dict[str, int]:
        """List what lies under a prefix."""
        with failures.transient():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return {
                each["Key"].removeprefix(prefix): each["Size"] for page in pages for each in page.get("Contents", ())
            }

    def copy(self, bucket: str, source: PinnedObject, key: str) -> None:
        """Let S3 copy one version of an object."""
        where = {"Bucket": bucket, "Key": source.key, "VersionId": source.version_id}
        with failures.transient(), _pinned(source.key):
            # Tags would need a permission of their own to be copied.
            self._client.copy_object(Bucket=self._bucket, Key=key, CopySource=where, TaggingDirective="REPLACE")

    def _part(self, key: str, upload: str, number: int, body: bytes) -> dict[str, Any]:
        with failures.transient():
            answer = self._client.upload_part(
                Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=body
            )
        return {"ETag": answer["ETag"], "PartNumber": number}


class S3ModelFiles:
    """Read JumpStart's buckets, as far as anybody may."""

    def __init__(self, client: "BaseClient") -> None:
        """Use an S3 client."""
        self._client: Any = client

    def read(self, uri: str, limit: int) -> bytes | None:
        """Return the bytes of an S3 URI; None when S3 refuses, or they are too many."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            with failures.transient():
                answer = self._client.get_object(Bucket=bucket, Key=key)
                return bytes(answer["Body"].read()) if answer["ContentLength"] <= limit else None
        except ClientError:
            return None


@contextmanager
def _pinned(name: str) -> Iterator[None]:
    """Raise SourceChangedError when S3 no longer has the version that was asked for."""
    try:
        yield
    except ClientError as error:
        if failures.code(error) in {"NoSuchKey", "NoSuchVersion"}:
            raise SourceChangedError(name) from error
        raise
