"""A folder on its way into the drop bucket."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tunedrop.contracts.tune_spec import TuneSpecError, parse_tune_yaml
from tunedrop.domain import names
from tunedrop.domain.problem import excerpt
from tunedrop_cli.aws import Client
from tunedrop_cli.errors import CommandError

TUNE_FILE = "tune.yaml"

_MEANT = re.compile(r"tune\.(ya?ml|json|toml)(\.txt)?", re.IGNORECASE)


def dataset_name(folder: Path, name: str | None) -> str:
    """Return the dataset's name: as given, else the folder's."""
    dataset = name or folder.resolve().name
    if names.dataset_of(_key(dataset, TUNE_FILE)) != dataset:
        raise CommandError(
            f'"{dataset}" cannot name a dataset.',
            "Choose another with --name: 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first and last.",
        )
    return dataset


def misnamed(folder: Path) -> list[str]:
    """Name the files that are meant to be the `tune.yaml`, and are called otherwise."""
    found = (path.name for path in folder.iterdir() if path.is_file())
    return sorted(name for name in found if name != TUNE_FILE and _MEANT.fullmatch(name))


def check(folder: Path) -> None:
    """Refuse a folder with links to no file, or whose `tune.yaml` is missing or wrong, before anything is uploaded."""
    refuse_lost_links(folder)
    path = folder / TUNE_FILE
    if not path.is_file():
        if meant := misnamed(folder):
            raise CommandError(f"{path} is missing, but there is {excerpt(meant[0])}.", f"Rename it to {TUNE_FILE}.")
        raise CommandError(f"{path} is missing.", "Write at least `model: <a JumpStart model id>` into it.")
    try:
        parse_tune_yaml(path.read_bytes())
    except TuneSpecError as error:
        raise CommandError("\n".join(str(problem) for problem in error.problems)) from error


def data_files(folder: Path) -> dict[str, Path]:
    """Map the names under the drop's prefix to the files: all but `tune.yaml` and what is hidden."""
    return {name: path for name, path in _visible(folder) if name != TUNE_FILE and path.is_file()}


def refuse_lost_links(folder: Path) -> None:
    """Refuse links that lead to no file: what they mean would not be uploaded."""
    for name, path in _visible(folder):
        if path.is_symlink() and not path.is_file():
            raise CommandError(
                f"{excerpt(name)} is a link to a folder, or to nothing: it would be left out.",
                "Put the files themselves there: no link to a folder is followed.",
            )


def _visible(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name all that is not hidden, in order."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not any(part.startswith(".") for part in relative.parts):
            yield relative.as_posix(), path


class Drop:
    """Upload one dataset; its `tune.yaml` goes last, since it starts the run."""

    def __init__(self, s3: Client, bucket: str, dataset: str) -> None:
        """Upload through an S3 client."""
        self._s3 = s3
        self._bucket = bucket
        self._dataset = dataset

    def strangers(self, files: dict[str, Path]) -> list[str]:
        """Name what lies in the drop and not in the folder: the run will read it too."""
        prefix = _key(self._dataset, "")
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        there = (item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", []))
        return sorted(name for name in there if name not in files and name != TUNE_FILE)

    def upload(self, name: str, path: Path, sent: Callable[[int], None]) -> None:
        """Upload a data file; `sent` is told the bytes as they go."""
        self._s3.upload_file(str(path), self._bucket, _key(self._dataset, name), Callback=sent)

    def start(self, folder: Path) -> str:
        """Upload `tune.yaml` and return the id of the run that it starts."""
        key = _key(self._dataset, TUNE_FILE)
        answer = self._s3.put_object(Bucket=self._bucket, Key=key, Body=(folder / TUNE_FILE).read_bytes())
        if "VersionId" not in answer:
            raise CommandError(
                f"The bucket {self._bucket} keeps no versions, so no run can start.",
                "Deploy the stack's template again.",
            )
        return names.run_id(self._bucket, key, answer["VersionId"])


def _key(dataset: str, name: str) -> str:
    return f"datasets/{dataset}/{name}"
