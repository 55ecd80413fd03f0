"""Ask base, champion and candidate the same held-out rows, and promote the candidate when it is better."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import ConfigDict

from tunedrop.domain import names
from tunedrop.domain.artifact import weights_uri
from tunedrop.domain.model import Record
from tunedrop.domain.observations import AliasWritten, Observation, Refused, Scored, ScoringPaused, Unavailable
from tunedrop.domain.plan import EvaluationPlan
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Evaluation, Run, Score
from tunedrop.domain.scoring import exact_matches, token_f1, verdict
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError, TransientError
from tunedrop.ports import Aliases, Answer, Conversation, ModelImports, Picture, Question, RunFiles, Turn

ROWS_AT_ONCE = 16
"""Rows whose answers are stored together: what is lost, at most, when an invocation dies."""

CALLS_AT_ONCE = 8
"""Concurrent Converse calls."""

LEAST_TOKENS = 16
MOST_TOKENS = 2048
"""Bounds of maxTokens; in between, no answer needs more tokens than the longest expected one has bytes."""

RESERVE_SECONDS = 120.0
"""Time kept back at the end of an invocation: the worst case of one chunk, cold start included."""

CANDIDATE = "candidate"

REFUSED = "refused"
"""The stop reason of an answer that the model did not give."""

_FORMATS: Mapping[str, Literal["png", "jpeg", "gif", "webp"]] = {
    "png": "png",
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "gif": "gif",
    "webp": "webp",
}
"""What Converse calls the formats of pictures, by file extension."""

WARMING_UP = timedelta(minutes=1)


class Message(Record):
    """Hold one message of a conversation that goes before the answer."""

    role: Literal["system", "user", "assistant"]
    content: str


class HeldOutRow(Record):
    """Hold one row as training would have seen it, and the completion that is right."""

    model_config = ConfigDict(extra="ignore")

    prompt: str = ""
    """The filled-in prompt; empty for a conversation."""
    messages: tuple[Message, ...] = ()
    image: str | None = None
    """The key of the picture that the prompt is about, in the run bucket."""
    completion: str


class StoredAnswer(Record):
    """Hold what one model answered to one row."""

    side: str
    model_id: str
    row: int
    expected: str
    answer: Answer


class OutOfTimeError(Exception):
    """The invocation must end before all rows are answered."""

    def __init__(self, answered: int) -> None:
        """Count the rows answered so far, over all models."""
        super().__init__(answered)
        self.answered = answered


@dataclass(frozen=True)
class ScoreModels:
    """Score every side on the held-out rows, chunk by chunk, over several invocations if need be."""

    imports: ModelImports
    conversation: Conversation
    aliases: Aliases
    files: RunFiles
    stack: str
    seconds_left: Callable[[], float]

    def __call__(self, run: Run) -> Observation:
        """Answer what is not answered yet, then judge."""
        if run.plan is None or run.deployment is None or run.deployment.model_arn is None:
            raise AssertionError(f"run {run.run_id} is {run.status} without a model")
        problem = self._stranger(run, run.deployment.model_arn)
        if problem:
            return Refused(problem=problem)
        rows = self._rows(run)
        sides = self._sides(run, run.plan.evaluation, run.deployment.model_arn)
        answers: dict[str, list[StoredAnswer]] = {}
        silent: dict[str, str] = {}
        try:
            for side, model_id in sides.items():
                answered = sum(map(len, answers.values()))
                try:
                    answers[side] = self._answers(run, side, model_id, rows, answered)
                except ModelUnavailableError as error:
                    silent[side] = str(error)
                else:
                    if all(each.answer.stop_reason == REFUSED for each in answers[side]):
                        silent[side] = answers.pop(side)[0].answer.text
        except OutOfTimeError as stop:
            return ScoringPaused(answered=stop.answered)
        except (ModelNotReadyError, TransientError) as error:
            return Unavailable(reason=f"The model cannot answer now: {error}", retry_after=WARMING_UP)
        if CANDIDATE in silent:
            return Refused(problem=_silent_candidate(silent[CANDIDATE]))
        key = names.answers_key(run.run_id)
        self.files.write(key, _json_lines(each for side in answers.values() for each in side))
        return Scored(evaluation=_judged(run.plan.evaluation, answers, silent, self.files.uri(key)))

    def _stranger(self, run: Run, model_arn: str) -> Problem | None:
        """Return a problem unless Bedrock's model was made from this very run's artifact and answers Converse."""
        model = self.imports.model(model_arn)
        artifact = weights_uri(run) or ""
        if model.source_uri.rstrip("/") != artifact.rstrip("/"):
            return Problem(
                code="evaluate.identity",
                message=f"{model_arn} was imported from {model.source_uri}, not from this run's {artifact}.",
                fix="Delete that model in the Bedrock console, then drop the dataset again.",
            )
        if not model.instruct_supported:
            return Problem(
                code="evaluate.no-converse",
                message="Bedrock says that Converse cannot call the imported model (instructSupported is false).",
                fix="Choose a model of an architecture for which Bedrock supports Converse: Llama, Mistral or Mixtral.",
            )
        return None

    def _rows(self, run: Run) -> list[HeldOutRow]:
        data = self.files.read(names.held_out_key(run.run_id))
        if data is None:
            raise AssertionError(f"run {run.run_id} has no held-out rows")
        return [HeldOutRow.model_validate_json(line) for line in data.split(b"\n") if line]

    def _sides(self, run: Run, plan: EvaluationPlan, candidate: str) -> dict[str, str]:
        sides = {CANDIDATE: candidate}
        if "base" in plan.against and plan.base_model_id:
            sides["base"] = plan.base_model_id
        champion = self.aliases.get(names.alias(self.stack, run.dataset)) if "champion" in plan.against else None
        if champion and champion != candidate:
            sides["champion"] = champion
        return sides

    def _answers(
        self, run: Run, side: str, model_id: str, rows: Sequence[HeldOutRow], answered: int
    ) -> list[StoredAnswer]:
        longest = max(len(row.completion.encode()) for row in rows)
        max_tokens = max(LEAST_TOKENS, min(MOST_TOKENS, longest))
        label = f"{side}-{hashlib.sha256(model_id.encode()).hexdigest()[:8]}"
        answers: list[StoredAnswer] = []
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            for first in range(0, len(rows), ROWS_AT_ONCE):
                key = f"{names.run_prefix(run.run_id)}answers/{label}-{first:06}.jsonl"
                stored = self.files.read(key)
                if stored is None:
                    if self.seconds_left() < RESERVE_SECONDS:
                        raise OutOfTimeError(answered + len(answers))
                    chunk = rows[first : first + ROWS_AT_ONCE]
                    asked = pool.map(lambda row: self._ask(model_id, row, max_tokens), chunk)
                    fresh = [
                        StoredAnswer(side=side, model_id=model_id, row=index, expected=row.completion, answer=answer)
                        for index, (row, answer) in enumerate(zip(chunk, asked, strict=True), start=first)
                    ]
                    stored = _json_lines(fresh)
                    self.files.write(key, stored)
                answers += [StoredAnswer.model_validate_json(line) for line in stored.split(b"\n") if line]
        return answers

    def _ask(self, model_id: str, row: HeldOutRow, max_tokens: int) -> Answer:
        """Return the answer; a prompt that the model does not take, such as one too long for it, has a wrong one."""
        try:
            return self.conversation.ask(model_id, self._question(row), max_tokens)
        except PromptRefusedError as error:
            return Answer(text=str(error), stop_reason=REFUSED, latency_ms=0, input_tokens=0, output_tokens=0)

    def _question(self, row: HeldOutRow) -> Question:
        system = next((message.content for message in row.messages if message.role == "system"), None)
        turns = tuple(
            Turn(role=message.role, text=message.content) for message in row.messages if message.role != "system"
        )
        picture = self._picture(row.image) if row.image else None
        return Question(turns=turns or (Turn(role="user", text=row.prompt),), system=system, picture=picture)

    def _picture(self, key: str) -> Picture:
        data = self.files.read(key)
        if data is None:
            raise AssertionError(f"the picture {key} of a held-out row is gone")
        return Picture(format=_FORMATS[key.rpartition(".")[2].lower()], data=data)


@dataclass(frozen=True)
class WriteAlias:
    """Point the dataset's alias at the candidate that passed."""

    aliases: Aliases
    stack: str

    def __call__(self, run: Run) -> Observation:
        """Write the alias; writing it twice does no harm."""
        if run.deployment is None or run.deployment.model_arn is None or not (run.evaluation and run.evaluation.passed):
            raise AssertionError(f"run {run.run_id} is to be promoted without a passing evaluation")
        name = names.alias(self.stack, run.dataset)
        previous = self.aliases.get(name)
        if previous != run.deployment.model_arn:
            self.aliases.put(name, run.deployment.model_arn)
        return AliasWritten(previous=previous if previous != run.deployment.model_arn else None)


def _json_lines(records: Iterable[Record]) -> bytes:
    return "".join(each.model_dump_json() + "\n" for each in records).encode()


def _silent_candidate(message: str) -> Problem:
    return Problem(
        code="evaluate.silent",
        message=f"The tuned model cannot be called: {message}",
        fix="Mend what Bedrock says, then drop the dataset again.",
    )


def _judged(
    plan: EvaluationPlan, answers: dict[str, list[StoredAnswer]], silent: dict[str, str], uri: str
) -> Evaluation:
    scores = {side: _score(plan.metric, rows) for side, rows in answers.items()}
    rivals = {side: score.value for side, score in scores.items() if side != CANDIDATE}
    passed, sentence = verdict(scores[CANDIDATE].value, rivals, plan.min_gain)
    sentence += "".join(f" The {side} model could not be asked: {message}" for side, message in silent.items())
    if "base" in silent:
        # A comparison that was asked for and did not happen proves nothing. A champion that cannot be called, on the
        # other hand, is of no use to anybody.
        passed = False
        sentence += " Allow the account to call it, or write evaluate: {against: [champion]}."
    return Evaluation(
        metric=plan.metric,
        rows=scores[CANDIDATE].rows,
        candidate=scores[CANDIDATE],
        base=scores.get("base"),
        champion=scores.get("champion"),
        min_gain=plan.min_gain,
        passed=passed,
        verdict=sentence,
        answers_uri=uri,
    )


def _score(metric: str, rows: list[StoredAnswer]) -> Score:
    correct = sum(exact_matches((each.expected, each.answer.text) for each in rows))
    value = correct / len(rows)
    if metric == "token_f1":
        value = sum(token_f1(each.expected, each.answer.text) for each in rows) / len(rows)
    return Score(
        model_id=rows[0].model_id,
        value=value,
        correct=correct,
        rows=len(rows),
        mean_latency_ms=sum(each.answer.latency_ms for each in rows) / len(rows),
        input_tokens=sum(each.answer.input_tokens for each in rows),
        output_tokens=sum(each.answer.output_tokens for each in rows),
    )
