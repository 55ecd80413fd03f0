"""Tell what each file of a drop is for, from its name alone."""

import hashlib
import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence

from tunedrop.domain.model import Record
from tunedrop.domain.plan import FileRole, ImageSet, PinnedFile, PinnedObject, Technique
from tunedrop.domain.problem import Problem, excerpt

FILE_LIMIT = 200
"""Files of one drop: the plan pins every one, and the run's record is a DynamoDB item of at most 400 KB."""

IMAGE_LIMIT = 20_000
"""Images of one drop: one function reads and copies every one within its 15 minutes."""

WHOLE_LIMIT_BYTES = 1 << 30
"""What a file may have that is read by one function as a whole: running text, tables and the rows about pictures."""

COMPRESSED_LIMIT_BYTES = 256 << 20
"""The same for a gzip file, which inflates to several times as much."""

NAME_SHOWN_WHOLE = 100
"""Characters of a name that a command may hold."""

NAMES_SHOWN = 10
"""Names of ignored or refused files that are told one by one; the others are counted."""

KEY_LIMIT = 1024
"""Bytes of an S3 key: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html."""

METADATA_FILE = "metadata.jsonl"
"""What names the images of visual question answering, row by row."""

TEMPLATES = frozenset({"template.json", "training/template.json", "train/template.json"})
"""Where a template for instructions may lie."""

_ROLE_OF_FOLDER = {
    "training": FileRole.TRAINING,
    "train": FileRole.TRAINING,
    "validation": FileRole.VALIDATION,
    "held-out": FileRole.HELD_OUT,
}
_ROLE_OF_STEM = {"validation": FileRole.VALIDATION, "held-out": FileRole.HELD_OUT}
_LINES = re.compile(r"(?P<stem>.*)\.jsonl(\.gz)?", re.DOTALL)
_DATA: Mapping[Technique, re.Pattern[str]] = {
    Technique.INSTRUCTION: _LINES,
    Technique.CHAT: _LINES,
    Technique.DPO: _LINES,
    Technique.DOMAIN_ADAPTATION: re.compile(r"(?P<stem>.*)\.(txt|csv|json)(\.gz)?", re.DOTALL),
    Technique.VISUAL_QA: re.compile(r"(?P<stem>metadata)\.jsonl"),
}
# Formats that the validator refuses are images too: it can say so, instead of leaving them out.
_IMAGE = re.compile(r".*\.(png|jpe?g|jpe|jfif|gif|webp|bmp|tiff?|hei[cf]|avif|svg)", re.DOTALL | re.IGNORECASE)

# Names become S3 keys, lines of a report and files in a container. ASCII alone has no twins in another normal form,
# no right-to-left marks and no control characters; a first letter or digit leaves out `..` and hidden files.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]*")
_MEASURING = re.compile(
    r"(?P<of>.*[ _.-])?(h[eo]ld[ _-]?out|test|eval|evaluation|val|valid|validation|dev)[ _-]?(set|data)?"
    r"([ _.-]?v?[0-9]+(-of-[0-9]+)?)?(?!.*\.train(ing)?\.)\.[a-z.]+",
    re.IGNORECASE,
)
"""What people call the files that are not to be trained on, also of some dataset, or in numbered parts."""
_TRAINING = re.compile(r"(?<![a-z])train(ing)?(?![a-z])", re.IGNORECASE)
"""What they call the others, where they are told apart by their names."""
_RENAME = "letters a to z, digits, and . _ + - or space, beginning with a letter or digit."

_ONE_FILE = frozenset({Technique.DOMAIN_ADAPTATION, Technique.VISUAL_QA})
"""The techniques whose scripts read one file of a channel."""

_EXAMPLE: Mapping[Technique, str] = {
    Technique.INSTRUCTION: "train.jsonl (one JSON object a line)",
    Technique.CHAT: "train.jsonl (one conversation a line)",
    Technique.DPO: "train.jsonl (a prompt, a chosen and a rejected answer a line)",
    Technique.DOMAIN_ADAPTATION: "train.txt, train.csv or train.json",
    Technique.VISUAL_QA: f"{METADATA_FILE} and the images that it names",
}


# The layout's own names fit, too; they are asked about when upper case alone keeps a file from being one of them.
_LINES_BY_ANOTHER_NAME = re.compile(
    r"(?P<stem>.+)\.(jsonl|ndjson|jsonlines|jsonl\.txt|jl|ldjson)(?P<gz>\.gz(ip)?)?", re.IGNORECASE
)
_GZIP_BY_ANOTHER_NAME = re.compile(r"(?P<name>.+\.jsonl)\.(gzip|z)", re.IGNORECASE)
_ARCHIVE = re.compile(r".+\.(zip|tar|tgz|tar\.(gz|bz2|xz))")
_PARQUET = re.compile(r"(?P<stem>.+)\.parquet", re.IGNORECASE)


def parquet_command(source: str, target: str) -> str:
    """Write the command that makes CSV of a Parquet file, or JSON lines; both names as a shell takes them."""
    csv = target.endswith(".csv")
    write = "to_csv(sys.argv[2], index=False)" if csv else "to_json(sys.argv[2], orient='records', lines=True)"
    return f'python3 -c "import sys, pandas; pandas.read_parquet(sys.argv[1]).{write}" {source} {target}'


def conversion(name: str, taken: Collection[str]) -> str | None:
    """Return the command that makes a file part of the layout, where its name says that it holds rows.

    None, too, where it would write over one of the files that are there already, which are `taken`.
    """
    if not name.isascii() or not name.isprintable() or name.startswith("-") or len(name) > NAME_SHOWN_WHOLE:
        return None
    if match := _LINES_BY_ANOTHER_NAME.fullmatch(name):
        target = f"{match['stem']}.jsonl{'.gz' if match['gz'] else ''}"
    elif match := _GZIP_BY_ANOTHER_NAME.fullmatch(name):
        target = f"{match['name']}.gz"
    elif match := _PARQUET.fullmatch(name):
        target = f"{match['stem']}.jsonl"
    else:
        return None
    if target in taken:
        return None
    names = shlex.quote(name), shlex.quote(target)
    return parquet_command(*names) if match.re is _PARQUET else f"mv {' '.join(names)}"


def _in_lower_case(name: str, taken: Collection[str], technique: Technique) -> str | None:
    """Return the command that makes a file part of the layout, where upper case alone keeps it out."""
    lower = name.lower()
    if lower in taken or not role_of(lower, technique) or not _NAME.fullmatch(name):
        return None
    return f"mv {shlex.quote(name)} {shlex.quote(lower)}"


def _unpacking(found: Sequence[str]) -> str | None:
    """Return the command that takes the files out of an archive, if there is one."""
    archive = next((each for each in found if _ARCHIVE.fullmatch(each) and _NAME.fullmatch(each)), None)
    if archive is None:
        return None
    return f"{'unzip' if archive.endswith('.zip') else 'tar -xf'} {shlex.quote(archive)}"


class DropFiles(Record):
    """Hold a drop's files by their role, what is wrong with them, and what was left aside."""

    files: tuple[PinnedFile, ...]
    images: tuple[ImageSet, ...]
    etags: tuple[tuple[str, str], ...]
    """The name and ETag of every file and every image."""
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def names_in(prefix: str, objects: Sequence[PinnedObject]) -> dict[str, PinnedObject]:
    """Return what lies under `prefix` (which ends with a slash) beside `tune.yaml`, by its path from there, in order.

    The empty markers that the S3 console makes for folders are left out.
    """
    found = {each.key.removeprefix(prefix): each for each in objects if each.key.startswith(prefix)}
    return {
        name: each
        for name, each in sorted(found.items(), key=lambda item: item[0])
        if name != "tune.yaml" and (each.size or not each.key.endswith("/"))
    }


def role_of(name: str, technique: Technique) -> FileRole | None:
    """Tell what a file is for; None for an image, and for what is not part of the technique's layout."""
    if name in TEMPLATES:
        return FileRole.TEMPLATE if technique is Technique.INSTRUCTION else None
    folder, slash, file = name.rpartition("/")
    match = _DATA[technique].fullmatch(file)
    if not match:
        return None
    return _ROLE_OF_FOLDER.get(folder) if slash else _ROLE_OF_STEM.get(match["stem"], FileRole.TRAINING)


def is_image(name: str) -> bool:
    """Tell whether a name is an image's."""
    return _IMAGE.fullmatch(name) is not None


def images_of(metadata: Collection[str], objects: Mapping[str, PinnedObject]) -> dict[str, dict[str, PinnedObject]]:
    """Return the images of every `metadata.jsonl` of the drop, by their path from its folder, in order.

    An image belongs to the nearest one above it: those in `validation/` are not the training's, although they lie
    below its folder. `objects` are named as `names_in` names them.
    """
    folders = {each.removesuffix(METADATA_FILE): each for each in metadata}
    nearest_first = sorted(folders, key=len, reverse=True)
    found: dict[str, dict[str, PinnedObject]] = {each: {} for each in metadata}
    for name in sorted(filter(is_image, objects)):
        folder = next((each for each in nearest_first if name.startswith(each)), None)
        if folder is not None:
            found[folders[folder]][name.removeprefix(folder)] = objects[name]
    return found


def pin_images(metadata: str, images: Mapping[str, PinnedObject]) -> ImageSet:
    """Pin the images of one `metadata.jsonl`, as `images_of` returns them."""
    digest = hashlib.sha256()
    for name, each in sorted(images.items()):
        digest.update(json.dumps([name, each.size, each.etag, each.version_id]).encode() + b"\n")
    return ImageSet(
        metadata=metadata,
        count=len(images),
        bytes=sum(each.size for each in images.values()),
        digest=digest.hexdigest(),
    )


def assign_roles(prefix: str, objects: Sequence[PinnedObject], technique: Technique) -> DropFiles:
    """Give every object under `prefix` its role for the technique; what has none is ignored with a warning."""
    found = names_in(prefix, objects)
    roles = {name: role for name in found if (role := role_of(name, technique))}
    files = tuple(PinnedFile(role=role, name=name, **found[name].model_dump()) for name, role in roles.items())
    images: dict[str, dict[str, PinnedObject]] = {}
    if technique is Technique.VISUAL_QA:
        images = images_of(roles, found)
    told_apart = any(role is FileRole.TRAINING and _TRAINING.search(_file(name)) for name, role in roles.items())
    paths = {each.key.removeprefix(prefix): each for pictures in images.values() for each in pictures.values()}
    return DropFiles(
        files=files,
        images=tuple(pin_images(metadata, pictures) for metadata, pictures in images.items()),
        etags=tuple((name, found[name].etag) for name in sorted([*roles, *paths])),
        problems=(
            *(problem for each in files for problem in _problems(each, told_apart=told_apart)),
            *_image_problems(images, prefix, list(found)),
            *_missing_or_too_many(files, technique, list(found)),
        ),
        warnings=_ignored([name for name in found if name not in roles and name not in paths], found, technique),
    )


def _usable(path: str, key: str) -> bool:
    return all(map(_NAME.fullmatch, path.split("/"))) and len(key.encode(errors="surrogatepass")) <= KEY_LIMIT


def _file(name: str) -> str:
    return name.rpartition("/")[2]


def _is_to_measure_with(name: str, *, told_apart: bool) -> bool:
    """Tell whether a name speaks of measuring; that of a subject, such as `web-dev`, does beside `train` alone."""
    match = _MEASURING.fullmatch(_file(name))
    return match is not None and (not match["of"] or (told_apart and not _TRAINING.search(match["of"])))


def _problems(file: PinnedFile, *, told_apart: bool) -> list[Problem]:
    problems = []
    if not _usable(file.name, file.key):
        problems.append(
            Problem(
                code="drop.file-name",
                message="The name of the file cannot be used.",
                where=excerpt(file.name),
                fix=f"Rename it: {_RENAME}",
            )
        )
    if file.role is FileRole.TRAINING and _is_to_measure_with(file.name, told_apart=told_apart):
        problems.append(
            Problem(
                code="drop.file-role",
                message="The file would be trained on, though its name speaks of measuring.",
                where=excerpt(file.name),
                fix="Name rows to measure with held-out.jsonl, those to validate with validation.jsonl; join others to "
                "train.jsonl.",
            )
        )
    limit = COMPRESSED_LIMIT_BYTES if file.name.endswith(".gz") else WHOLE_LIMIT_BYTES
    if file.size > limit and not file.name.endswith(".jsonl"):
        fix = "uncompressed" if file.name.endswith(".gz") else "in part"
        problems.append(
            Problem(
                code="drop.too-large",
                message=f"The file has {file.size:,} bytes; one function reads it, and {limit:,} are allowed.",
                where=excerpt(file.name),
                fix=f"Upload it {fix}.",
            )
        )
    if not file.size:
        problems.append(
            Problem(
                code="drop.empty-file",
                message="The file is empty.",
                where=excerpt(file.name),
                fix="Upload it with content, or delete it, then upload tune.yaml again.",
            )
        )
    return problems


def _image_problems(
    images: Mapping[str, Mapping[str, PinnedObject]], prefix: str, found: Sequence[str]
) -> Iterator[Problem]:
    number = sum(map(len, images.values()))
    unusable = [
        each.key.removeprefix(prefix)
        for pictures in images.values()
        for path, each in pictures.items()
        if not _usable(path, each.key)
    ]
    if unusable:
        yield Problem(
            code="drop.image-name",
            message=f"{len(unusable):,} of {number:,} images have names or folders that cannot be used: "
            f"{_shown(unusable)}.",
            where=excerpt(unusable[0]),
            fix=f"Rename them: {_RENAME}",
        )
    for metadata, pictures in images.items():
        if not pictures:
            yield Problem(
                code="drop.no-images",
                message=f"There are no images beside {metadata}, nor in folders below.",
                where=metadata,
                fix=f"Take the images out of the archive: {command}; then upload them, and tune.yaml again."
                if (command := _unpacking(found))
                else "Upload the images that it names (PNG, JPEG, GIF or WebP), then tune.yaml again.",
            )
    if number > IMAGE_LIMIT:
        yield Problem(
            code="drop.too-many-images",
            message=f"There are {number:,} images; {IMAGE_LIMIT:,} are allowed.",
            fix="Tune on a part of them.",
        )


def _is_misplaced(name: str) -> bool:
    """Tell whether a file would hold data, if it lay in a folder of the layout."""
    folder, slash, file = name.rpartition("/")
    return bool(slash) and folder not in _ROLE_OF_FOLDER and any(each.fullmatch(file) for each in _DATA.values())


def _no_training_file(technique: Technique, found: Sequence[str]) -> Problem:
    """Say where data was looked for, and what lies there instead."""
    message = "There is no training data beside tune.yaml, nor in training/ or train/"
    misplaced = list(filter(_is_misplaced, found))
    to_train_on = [each for each in found if each.partition(".")[0] not in _ROLE_OF_STEM]
    command = next((command for each in to_train_on if (command := conversion(each, found))), None)
    lines = next((each for each in to_train_on if re.fullmatch(r"[A-Za-z0-9_-]+\.jsonl", each)), None)
    respelled = next(
        filter(None, (_in_lower_case(each, found, other) for each in to_train_on for other in _DATA)), None
    )
    if command and _DATA[technique] is _LINES:
        fix = f"Make it JSON lines: {command}; then upload it, and tune.yaml again."
    elif lines and technique is Technique.VISUAL_QA:
        fix = (
            f"If its rows name the images, call it so: mv {lines} {METADATA_FILE}; then upload it, and tune.yaml again."
        )
    elif lines and technique is Technique.DOMAIN_ADAPTATION:
        fix = f"If its rows have a text each, name it so: mv {lines} {lines.removesuffix('l')}; then upload it, and "
        fix += "tune.yaml again."
    elif respelled:
        fix = f"Write its name in lower case: {respelled}; then upload it, and tune.yaml again."
    elif f"{METADATA_FILE}.gz" in found and technique is Technique.VISUAL_QA:
        fix = f"Inflate it: gunzip {METADATA_FILE}.gz; then upload it, and tune.yaml again."
    elif unpacking := _unpacking(found):
        fix = f"Take the files out of the archive: {unpacking}; then upload them, and tune.yaml again."
    elif any(map(is_image, found)):
        fix = f"Upload {_EXAMPLE[Technique.VISUAL_QA]} into the same folder, then tune.yaml again."
    elif misplaced:
        fix = f"Move {excerpt(misplaced[0])} up, beside tune.yaml, or into training/; then upload tune.yaml again."
    else:
        fix = f"Upload {_EXAMPLE[technique]} into the same folder, then tune.yaml again."
    return Problem(
        code="drop.no-training-file",
        message=f"{message}; there is {_shown(found)}." if found else f"{message}; there is nothing.",
        where=excerpt(misplaced[0]) if misplaced else "",
        fix=fix,
    )


def _missing_or_too_many(files: Sequence[PinnedFile], technique: Technique, found: Sequence[str]) -> list[Problem]:
    problems = []
    by_role = {role: [each.name for each in files if each.role is role] for role in FileRole}
    if not by_role[FileRole.TRAINING]:
        problems.append(_no_training_file(technique, found))
    if technique in _ONE_FILE:
        problems.extend(
            Problem(
                code="drop.one-file",
                message=f"There is more than one {role} file: {_shown(names)}. The technique {technique} takes one.",
                where=excerpt(names[1]),
                fix="Join them, or keep one; or say another technique in tune.yaml.",
            )
            for role, names in by_role.items()
            if len(names) > 1
        )
    templates = by_role[FileRole.TEMPLATE]
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


def _ignored(files: Sequence[str], found: Collection[str], technique: Technique) -> tuple[str, ...]:
    named = []
    for each in files[:NAMES_SHOWN]:
        command = conversion(each, found)
        if each.lower() in TEMPLATES:
            command = _in_lower_case(each, found, technique)
        named.append(
            f"{excerpt(each)} is not part of the layout and is ignored"
            + (f"; it becomes part of it by: {command}" if command else ".")
        )
    more = len(files) - len(named)
    return (*named, f"{more:,} more files are ignored.") if more else tuple(named)


def _shown(names: Sequence[str]) -> str:
    """List the first names, and count the others."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(map(excerpt, names[:NAMES_SHOWN])) + (f" and {more:,} more" if more > 0 else "")
