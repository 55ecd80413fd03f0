"""Every file of a drop has one place: a role, an image set, or a warning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain import drop_files
from tunedrop.domain.drop_files import (
    NAMES_SHOWN,
    DropFiles,
    assign_roles,
    conversion,
    images_of,
    is_image,
    names_in,
    pin_images,
)
from tunedrop.domain.plan import FileRole, PinnedObject, Technique

PREFIX = "datasets/receipts/"

segments = st.sampled_from(
    [
        *("training", "train", "validation", "held-out", "images", "..", ""),
        *("metadata.jsonl", "train.jsonl", "validation.jsonl.gz", "held-out.csv", "corpus.txt", "template.json"),
        *("a.png", "b.JPG", "c.gif", "\u00e9.webp", "tune.yaml", "notes.md"),
    ]
) | st.text(max_size=5)
paths = st.lists(segments, min_size=1, max_size=4).map("/".join)


def objects(*names: str, size: int = 10) -> list[PinnedObject]:
    return [PinnedObject(key=PREFIX + name, version_id=f"v-{name}", etag=f"e-{name}", size=size) for name in names]


def assigned(technique: Technique, *names: str) -> DropFiles:
    return assign_roles(PREFIX, objects(*names), technique)


def roles(found: DropFiles) -> dict[str, FileRole]:
    return {each.name: each.role for each in found.files}


def codes(found: DropFiles) -> list[str]:
    return [each.code for each in found.problems]


@given(st.sets(paths, max_size=12), st.sampled_from(Technique))
def test_every_name_has_one_place_and_none_is_an_error(names: set[str], technique: Technique) -> None:
    found = assigned(technique, *names)

    pinned = {each.name for each in found.files}
    images = sum(each.count for each in found.images)
    content = [name for name, _ in found.etags]
    assert len(content) == len(set(content)) == len(pinned) + images
    assert pinned <= set(content) <= names - {"tune.yaml"}
    ignored = len(names - {"tune.yaml"}) - len(content)
    assert len(found.warnings) == min(ignored, NAMES_SHOWN + 1)
    assert all(str(each).isascii() and "\n" not in str(each) for each in found.problems)
    if technique is not Technique.VISUAL_QA:
        assert not images
    if not found.problems:
        assert all(".." not in name.split("/") for name in content)


@given(st.sets(paths, max_size=12), st.sampled_from(Technique), st.randoms())
def test_the_order_of_the_listing_does_not_matter(names: set[str], technique: Technique, random: object) -> None:
    listed = objects(*names)
    random.shuffle(listed)  # type: ignore[attr-defined]  # random.Random

    assert assign_roles(PREFIX, listed, technique) == assign_roles(PREFIX, objects(*sorted(names)), technique)


@pytest.mark.parametrize("technique", [Technique.INSTRUCTION, Technique.CHAT, Technique.DPO])
def test_lines_may_be_many_files_and_compressed(technique: Technique) -> None:
    found = assigned(technique, "a.jsonl", "train/b.jsonl.gz", "validation.jsonl.gz", "held-out/c.jsonl", "c.txt")

    assert roles(found) == {
        "a.jsonl": FileRole.TRAINING,
        "train/b.jsonl.gz": FileRole.TRAINING,
        "validation.jsonl.gz": FileRole.VALIDATION,
        "held-out/c.jsonl": FileRole.HELD_OUT,
    }
    assert codes(found) == []
    assert len(found.warnings) == 1


def test_a_template_is_for_instructions_alone() -> None:
    assert "template.json" in roles(assigned(Technique.INSTRUCTION, "train.jsonl", "template.json"))
    for technique in (Technique.CHAT, Technique.DPO, Technique.DOMAIN_ADAPTATION):
        assert "template.json" not in roles(assigned(technique, "train.jsonl", "train.json", "template.json"))


@pytest.mark.parametrize("name", ["train.txt", "corpus.csv", "training/data.json", "train/notes.txt.gz"])
def test_domain_adaptation_takes_one_file_a_role(name: str) -> None:
    found = assigned(Technique.DOMAIN_ADAPTATION, name, "validation.txt", "held-out.csv")

    assert roles(found) == {
        name: FileRole.TRAINING,
        "validation.txt": FileRole.VALIDATION,
        "held-out.csv": FileRole.HELD_OUT,
    }
    assert codes(found) == []


def test_two_files_of_one_role_are_too_many_for_domain_adaptation() -> None:
    found = assigned(Technique.DOMAIN_ADAPTATION, "a.txt", "b.csv", "validation.txt", "validation/c.txt")

    assert codes(found) == ["drop.one-file", "drop.one-file"]
    assert "a.txt, b.csv" in found.problems[0].message
    assert found.problems[1].where == "validation/c.txt"


@pytest.mark.parametrize(
    ("technique", "data"),
    [
        (Technique.INSTRUCTION, "train.jsonl"),
        (Technique.CHAT, "train.jsonl"),
        (Technique.DOMAIN_ADAPTATION, "train.txt"),
        (Technique.VISUAL_QA, "metadata.jsonl"),
    ],
)
def test_missing_training_data_is_told_with_what_to_upload(technique: Technique, data: str) -> None:
    (problem,) = assigned(technique, "notes.md").problems

    assert problem.code == "drop.no-training-file"
    assert data in problem.fix


def test_rows_of_text_by_the_name_of_another_technique_are_told_with_their_own() -> None:
    (problem,) = assigned(Technique.DOMAIN_ADAPTATION, "train.jsonl").problems
    assert "mv train.jsonl train.json;" in problem.fix
    (problem,) = assigned(Technique.VISUAL_QA, "train.jsonl", "images/1.png").problems
    assert "mv train.jsonl metadata.jsonl;" in problem.fix


def test_pictures_alone_are_told_what_they_lack() -> None:
    (problem,) = assigned(Technique.INSTRUCTION, "images/1.png").problems
    assert "metadata.jsonl" in problem.fix


@pytest.mark.parametrize("name", ["data/train.jsonl", "a/b/book.txt", "Training/metadata.jsonl", "data/train.csv.gz"])
def test_data_in_another_folder_is_told_with_where_it_should_lie(name: str) -> None:
    (problem,) = assigned(Technique.INSTRUCTION, "README.md", "validation.jsonl", name).problems
    assert problem.where == name
    assert f"there is {', '.join(sorted(['README.md', 'validation.jsonl', name]))}." in problem.message
    assert problem.fix.startswith(f"Move {name} up, beside tune.yaml, or into training/")


def test_data_of_no_technique_is_named() -> None:
    (problem,) = assigned(Technique.INSTRUCTION, "data.xlsx", "train.docx").problems
    assert "there is data.xlsx, train.docx." in problem.message
    assert problem.fix.startswith("Upload train.jsonl")


def test_images_belong_to_the_nearest_metadata_above() -> None:
    names = ["metadata.jsonl", "a.png", "images/x/b.jpg", "validation/metadata.jsonl", "validation/images/c.webp"]
    found = assigned(Technique.VISUAL_QA, *names, "held-out/metadata.jsonl", "held-out/d.gif")

    assert roles(found) == {
        "metadata.jsonl": FileRole.TRAINING,
        "validation/metadata.jsonl": FileRole.VALIDATION,
        "held-out/metadata.jsonl": FileRole.HELD_OUT,
    }
    assert {each.metadata: (each.count, each.bytes) for each in found.images} == {
        "metadata.jsonl": (2, 20),
        "validation/metadata.jsonl": (1, 10),
        "held-out/metadata.jsonl": (1, 10),
    }
    assert (codes(found), found.warnings) == ([], ())


def test_an_image_that_lies_below_no_metadata_is_ignored() -> None:
    found = assigned(Technique.VISUAL_QA, "training/metadata.jsonl", "training/a.png", "b.png")

    assert [each.count for each in found.images] == [1]
    assert found.warnings == ("b.png is not part of the layout and is ignored.",)


def test_two_lists_of_images_to_train_on_are_too_many() -> None:
    found = assigned(Technique.VISUAL_QA, "metadata.jsonl", "a.png", "train/metadata.jsonl", "train/b.png")

    assert codes(found) == ["drop.one-file"]


def test_each_list_needs_its_images() -> None:
    found = assigned(Technique.VISUAL_QA, "metadata.jsonl", "a.png", "validation/metadata.jsonl")

    assert [(each.code, each.where) for each in found.problems] == [("drop.no-images", "validation/metadata.jsonl")]


def test_image_names_that_cannot_be_used_are_counted_in_one_problem() -> None:
    odd = [f"images/\u00e9{number:02}.png" for number in range(12)]
    found = assigned(Technique.VISUAL_QA, "metadata.jsonl", "images/fine.png", ".hidden/a.png", *odd)

    (problem,) = found.problems
    assert problem.code == "drop.image-name"
    assert problem.message.startswith("13 of 14 images")
    assert problem.message.endswith("and 3 more.")


def test_more_images_than_are_listed_in_time_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drop_files, "IMAGE_LIMIT", 1)

    assert codes(assigned(Technique.VISUAL_QA, "metadata.jsonl", "a.png", "b.png")) == ["drop.too-many-images"]


@pytest.mark.parametrize("field", ["etag", "version_id", "size"])
def test_an_image_that_was_changed_changes_the_digest(field: str) -> None:
    before = names_in(PREFIX, objects("a.png", "b.png"))
    changed = before["b.png"].model_copy(update={field: 99 if field == "size" else "another"})
    images = images_of(["metadata.jsonl"], before)["metadata.jsonl"]

    pinned = pin_images("metadata.jsonl", images)
    assert pin_images("metadata.jsonl", dict(reversed(images.items()))) == pinned
    assert pin_images("metadata.jsonl", images | {"b.png": changed}).digest != pinned.digest
    assert pin_images("metadata.jsonl", {"a.png": images["a.png"]}).digest != pinned.digest


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("a.png", True),
        ("a/b.JPeG", True),
        ("a.tiff", True),
        ("a.jfif", True),
        ("a.HEIC", True),
        ("a.jp", False),
        ("png", False),
        ("a.png.txt", False),
        ("a.pdf", False),
    ],
)
def test_an_image_is_known_by_its_extension(name: str, image: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_image(name) is image


@pytest.mark.parametrize(
    ("technique", "name", "size", "refused"),
    [
        (Technique.DOMAIN_ADAPTATION, "train.txt", (1 << 30) + 1, True),
        (Technique.DOMAIN_ADAPTATION, "train.txt", 1 << 30, False),
        (Technique.INSTRUCTION, "train.jsonl.gz", (256 << 20) + 1, True),
        (Technique.INSTRUCTION, "train.jsonl", 1 << 40, False),
    ],
)
def test_what_one_function_must_read_whole_may_not_be_larger_than_it_can_read(
    technique: Technique, name: str, size: int, *, refused: bool
) -> None:
    prefix = "datasets/d/"
    found = assign_roles(prefix, [PinnedObject(key=prefix + name, version_id="1", etag="e", size=size)], technique)
    assert [each.code for each in found.problems] == ["drop.too-large"] * refused


@pytest.mark.parametrize(
    "name",
    [
        "held_out.jsonl",
        "holdout.jsonl",
        "test.jsonl",
        "val.jsonl",
        "Validation.jsonl",
        "validation_set.jsonl",
        "Dev-Set.jsonl",
        "eval.jsonl.gz",
        "test-00000-of-00001.jsonl",
        "test_v2.jsonl",
        "train/test.jsonl",
        "cards_test.jsonl",
        "training/cards-validation-00001-of-00002.jsonl.gz",
    ],
)
def test_a_file_whose_name_speaks_of_measuring_is_not_trained_on(name: str) -> None:
    found = assigned(Technique.INSTRUCTION, "train.jsonl", name)
    assert [(each.code, each.where) for each in found.problems] == [("drop.file-role", name)]


def test_a_file_whose_name_only_begins_like_one_is_trained_on() -> None:
    assert not assigned(Technique.INSTRUCTION, "train.jsonl", "tests-of-engines.jsonl", "values.jsonl").problems


def test_a_subject_is_no_measuring_unless_files_are_told_apart_by_their_names() -> None:
    assert not assigned(Technique.INSTRUCTION, "web-dev.jsonl", "unit_test.jsonl").problems
    assert not assigned(Technique.INSTRUCTION, "train-test.jsonl", "rows.jsonl").problems
    assert not assigned(Technique.INSTRUCTION, "web.dev.train.jsonl").problems


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["TRAIN.TXT"], "mv TRAIN.TXT train.txt"),
        (["Train.Csv.GZ"], "mv Train.Csv.GZ train.csv.gz"),
        (["rows.zip"], "unzip rows.zip"),
        (["my rows.tar.gz"], "tar -xf 'my rows.tar.gz'"),
    ],
)
def test_without_training_data_what_could_hold_it_is_told_with_its_command(names: list[str], said: str) -> None:
    (problem,) = assigned(Technique.INSTRUCTION, *names).problems
    assert said in problem.fix


def test_pictures_and_their_rows_in_archives_are_told_with_the_command_that_unpacks_them() -> None:
    (problem,) = assigned(Technique.VISUAL_QA, "metadata.jsonl.gz", "1.png").problems
    assert "gunzip metadata.jsonl.gz" in problem.fix
    (problem,) = assigned(Technique.VISUAL_QA, "metadata.jsonl", "images.zip").problems
    assert "unzip images.zip" in problem.fix


def test_a_template_in_upper_case_is_told_with_the_command_that_makes_it_one() -> None:
    (warning,) = assigned(Technique.INSTRUCTION, "train.jsonl", "Template.json").warnings
    assert warning.endswith("it becomes part of it by: mv Template.json template.json")
    (warning,) = assigned(Technique.CHAT, "train.jsonl", "Template.json").warnings
    assert warning.endswith("is ignored.")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("train.ndjson", "mv train.ndjson train.jsonl"),
        ("my train.jsonlines.gz", "mv 'my train.jsonlines.gz' 'my train.jsonl.gz'"),
        ("train.jsonl.gzip", "mv train.jsonl.gzip train.jsonl.gz"),
        ("TRAIN.JSONL", "mv TRAIN.JSONL TRAIN.jsonl"),
        ("train.parquet", 'lines=True)" train.parquet train.jsonl'),
    ],
)
def test_rows_by_another_name_are_told_with_the_command_that_makes_them_part(name: str, command: str) -> None:
    alone = assigned(Technique.INSTRUCTION, name)
    assert command in alone.problems[0].fix
    beside = assigned(Technique.INSTRUCTION, "more.jsonl", name)
    assert beside.problems == ()
    assert command in beside.warnings[0]


@pytest.mark.parametrize("name", ["notes.md", "-f.ndjson", "a\nb.ndjson", "ü.ndjson", f"{'x' * 200}.ndjson"])
def test_no_command_is_written_of_what_a_shell_might_misread(name: str) -> None:
    assert conversion(name, ()) is None


@pytest.mark.parametrize("name", ["train.ndjson", "train.parquet", "train.jsonl.gzip"])
def test_no_command_writes_over_a_file_that_is_there(name: str) -> None:
    beside = assigned(Technique.INSTRUCTION, "train.jsonl", "train.jsonl.gz", name)
    assert beside.warnings == (f"{name} is not part of the layout and is ignored.",)


def test_without_training_data_the_command_is_for_a_file_to_train_on() -> None:
    (problem,) = assigned(Technique.INSTRUCTION, "held-out.ndjson", "rows.ndjson").problems
    assert "mv rows.ndjson rows.jsonl" in problem.fix
