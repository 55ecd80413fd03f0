"""JumpStart's catalogue on this machine: read from its public bucket, and kept.

The SageMaker SDK, which plan_run has in a layer of its own, weighs hundreds of megabytes. The command does without it.
A spec never changes, so that it is read once; the manifest is asked for each time, and sent only when it is a new one.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.exceptions import ConnectionError as ConnectionFailure

from tunedrop.adapters.hub import HubCatalogue
from tunedrop.adapters.jumpstart_documents import MANIFEST_KEY, ManifestRow, Place, SpecCatalogue
from tunedrop.domain.jumpstart import JumpStartModel
from tunedrop.errors import UnreadableModelError
from tunedrop_cli.aws import Client
from tunedrop_cli.errors import CommandError, code

READERS = 16
"""Specs that are read at a time: each is a small object, and the wait is the network's."""

MANY_CALLS = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=5,
    read_timeout=20,
    max_pool_connections=READERS,
)

_NOT_MODIFIED = "304"


def open_catalogue(session: boto3.Session, bucket: str | None, told: Callable[[str], None]) -> SpecCatalogue:
    """Read the catalogue of the session's Region, or the one in `bucket`; `told` hears what is not as usual.

    AWS's own buckets are public: without credentials they are read without a signature.
    """
    place = Place.of(str(session.region_name))
    anonymous = bucket is None and session.get_credentials() is None
    config = MANY_CALLS.merge(Config(signature_version=UNSIGNED)) if anonymous else MANY_CALLS
    documents = _Documents(session.client("s3", config=config), bucket or place.content_bucket, told)
    if bucket is None:
        return SpecCatalogue(place, documents.read)
    return SpecCatalogue(Place(place.region, bucket, bucket), documents.read)


def described(
    catalogue: SpecCatalogue | HubCatalogue, rows: Sequence[ManifestRow], progress: Callable[[], None]
) -> Iterator[JumpStartModel]:
    """Read the models of the rows, many at a time, in their order; those that cannot be read are left out."""

    def read(row: ManifestRow) -> JumpStartModel | None:
        try:
            return catalogue.described(row)
        except UnreadableModelError:
            return None
        finally:
            progress()

    with ThreadPoolExecutor(READERS) as readers:
        yield from (model for model in readers.map(read, rows) if model)


class _Documents:
    """Read objects of one bucket, and keep AWS's own on this machine."""

    def __init__(self, s3: Client, bucket: str, told: Callable[[str], None]) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._told = told
        self._manifest: bytes | None = None
        # A bucket of one's own, or another AWS behind an endpoint, may hold another model under the same name.
        own = bucket.startswith("jumpstart-cache-prod-") and "amazonaws.com" in s3.meta.endpoint_url
        self._kept = _cache_folder() / bucket if own else None

    def read(self, key: str) -> bytes:
        if key == MANIFEST_KEY:
            if self._manifest is None:
                self._manifest = self._newest(key)
            return self._manifest
        kept = self._kept / key if self._kept else None
        if kept and kept.is_file():
            return kept.read_bytes()
        body, _ = self._get(key)
        if kept:
            _keep(kept, body)
        return body

    def _newest(self, key: str) -> bytes:
        if self._kept is None:
            return self._get(key)[0]
        kept, tag = self._kept / key, self._kept / f"{key}.etag"
        known = tag.read_text() if kept.is_file() and tag.is_file() else ""
        try:
            body, etag = self._get(key, known)
        except ConnectionFailure as error:
            if not kept.is_file():
                raise
            self._told(
                f"AWS cannot be reached, so that JumpStart's catalogue is as it was when it was last read: {error}"
            )
            return kept.read_bytes()
        except ClientError as error:
            if code(error) == _NOT_MODIFIED:
                return kept.read_bytes()
            raise
        _keep(kept, body)
        _keep(tag, etag.encode())
        return body

    def _get(self, key: str, known: str = "") -> tuple[bytes, str]:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key, **({"IfNoneMatch": known} if known else {}))
        except ClientError as error:
            if code(error) in {"NoSuchBucket", "NoSuchKey"}:
                raise CommandError(
                    f"There is no JumpStart catalogue here: s3://{self._bucket}/{key} does not exist.",
                    "Choose a Region that has SageMaker JumpStart with --region.",
                ) from error
            raise
        return bytes(answer["Body"].read()), str(answer["ETag"])


def _cache_folder() -> Path:
    """Return the user's cache, as https://specifications.freedesktop.org/basedir-spec/latest/ says."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "tunedrop"


def _keep(path: Path, body: bytes) -> None:
    """Write a file whole, or not at all; a cache that cannot be written is done without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(body)
        part.replace(path)
    except OSError:
        return
