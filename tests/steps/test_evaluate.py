"""Candidate and rivals answer the same rows, in as many invocations as it takes; the better one gets the alias."""

import json
from collections import Counter
from collections.abc import Callable

import pytest

from tests.fakes import FakeConversation, FakeModelImports, InMemoryAliases, InMemoryRunFiles
from tests.samples import ARTIFACT_URI, DATASET, MODEL_ARN, PLAN, RUN_ID, STACK, observed, run_in, scored
from tunedrop.domain import names
from tunedrop.domain.observations import AliasWritten, Refused, Scored, ScoringPaused, Unavailable
from tunedrop.domain.run import Run, RunStatus
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError, TransientError
from tunedrop.ports import Answer, ImportedModel, Picture, Question
from tunedrop.steps.evaluate import LEAST_TOKENS, ROWS_AT_ONCE, ScoreModels, WriteAlias

ROWS = ROWS_AT_ONCE * 2 + 1
ALIAS = names.alias(STACK, DATASET)
CHAMPION = "arn:aws:bedrock:us-east-1:123456789012:imported-model/champion"
MODEL = ImportedModel(arn=MODEL_ARN, name="x", source_uri=ARTIFACT_URI, instruct_supported=True)


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
        self.aliases = InMemoryAliases()
        self.conversation = FakeConversation(good=lambda model_id: model_id != "base")

    def score(self, seconds_left: Callable[[], float] = lambda: 900.0) -> object:
        step = ScoreModels(self.imports, self.conversation, self.aliases, self.files, STACK, seconds_left)
        return step(self.run)


def test_every_side_is_asked_every_row_once_and_all_answers_are_kept() -> None:
    world = World("base", "champion")
    world.aliases.put(ALIAS, CHAMPION)
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
    world.aliases.put(ALIAS, CHAMPION)
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
        def ask(self, model_id: str, question: Question, max_tokens: int) -> Answer:
            limits.add(max_tokens)
            return super().ask(model_id, question, max_tokens)

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

    def ask(self, model_id: str, question: Question, max_tokens: int) -> Answer:
        if model_id == self.silent:
            raise self.error
        return super().ask(model_id, question, max_tokens)


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
    world.aliases.put(ALIAS, CHAMPION)
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


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (MODEL.model_copy(update={"source_uri": "s3://somebody/else/"}), "evaluate.identity"),
        (MODEL.model_copy(update={"instruct_supported": False}), "evaluate.no-converse"),
    ],
)
def test_a_model_that_is_not_this_run_s_or_does_not_converse_is_never_asked(model: ImportedModel, code: str) -> None:
    world = World("base")
    world.imports.by_arn = {MODEL_ARN: model}
    seen = world.score()
    assert isinstance(seen, Refused)
    assert seen.problem.code == code
    assert world.conversation.asked == []


def test_promotion_writes_the_alias_and_remembers_the_champion_before() -> None:
    run = observed(run_in(RunStatus.EVALUATING), scored(passed=True))
    aliases = InMemoryAliases({ALIAS: CHAMPION})
    assert WriteAlias(aliases, STACK)(run) == AliasWritten(previous=CHAMPION)
    assert aliases.get(ALIAS) == MODEL_ARN
    assert WriteAlias(aliases, STACK)(run) == AliasWritten(previous=None)


def test_the_alias_is_never_written_without_a_passing_evaluation() -> None:
    aliases = InMemoryAliases()
    with pytest.raises(AssertionError):
        WriteAlias(aliases, STACK)(run_in(RunStatus.EVALUATING))
    assert aliases.values == {}


def test_a_conversation_is_asked_as_far_as_its_last_answer_and_a_picture_is_shown() -> None:
    questions: list[Question] = []

    class Listening(FakeConversation):
        def ask(self, model_id: str, question: Question, max_tokens: int) -> Answer:
            questions.append(question)
            return super().ask(model_id, question, max_tokens)

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
