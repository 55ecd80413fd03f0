"""A judge is checked before anything is paid for, and its grades are told in words."""

from datetime import timedelta

import pytest

from tests.samples import JUDGE_CALLED, JUDGE_SILENT, JUDGED, NOW, judged_run, observed, scored
from tunedrop.contracts.tune_spec import TuneSpec, parse_tune_yaml
from tunedrop.domain import names
from tunedrop.domain.judge import EVALUATORS, MOST_ROWS, judge_problems, judge_warnings, judgement_lines
from tunedrop.domain.plan import Technique
from tunedrop.domain.run import Comparison, Judgement, JudgeScore

RUN = "mfrggzdfmztwq2lknnwg23tpoa"


def asked(evaluator_model: str, metrics: str = "[Correctness]") -> TuneSpec:
    judge = f"{{evaluator_model: '{evaluator_model}', metrics: {metrics}}}"
    return parse_tune_yaml(f"model: a-model\nevaluate:\n  judge: {judge}\n".encode())


def codes(evaluator_model: str, region: str = "us-east-1") -> list[str]:
    return [each.code for each in judge_problems(asked(evaluator_model), region)]


@pytest.mark.parametrize("model", sorted(EVALUATORS))
def test_what_bedrock_documents_as_a_judge_is_taken(model: str) -> None:
    assert codes(model) == codes(f"us.{model}") == codes(f"global.{model}") == []
    assert len(list(judge_warnings(asked(model), Technique.INSTRUCTION))) == 1


@pytest.mark.parametrize(
    ("model", "region", "code"),
    [
        ("amazon.titan-text-express-v1", "us-east-1", "judge.evaluator"),
        ("nova-pro", "us-east-1", "judge.evaluator"),
        ("amazon.nova-pro-v1:0", "me-south-1", "judge.region"),
        ("eu.amazon.nova-pro-v1:0", "us-east-1", "judge.region"),
        ("us.amazon.nova-pro-v1:0", "eu-central-1", "judge.region"),
        ("us.amazon.nova-pro-v1:0", "us-gov-west-1", "judge.region"),
        ("apac.amazon.nova-pro-v1:0", "eu-central-1", "judge.region"),
    ],
)
def test_what_cannot_judge_here_is_refused_where_it_stands(model: str, region: str, code: str) -> None:
    (problem,) = judge_problems(asked(model), region)
    assert (problem.code, problem.where) == (code, "tune.yaml:3")
    assert problem.fix


@pytest.mark.parametrize(
    ("profile", "region"),
    [("eu", "eu-west-1"), ("apac", "ap-south-1"), ("jp", "ap-northeast-1"), ("us-gov", "us-gov-west-1")],
)
def test_a_profile_of_the_region_s_own_geography_is_taken(profile: str, region: str) -> None:
    assert codes(f"{profile}.amazon.nova-pro-v1:0", region) == []


def test_a_model_that_is_nearly_named_is_suggested() -> None:
    (problem,) = judge_problems(asked("amazn.nova-pro-v1:0"), "us-east-1")
    assert "Did you mean amazon.nova-pro-v1:0?" in problem.fix


def test_a_newer_model_of_a_family_that_judges_is_tried_and_said_to_be_unknown() -> None:
    spec = asked("anthropic.claude-opus-9-v1:0")
    assert not list(judge_problems(spec, "us-east-1"))
    assert any("not among the models that are known" in each for each in judge_warnings(spec, Technique.CHAT))


def test_what_nobody_knows_the_price_of_is_said() -> None:
    (price,) = judge_warnings(asked("amazon.nova-pro-v1:0", "[Correctness, Completeness]"), Technique.INSTRUCTION)
    assert f"{2 * 2 * MOST_ROWS:,} grades" in price
    assert "price is not known" in price


def test_a_judge_of_pictures_is_said_to_see_none() -> None:
    assert any("no pictures" in each for each in judge_warnings(asked("amazon.nova-pro-v1:0"), Technique.VISUAL_QA))


def test_nothing_is_said_of_a_judge_that_nobody_asked_for() -> None:
    spec = parse_tune_yaml(b"model: a-model")
    assert list(judge_problems(spec, "me-south-1")) == list(judge_warnings(spec, Technique.VISUAL_QA)) == []


def test_grades_are_told_with_their_interval_and_what_they_are_of() -> None:
    comparison = Comparison(gain=0.5, low=0.25, high=0.75, p_value=0.001, better=6, worse=1, rows=10, documents=10)
    judgement = Judgement(
        evaluator_model="amazon.nova-pro-v1:0",
        since=NOW,
        over=True,
        rival="base",
        rows=1000,
        of_rows=5000,
        scores={
            "Correctness": JudgeScore(candidate=0.75, rival=0.25, rows=998, comparison=comparison),
            "Harmfulness": JudgeScore(candidate=0.0, rival=0.0, rows=1000, comparison=comparison),
        },
    )
    first, correct, harmful = judgement_lines(judgement)
    assert "1,000 answers of each model, drawn from 5,000 held-out rows" in first
    assert "decide nothing" in first
    assert correct == "Correctness: tuned 0.750, base 0.250, difference +0.500 (+0.250 to +0.750), 998 rows"
    assert harmful.startswith("Harmfulness (less is better): tuned 0.000")


def test_a_judgement_that_there_is_not_says_why() -> None:
    waiting = observed(judged_run(), scored(passed=True), JUDGE_CALLED)
    for seen, told in ((JUDGED, "Correctness"), (JUDGE_SILENT, "The evaluation job failed.")):
        run = observed(waiting, seen, after=timedelta(minutes=5))
        assert run.judgement
        assert told in "\n".join(judgement_lines(run.judgement))
    assert waiting.judgement
    assert "is grading" in "\n".join(judgement_lines(waiting.judgement))


def test_the_names_of_evaluation_jobs_are_told_from_others() -> None:
    longest = "Aa-" * 10 + "Bb"
    for side in ("candidate", "base", "champion"):
        name = names.judge_job(longest, RUN, side, 12)
        assert len(name) <= 63
        assert name == name.lower()
        assert names.run_of_judge_job(longest, name) == RUN
        assert names.run_of_judge_job("another", name) is None
    assert names.judge_job("t", RUN, "candidate", 1) != names.judge_job("t", RUN, "champion", 1)
    assert names.run_of_judge_job("tunedrop", f"tunedrop-{RUN}-a1") is None
