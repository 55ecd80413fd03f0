"""Answers are handed to the judge once, and whatever the judge does, the run has a verdict."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import FakeClock, FakeJudgeJobs, InMemoryRunFiles, InMemoryRunStore
from tests.samples import JUDGED_PLAN, RUN_ID, STACK, judged_run, observed, scored
from tunedrop.domain import names
from tunedrop.domain.decide import Effect
from tunedrop.domain.judge import MOST_ROWS
from tunedrop.domain.plan import JudgePlan
from tunedrop.domain.run import Run, RunStatus
from tunedrop.errors import RequestDeniedError, RequestRefusedError, TransientError, UnavailableError
from tunedrop.evaluation.judged import NOT_TAKEN, NOTHING
from tunedrop.evaluation.rows import REFUSED, StoredAnswer
from tunedrop.ports import Answer, JudgeRequest
from tunedrop.steps.advance import advance
from tunedrop.steps.judge import LOOK_AGAIN, CallJudge, HearJudge

CANDIDATE_JOB = names.judge_job(STACK, RUN_ID, "candidate", 1)
RIVAL_JOB = names.judge_job(STACK, RUN_ID, "base", 1)


def right(row: int) -> str:
    return f"WORD {row}"


def wrong(_row: int) -> str:
    return "?"


class World:
    """A run whose answers are scored: the candidate's are right, the base's wrong; `grade` is Bedrock."""

    def __init__(self, rows: int = 4, *, passed: bool = True, **sides: Callable[[int], str]) -> None:
        self.clock = FakeClock()
        self.files = InMemoryRunFiles()
        self.judges = FakeJudgeJobs()
        self.runs = InMemoryRunStore()
        asked = [{"prompt": f"word {row}", "completion": right(row)} for row in range(rows)]
        self.files.write(names.held_out_key(RUN_ID), _lines(asked))
        self.answer(rows, **(sides or {"candidate": right, "base": wrong}))
        run = observed(judged_run(), scored(passed=passed))
        self.clock.time = run.updated_at
        self.runs.create(run)

    def answer(self, rows: int, **sides: Callable[[int], str]) -> None:
        answers = [
            StoredAnswer(side=side, model_id=side, row=row, expected=right(row), answer=_answer(say(row)))
            for side, say in sides.items()
            for row in range(rows)
        ]
        data = "".join(each.model_dump_json() + "\n" for each in answers)
        self.files.write(names.answers_key(RUN_ID), data.encode())

    def go_on(self, run: Run | None = None) -> Run:
        if run:
            self.runs.runs[RUN_ID] = run.model_dump_json()
        performers = {
            Effect.CALL_JUDGE: CallJudge(self.judges, self.files, STACK),
            Effect.HEAR_JUDGE: HearJudge(self.judges, self.files),
        }
        seen = advance(RUN_ID, performers, self.runs, self.clock)
        assert seen
        return seen

    def wait(self) -> Run:
        self.clock.move(LOOK_AGAIN)
        return self.go_on()

    def handed(self, job: str) -> list[dict[str, Any]]:
        data = self.files.objects[names.judge_dataset_key(RUN_ID, job)]
        return [json.loads(line) for line in data.splitlines()]

    def grade(self, job: str, grades: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Write results as Bedrock does, in another order than the answers', and end the job."""
        records = [
            {
                "automatedEvaluationResult": {
                    "scores": [
                        {"metricName": f"Builtin.{metric}", "result": value, "evaluatorDetails": []}
                        for metric, value in grades(each).items()
                    ]
                },
                "inputRecord": each,
            }
            for each in reversed(self.handed(job))
        ]
        where = f"{names.judge_output_prefix(RUN_ID, job)}{job}/0a1b/models/x/taskTypes/General/datasets/held-out/"
        self.files.write(f"{where}1_output.jsonl", _lines(records))
        self.files.write(f"{names.judge_output_prefix(RUN_ID, job)}{job}/permission-check", b"")
        self.judges.finish(job, "Completed")

    def grade_all(self) -> None:
        for job in (CANDIDATE_JOB, RIVAL_JOB):
            self.grade(job, lambda each: {"Correctness": float(_said(each) == each["referenceResponse"])})


def _answer(text: str) -> Answer:
    return Answer(text=text, stop_reason="end_turn", latency_ms=1, input_tokens=1, output_tokens=1)


def _said(record: dict[str, Any]) -> str:
    return str(record["modelResponses"][0]["response"])


def _lines(records: list[Any]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in records).encode()


def test_each_side_s_answers_are_one_job_with_prompt_and_right_answer() -> None:
    world = World()
    run = world.go_on()
    assert set(world.judges.requests) == {CANDIDATE_JOB, RIVAL_JOB}
    assert world.judges.requests[CANDIDATE_JOB] == JudgeRequest(
        name=CANDIDATE_JOB,
        run_id=RUN_ID,
        side="candidate",
        answers_uri=world.files.uri(names.judge_dataset_key(RUN_ID, CANDIDATE_JOB)),
        output_uri=world.files.uri(names.judge_output_prefix(RUN_ID, CANDIDATE_JOB)),
        evaluator_model="amazon.nova-pro-v1:0",
        metrics=("Correctness",),
    )
    assert world.handed(RIVAL_JOB)[1] == {
        "prompt": "word 1",
        "referenceResponse": "WORD 1",
        "modelResponses": [{"response": "?", "modelIdentifier": "base"}],
    }
    assert run.status is RunStatus.EVALUATING
    assert run.next_try_at == world.clock.now() + LOOK_AGAIN


def test_grades_are_compared_row_by_row_and_change_no_verdict() -> None:
    for passed, status in ((True, RunStatus.EVALUATING), (False, RunStatus.NOT_PROMOTED)):
        world = World(8, passed=passed)
        world.go_on()
        world.grade_all()
        run = world.wait()
        assert run.status is status
        assert run.judgement
        assert run.judgement.over
        score = run.judgement.scores["Correctness"]
        assert (score.candidate, score.rival, score.rows) == (1.0, 0.0, 8)
        assert score.comparison
        assert (score.comparison.gain, score.comparison.low, score.comparison.better) == (1.0, 1.0, 8)


def test_a_run_that_died_between_two_jobs_starts_the_other_one_alone() -> None:
    world = World()
    world.judges.refusals = [RuntimeError("the function died")]
    with pytest.raises(RuntimeError):
        world.go_on()
    before = world.runs.get(RUN_ID)
    assert before
    world.judges.refusals = []
    world.go_on()
    world.go_on(before)
    assert set(world.judges.requests) == {CANDIDATE_JOB, RIVAL_JOB}


def test_more_rows_than_a_job_takes_are_drawn_the_same_ones_for_both() -> None:
    world = World(MOST_ROWS + 200)
    run = world.go_on()
    prompts = [[each["prompt"] for each in world.handed(job)] for job in (CANDIDATE_JOB, RIVAL_JOB)]
    assert prompts[0] == prompts[1]
    assert len(set(prompts[0])) == MOST_ROWS
    assert run.judgement
    assert (run.judgement.rows, run.judgement.of_rows) == (MOST_ROWS, MOST_ROWS + 200)
    assert world.go_on(run) == run


def test_empty_texts_are_spelled_out_for_bedrock_refuses_all_for_one() -> None:
    world = World(2, candidate=lambda row: "" if row else right(row), base=wrong)
    answers = world.files.objects[names.answers_key(RUN_ID)].decode().replace("end_turn", REFUSED, 1)
    world.files.write(names.answers_key(RUN_ID), answers.encode())
    world.go_on()
    assert [_said(each) for each in world.handed(CANDIDATE_JOB)] == [NOT_TAKEN, NOTHING]


def test_a_conversation_and_further_right_answers_are_one_text_each() -> None:
    world = World(1)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "And 2?"}]
    row = {"messages": messages, "completion": "two", "answers": ["2"]}
    world.files.write(names.held_out_key(RUN_ID), _lines([row]))
    world.go_on()
    (handed,) = world.handed(CANDIDATE_JOB)
    assert handed["prompt"] == "system: Be brief.\n\nuser: And 2?"
    assert handed["referenceResponse"] == "two\nJust as right:\n2"


def test_rows_that_the_judge_gave_no_grade_count_for_nobody() -> None:
    world = World()
    world.go_on()
    world.grade(CANDIDATE_JOB, lambda each: {"Correctness": None if each["prompt"] == "word 2" else 1.0})
    world.grade(RIVAL_JOB, lambda _each: {"Correctness": 0.5})
    run = world.wait()
    assert run.judgement
    score = run.judgement.scores["Correctness"]
    assert (score.candidate, score.rival, score.rows) == (1.0, 0.5, 3)


def test_without_a_rival_the_candidate_is_graded_alone() -> None:
    world = World(candidate=right)
    before = world.runs.get(RUN_ID)
    assert before
    assert before.evaluation
    alone = before.model_copy(update={"evaluation": before.evaluation.model_copy(update={"base": None})})
    world.go_on(alone)
    assert set(world.judges.requests) == {CANDIDATE_JOB}
    world.grade(CANDIDATE_JOB, lambda _each: {"Correctness": 1.0})
    run = world.wait()
    assert run.judgement
    assert run.judgement.scores["Correctness"].rival is None
    assert run.judgement.scores["Correctness"].comparison is None


@pytest.mark.parametrize("refusal", [TransientError("slow down"), UnavailableError("too many jobs")])
def test_a_bedrock_that_is_busy_is_asked_again_later(refusal: Exception) -> None:
    world = World()
    world.judges.refusals = [refusal]
    run = world.go_on()
    assert not world.judges.requests
    assert run.next_try_at == world.clock.now() + LOOK_AGAIN
    world.wait()
    assert set(world.judges.requests) == {CANDIDATE_JOB, RIVAL_JOB}


@pytest.mark.parametrize("refusal", [RequestRefusedError("no such model"), RequestDeniedError("not authorized")])
def test_a_judge_that_bedrock_refuses_costs_the_judgement_alone(refusal: Exception) -> None:
    world = World(passed=False)
    world.judges.refusals = [refusal]
    run = world.go_on()
    assert run.status is RunStatus.NOT_PROMOTED
    assert run.judgement
    assert str(refusal) in run.judgement.failure


@pytest.mark.parametrize("status", ["Failed", "Stopped", "Stopping", "Deleting"])
def test_a_job_that_ends_otherwise_costs_the_judgement_alone(status: str) -> None:
    world = World(passed=False)
    world.go_on()
    world.judges.finish(RIVAL_JOB, status, "The dataset is not valid.")
    run = world.wait()
    assert run.status is RunStatus.NOT_PROMOTED
    assert run.judgement
    assert f"{RIVAL_JOB} is {status}: The dataset is not valid." in run.judgement.failure


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b"{}",
        b'{"automatedEvaluationResult": {"scores": []}, "inputRecord": {"prompt": "other"}}',
        (
            b'{"automatedEvaluationResult": null, "inputRecord": {"prompt": "word 0", "referenceResponse": "WORD 0", '
            b'"modelResponses": [{"response": "WORD 0"}]}}'
        ),
    ],
)
def test_results_that_nobody_understands_cost_the_judgement_alone_and_are_not_quoted(line: bytes) -> None:
    world = World(passed=False)
    world.go_on()
    world.grade_all()
    (key,) = [key for key in world.files.objects if CANDIDATE_JOB in key and key.endswith("_output.jsonl")]
    world.files.write(key, world.files.objects[key] + line + b"\n")
    run = world.wait()
    assert run.status is RunStatus.NOT_PROMOTED
    assert run.judgement
    assert "cannot be read" in run.judgement.failure
    assert "word" not in run.judgement.failure.lower()


def test_a_judge_that_gives_no_grades_at_all_is_said_so() -> None:
    world = World(passed=False)
    world.go_on()
    for job in (CANDIDATE_JOB, RIVAL_JOB):
        world.judges.finish(job, "Completed")
    run = world.wait()
    assert run.judgement
    assert run.judgement.failure == "The judge gave no grades."


def test_each_metric_is_kept_apart() -> None:
    world = World()
    judge = JudgePlan(evaluator_model="amazon.nova-pro-v1:0", metrics=("Correctness", "Completeness"))
    plan = JUDGED_PLAN.model_copy(update={"evaluation": JUDGED_PLAN.evaluation.model_copy(update={"judge": judge})})
    before = world.runs.get(RUN_ID)
    assert before
    world.go_on(before.model_copy(update={"plan": plan}))
    for job, value in ((CANDIDATE_JOB, 1.0), (RIVAL_JOB, 0.25)):
        world.grade(job, lambda _each, value=value: {"Correctness": value, "Completeness": value / 2})
    run = world.wait()
    assert run.judgement
    assert {name: (each.candidate, each.rival) for name, each in run.judgement.scores.items()} == {
        "Correctness": (1.0, 0.25),
        "Completeness": (0.5, 0.125),
    }
