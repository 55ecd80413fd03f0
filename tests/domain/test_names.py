"""Names are the same for the same thing, fit AWS's alphabets and lengths, and can be read back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain import names

SAGEMAKER_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
BEDROCK_NAME = re.compile(r"(?=.{1,63}$)([0-9a-zA-Z][_-]?)+")

stacks = st.from_regex(r"[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+){0,3}", fullmatch=True).filter(
    lambda stack: len(stack) <= names.STACK_NAME_LIMIT
)
run_ids = st.tuples(st.text(), st.text(), st.text()).map(lambda parts: names.run_id(*parts))


def test_a_run_is_named_by_the_uploaded_version() -> None:
    name = names.run_id("bucket", "datasets/receipts/tune.yaml", "v1")
    assert re.fullmatch("[a-z2-7]{26}", name)
    assert name == names.run_id("bucket", "datasets/receipts/tune.yaml", "v1")
    others = {
        names.run_id("bucket", "datasets/receipts/tune.yaml", "v2"),
        names.run_id("bucket", "datasets/other/tune.yaml", "v1"),
        names.run_id("other", "datasets/receipts/tune.yaml", "v1"),
    }
    assert len(others | {name}) == 4


def test_the_name_of_a_run_never_changes_between_versions_of_tunedrop() -> None:
    assert names.run_id("b", "datasets/d/tune.yaml", "1") == "zitw377yqz7zekrk763cudndor"


@given(stacks, run_ids, st.integers(min_value=1, max_value=99))
def test_training_jobs_fit_sagemaker_and_are_read_back(stack: str, run: str, attempt: int) -> None:
    name = names.training_job(stack, run, attempt)
    assert SAGEMAKER_NAME.fullmatch(name)
    assert names.run_of_training_job(stack, name) == run
    assert names.run_of_training_job(f"{stack}x", name) is None
    assert names.run_of_training_job("x", name) is None or stack == "x"


@given(stacks, run_ids)
def test_imported_models_fit_bedrock_and_are_read_back(stack: str, run: str) -> None:
    name = names.imported_model(stack, run)
    assert BEDROCK_NAME.fullmatch(name)
    assert names.run_of_imported_model(stack, name) == run
    assert names.run_of_imported_model(f"{stack}x", name) is None


@pytest.mark.parametrize("name", ["tunedrop-by-hand", "tunedrop", "", "tunedrop-aaaa-a1"])
def test_what_others_made_is_no_run_of_ours(name: str) -> None:
    assert names.run_of_training_job("tunedrop", name) is None
    assert names.run_of_imported_model("tunedrop", name) is None


def test_the_jobs_of_a_stack_whose_name_begins_like_ours_are_not_ours() -> None:
    run = names.run_id("b", "k", "v")
    assert names.run_of_training_job("tunedrop", names.training_job("tunedrop-dev", run, 1)) is None
    assert names.run_of_imported_model("tunedrop", names.imported_model("tunedrop-dev", run)) is None


@pytest.mark.parametrize(
    ("key", "dataset"),
    [
        ("datasets/receipts/tune.yaml", "receipts"),
        ("datasets/A.b_c-9/tune.yaml", "A.b_c-9"),
        (f"datasets/{'a' * 64}/tune.yaml", "a" * 64),
        (f"datasets/{'a' * 65}/tune.yaml", None),
        ("datasets/receipts/old/tune.yaml", None),
        ("datasets//tune.yaml", None),
        ("datasets/../tune.yaml", None),
        ("datasets/-a/tune.yaml", None),
        ("datasets/a b/tune.yaml", None),
        ("datasets/é/tune.yaml", None),
        ("datasets/receipts/tune.yaml\n", None),
        ("datasets/receipts/tune.yml", None),
        ("other/datasets/receipts/tune.yaml", None),
        ("tune.yaml", None),
    ],
)
def test_the_dataset_is_the_one_folder_below_datasets(key: str, dataset: str | None) -> None:
    assert names.dataset_of(key) == dataset


def test_equal_files_have_an_equal_fingerprint_whatever_their_order() -> None:
    files = [("train.jsonl", "1"), ("tune.yaml", "2")]
    assert names.fingerprint("d", files) == names.fingerprint("d", reversed(files))
    assert names.fingerprint("d", files) != names.fingerprint("e", files)
    assert names.fingerprint("d", files) != names.fingerprint("d", [("train.jsonl", "2"), ("tune.yaml", "1")])


def test_all_that_a_run_writes_lies_under_its_own_prefix() -> None:
    run = names.run_id("b", "k", "v")
    for key in (
        names.channel_prefix(run, "training"),
        names.held_out_key(run),
        names.report_key(run),
        names.training_output_prefix(run),
        names.answers_key(run),
    ):
        assert key.startswith(names.run_prefix(run))


@given(stacks, run_ids)
def test_an_endpoint_is_read_from_the_arn_of_its_component(stack: str, run: str) -> None:
    name = names.endpoint(stack, run)
    assert SAGEMAKER_NAME.fullmatch(name)
    assert names.endpoint_of(f"arn:aws:sagemaker:us-east-1:123456789012:inference-component/{name}") == name
    assert names.endpoint_of("arn:aws:bedrock:us-east-1:123456789012:imported-model/abc") is None
