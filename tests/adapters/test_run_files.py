"""A run's files appear whole or not at all; the same in S3 and in memory."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from tests.fakes import InMemoryDrops, InMemoryModelFiles, InMemoryRunFiles
from tests.samples import DROP_BUCKET, RUN_BUCKET
from tunedrop.adapters import s3
from tunedrop.adapters.s3 import LINKS, S3ModelFiles, S3RunFiles
from tunedrop.domain.plan import PinnedObject
from tunedrop.ports import ModelFiles, RunFiles

PART = 5 << 20
"""The smallest part that S3 takes."""

KEY = "runs/x/channels/training/train.jsonl"


@pytest.fixture(params=["memory", "s3"])
def files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RunFiles:
    monkeypatch.setattr(s3, "PART", PART)
    if request.param == "memory":
        return InMemoryRunFiles()
    client: Any = request.getfixturevalue("aws")("s3")
    client.create_bucket(Bucket=RUN_BUCKET)
    return S3RunFiles(client, RUN_BUCKET)


def test_a_key_has_a_uri(files: RunFiles) -> None:
    assert files.uri(KEY) == f"s3://{RUN_BUCKET}/{KEY}"
    assert files.uri("") == f"s3://{RUN_BUCKET}/"


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_link_is_to_the_bucket_s_own_region_and_signed_so_that_kms_takes_it(region: str) -> None:
    client: Any = boto3.client("s3", region_name=region, config=LINKS)
    link = urlsplit(S3RunFiles(client, RUN_BUCKET).link(KEY, 60))
    regional = "" if region == "us-east-1" else f".{region}"
    assert (link.netloc, link.path) == (f"{RUN_BUCKET}.s3{regional}.amazonaws.com", f"/{KEY}")
    signed = parse_qs(link.query)
    assert signed["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert signed["X-Amz-Expires"] == ["60"]


def test_what_is_not_there_is_none(files: RunFiles) -> None:
    assert files.read(KEY) is None


def test_the_last_write_is_read(files: RunFiles) -> None:
    files.write(KEY, b"first")
    files.write(KEY, b"second")
    assert files.read(KEY) == b"second"


def test_what_is_written_once_stays(files: RunFiles) -> None:
    assert files.write_once(KEY, b"first") == b"first"
    assert files.write_once(KEY, b"second") == b"first"
    assert files.read(KEY) == b"first"


@pytest.mark.parametrize(
    "pieces",
    [[], [b""], [b"a\n", b"b\n"], [b"x" * PART], [b"x" * (PART - 1), b"yz", b"end"], [b"x" * PART, b"y" * PART, b"z"]],
    ids=["nothing", "empty", "small", "one part", "a part and a rest", "three parts"],
)
def test_pieces_become_one_object(files: RunFiles, pieces: list[bytes]) -> None:
    with files.writer(KEY) as write:
        for piece in pieces:
            write(piece)
        assert files.read(KEY) is None
    assert files.read(KEY) == b"".join(pieces)


@pytest.mark.parametrize("size", [1, PART + 1])
def test_a_writer_that_fails_leaves_nothing_to_read(files: RunFiles, size: int) -> None:
    with pytest.raises(TypeError), files.writer(KEY) as write:
        _write_until_it_breaks(write, b"x" * size)
    assert files.read(KEY) is None


def _write_until_it_breaks(write: Callable[[bytes], None], data: bytes) -> None:
    write(data)
    write(None)  # type: ignore[arg-type]  # what breaks


def test_what_lies_under_a_prefix_is_told_with_its_size(files: RunFiles) -> None:
    files.write("runs/a/model/config.json", b"12")
    files.write("runs/a/model/deep/x", b"")
    files.write("runs/a/model.tar.gz", b"123")
    assert files.sizes("runs/a/model/") == {"config.json": 2, "deep/x": 0}


def test_a_writer_replaces_what_was_there_in_the_end(files: RunFiles) -> None:
    files.write(KEY, b"old")
    with files.writer(KEY) as write:
        write(b"new")
        assert files.read(KEY) == b"old"
    assert files.read(KEY) == b"new"


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_the_version_that_was_pinned_is_copied_without_being_read(kind: str, request: pytest.FixtureRequest) -> None:
    key = "datasets/x/a.png"
    if kind == "memory":
        drops = InMemoryDrops()
        files: RunFiles = InMemoryRunFiles(drops=drops)
        versions = [drops.put(key, content) for content in (b"old", b"new")]
    else:
        client: Any = request.getfixturevalue("aws")("s3")
        client.create_bucket(Bucket=RUN_BUCKET)
        client.create_bucket(Bucket=DROP_BUCKET)
        client.put_bucket_versioning(Bucket=DROP_BUCKET, VersioningConfiguration={"Status": "Enabled"})
        versions = [
            client.put_object(Bucket=DROP_BUCKET, Key=key, Body=content)["VersionId"] for content in (b"old", b"new")
        ]
        files = S3RunFiles(client, RUN_BUCKET)
    files.copy(DROP_BUCKET, PinnedObject(key=key, version_id=versions[0], etag="", size=3), KEY)
    assert files.read(KEY) == b"old"


@pytest.mark.parametrize(
    ("key", "kind"),
    [("a.html", "text/html; charset=utf-8"), ("a.json", "application/json"), ("a", "binary/octet-stream")],
)
def test_a_browser_is_told_what_it_opens(aws: Callable[[str], Any], key: str, kind: str) -> None:
    client = aws("s3")
    client.create_bucket(Bucket=RUN_BUCKET)
    S3RunFiles(client, RUN_BUCKET).write(key, b"x")
    assert client.head_object(Bucket=RUN_BUCKET, Key=key)["ContentType"] == kind


@pytest.fixture(params=["memory", "s3"])
def models(request: pytest.FixtureRequest) -> ModelFiles:
    uri = "s3://models/one/tokenizer.json"
    if request.param == "memory":
        return InMemoryModelFiles({uri: b"{}"})
    client: Any = request.getfixturevalue("aws")("s3")
    client.create_bucket(Bucket="models")
    client.put_object(Bucket="models", Key="one/tokenizer.json", Body=b"{}")
    return S3ModelFiles(client)


@pytest.mark.parametrize(
    ("uri", "limit", "content"),
    [
        ("s3://models/one/tokenizer.json", 2, b"{}"),
        ("s3://models/one/tokenizer.json", 1, None),
        ("s3://models/two/tokenizer.json", 2, None),
        ("s3://nowhere/one/tokenizer.json", 2, None),
    ],
)
def test_what_lies_beside_the_weights_is_read_if_it_may_be(
    models: ModelFiles, uri: str, limit: int, content: bytes | None
) -> None:
    assert models.read(uri, limit) == content
