"""A drop is read in the versions that were there at plan time; the same in S3 and in memory."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from tests.fakes import FakeClock, InMemoryDrops
from tests.samples import DROP_BUCKET
from tunedrop.adapters.s3 import S3Drops
from tunedrop.domain.plan import FileRole, PinnedFile, PinnedObject
from tunedrop.errors import ObjectTooLargeError, SourceChangedError
from tunedrop.ports import Drops

GONE = "00000000-0000-4000-8000-000000000000"


class Bucket(NamedTuple):
    """The drops, and what their user can do."""

    drops: Drops
    put: Callable[[str, bytes], str]
    delete: Callable[[str], object]


@pytest.fixture(params=["memory", "s3"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    if request.param == "memory":
        drops = InMemoryDrops(clock=FakeClock(datetime.now(UTC)))
        return Bucket(drops, drops.put, drops.delete)
    client: Any = request.getfixturevalue("aws")("s3")
    client.create_bucket(Bucket=DROP_BUCKET)
    client.put_bucket_versioning(Bucket=DROP_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return Bucket(
        S3Drops(client, DROP_BUCKET),
        lambda key, data: str(client.put_object(Bucket=DROP_BUCKET, Key=key, Body=data)["VersionId"]),
        lambda key: client.delete_object(Bucket=DROP_BUCKET, Key=key),
    )


def test_the_bucket_is_named(bucket: Bucket) -> None:
    assert bucket.drops.bucket == DROP_BUCKET


def test_the_newest_version_of_every_file_of_the_folder_is_listed(bucket: Bucket) -> None:
    bucket.put("datasets/receipts/train.jsonl", b"old")
    newest = bucket.put("datasets/receipts/train.jsonl", b"newer")
    bucket.put("datasets/receipts/held-out.jsonl", b"")
    bucket.put("datasets/receipts-2/train.jsonl", b"another dataset")
    bucket.put("elsewhere/datasets/receipts/x.jsonl", b"elsewhere")
    files = bucket.drops.files("receipts")
    assert [(file.key, file.size) for file in files] == [
        ("datasets/receipts/held-out.jsonl", 0),
        ("datasets/receipts/train.jsonl", 5),
    ]
    assert files[1].version_id == newest


def test_equal_bytes_have_an_equal_etag(bucket: Bucket) -> None:
    for name, data in (("a", b"same"), ("b", b"same"), ("c", b"other")):
        bucket.put(f"datasets/receipts/{name}", data)
    first, second, third = (file.etag for file in bucket.drops.files("receipts"))
    assert first == second != third


def test_a_deleted_file_is_not_listed(bucket: Bucket) -> None:
    bucket.put("datasets/receipts/train.jsonl", b"x")
    bucket.delete("datasets/receipts/train.jsonl")
    assert bucket.drops.files("receipts") == []


def test_an_empty_folder_has_no_files(bucket: Bucket) -> None:
    assert bucket.drops.files("receipts") == []


def test_the_version_that_was_pinned_is_read_though_there_is_a_newer_one(bucket: Bucket) -> None:
    pinned = bucket.put("datasets/receipts/tune.yaml", b"model: a")
    bucket.put("datasets/receipts/tune.yaml", b"model: b")
    assert bucket.drops.read("datasets/receipts/tune.yaml", pinned, 8) == b"model: a"
    file = PinnedFile(
        key="datasets/receipts/tune.yaml",
        version_id=pinned,
        etag="",
        size=8,
        role=FileRole.TRAINING,
        name="tune.yaml",
    )
    assert b"".join(bucket.drops.blocks(file)) == b"model: a"


def test_more_bytes_than_allowed_are_not_read(bucket: Bucket) -> None:
    version = bucket.put("datasets/receipts/tune.yaml", b"model: a")
    with pytest.raises(ObjectTooLargeError):
        bucket.drops.read("datasets/receipts/tune.yaml", version, 7)


@pytest.mark.parametrize(("limit", "head"), [(1, b"f"), (5, b"first"), (6, b"first"), (1 << 20, b"first")])
def test_the_head_is_that_of_the_pinned_version(bucket: Bucket, limit: int, head: bytes) -> None:
    key = "datasets/receipts/train.jsonl"
    version = bucket.put(key, b"first")
    bucket.put(key, b"second")
    assert bucket.drops.head(PinnedObject(key=key, version_id=version, etag="", size=5), limit) == head


@pytest.mark.parametrize(
    ("start", "end", "read"),
    [
        (0, 4, b"0123"),
        (4, None, b"456789"),
        (4, 6, b"45"),
        (9, 100, b"9"),
        (10, None, b""),
        (11, None, b""),
        (3, 3, b""),
    ],
)
def test_a_range_of_the_pinned_version_is_streamed(bucket: Bucket, start: int, end: int | None, read: bytes) -> None:
    key = "datasets/receipts/train.jsonl"
    file = pinned(key, bucket.put(key, b"0123456789"), 10)
    bucket.put(key, b"abcdefghij")
    assert b"".join(bucket.drops.blocks(file, start, end)) == read


def test_who_has_read_enough_may_stop(bucket: Bucket) -> None:
    key = "datasets/receipts/train.jsonl"
    blocks = bucket.drops.blocks(pinned(key, bucket.put(key, b"x" * (4 << 20)), 4 << 20))
    assert next(blocks).startswith(b"x")
    del blocks


def test_a_version_that_is_gone_was_changed(bucket: Bucket) -> None:
    key = "datasets/receipts/train.jsonl"
    bucket.put(key, b"x")
    with pytest.raises(SourceChangedError):
        list(bucket.drops.blocks(pinned(key, GONE, 1)))
    with pytest.raises(SourceChangedError):
        bucket.drops.read(key, GONE, 1)


def pinned(key: str, version: str, size: int) -> PinnedFile:
    name = key.rpartition("/")[2]
    return PinnedFile(key=key, version_id=version, etag="", size=size, role=FileRole.TRAINING, name=name)


def test_an_empty_file_has_an_empty_head(bucket: Bucket) -> None:
    key = "datasets/receipts/train.jsonl"
    version = bucket.put(key, b"")
    assert bucket.drops.head(PinnedObject(key=key, version_id=version, etag="", size=0), 100) == b""


def test_a_large_file_is_streamed_whole(bucket: Bucket) -> None:
    data = b"0123456789abcdef" * 200_000
    version = bucket.put("datasets/receipts/train.jsonl", data)
    file = PinnedFile(
        key="datasets/receipts/train.jsonl",
        version_id=version,
        etag="",
        size=len(data),
        role=FileRole.TRAINING,
        name="train.jsonl",
    )
    blocks = list(bucket.drops.blocks(file))
    assert b"".join(blocks) == data
    assert len(blocks) > 1


def test_a_tune_yaml_that_was_deleted_is_no_drop_any_more(bucket: Bucket) -> None:
    for key in ("datasets/a/tune.yaml", "datasets/b/tune.yaml", "datasets/b/tune.yaml", "datasets/c/tune.yaml"):
        bucket.put(key, b"model: a")
    bucket.delete("datasets/b/tune.yaml")
    assert [spec.key for spec in bucket.drops.specs()] == ["datasets/a/tune.yaml", "datasets/c/tune.yaml"]


def test_every_uploaded_tune_yaml_is_found_wherever_it_lies_below_datasets(bucket: Bucket) -> None:
    keys = ("datasets/b/tune.yaml", "datasets/a/tune.yaml", "datasets/a/tune.yaml", "datasets/a/old/tune.yaml")
    uploaded = {(key, bucket.put(key, b"model: a")) for key in keys}
    for key in ("datasets/a/train.jsonl", "datasets/a/not-tune.yaml", "tune.yaml"):
        bucket.put(key, b"x")
    specs = list(bucket.drops.specs())
    assert {(spec.key, spec.version_id) for spec in specs} == uploaded
    assert all(abs(datetime.now(UTC) - spec.last_modified) < timedelta(minutes=5) for spec in specs)
    assert all(spec.uploaded_by for spec in specs)


class SmallPages:
    """A client that lists few versions a page, as S3 cuts them: moto forgets the key that follows a `KeyMarker`."""

    def __init__(self, client: Any, size: int) -> None:
        self._client = client
        self._size = size
        self.pages = 0

    def list_object_versions(self, *, KeyMarker: str = "", VersionIdMarker: str = "", **request: Any) -> Any:  # noqa: N803
        self.pages += 1
        versions = self._client.list_object_versions(**request)["Versions"]
        names = [(each["Key"], each["VersionId"]) for each in versions]
        start = names.index((KeyMarker, VersionIdMarker)) + 1 if VersionIdMarker else 0
        rest = [each for each in versions[start:] if VersionIdMarker or each["Key"] > KeyMarker]
        page = {"Versions": rest[: self._size], "IsTruncated": len(rest) > self._size}
        if page["IsTruncated"]:
            last = rest[self._size - 1]
            page |= {"NextKeyMarker": last["Key"], "NextVersionIdMarker": last["VersionId"]}
        return page


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_no_spec_is_missed_however_the_pages_are_cut(aws: Callable[[str], Any], size: int) -> None:
    client = aws("s3")
    client.create_bucket(Bucket=DROP_BUCKET)
    client.put_bucket_versioning(Bucket=DROP_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    files = (
        "a.jsonl",
        "images/1.png",
        "images/2.png",
        "tune.yam",
        "tune.yaml",
        "tune.yaml",
        "tune.yaml.old",
        "\U0010ffff",
    )
    uploaded = set()
    for name in ("a", "a-b", "a0", "b", "b\u00e9"):
        for file in files:
            version = client.put_object(Bucket=DROP_BUCKET, Key=f"datasets/{name}/{file}", Body=b"x")["VersionId"]
            uploaded |= {(f"datasets/{name}/{file}", version)} if file == "tune.yaml" else set()
    client.put_object(Bucket=DROP_BUCKET, Key="datasets/a0", Body=b"a file between the folders")
    drops = S3Drops(SmallPages(client, size), DROP_BUCKET)
    assert {(spec.key, spec.version_id) for spec in drops.specs()} == uploaded


def test_the_other_files_of_a_drop_cost_no_request_however_many(aws: Callable[[str], Any]) -> None:
    client = aws("s3")
    client.create_bucket(Bucket=DROP_BUCKET)
    client.put_bucket_versioning(Bucket=DROP_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for number in range(20):
        client.put_object(Bucket=DROP_BUCKET, Key=f"datasets/a/images/{number:02}.png", Body=b"")
        client.put_object(Bucket=DROP_BUCKET, Key=f"datasets/a/validation/{number:02}.png", Body=b"")
    client.put_object(Bucket=DROP_BUCKET, Key="datasets/a/tune.yaml", Body=b"")
    pages = SmallPages(client, 2)
    assert [spec.key for spec in S3Drops(pages, DROP_BUCKET).specs()] == ["datasets/a/tune.yaml"]
    assert pages.pages == 3
