"""Candidate and rivals answer the same rows, in as many invocations as it takes; the better one gets the alias."""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import (
    FakeClock,
    FakeConversation,
    FakeEndpoints,
    FakeModelImports,
    FakeWorkflows,
    InMemoryRunFiles,
    InMemoryRunStore,
)
from tests.samples import (
    ARTIFACT_URI,
    BASE_ENDPOINT,
    DATASET,
    ENDPOINT_ARN,
    ENDPOINT_NAME,
    HOSTED_PLAN,
    MODEL_ARN,
    NOW,
    PLAN,
    RUN_ID,
    STACK,
    run_in,
)
from tunedrop.domain import names
from tunedrop.domain.alias import Alias, Champion
from tunedrop.domain.decide import LONGEST_RIVAL_WAIT, LONGEST_WAIT
from tunedrop.domain.endpoint_requests import base_endpoint_requests, endpoint_requests
from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.observations import Refused, Scored, ScoringPaused, Unavailable
from tunedrop.domain.plan import ServeTarget, Technique
from tunedrop.domain.run import ASKING, BaseEndpoint, Deployment, Run, RunStatus
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError, TransientError
from tunedrop.evaluation.rows import HeldOutRow
from tunedrop.ports import Answer, Picture, Question, ServedModel
from tunedrop.steps.ask_rows import LEAST_TOKENS, ROWS_AT_ONCE, AskRows, RangeToAsk
from tunedrop.steps.endpoint import ServedModels
from tunedrop.steps.evaluate import ScoreModels
from tunedrop.steps.executions import EXECUTIONS, LOOK_AGAIN

ROWS = ROWS_AT_ONCE * 2 + 1
CHAMPION = "arn:aws:bedrock:us-east-1:123456789012:imported-model/champion"
MODEL = ServedModel(arn=MODEL_ARN, name="x", source_uri=ARTIFACT_URI, instruct_supported=True)


class World:
    """A run to be evaluated; the base knows nothing, the candidate and the champion everything."""

    def __init__(self, *against: str) -> None:
        evaluation = PLAN.evaluation.model_copy(update={"against": against})
        plan = PLAN.model_copy(update={"evaluation": evaluation})
        self.run: Run = run_in(RunStatus.EVALUATING).model_copy(update={"plan": plan})
        self.files = InMemoryRunFiles()
        rows = [{"prompt": f"word {number}", "completion": f"WORD {number}"} for number in range(ROWS)]
        self.files.write(names.held_out_key(RUN_ID), "".join(json.dumps(row) + "\n" for row in rows).encode())
        self.imports = FakeModelImports(by_arn={MODEL_ARN: MODEL})
        self.runs = InMemoryRunStore()
        self.workflows = FakeWorkflows()
        self.conversation = FakeConversation(good=lambda model_id: model_id != "base")
        self.at_once = 1000
        self.clock = FakeClock()
        self.endpoints = FakeEndpoints(clock=self.clock)

    def score(self, seconds_left: Callable[[], float] = lambda: 900.0) -> object:
        ask = AskRows(self.conversation, self.files, seconds_left)
        served = ServedModels(self.imports, self.endpoints)
        step = ScoreModels(
            served, self.runs, self.files, self.workflows, ask, self.at_once, range_rows=10, clock=self.clock
        )
        return step(self.run)

    def ask_in_ranges(self, seconds_left: Callable[[], float] = lambda: 900.0) -> None:
        """Be the workflow: run the execution that was started last to its end."""
        name, content = list(self.workflows.contents.items())[-1]
        ask = AskRows(self.conversation, self.files, seconds_left)
        for each in json.loads(self.files.objects[content["ranges"]]):
            while not ask.ordered(RangeToAsk.model_validate(each)):
                pass
        self.workflows.finish(name, "SUCCEEDED")

    def crown(self, run_id: str, model_arn: str) -> None:
        champion = Champion(run_id=run_id, model_arn=model_arn, since=NOW, by="evaluation", request=run_id)
        self.runs.all_aliases[DATASET] = Alias(dataset=DATASET, version=1, history=(champion,)).model_dump_json()


def test_every_side_is_asked_every_row_once_and_all_answers_are_kept() -> None:
    world = World("base", "champion")
    world.crown("an-older-run", CHAMPION)
    seen = world.score()
    assert isinstance(seen, Scored)
    asked = Counter(world.conversation.asked)
    assert set(asked.values()) == {1}
    assert Counter(model_id for model_id, _ in asked) == {MODEL_ARN: ROWS, "base": ROWS, CHAMPION: ROWS}
    answers = world.files.objects[names.answers_key(RUN_ID)].splitlines()
    assert len(answers) == 3 * ROWS
    assert seen.evaluation.answers_uri == world.files.uri(names.answers_key(RUN_ID))


def test_a_candidate_that_beats_the_base_passes_with_its_numbers() -> None:
    seen = World("base").score()
    assert isinstance(seen, Scored)
    evaluation = seen.evaluation
    assert evaluation.passed
    assert evaluation.base
    assert (evaluation.candidate.value, evaluation.base.value, evaluation.champion) == (1.0, 0.0, None)
    assert (evaluation.rows, evaluation.candidate.correct, evaluation.candidate.output_tokens) == (ROWS, ROWS, ROWS)
    assert evaluation.candidate.mean_latency_ms == pytest.approx(5.0)


def test_a_candidate_that_only_equals_the_champion_does_not_pass() -> None:
    world = World("base", "champion")
    world.crown("an-older-run", CHAMPION)
    seen = world.score()
    assert isinstance(seen, Scored)
    assert not seen.evaluation.passed


def test_time_that_runs_out_pauses_and_the_next_invocation_asks_only_the_rest() -> None:
    world = World("base")
    left = iter([900.0, 900.0, 1.0])
    seen = world.score(lambda: next(left))
    assert seen == ScoringPaused(answered=2 * ROWS_AT_ONCE)
    assert isinstance(world.score(), Scored)
    assert max(Counter(world.conversation.asked).values()) == 1


def test_an_answer_may_be_as_long_as_the_longest_right_one() -> None:
    limits: set[int] = set()

    class Measuring(FakeConversation):
        def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
            limits.add(max_tokens)
            return super().ask(model_id, call, question, max_tokens)

    world = World("base")
    world.conversation = Measuring(good=lambda _: True)
    world.score()
    assert limits == {LEAST_TOKENS}
    long = json.dumps({"prompt": "p", "completion": "x" * 100}) + "\n"
    world.files.write(names.held_out_key(RUN_ID), long.encode())
    world.files.objects = {names.held_out_key(RUN_ID): long.encode()}
    world.score()
    assert limits == {LEAST_TOKENS, 100}


class Silent(FakeConversation):
    """Models of which one cannot be asked."""

    def __init__(self, model_id: str, error: Exception) -> None:
        super().__init__(good=lambda each: each != "base")
        self.silent = model_id
        self.error = error

    def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
        if model_id == self.silent:
            raise self.error
        return super().ask(model_id, call, question, max_tokens)


def test_a_base_that_may_not_be_asked_proves_nothing_and_is_said_so() -> None:
    world = World("base")
    world.conversation = Silent("base", ModelUnavailableError("No access to the model."))
    seen = world.score()
    assert isinstance(seen, Scored)
    assert seen.evaluation.base is None
    assert not seen.evaluation.passed
    assert "No access to the model." in seen.evaluation.verdict


def test_a_champion_that_nobody_can_call_stands_in_nobody_s_way() -> None:
    world = World("base", "champion")
    world.crown("an-older-run", CHAMPION)
    world.conversation = Silent(CHAMPION, ModelUnavailableError("No such model."))
    seen = world.score()
    assert isinstance(seen, Scored)
    assert seen.evaluation.passed
    assert "No such model." in seen.evaluation.verdict


def test_a_prompt_that_is_refused_is_a_wrong_answer_and_a_model_that_refuses_all_is_silent() -> None:
    world = World("base")
    world.conversation = Silent("base", PromptRefusedError("The prompt is too long."))
    seen = world.score()
    assert isinstance(seen, Scored)
    assert not seen.evaluation.passed
    assert "The prompt is too long." in seen.evaluation.verdict


def test_throttling_is_waited_out() -> None:
    world = World("base")
    world.conversation = Silent("base", TransientError("Too many requests."))
    assert isinstance(world.score(), Unavailable)


@pytest.mark.parametrize("error", [TransientError("Too many tokens per day."), ModelNotReadyError("Not ready.")])
def test_a_base_that_is_throttled_for_a_day_is_left_out_and_fails_no_run(error: Exception) -> None:
    world = World("base", "champion")
    world.crown("an-older-run", CHAMPION)
    world.conversation = Silent("base", error)
    world.clock.move(world.run.entered_at + LONGEST_RIVAL_WAIT - timedelta(minutes=1) - world.clock.now())
    assert isinstance(world.score(), Unavailable)
    # The others have been asked meanwhile.
    asked = Counter(model_id for model_id, _ in world.conversation.asked)
    assert asked == {MODEL_ARN: ROWS, CHAMPION: ROWS}
    world.clock.move(timedelta(minutes=1))
    seen = world.score()
    assert isinstance(seen, Scored)
    assert (seen.evaluation.base, seen.evaluation.passed) == (None, False)
    assert seen.evaluation.champion
    assert f"It was waited for too long: {error} Drop again when the account can call it" in seen.evaluation.verdict


def test_a_champion_that_is_throttled_for_a_day_stands_in_nobody_s_way_and_a_new_one_is_waited_for() -> None:
    world = World("base", "champion")
    world.crown("an-older-run", CHAMPION)
    world.conversation = Silent(CHAMPION, TransientError("Too many requests."))
    world.clock.move(world.run.entered_at + LONGEST_RIVAL_WAIT - world.clock.now())
    seen = world.score()
    assert isinstance(seen, Scored)
    assert (seen.evaluation.passed, seen.evaluation.champion) == (True, None)
    champion = Champion(
        run_id="a-newer-run", model_arn=CHAMPION, since=world.clock.now(), by="evaluation", request="a-newer-run"
    )
    world.runs.all_aliases[DATASET] = Alias(dataset=DATASET, version=2, history=(champion,)).model_dump_json()
    assert isinstance(world.score(), Unavailable)


def test_a_candidate_that_is_throttled_is_waited_for_as_long_as_its_run_waits() -> None:
    world = World("base")
    world.conversation = Silent(MODEL_ARN, TransientError("Too many requests."))
    world.clock.move(world.run.entered_at + LONGEST_WAIT - world.clock.now())
    assert isinstance(world.score(), Unavailable)


def test_a_candidate_that_cannot_be_asked_fails_the_run() -> None:
    world = World("base")
    world.conversation = Silent(MODEL_ARN, ModelUnavailableError("No access to the model."))
    seen = world.score()
    assert isinstance(seen, Refused)
    assert seen.problem.code == "evaluate.silent"


def test_a_model_that_is_warming_up_is_waited_for() -> None:
    world = World("base")
    world.conversation = Silent(MODEL_ARN, ModelNotReadyError("Not ready."))
    assert isinstance(world.score(), Unavailable)


def test_a_model_that_is_not_this_run_s_is_never_asked() -> None:
    world = World("base")
    world.imports.by_arn = {MODEL_ARN: MODEL.model_copy(update={"source_uri": "s3://somebody/else/"})}
    seen = world.score()
    assert isinstance(seen, Refused)
    assert seen.problem.code == "evaluate.identity"
    assert world.conversation.asked == []


def test_every_side_is_called_as_bedrock_says_of_it() -> None:
    world = World("base", "champion")
    world.crown("an-older-run", CHAMPION)
    champion = MODEL.model_copy(update={"arn": CHAMPION, "source_uri": "s3://runs/before/"})
    unheard = MODEL.model_copy(update={"instruct_supported": False})
    world.imports.by_arn = {MODEL_ARN: unheard, CHAMPION: champion}
    seen = world.score()
    assert isinstance(seen, Scored)
    assert world.conversation.calls == {
        MODEL_ARN: ModelCall.INVOKE_MODEL,
        "base": ModelCall.CONVERSE,
        CHAMPION: ModelCall.CONVERSE,
    }
    assert seen.evaluation.call is ModelCall.INVOKE_MODEL


def test_pictures_are_shown_to_an_imported_model_as_aws_promises_and_to_bedrock_s_own_through_converse() -> None:
    world = World("base")
    assert world.run.plan
    data = world.run.plan.data.model_copy(update={"technique": Technique.VISUAL_QA})
    world.run = world.run.model_copy(update={"plan": world.run.plan.model_copy(update={"data": data})})
    assert isinstance(world.score(), Scored)
    assert world.conversation.calls == {MODEL_ARN: ModelCall.INVOKE_MODEL, "base": ModelCall.CONVERSE}


def test_an_evaluation_says_which_champion_it_compared_with() -> None:
    world = World("champion")
    alone = world.score()
    assert isinstance(alone, Scored)
    assert alone.evaluation.champion_run is None
    world.crown("an-older-run", CHAMPION)
    compared = world.score()
    assert isinstance(compared, Scored)
    assert compared.evaluation.champion_run == "an-older-run"


def test_a_new_champion_is_asked_alone_when_the_answers_are_compared_again() -> None:
    world = World("base", "champion")
    world.score()
    world.conversation.asked.clear()
    world.crown("a-quicker-run", CHAMPION)
    world.score()
    assert {model_id for model_id, _ in world.conversation.asked} == {CHAMPION}


def test_a_conversation_is_asked_as_far_as_its_last_answer_and_a_picture_is_shown() -> None:
    questions: list[Question] = []

    class Listening(FakeConversation):
        def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
            questions.append(question)
            return super().ask(model_id, call, question, max_tokens)

    world = World()
    world.conversation = Listening(good=lambda _: True)
    said = [("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "Bye")]
    rows = [
        {"messages": [{"role": role, "content": text} for role, text in said], "completion": "BYE"},
        {
            "prompt": "Who wrote it?",
            "image": "runs/x/held-out/1.JPG",
            "file_name": "images/1.JPG",
            "completion": "?",
        },
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    world.files.objects = {names.held_out_key(RUN_ID): lines.encode(), "runs/x/held-out/1.JPG": b"jpeg"}
    assert isinstance(world.score(), Scored)
    conversation, picture = sorted(questions, key=lambda question: question.picture is not None)
    assert conversation.system == "Be brief."
    assert [(turn.role, turn.text) for turn in conversation.turns] == said[1:]
    assert picture.picture == Picture(format="jpeg", data=b"jpeg")
    assert [turn.text for turn in picture.turns] == ["Who wrote it?"]


# ---------------------------------------------------------------- the gate, on answers such as models give

LABELS = ("Travel", "Meals", "Rent", "Software", "Wages", "Taxes", "Interest", "Repairs")


class Bookkeeper(World):
    """Rows with one of eight labels; each model answers by a rule: row number, right label → answer."""

    def __init__(self, rows: int, clerks: Mapping[str, Callable[[int, str], str]], **fields: Any) -> None:
        super().__init__("base")
        draw = random.Random(2)  # noqa: S311 - no secret
        right = [draw.choice(LABELS) for _ in range(rows)]
        lines = [
            json.dumps(
                {"prompt": str(number), "completion": label, **{name: value(number) for name, value in fields.items()}}
            )
            for number, label in enumerate(right)
        ]
        self.files.objects = {names.held_out_key(RUN_ID): "\n".join(lines).encode()}

        class Clerks(FakeConversation):
            def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
                answer = super().ask(model_id, call, question, max_tokens)
                number = int(question.turns[-1].text)
                return answer.model_copy(update={"text": clerks[model_id](number, right[number])})

        self.conversation = Clerks(good=lambda _: True)

    def judged(self) -> EvaluationReport:
        seen = self.score()
        assert isinstance(seen, Scored)
        report = EvaluationReport.model_validate_json(self.files.objects[names.evaluation_report_key(RUN_ID)])
        assert (seen.evaluation.passed, seen.evaluation.verdict) == (report.passed, report.verdict)
        assert seen.evaluation.report_uri == self.files.uri(names.evaluation_report_key(RUN_ID))
        return report


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - no secret


def guess(seed: int) -> Callable[[int, str], str]:
    """Answer with any label: what a model learns of labels that were shuffled."""
    return lambda number, _: chance(seed * 1000 + number).choice(LABELS)


def trained_well(number: int, right: str) -> str:
    """Answer nine in ten rows right."""
    return right if chance(number).random() < 0.9 else "Sundry"


def one_in_two(seed: int) -> Callable[[int, str], str]:
    """Answer every second row right, whichever."""
    return lambda number, right: right if chance(seed * 1000 + number).random() < 0.5 else "Sundry"


def test_a_candidate_trained_well_is_promoted() -> None:
    report = Bookkeeper(80, {MODEL_ARN: trained_well, "base": guess(1)}).judged()
    assert report.passed
    assert report.comparisons["base"]["exact_match"].low > 0.5


@pytest.mark.parametrize("base", [guess(1), lambda _, __: "I cannot tell."], ids=["guesses", "knows no label"])
@pytest.mark.parametrize("seed", range(2, 12))
def test_answers_such_as_shuffled_labels_teach_are_not_promoted(seed: int, base: Callable[[int, str], str]) -> None:
    assert not Bookkeeper(80, {MODEL_ARN: guess(seed), "base": base}).judged().passed


def test_a_candidate_that_always_gives_the_same_answer_is_not_promoted() -> None:
    rows = Bookkeeper(80, {MODEL_ARN: lambda _, __: LABELS[0], "base": lambda _, __: "?"}).files
    texts = [json.loads(line)["completion"] for line in rows.objects[names.held_out_key(RUN_ID)].splitlines()]
    usual = max(LABELS, key=texts.count)
    report = Bookkeeper(80, {MODEL_ARN: lambda _, __: usual, "base": lambda _, __: "?"}).judged()
    assert report.comparisons["base"]["exact_match"].low > 0.05
    assert not report.passed
    assert "most frequent right answer" in report.verdict


def test_a_candidate_that_is_better_by_luck_on_ten_rows_is_not_promoted_and_more_rows_are_asked_for() -> None:
    def promoted(rows: int, seed: int) -> EvaluationReport:
        return Bookkeeper(rows, {MODEL_ARN: one_in_two(seed), "base": one_in_two(seed + 100)}).judged()

    lucky = [
        report for seed in range(1, 30) if (report := promoted(10, seed)).comparisons["base"]["exact_match"].gain >= 0.2
    ]
    assert len(lucky) > 3
    assert not [report for report in lucky if report.passed]
    assert all("10 held-out rows are too few to be sure" in report.verdict for report in lucky)
    # The same models on many rows are told to be the same.
    assert not promoted(400, 1).passed


# ---------------------------------------------------------------- more rows than one function asks


def clerks(seed: int) -> Bookkeeper:
    """Make a bookkeeper whose answers have ties, losses, labels, segments and documents."""
    world = Bookkeeper(
        57,
        {MODEL_ARN: trained_well, "base": guess(seed), CHAMPION: one_in_two(seed)},
        segment=lambda number: "bakery" if number % 4 else "garage",
        document=lambda number: f"ledger {number // 3}" if number % 5 else None,
        answers=lambda number: ["Sundry"] if number % 7 == 0 else [],
    )
    assert world.run.plan
    assert world.run.data
    evaluation = world.run.plan.evaluation.model_copy(update={"against": ("base", "champion")})
    world.run = world.run.model_copy(
        update={
            "plan": world.run.plan.model_copy(update={"evaluation": evaluation}),
            "data": world.run.data.model_copy(update={"labels": len(LABELS)}),
        }
    )
    world.crown("an-older-run", CHAMPION)
    return world


@pytest.mark.parametrize("seed", range(3))
def test_many_ranges_come_to_what_one_pass_comes_to(seed: int) -> None:
    single, ranged = clerks(seed), clerks(seed)
    expected = single.score()
    ranged.at_once = 56
    assert ranged.score() == Unavailable(reason="Asking 57 rows in 6 ranges.", retry_after=LOOK_AGAIN)
    assert ranged.conversation.asked == []
    ranged.ask_in_ranges()
    assert ranged.score() == expected
    assert isinstance(expected, Scored)
    for key in (names.evaluation_report_key(RUN_ID), names.answers_key(RUN_ID)):
        assert ranged.files.objects[key] == single.files.objects[key]
    assert set(Counter(ranged.conversation.asked).values()) == {1}


def test_a_range_whose_time_runs_out_goes_on_where_it_stopped() -> None:
    world = clerks(1)
    world.at_once = 0
    world.score()
    left = iter(range(10_000))
    world.ask_in_ranges(lambda: 900.0 if next(left) % 2 else 1.0)
    assert isinstance(world.score(), Scored)
    assert set(Counter(world.conversation.asked).values()) == {1}


def test_an_execution_that_failed_is_followed_by_another_which_asks_only_the_rest() -> None:
    world = World("base")
    world.at_once = 0
    for attempt in range(1, EXECUTIONS + 1):
        assert isinstance(world.score(), Unavailable)
        name = names.evaluation_execution(RUN_ID, next(iter(world.workflows.contents)).split("-")[1], attempt)
        assert list(world.workflows.contents)[-1] == name
        if attempt < EXECUTIONS:
            world.workflows.finish(name, "FAILED", "ModelNotReadyError")
    world.ask_in_ranges()
    assert isinstance(world.score(), Scored)


def test_a_workflow_that_keeps_failing_fails_the_run_without_quoting_a_row() -> None:
    world = World("base")
    world.at_once = 0
    for _ in range(EXECUTIONS):
        world.score()
        cause = json.dumps({"errorMessage": "word 3"})
        world.workflows.finish(list(world.workflows.contents)[-1], "FAILED", "Sandbox.Timedout", cause)
    seen = world.score()
    assert isinstance(seen, Refused)
    assert seen.problem.code == "evaluate.failed"
    assert "Sandbox.Timedout" in seen.problem.message
    assert "word 3" not in seen.problem.message


def test_a_model_that_no_range_could_ask_is_silent_for_the_whole() -> None:
    world = World("base", "champion")
    world.crown("an-older-run", CHAMPION)
    world.conversation = Silent("base", ModelUnavailableError("No access to the model."))
    world.at_once = 0
    world.score()
    world.ask_in_ranges()
    seen = world.score()
    assert isinstance(seen, Scored)
    assert seen.evaluation.base is None
    assert seen.evaluation.champion
    assert "No access to the model." in seen.evaluation.verdict


def test_a_model_that_refuses_every_prompt_is_silent_and_one_that_refuses_some_is_not() -> None:
    class Refusing(FakeConversation):
        def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
            if model_id == CHAMPION or (model_id == "base" and question.turns[-1].text == "word 0"):
                raise PromptRefusedError("The prompt is too long.")
            return super().ask(model_id, call, question, max_tokens)

    world = World("base", "champion")
    world.crown("an-older-run", CHAMPION)
    world.conversation = Refusing(good=lambda model_id: model_id != "base")
    world.at_once = 0
    world.score()
    world.ask_in_ranges()
    report = world.score()
    assert isinstance(report, Scored)
    assert report.evaluation.base
    assert report.evaluation.champion is None
    assert "The champion model could not be asked: The prompt is too long." in report.evaluation.verdict
    kept = EvaluationReport.model_validate_json(world.files.objects[names.evaluation_report_key(RUN_ID)])
    assert all(set(each.answers) == {"candidate", "base"} for each in kept.side_by_side)


def test_ranges_that_were_asked_are_those_of_a_later_deployment_too() -> None:
    world = World("base")
    world.at_once = 0
    world.score()
    world.at_once = 1000
    assert isinstance(world.score(), Unavailable)
    world.ask_in_ranges()
    assert isinstance(world.score(), Scored)
    assert len(world.workflows.contents) == 1


# ---------------------------------------------------------------- a model that is compared with itself


def test_a_base_that_is_the_candidate_itself_fails_the_run() -> None:
    world = World("base")
    plan = world.run.plan
    assert plan
    evaluation = plan.evaluation.model_copy(update={"base_model_id": MODEL_ARN})
    world.run = world.run.model_copy(update={"plan": plan.model_copy(update={"evaluation": evaluation})})
    seen = world.score()
    assert isinstance(seen, Refused)
    assert seen.problem.code == "evaluate.same-weights"
    assert world.conversation.asked == []


def test_another_import_of_the_candidate_s_artifact_is_no_base_and_no_champion() -> None:
    world = World("base", "champion")
    world.crown("an-older-run", CHAMPION)
    world.imports.by_arn[CHAMPION] = MODEL.model_copy(update={"arn": CHAMPION, "source_uri": ARTIFACT_URI.rstrip("/")})
    seen = world.score()
    assert isinstance(seen, Refused)
    assert seen.problem.code == "evaluate.same-weights"
    assert CHAMPION in seen.problem.message
    world.imports.by_arn[CHAMPION] = MODEL.model_copy(update={"arn": CHAMPION, "source_uri": "s3://runs/before/"})
    assert isinstance(world.score(), Scored)


def test_equal_answers_to_all_rows_are_said_to_come_from_the_same_weights_most_likely() -> None:
    report = Bookkeeper(40, {MODEL_ARN: one_in_two(1), "base": one_in_two(1)}).judged()
    assert not report.passed
    assert "same answers to all 40 rows" in report.verdict
    assert report.differing == 0
    other = Bookkeeper(40, {MODEL_ARN: one_in_two(1), "base": one_in_two(2)}).judged()
    assert "same answers" not in other.verdict


# ---------------------------------------------------------------- what is kept


def test_labels_segments_and_documents_are_told_apart() -> None:
    world = Bookkeeper(
        40,
        {MODEL_ARN: trained_well, "base": guess(1)},
        segment=lambda number: "bakery" if number % 4 else "garage",
        document=lambda number: f"ledger {number // 8}",
    )
    assert world.run.data
    world.run = world.run.model_copy(update={"data": world.run.data.model_copy(update={"labels": len(LABELS)})})
    report = world.judged()
    assert report.comparisons["base"]["anls"].documents == 5
    assert [(each.segment, each.rows) for each in report.segments] == [("bakery", 30), ("garage", 10)]
    total = sum(each.values["candidate"] * each.rows for each in report.segments)
    assert total == pytest.approx(report.sides["candidate"].correct)
    assert sum(each.rows for each in report.labels) == 40
    assert sum(each.sides["candidate"].right for each in report.labels) == report.sides["candidate"].correct
    wrong = sum(each.rows for each in report.confusions if each.side == "candidate")
    assert wrong == 40 - report.sides["candidate"].correct
    assert {each.answered for each in report.confusions if each.side == "candidate"} == {None}
    assert {each.answered for each in report.confusions if each.side == "base"} <= set(LABELS)


def test_one_of_several_right_answers_is_right() -> None:
    def second(_: int, right: str) -> str:
        return right.lower()

    def other_spellings(number: int) -> list[str]:
        del number
        return [label.lower() for label in LABELS]

    answers = {MODEL_ARN: second, "base": guess(1)}
    assert not Bookkeeper(40, answers).judged().passed
    assert Bookkeeper(40, answers, answers=other_spellings).judged().passed


def test_who_gives_another_right_label_has_named_the_row_s_label() -> None:
    def cautious(_: int, right: str) -> str:
        return "unsure" if right == LABELS[0] else right

    world = Bookkeeper(
        40,
        {MODEL_ARN: cautious, "base": guess(1)},
        answers=lambda number: ["Unsure"] if number % 2 else [],
    )
    assert world.run.data
    world.run = world.run.model_copy(update={"data": world.run.data.model_copy(update={"labels": len(LABELS)})})
    report = world.judged()
    confused = sum(each.rows for each in report.confusions if each.side == "candidate")
    of_label = next(each for each in report.labels if each.label == LABELS[0])
    assert 0 < confused < of_label.rows
    assert of_label.sides["candidate"].right == of_label.sides["candidate"].answered == of_label.rows - confused
    assert {each.answered for each in report.confusions if each.side == "candidate"} == {None}
    by_metric = report.sides["candidate"].metrics["label_accuracy"]
    assert sum(each.sides["candidate"].right for each in report.labels) == pytest.approx(by_metric * 40)


def test_a_handful_of_rows_is_shown_side_by_side_gains_and_losses() -> None:
    report = Bookkeeper(60, {MODEL_ARN: one_in_two(1), "base": one_in_two(2)}).judged()
    shown = [(each.scores["candidate"], each.scores["base"]) for each in report.side_by_side]
    assert shown == [(1, 0)] * 4 + [(0, 1)] * 3
    assert len({each.row for each in report.side_by_side}) == 7
    assert all(each.prompt == str(each.row) for each in report.side_by_side)


def test_every_stored_answer_has_its_scores_and_the_record_has_no_text_of_rows() -> None:
    world = Bookkeeper(10, {MODEL_ARN: trained_well, "base": guess(1)}, segment=lambda _: "bakery")
    seen = world.score()
    assert isinstance(seen, Scored)
    answers = [json.loads(line) for line in world.files.objects[names.answers_key(RUN_ID)].splitlines()]
    assert len(answers) == 20
    assert all(set(each["scores"]) == set(seen.evaluation.candidate.metrics) for each in answers)
    record = seen.model_dump_json()
    assert not [text for text in (*LABELS, "bakery", "Sundry") if text in record]


def test_a_refused_prompt_scores_nothing_though_the_reason_has_words_in_common() -> None:
    class Refusing(FakeConversation):
        def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
            if question.turns[-1].text == "word 0":
                raise PromptRefusedError("WORD 0")
            return super().ask(model_id, call, question, max_tokens)

    world = World("base")
    world.conversation = Refusing(good=lambda model_id: model_id != "base")
    seen = world.score()
    assert isinstance(seen, Scored)
    assert seen.evaluation.candidate.metrics["token_f1"] == pytest.approx((ROWS - 1) / ROWS)


def test_a_thousand_answers_have_a_price_where_bedrock_bills_copies() -> None:
    world = World("base")
    world.imports.by_arn[MODEL_ARN] = MODEL.model_copy(update={"units_per_copy": 2})
    seen = world.score()
    assert isinstance(seen, Scored)
    assert seen.evaluation.base
    assert seen.evaluation.base.price is None
    price = seen.evaluation.candidate.price
    assert price
    # 5 ms an answer, eight at once, at 0.157 US dollars a minute of a copy; alone, each pays for five minutes.
    assert price.busy == pytest.approx(0.157 * 1000 * 0.005 / 60 / 8)
    assert price.alone == pytest.approx(785)


def test_a_stored_row_that_cannot_be_read_is_told_without_its_text() -> None:
    with pytest.raises(ValidationError) as unreadable:
        HeldOutRow.model_validate_json(b'{"prompt": ["account 4711"], "completion": {"text": "account 4711"}}')
    assert "prompt" in str(unreadable.value)
    assert "4711" not in str(unreadable.value)


# ---------------------------------------------------------------- a base that answers on an endpoint


def with_base(world: World, *, required: bool = False, missing: str = "") -> None:
    """Have the base answer on an endpoint that is up, or is missing."""
    endpoint = BASE_ENDPOINT.model_copy(update={"required": required})
    evaluation = PLAN.evaluation.model_copy(
        update={"against": ("base",), "base_model_id": None, "base_endpoint": endpoint}
    )
    name = names.base_endpoint(STACK, RUN_ID)
    model_arn = FakeEndpoints.arn(name)
    base = BaseEndpoint(
        name=name,
        since=NOW,
        up_at=None if missing else NOW,
        model_arn=None if missing else model_arn,
        missing=missing,
    )
    plan = PLAN.model_copy(update={"evaluation": evaluation})
    world.run = world.run.model_copy(update={"plan": plan, "base": base})
    requests = base_endpoint_requests(world.run, name, stack=STACK, role_arn="arn:aws:iam::123456789012:role/hosting")
    world.endpoints.requests[name], world.endpoints.stages[name] = requests, "loaded"
    world.conversation = FakeConversation(good=lambda model_id: model_id != model_arn)


def test_a_base_on_an_endpoint_is_asked_there_and_has_a_price() -> None:
    world = World()
    with_base(world)
    seen = world.score()
    assert isinstance(seen, Scored)
    assert seen.evaluation.passed
    assert seen.evaluation.base
    model_arn = FakeEndpoints.arn(names.base_endpoint(STACK, RUN_ID))
    assert (seen.evaluation.base.model_id, seen.evaluation.base.value) == (model_arn, 0.0)
    assert seen.evaluation.base.price
    assert world.conversation.calls[model_arn] is ModelCall.INVOKE_ENDPOINT


@pytest.mark.parametrize(("known", "times"), [(True, 10), (False, None)])
def test_a_champion_on_an_endpoint_is_priced_by_its_own_instance(*, known: bool, times: float | None) -> None:
    world, champion_arn = World("champion"), FakeEndpoints.arn("champion")
    against = PLAN.evaluation.model_copy(update={"against": ("champion",)})
    plan = HOSTED_PLAN.model_copy(update={"evaluation": against})
    deployment = Deployment(target=ServeTarget.ENDPOINT, model_name=ENDPOINT_NAME, model_arn=ENDPOINT_ARN)
    world.run = world.run.model_copy(update={"plan": plan, "deployment": deployment})
    requests = endpoint_requests(world.run, ENDPOINT_NAME, stack=STACK, role_arn="arn:aws:iam::123456789012:role/r")
    world.endpoints.requests[ENDPOINT_NAME], world.endpoints.stages[ENDPOINT_NAME] = requests, "loaded"
    assert plan.hosting
    assert plan.hosting.usd_per_hour
    dear = plan.hosting.model_copy(update={"usd_per_hour": 10 * plan.hosting.usd_per_hour})
    if known:
        changes = {"run_id": "an-older-run", "plan": plan.model_copy(update={"hosting": dear})}
        world.runs.create(world.run.model_copy(update=changes))
    world.crown("an-older-run", champion_arn)
    seen = world.score()
    assert isinstance(seen, Scored)
    assert seen.evaluation.champion
    assert seen.evaluation.candidate.price
    price = seen.evaluation.champion.price
    assert (price and price.alone) == (times and pytest.approx(times * seen.evaluation.candidate.price.alone))


@pytest.mark.parametrize("required", [True, False])
def test_a_base_that_is_missing_stands_in_the_way_only_where_it_was_asked_for(*, required: bool) -> None:
    world = World()
    with_base(world, required=required, missing="AWS has no instance.")
    seen = world.score()
    assert isinstance(seen, Scored)
    assert seen.evaluation.base is None
    assert seen.evaluation.passed is not required
    assert "The base model could not be asked: AWS has no instance." in seen.evaluation.verdict
    assert ("Drop again when its endpoint can be had" in seen.evaluation.verdict) is required


def test_a_base_whose_time_is_over_is_not_waited_for() -> None:
    world = World()
    with_base(world)
    world.clock.move(ASKING)
    seen = world.score()
    assert isinstance(seen, Scored)
    assert seen.evaluation.base is None
    assert "Its endpoint was there for 2 hours" in seen.evaluation.verdict


def test_what_a_base_has_answered_counts_after_its_time_too() -> None:
    world = World()
    with_base(world, required=True)
    first = world.score()
    world.endpoints.stages.clear()
    world.clock.move(ASKING)
    again = world.score()
    assert isinstance(first, Scored)
    assert first.evaluation.passed
    assert again == first
    stored = names.answers_prefix(RUN_ID) + "base-"
    del world.files.objects[max(key for key in world.files.objects if key.startswith(stored))]
    late = world.score()
    assert isinstance(late, Scored)
    assert (late.evaluation.passed, late.evaluation.base) == (False, None)
