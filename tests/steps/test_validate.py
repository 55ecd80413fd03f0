"""A drop is judged as it was planned: channels and reports are written, and the record is told what it needs."""

import gzip
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image

from tests.fakes import FakeWorkflows, InMemoryDrops, InMemoryModelFiles, InMemoryRunFiles
from tests.samples import DATASET, PLAN, RUN_ID, new_run, observed
from tunedrop.domain import names
from tunedrop.domain.decide import PROBLEMS_ON_RECORD
from tunedrop.domain.drop_files import assign_roles
from tunedrop.domain.observations import DatasetAccepted, DatasetRefused, Observation, PlanMade, Refused, Unavailable
from tunedrop.domain.plan import DataTarget, FileRole, PinnedFile, Technique
from tunedrop.domain.run import Run
from tunedrop.errors import SourceChangedError, TransientError
from tunedrop.steps import drop_source, judging
from tunedrop.steps.executions import EXECUTIONS
from tunedrop.steps.judging import rules_of
from tunedrop.steps.scan_ranges import MergeScans, RangeToScan, ScanRange
from tunedrop.steps.validate import ValidateDataset
from tunedrop.validation import split
from tunedrop.validation.report import ValidationReport
from tunedrop.validation.split import HELD_OUT_BYTES, INFLATION

TRAINING = names.channel_prefix(RUN_ID, "training")
VALIDATION = names.channel_prefix(RUN_ID, "validation")
HELD_OUT = names.held_out_key(RUN_ID)
PREFIX = f"datasets/{DATASET}/"
RANGE_BYTES = 700
EVERYTHING = 1 << 30

SAYINGS = b"".join(b"To be, or not to be, that is the question number %d\n" % n for n in range(100))

TOKENIZER_URI = "s3://models/one/tokenizer.json"
# Splits at white space, and knows no word.
TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"},
}


def instructions(number: int, first: int = 0) -> bytes:
    rows = (
        {"instruction": f"Say the number {n}", "context": "", "response": f"It is {n}."} for n in _of(first, number)
    )
    return lines(*rows)


def conversations(number: int) -> bytes:
    return lines(
        *(
            {"messages": [{"role": "user", "content": f"Say {n}"}, {"role": "assistant", "content": f"It is {n}."}]}
            for n in range(number)
        )
    )


def lines(*rows: Mapping[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parsed(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def _of(first: int, number: int) -> range:
    return range(first, first + number)


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class World:
    """A drop, what a run makes of it, and the ports between them."""

    drops: InMemoryDrops = field(default_factory=InMemoryDrops)
    models: InMemoryModelFiles = field(default_factory=InMemoryModelFiles)
    workflows: FakeWorkflows = field(default_factory=FakeWorkflows)
    at_once_bytes: int = EVERYTHING
    range_bytes: int = RANGE_BYTES

    def __post_init__(self) -> None:
        self.files = InMemoryRunFiles(drops=self.drops)
        self.objects = self.files.objects

    def plan(self, technique: Technique, contents: Mapping[str, bytes], **target: Any) -> Run:
        """Upload a drop, and return its run as it was planned."""
        for name, content in contents.items():
            self.drops.put(PREFIX + name, content)
        dropped = assign_roles(PREFIX, self.drops.files(DATASET), technique)
        assert dropped.problems == ()
        update = {
            "data": DataTarget(technique=technique, technique_from="files", **target),
            "files": dropped.files,
            "images": dropped.images,
        }
        return observed(new_run(), PlanMade(plan=PLAN.model_copy(update=update)))

    def validate(self, run: Run) -> Observation:
        step = ValidateDataset(
            self.drops,
            self.files,
            self.models,
            self.workflows,
            at_once_bytes=self.at_once_bytes,
            range_bytes=self.range_bytes,
        )
        return step(run)

    def accept(self, technique: Technique, contents: Mapping[str, bytes], **target: Any) -> DatasetAccepted:
        seen = self.validate(self.plan(technique, contents, **target))
        assert isinstance(seen, DatasetAccepted), seen
        return seen

    def run_workflow(self, attempt: int = 1) -> None:
        """Do what the workflow's functions do."""
        name = names.validation_execution(RUN_ID, attempt)
        parts = json.loads(self.objects[self.workflows.contents[name]["ranges"]])
        for each in parts:
            part = RangeToScan.model_validate(each)
            assert ScanRange(self.drops, self.files, self.models)(part) == part.number
        MergeScans(self.drops, self.files)(RUN_ID)
        self.workflows.finish(name, "SUCCEEDED")

    @property
    def report(self) -> ValidationReport:
        return ValidationReport.model_validate_json(self.objects[names.report_key(RUN_ID)])


@pytest.fixture
def world() -> World:
    return World()


# ---------------------------------------------------------------- channels


def test_instructions_become_one_file_a_channel_the_template_and_prompts_to_measure_with(world: World) -> None:
    contents = {
        "train.jsonl": instructions(20),
        "more.jsonl": instructions(20, 100),
        "validation.jsonl": instructions(5, 200),
        "held-out.jsonl": instructions(5, 300),
    }
    world.accept(Technique.INSTRUCTION, contents)

    assert world.objects[f"{TRAINING}train.jsonl"] == instructions(20, 100) + instructions(20)
    assert world.objects[f"{VALIDATION}validation.jsonl"] == instructions(5, 200)
    assert json.loads(world.objects[f"{TRAINING}template.json"]).keys() == {"prompt", "completion"}
    asked = parsed(world.objects[HELD_OUT])
    assert [row.keys() for row in asked] == [{"prompt", "completion"}] * 5
    assert asked[0]["completion"] == "It is 300."
    assert {key for key in world.objects if "/channels/" in key} == {
        f"{TRAINING}train.jsonl",
        f"{TRAINING}template.json",
        f"{VALIDATION}validation.jsonl",
    }


def test_rows_are_set_apart_when_the_drop_has_none_to_measure_with(world: World) -> None:
    seen = world.accept(Technique.INSTRUCTION, {"train.jsonl": instructions(200)})

    trained, measured = parsed(world.objects[f"{TRAINING}train.jsonl"]), parsed(world.objects[HELD_OUT])
    assert (len(trained), len(measured)) == (seen.summary.training_rows, seen.summary.held_out_rows)
    assert len(trained) + len(measured) == 200
    assert {row["response"] for row in trained}.isdisjoint(row["completion"] for row in measured)


def test_conversations_are_written_under_the_key_that_the_script_reads(world: World) -> None:
    contents = {"train.jsonl": conversations(20), "held-out.jsonl": conversations(2)}
    world.accept(Technique.CHAT, contents, message_key="dialog")

    assert [row.keys() for row in parsed(world.objects[f"{TRAINING}train.jsonl"])] == [{"dialog"}] * 20
    assert f"{TRAINING}template.json" not in world.objects


@pytest.mark.parametrize(
    ("name", "content", "written"),
    [
        ("train.txt", SAYINGS, b"To be"),
        ("train.txt.gz", gzip.compress(SAYINGS, mtime=0), b"To be"),
        ("train.csv", b"text\n" + SAYINGS.replace(b",", b""), b"text\n"),
        ("train.json", lines(*({"text": each} for each in SAYINGS.decode().splitlines())), b'{"text":'),
    ],
    ids=["txt", "txt.gz", "csv", "json"],
)
def test_text_is_one_file_of_its_own_kind(world: World, name: str, content: bytes, written: bytes) -> None:
    world.accept(Technique.DOMAIN_ADAPTATION, {name: content})

    assert world.objects[TRAINING + name.removesuffix(".gz")].startswith(written)
    measured = parsed(world.objects[HELD_OUT])
    assert measured
    assert all(row.keys() == {"prompt", "completion"} for row in measured)


# ---------------------------------------------------------------- pictures


def pictures(number: int) -> dict[str, bytes]:
    return {f"images/{n:02}.png": picture(n) for n in range(number)}


def questions(*numbers: int) -> bytes:
    return lines(
        *({"file_name": f"images/{n:02}.png", "prompt": f"What is {n}?", "completion": f"Shade {n}"} for n in numbers)
    )


def copied(world: World, prefix: str) -> set[str]:
    return {key.removeprefix(prefix) for key in world.objects if key.startswith(prefix) and key.endswith(".png")}


def test_only_pictures_that_rows_mention_are_copied_each_to_its_side(world: World) -> None:
    held_out = {f"held-out/{name}": content for name, content in pictures(2).items()}
    contents = {
        "metadata.jsonl": questions(*range(12)),
        "held-out/metadata.jsonl": questions(0, 1),
        **pictures(14),
        **held_out,
    }
    seen = world.accept(Technique.VISUAL_QA, contents)

    assert parsed(world.objects[f"{TRAINING}metadata.jsonl"]) == parsed(questions(*range(12)))
    assert copied(world, TRAINING) == {f"images/{n:02}.png" for n in range(12)}
    rows = parsed(world.objects[HELD_OUT])
    assert [row["image"] for row in rows] == [
        f"{names.held_out_images_prefix(RUN_ID)}images/{n:02}.png" for n in (0, 1)
    ]
    assert all(world.objects[row["image"]].startswith(b"\x89PNG") for row in rows)
    assert any("nobody mentions" in each or "2" in each for each in seen.summary.warnings)


def test_pictures_of_rows_that_are_set_apart_stay_out_of_the_training_channel(world: World) -> None:
    world.accept(Technique.VISUAL_QA, {"metadata.jsonl": questions(*range(90)), **pictures(90)})

    measured = {row["file_name"] for row in parsed(world.objects[HELD_OUT])}
    assert measured
    assert copied(world, names.held_out_images_prefix(RUN_ID)) == measured
    assert copied(world, TRAINING) == pictures(90).keys() - measured


def test_a_picture_that_was_changed_after_the_plan_refuses_the_drop(world: World) -> None:
    run = world.plan(Technique.VISUAL_QA, {"metadata.jsonl": questions(*range(12)), **pictures(12)})
    world.drops.put(f"{PREFIX}images/03.png", picture(99))
    seen = world.validate(run)

    assert isinstance(seen, DatasetRefused)
    assert [problem.code for problem in seen.problems] == ["drop.changed"]
    assert "metadata.jsonl" in seen.problems[0].message


@pytest.mark.parametrize("order", [range(60), reversed(range(60)), (n * 7 % 60 for n in range(60)), range(0, 60, 3)])
def test_pictures_are_read_in_whatever_order_rows_mention_them(
    world: World, order: Iterable[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_source, "READ_AHEAD_BYTES", len(picture(30)))  # some are larger
    mentioned = list(order)
    contents = {"metadata.jsonl": questions(*mentioned), "held-out/metadata.jsonl": questions(5), **pictures(60)}
    contents["held-out/images/05.png"] = picture(200)
    world.accept(Technique.VISUAL_QA, contents)
    assert world.report.training_rows == len(mentioned)
    assert world.report.faulty_rows == 0


def test_no_picture_of_a_refused_drop_is_copied(world: World) -> None:
    contents = {"metadata.jsonl": questions(*range(12), 77), **pictures(12)}
    assert isinstance(world.validate(world.plan(Technique.VISUAL_QA, contents)), DatasetRefused)
    assert copied(world, names.run_prefix(RUN_ID)) == set()


# ---------------------------------------------------------------- what is told


def test_a_refusal_tells_the_first_errors_without_any_text_of_the_rows(world: World) -> None:
    bad = b"".join(b'{"instruction": "my secret %d"}\n' % n for n in range(PROBLEMS_ON_RECORD + 10))
    seen = world.validate(world.plan(Technique.INSTRUCTION, {"train.jsonl": instructions(200) + bad}))

    assert isinstance(seen, DatasetRefused)
    assert len(seen.problems) == PROBLEMS_ON_RECORD
    assert seen.counts == {"data.missing-field": PROBLEMS_ON_RECORD + 10}
    assert seen.problems[0].where == "train.jsonl:201"
    assert "secret" not in seen.model_dump_json()
    assert seen.summary
    assert seen.summary.page_uri == world.files.uri(names.report_page_key(RUN_ID))
    assert world.objects[names.report_page_key(RUN_ID)].startswith(b"<!doctype html>")
    assert world.report.counts["data.missing-field"] == PROBLEMS_ON_RECORD + 10


def test_the_record_is_told_what_was_counted(world: World) -> None:
    contents = {"train.jsonl": instructions(120) + instructions(2), "held-out.jsonl": instructions(1)}
    summary = world.accept(Technique.INSTRUCTION, contents, epochs=2, batch_size=10).summary

    assert (summary.training_rows, summary.duplicates, summary.leaked_rows) == (122, 2, 1)
    assert summary.expected_steps == world.report.expected_steps
    assert (summary.tokens, summary.tokens_basis) == (world.report.tokens and world.report.tokens.total, "estimate")
    assert any(warning.endswith(": 2") for warning in summary.warnings)


@pytest.mark.parametrize(
    ("content", "basis"),
    [(json.dumps(TOKENIZER).encode(), "tokenizer"), (b"no tokenizer", "estimate"), (None, "estimate")],
)
def test_the_model_s_tokenizer_counts_when_it_can_be_read(world: World, content: bytes | None, basis: str) -> None:
    if content:
        world.models.contents[TOKENIZER_URI] = content
    summary = world.accept(
        Technique.INSTRUCTION, {"train.jsonl": instructions(200)}, tokenizer_uri=TOKENIZER_URI
    ).summary
    assert summary.tokens_basis == basis


def test_a_tokenizer_that_is_too_large_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "TOKENIZER_BYTES", 10)
    world.models.contents[TOKENIZER_URI] = json.dumps(TOKENIZER).encode()
    summary = world.accept(
        Technique.INSTRUCTION, {"train.jsonl": instructions(200)}, tokenizer_uri=TOKENIZER_URI
    ).summary
    assert summary.tokens_basis == "estimate"


def test_a_template_that_cannot_be_used_is_refused_without_a_report(world: World) -> None:
    for template in (b'{"prompt": "no field", "completion": "{response}"}', b" " * 70_000):
        run = world.plan(Technique.INSTRUCTION, {"train.jsonl": instructions(20), "template.json": template})
        seen = world.validate(run)
        assert isinstance(seen, DatasetRefused)
        assert seen.summary is None
        assert seen.problems[0].where == "template.json"


def test_a_version_that_is_gone_refuses_the_drop(world: World) -> None:
    run = world.plan(Technique.INSTRUCTION, {"train.jsonl": instructions(20)})
    world.drops.versions.clear()
    seen = world.validate(run)
    assert isinstance(seen, DatasetRefused)
    assert [problem.code for problem in seen.problems] == ["drop.changed"]


@pytest.mark.parametrize(
    ("name", "size", "ratio"),
    [
        ("train.jsonl", HELD_OUT_BYTES, 0.1),
        ("train.jsonl", 10 * HELD_OUT_BYTES, 0.1),
        ("train.jsonl", 100 * HELD_OUT_BYTES, 0.01),
        ("train.jsonl.gz", 100 * HELD_OUT_BYTES // INFLATION, 0.01),
    ],
)
def test_no_more_rows_are_set_apart_than_an_evaluation_reads(name: str, size: int, ratio: float) -> None:
    file = PinnedFile(key=PREFIX + name, version_id="v", etag="e", size=size, role=FileRole.TRAINING, name=name)
    drawn = rules_of(PLAN.model_copy(update={"files": (file,)}), judging.JUMPSTART_DEFAULT).split
    assert drawn
    assert drawn.ratio == pytest.approx(ratio)
    assert drawn.asked == (0.1 if ratio < 0.1 else None)


def test_a_lowered_share_is_told_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "HELD_OUT_BYTES", 1_000)
    world.accept(Technique.INSTRUCTION, {"train.jsonl": instructions(400)})
    assert any("10.0% asked for" in sentence for sentence in world.report.not_checked)
    assert len(world.objects[HELD_OUT]) < 10_000


# ---------------------------------------------------------------- beyond one function


@pytest.fixture
def small() -> World:
    return World(at_once_bytes=5_000)


LARGE = {"train.jsonl": instructions(200) + instructions(3), "more.jsonl": instructions(30, 500)}


def test_a_large_dataset_is_read_by_a_workflow_and_comes_to_the_same(small: World) -> None:
    run = small.plan(Technique.INSTRUCTION, LARGE)
    waiting = small.validate(run)
    assert isinstance(waiting, Unavailable)
    assert "ranges" in waiting.reason
    assert small.validate(run) == waiting
    small.run_workflow()
    seen = small.validate(run)
    assert isinstance(seen, DatasetAccepted)

    whole = World()
    once = whole.accept(Technique.INSTRUCTION, LARGE)
    assert small.report == whole.report
    assert seen == once
    assert small.objects[HELD_OUT] == whole.objects[HELD_OUT]
    parts = sorted(key for key in small.objects if key.startswith(f"{TRAINING}part-"))
    assert len(parts) > 5
    assert b"".join(small.objects[key] for key in parts) == whole.objects[f"{TRAINING}train.jsonl"]
    assert small.objects[f"{TRAINING}template.json"] == whole.objects[f"{TRAINING}template.json"]
    assert f"{TRAINING}train.jsonl" not in small.objects


def test_conversations_are_cut_too(small: World) -> None:
    run = small.plan(Technique.CHAT, {"train.jsonl": conversations(200)})
    small.validate(run)
    small.run_workflow()
    assert isinstance(small.validate(run), DatasetAccepted)
    assert f"{TRAINING}template.json" not in small.objects


def test_pairs_of_answers_are_cut_too_and_handed_on_as_they_are(small: World) -> None:
    pairs = lines(*({"prompt": f"Say {n}, and why", "chosen": f"It is {n}.", "rejected": "No."} for n in range(200)))
    run = small.plan(Technique.DPO, {"train.jsonl": pairs})
    small.validate(run)
    small.run_workflow()
    assert isinstance(small.validate(run), DatasetAccepted)
    written = b"".join(small.objects[key] for key in sorted(small.objects) if key.startswith(TRAINING))
    assert set(written.splitlines()) < set(pairs.splitlines())


def test_text_and_pictures_are_read_at_once_however_large(small: World) -> None:
    small.accept(Technique.DOMAIN_ADAPTATION, {"train.txt": SAYINGS * 40})
    assert small.workflows.executions == {}


def test_a_range_that_is_scanned_again_leaves_the_same_bytes(small: World) -> None:
    small.validate(small.plan(Technique.INSTRUCTION, LARGE))
    small.run_workflow()
    before = dict(small.objects)
    small.run_workflow()
    assert small.objects == before


def test_ranges_are_judged_by_the_tokenizer_that_the_order_was_measured_with(small: World) -> None:
    small.models.contents[TOKENIZER_URI] = json.dumps(TOKENIZER).encode()
    small.validate(small.plan(Technique.INSTRUCTION, LARGE, tokenizer_uri=TOKENIZER_URI))
    small.models.contents.clear()
    with pytest.raises(TransientError):
        small.run_workflow()


def test_a_workflow_that_failed_is_started_again_twice_and_then_ends_the_run(small: World) -> None:
    run = small.plan(Technique.INSTRUCTION, LARGE)
    for attempt in range(1, EXECUTIONS + 1):
        assert isinstance(small.validate(run), Unavailable)
        name = names.validation_execution(RUN_ID, attempt)
        assert list(small.workflows.executions)[-1] == name
        small.workflows.finish(name, "FAILED", "States.ExceedToleratedFailureThreshold", "The threshold was exceeded")
    seen = small.validate(run)
    assert isinstance(seen, Refused)
    assert seen.problem.code == "validation.failed"
    assert "States.ExceedToleratedFailureThreshold: The threshold was exceeded." in seen.problem.message
    assert seen.problem.where.endswith(f"{RUN_ID}-{EXECUTIONS}")


def test_ranges_stay_as_they_were_cut_whatever_is_deployed_between_two_executions(small: World) -> None:
    run = small.plan(Technique.INSTRUCTION, LARGE)
    small.validate(run)
    small.run_workflow()
    scanned = {key: content for key, content in small.objects.items() if "/channels/" in key}
    small.workflows.finish(names.validation_execution(RUN_ID, 1), "FAILED", "States.Timeout", "")
    small.range_bytes = 3 * RANGE_BYTES
    small.models.contents[TOKENIZER_URI] = json.dumps(TOKENIZER).encode()

    small.validate(run)
    small.run_workflow(2)

    assert {key: content for key, content in small.objects.items() if "/channels/" in key} == scanned
    assert isinstance(small.validate(run), DatasetAccepted)


def test_two_who_start_the_workflow_at_once_leave_one_order(small: World) -> None:
    run = small.plan(Technique.INSTRUCTION, LARGE, tokenizer_uri=TOKENIZER_URI)
    small.validate(run)
    before = dict(small.objects)
    small.workflows.executions.clear()
    # The other one could read the tokenizer, and knows of another size.
    small.models.contents[TOKENIZER_URI] = json.dumps(TOKENIZER).encode()
    small.range_bytes = 3 * RANGE_BYTES
    small.validate(run)
    assert small.objects == before


def test_a_file_that_is_one_array_does_not_silence_the_next(small: World) -> None:
    array = json.dumps(parsed(instructions(300)), indent=1).encode()
    files = {"a.jsonl": array, "b.jsonl": instructions(40) + b"{\n"}
    small.validate(small.plan(Technique.INSTRUCTION, files))
    small.run_workflow()
    assert [(each.code, each.where) for each in small.report.findings if each.code in small.report.errors] == [
        ("data.json-array", "a.jsonl:1"),
        ("data.not-json", "b.jsonl:41"),
    ]


def test_what_a_function_said_when_it_failed_is_not_repeated(small: World) -> None:
    run = small.plan(Technique.INSTRUCTION, LARGE)
    for attempt in range(1, EXECUTIONS + 1):
        small.validate(run)
        name = names.validation_execution(RUN_ID, attempt)
        small.workflows.finish(name, "FAILED", "KeyError", '{"errorMessage": "a row of a user"}')
    seen = small.validate(run)
    assert isinstance(seen, Refused)
    assert "a row of a user" not in seen.model_dump_json()


def test_a_faulty_row_in_a_later_range_is_told_with_its_line(small: World) -> None:
    rows = instructions(200).splitlines(keepends=True)
    rows[149] = b'{"instruction": "a", "context": ""}\n'
    run = small.plan(Technique.INSTRUCTION, {"train.jsonl": b"".join(rows)})
    small.validate(run)
    small.run_workflow()
    seen = small.validate(run)
    assert isinstance(seen, DatasetRefused)
    assert [problem.where for problem in seen.problems] == ["train.jsonl:150"]
    assert HELD_OUT not in small.objects


def test_a_range_of_a_version_that_is_gone_fails(small: World) -> None:
    small.validate(small.plan(Technique.INSTRUCTION, LARGE))
    small.drops.versions.clear()
    with pytest.raises(SourceChangedError):
        small.run_workflow()


def test_a_version_that_is_gone_is_looked_for_once(small: World) -> None:
    run = small.plan(Technique.INSTRUCTION, LARGE)
    small.validate(run)
    small.workflows.finish(names.validation_execution(RUN_ID, 1), "FAILED", SourceChangedError.__name__)
    seen = small.validate(run)
    assert isinstance(seen, DatasetRefused)
    assert [problem.code for problem in seen.problems] == ["drop.changed"]
    assert list(small.workflows.executions) == [names.validation_execution(RUN_ID, 1)]
