"""Tell what each file of a drop is for, from its name alone."""

import re
from collections.abc import Sequence

from tunedrop.domain.model import Record
from tunedrop.domain.plan import FileRole, PinnedFile, PinnedObject
from tunedrop.domain.problem import Problem, excerpt

FILE_LIMIT = 200
"""Files of one drop: the plan pins every one, and the run's record is a DynamoDB item of at most 400 KB."""

IGNORED_SHOWN = 10
"""Ignored files that are named one by one; the others are counted."""

KEY_LIMIT = 1024
"""Bytes of an S3 key: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html."""

_ROLE_OF_FOLDER = {
    "training": FileRole.TRAINING,
    "train": FileRole.TRAINING,
    "validation": FileRole.VALIDATION,
    "held-out": FileRole.HELD_OUT,
}
_ROLE_OF_FILE = {"validation.jsonl": FileRole.VALIDATION, "held-out.jsonl": FileRole.HELD_OUT}
_TEMPLATES = frozenset({"template.json", "training/template.json", "train/template.json"})

# Names become S3 keys, lines of a report and files in a container. ASCII alone has no twins in another normal form,
# no right-to-left marks and no control characters; a first letter or digit leaves out `..` and hidden files.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]*")


class DropFiles(Record):
    """Hold a drop's files by their role, what is wrong with them, and what was left aside."""

    files: tuple[PinnedFile, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def assign_roles(prefix: str, objects: Sequence[PinnedObject]) -> DropFiles:
    """Give every object under `prefix` (which ends with a slash) its role; what has none is ignored with a warning."""
    files: list[PinnedFile] = []
    problems: list[Problem] = []
    ignored: list[str] = []
    for each in sorted(objects, key=lambda each: each.key):
        name = each.key.removeprefix(prefix)
        if name in (each.key, "tune.yaml") or (each.key.endswith("/") and not each.size):
            continue  # another folder's, the spec itself, or the marker that the S3 console makes for a folder
        role = _role(name)
        if role is None:
            ignored.append(name)
            continue
        files.append(PinnedFile(role=role, name=name, **each.model_dump()))
        problems.extend(_problems(each.key, name, each.size))
    return DropFiles(
        files=tuple(files),
        problems=(*problems, *_missing_or_too_many(files)),
        warnings=_ignored(ignored),
    )


def _role(name: str) -> FileRole | None:
    if name in _TEMPLATES:
        return FileRole.TEMPLATE
    folder, slash, file = name.rpartition("/")
    if not file.endswith(".jsonl"):
        return None
    return _ROLE_OF_FOLDER.get(folder) if slash else _ROLE_OF_FILE.get(file, FileRole.TRAINING)


def _problems(key: str, name: str, size: int) -> list[Problem]:
    problems = []
    if not _NAME.fullmatch(name.rpartition("/")[2]) or len(key.encode(errors="surrogatepass")) > KEY_LIMIT:
        problems.append(
            Problem(
                code="drop.file-name",
                message="The name of the file cannot be used.",
                where=excerpt(name),
                fix="Rename it: letters a to z, digits, and . _ + - or space, beginning with a letter or digit.",
            )
        )
    if not size:
        problems.append(
            Problem(
                code="drop.empty-file",
                message="The file is empty.",
                where=excerpt(name),
                fix="Upload it with content, or delete it, then upload tune.yaml again.",
            )
        )
    return problems


def _missing_or_too_many(files: Sequence[PinnedFile]) -> list[Problem]:
    problems = []
    if not any(each.role is FileRole.TRAINING for each in files):
        problems.append(
            Problem(
                code="drop.no-training-file",
                message="There is no training data beside tune.yaml.",
                fix="Upload train.jsonl (one JSON object a line) into the same folder, then tune.yaml again.",
            )
        )
    templates = [each.name for each in files if each.role is FileRole.TEMPLATE]
    if len(templates) > 1:
        problems.append(
            Problem(
                code="drop.two-templates",
                message=f"There is more than one template: {', '.join(templates)}.",
                where=templates[1],
                fix="Keep one of them.",
            )
        )
    if len(files) > FILE_LIMIT:
        problems.append(
            Problem(
                code="drop.too-many-files",
                message=f"There are {len(files):,} files; {FILE_LIMIT} are allowed.",
                fix="Join the data into fewer files: a .jsonl file may have millions of lines.",
            )
        )
    return problems


def _ignored(files: Sequence[str]) -> tuple[str, ...]:
    named = [f"{excerpt(each)} is not part of the layout and is ignored." for each in files[:IGNORED_SHOWN]]
    more = len(files) - len(named)
    return (*named, f"{more:,} more files are ignored.") if more else tuple(named)
