"""The page of a run tells how it ended first, holds all there is, and none of it as markup."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings

from tests.domain.sample_runs import PROBLEMS
from tests.markup_page import ATTRIBUTES, ELEMENTS, HOSTILE, UNSEEN, Page
from tests.reporting.sample_run_reports import JUDGEMENT, LABELS, NOW, PLAN, ended, evaluation, run_report
from tests.samples import BASE_ENDPOINT
from tests.validation import sample_reports
from tunedrop.domain.evaluation_report import Confusion, LabelCounts, LabelResult, SegmentResult, SideBySide
from tunedrop.domain.plan import ServeTarget
from tunedrop.domain.run import TERMINAL, BaseEndpoint, Deployment, RunStatus
from tunedrop.domain.training_curve import Curve, TrainingCurves
from tunedrop.domain.words import visible
from tunedrop.reporting.page import render
from tunedrop.reporting.run_report import RunReport

ENDS = sorted(TERMINAL)


def hostile(text: str) -> RunReport:
    """Put a text wherever one of a user's, of a model's or of AWS's may stand."""
    # What is read from JSON holds no halves of surrogate pairs; a page must not break on them all the same.
    counts = LabelCounts(right=1, answered=2)
    sides = ("candidate", "base", "champion")
    label = LabelResult(label="a", rows=4, sides=dict.fromkeys(sides, counts)).model_copy(update={"label": text})
    confusion = Confusion(side="candidate", expected="a", answered="b", rows=3)
    segment = SegmentResult(segment="s", rows=4, values=dict.fromkeys(sides, 0.0)).model_copy(update={"segment": text})
    row = SideBySide(row=1, prompt="p", expected=("e",), answers={}, scores=dict.fromkeys(sides, 0.0))
    told = {"prompt": text, "expected": (text,), "answers": dict.fromkeys(sides, text)}
    problem = PROBLEMS[0].model_copy(update={"code": text, "message": text, "where": text, "fix": text})
    honest = ended(RunStatus.PROMOTED)
    assert honest.plan
    assert honest.training
    training = honest.plan.training.model_copy(update={"hyperparameters": {text: text}, "image_uri": text})
    file = honest.plan.files[0].model_copy(update={"name": text, "version_id": text, "etag": text})
    plan = honest.plan.model_copy(
        update={"files": (file,), "warnings": (text,), "training": training, "model_id": text}
    )
    drop = honest.drop.model_copy(update={"key": text, "uploaded_by": text})
    judgement = JUDGEMENT.model_copy(update={"failure": text, "scores": {}})
    run = honest.model_copy(
        update={
            "dataset": text,
            "reason": text,
            "problems": (problem,),
            "plan": plan,
            "drop": drop,
            "judgement": judgement,
        }
    )
    return run_report(
        run=run,
        evaluation=evaluation().model_copy(
            update={
                "labels": (label,),
                "confusions": (confusion.model_copy(update={"expected": text, "answered": text}),),
                "segments": (segment,),
                "side_by_side": (row.model_copy(update=told),),
            }
        ),
        curves=TrainingCurves((Curve(f"{text}loss", ((1.0, 2.0), (2.0, 1.0))),)),
    )


@given(HOSTILE)
@settings(max_examples=60)
def test_no_text_becomes_markup_or_stays_unseen(text: str) -> None:
    rendered = render(hostile(text))
    page = Page(rendered)

    assert {name for name, _ in page.elements} <= ELEMENTS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    assert [name for name, _ in page.elements] == [name for name, _ in Page(render(hostile("harmless"))).elements]
    assert not re.search(UNSEEN, rendered)
    rendered.encode()
    # Names of files, versions, hyperparameters, labels and segments, each where it belongs.
    assert page.shown.count(visible(text)) >= 10 * bool(text and "\n" not in text and "\t" not in text)


@pytest.mark.parametrize("status", ENDS)
def test_a_run_has_a_page_however_it_ended(status: RunStatus) -> None:
    page = Page(render(run_report(status)))
    text = page.text

    assert text.startswith(status.replace("_", " ").capitalize()), "the title"
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [name for _, attributes in page.elements for name in (attributes.get("aria-labelledby") or "").split()]
    assert set(named) <= set(ids)
    for told in ("What to try next", "Lineage", "Timeline", "Cost"):
        assert told in page.shown
    headings = [name for name, _ in page.elements].index("h2")
    assert page.elements[headings][1] == {"id": "verdict"}


def test_nothing_is_fetched_and_nothing_is_run() -> None:
    rendered = render(run_report())
    page = Page(rendered)

    policy = {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"}
    assert policy in page.all("meta")
    assert not re.search(r"https?:|url\(|@import|<script", rendered)
    assert [attributes["href"] for attributes in page.all("a")] == ["#verdict"]


def test_scores_are_shown_with_their_intervals_as_the_evaluation_has_them() -> None:
    text = Page(render(run_report())).text

    for told in ("0.762", "+0.502 to +0.712", "+0.040 to +0.250", "< 0.001", "61 of 80", "785.00", "by tokens"):
        assert told in text


def test_a_judge_s_grades_stand_apart_from_what_decided() -> None:
    page = Page(render(run_report(run=ended(RunStatus.PROMOTED, judgement=JUDGEMENT))))

    for told in (
        "amazon.nova-pro-v1:0 on Amazon Bedrock graded 1,000 answers of each model, drawn from 5,000 held-out rows.",
        "Its grades decide nothing.",
        *("Correctness", "Harmfulness (less is better)", "0.812", "0.250", "+0.562", "998"),
    ):
        assert told in page.text


def test_a_judge_that_said_nothing_is_told_with_the_reason() -> None:
    silent = JUDGEMENT.model_copy(update={"scores": {}, "failure": "Bedrock refused the judge's job."})
    page = Page(render(run_report(run=ended(RunStatus.NOT_PROMOTED, judgement=silent))))

    assert "There is none: Bedrock refused the judge's job. The metrics' verdict holds all the same." in page.text


def test_the_matrix_counts_every_row_of_a_label_once() -> None:
    rendered = render(run_report())
    matrix = rendered[rendered.index('<table class="matrix">') :]
    matrix = matrix[: matrix.index("</table>")]
    rows = re.findall(r"<tr>(<th scope=\"row\">.*?)</tr>", matrix)
    counted = [[int(cell.replace("·", "0")) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows]

    assert len(counted) == len(LABELS)
    assert [sum(row) for row in counted] == [each.rows for each in evaluation().labels]
    assert counted[3] == [0, 0, 0, 5, 4, 0, 0, 0, 1]


def test_rows_stand_side_by_side_with_what_every_model_said() -> None:
    page = Page(render(run_report()))

    assert "Row 4" in page.shown
    assert any("DEBIT CASA LUMEN | $222.80" in each for each in page.shown)
    assert any(each.startswith("The account is likely") for each in page.shown)
    assert len([each for each in page.all("span") if each.get("class") == "count wrong"]) == 3


def test_the_losses_are_drawn_and_told_in_words_and_numbers() -> None:
    page = Page(render(run_report()))

    assert len(page.all("polyline")) == 3
    assert "validation: from 0.61 to 0.22" in page.text
    assert "0.34" in page.shown


@pytest.mark.parametrize(
    "points", [((1.0, 0.0),), ((0.0, 5.0),), ((1.0, 1e-9), (2.0, 1e9)), tuple((float(n), n % 7) for n in range(400))]
)
def test_any_curve_can_be_drawn(points: tuple[tuple[float, float], ...]) -> None:
    page = Page(render(run_report(curves=TrainingCurves((Curve("eval-loss", points),)))))

    for line in page.all("polyline"):
        places = [float(each) for pair in (line["points"] or "").split() for each in pair.split(",")]
        assert all(0 <= place <= 1000 for place in places)


def test_without_a_log_the_last_values_are_told() -> None:
    text = Page(render(run_report(curves=TrainingCurves()))).text

    assert "The log of the training job names no loss." in text
    assert "0.2144" in text


def test_lineage_names_versions_and_the_hash_of_the_request() -> None:
    text = Page(render(run_report())).text

    for told in ("version v9", "sourcedir.tar.gz", "5f3c5f3c", "meta-textgeneration-llama-3-2-1b-instruct 1.2.3", "v1"):
        assert told in text


def test_time_and_money_are_held_against_what_was_expected() -> None:
    text = Page(render(run_report())).text

    for told in (
        "7 min 37 s",
        "0.42 USD",
        "within its range; 0.58 times the likely sum",
        "Budget",
        "training.capacity",
    ):
        assert told in text


def test_what_an_endpoint_serves_is_told_as_such_and_no_import_is() -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:inference-component/tunedrop-x"
    deployment = Deployment(target=ServeTarget.ENDPOINT, model_name="tunedrop-x", model_arn=arn)
    evaluation_plan = PLAN.evaluation.model_copy(update={"base_endpoint": BASE_ENDPOINT})
    run = ended(
        RunStatus.PROMOTED,
        plan=PLAN.model_copy(update={"evaluation": evaluation_plan}),
        deployment=deployment,
        base=BaseEndpoint(name="tunedrop-x-b", since=NOW),
    )
    text = Page(render(run_report(run=run))).text

    assert "Import" not in text
    assert f"Inference component {arn}" in " ".join(text.split())
    assert "What SageMaker bills for the endpoint" in text
    assert f"the base model's endpoint, {BASE_ENDPOINT.hosting.instance_type} at" in text


def test_an_answer_of_a_tuned_model_whose_price_nobody_knows_is_not_said_to_be_billed_by_tokens() -> None:
    sides = evaluation().sides
    assert [sides[side].price is None for side in ("candidate", "base", "champion")] == [False, True, True]

    shown = Page(render(run_report())).shown
    assert (shown.count("by tokens"), shown.count("not known")) == (2, 2)


def test_a_rejected_run_says_what_is_wrong_and_that_nothing_was_paid() -> None:
    text = Page(render(run_report(RunStatus.REJECTED, run=ended(RunStatus.REJECTED, plan=None, history=())))).text

    assert "data.missing-field (4 times)" in text
    assert "Nothing was billed" in text
    assert "Scores" not in text
    assert "Plan" not in text


def test_a_failed_run_says_during_what() -> None:
    text = Page(render(run_report(RunStatus.FAILED))).text

    assert "Failed during training" in text
    assert "CUDA out of memory" in text
    assert "tunedrop drop FOLDER --name banking77" in text


def test_the_dataset_s_findings_are_counted_with_their_codes() -> None:
    text = Page(render(run_report(validation=sample_reports.report()))).text

    for told in ("Fields missing: 12", "data.missing-field", "Rows by length in tokens", "s3://runs/runs/x/validation"):
        assert told in text


def test_many_labels_segments_and_rows_make_no_large_page() -> None:
    sides = ("candidate", "base", "champion")
    labels = tuple(
        LabelResult(label=f"label {n} " * 20, rows=3, sides=dict.fromkeys(sides, LabelCounts(right=1, answered=1)))
        for n in range(1_000)
    )
    segments = tuple(SegmentResult(segment=f"s{n}", rows=1, values=dict.fromkeys(sides, 1.0)) for n in range(1_000))
    row = SideBySide(
        row=1, prompt="p" * 100_000, expected=("e",), answers={"candidate": "a" * 100_000}, scores={"candidate": 1.0}
    )
    report = run_report(evaluation=evaluation(labels=labels, segments=segments, side_by_side=(row,) * 7))

    assert len(render(report)) < 600_000


def test_equal_reports_make_equal_pages() -> None:
    assert render(run_report()) == render(run_report())
