"""Ask base, champion and candidate the same held-out rows."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from tunedrop.domain import names
from tunedrop.domain.alias import Champion
from tunedrop.domain.artifact import weights_uri
from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.model import Record
from tunedrop.domain.model_call import ModelCall, call_of_imported
from tunedrop.domain.observations import Observation, Refused, Scored, ScoringPaused, Unavailable
from tunedrop.domain.plan import EvaluationPlan, Technique
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import AnswerPrice, Evaluation, Run
from tunedrop.domain.serving_price import answer_price
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError, TransientError
from tunedrop.evaluation.results import BASE, CANDIDATE, results, scored
from tunedrop.evaluation.rows import REFUSED, HeldOutRow, StoredAnswer
from tunedrop.ports import (
    Answer,
    Conversation,
    ImportedModel,
    ModelImports,
    Picture,
    Question,
    RunFiles,
    RunStore,
    Turn,
)

ROWS_AT_ONCE = 16
"""Rows whose answers are stored together: what is lost, at most, when an invocation dies."""

CALLS_AT_ONCE = 8
"""Concurrent calls."""

LEAST_TOKENS = 16
MOST_TOKENS = 2048
"""Bounds of maxTokens; in between, no answer needs more tokens than the longest expected one has bytes."""

RESERVE_SECONDS = 120.0
"""Time kept back at the end of an invocation: the worst case of one chunk, cold start included."""

_FORMATS: Mapping[str, Literal["png", "jpeg", "gif", "webp"]] = {
    "png": "png",
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "gif": "gif",
    "webp": "webp",
}
"""What Converse calls the formats of pictures, by file extension."""

WARMING_UP = timedelta(minutes=1)


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
    runs: RunStore
    files: RunFiles
    seconds_left: Callable[[], float]

    def __call__(self, run: Run) -> Observation:
        """Answer what is not answered yet, then judge."""
        if run.plan is None or run.deployment is None or run.deployment.model_arn is None:
            raise AssertionError(f"run {run.run_id} is {run.status} without a model")
        candidate = self.imports.model(run.deployment.model_arn)
        champion = self.runs.alias(run.dataset).champion if "champion" in run.plan.evaluation.against else None
        sides = self._sides(run.plan.evaluation, candidate.arn, champion)
        models = {candidate.arn: candidate, **self._imported(sides)}
        if problem := _stranger(run, candidate) or _same_weights(candidate, sides, models):
            return Refused(problem=problem)
        seen = self._compared(run, run.plan.evaluation, sides, models)
        if isinstance(seen, Scored) and champion:
            return Scored(evaluation=seen.evaluation.model_copy(update={"champion_run": champion.run_id}))
        return seen

    def _compared(
        self, run: Run, plan: EvaluationPlan, sides: Mapping[str, str], models: Mapping[str, ImportedModel]
    ) -> Observation:
        rows = self._rows(run)
        calls = {side: _call(run, models.get(model_id)) for side, model_id in sides.items()}
        answers: dict[str, list[StoredAnswer]] = {}
        silent: dict[str, str] = {}
        try:
            for side, model_id in sides.items():
                answered = sum(map(len, answers.values()))
                try:
                    answers[side] = self._answers(run, side, model_id, calls[side], rows, answered)
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
        judged = {side: scored(rows, given) for side, given in answers.items()}

        def price_of(model_id: str, latency_ms: float) -> AnswerPrice | None:
            units = models[model_id].units_per_copy if model_id in models else None
            return answer_price(units, latency_ms, min(CALLS_AT_ONCE, len(rows))) if units else None

        labels = run.data is not None and run.data.labels is not None
        report = results(plan, rows, judged, silent, price_of, labels=labels)
        return Scored(evaluation=self._written(run, judged, report, calls[CANDIDATE]))

    def _written(
        self, run: Run, answers: Mapping[str, list[StoredAnswer]], report: EvaluationReport, call: ModelCall
    ) -> Evaluation:
        """Write every answer and the report beside the run; return what the record takes over, no text of rows."""
        answers_key, report_key = names.answers_key(run.run_id), names.evaluation_report_key(run.run_id)
        self.files.write(answers_key, _json_lines(each for side in answers.values() for each in side))
        self.files.write(report_key, report.model_dump_json().encode())
        candidate = report.sides[CANDIDATE]
        return Evaluation(
            metric=report.metric,
            rows=candidate.rows,
            candidate=candidate,
            base=report.sides.get(BASE),
            champion=report.sides.get("champion"),
            comparisons={side: by_metric[report.metric] for side, by_metric in report.comparisons.items()},
            min_gain=report.min_gain,
            passed=report.passed,
            verdict=report.verdict,
            answers_uri=self.files.uri(answers_key),
            report_uri=self.files.uri(report_key),
            call=call,
        )

    def _imported(self, sides: Mapping[str, str]) -> dict[str, ImportedModel]:
        """Describe the imported models among the candidate's rivals; one that is gone is left out."""
        found: dict[str, ImportedModel] = {}
        for side, model_id in sides.items():
            if side != CANDIDATE and ":imported-model/" in model_id:
                with suppress(ModelUnavailableError):  # asking it says so
                    found[model_id] = self.imports.model(model_id)
        return found

    def _rows(self, run: Run) -> list[HeldOutRow]:
        data = self.files.read(names.held_out_key(run.run_id))
        if data is None:
            raise AssertionError(f"run {run.run_id} has no held-out rows")
        return [HeldOutRow.model_validate_json(line) for line in data.split(b"\n") if line]

    def _sides(self, plan: EvaluationPlan, candidate: str, champion: Champion | None) -> dict[str, str]:
        sides = {CANDIDATE: candidate}
        if "base" in plan.against and plan.base_model_id:
            sides["base"] = plan.base_model_id
        if champion:
            sides["champion"] = champion.model_arn
        return sides

    def _answers(
        self, run: Run, side: str, model_id: str, call: ModelCall, rows: Sequence[HeldOutRow], answered: int
    ) -> list[StoredAnswer]:
        longest = max(len(right.encode()) for row in rows for right in row.right)
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
                    asked = pool.map(lambda row: self._ask(model_id, call, row, max_tokens), chunk)
                    fresh = [
                        StoredAnswer(side=side, model_id=model_id, row=index, expected=row.completion, answer=answer)
                        for index, (row, answer) in enumerate(zip(chunk, asked, strict=True), start=first)
                    ]
                    stored = _json_lines(fresh)
                    self.files.write(key, stored)
                answers += [StoredAnswer.model_validate_json(line) for line in stored.split(b"\n") if line]
        return answers

    def _ask(self, model_id: str, call: ModelCall, row: HeldOutRow, max_tokens: int) -> Answer:
        """Return the answer; a prompt that the model does not take, such as one too long for it, has a wrong one."""
        try:
            return self.conversation.ask(model_id, call, self._question(row), max_tokens)
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


def _json_lines(records: Iterable[Record]) -> bytes:
    return "".join(each.model_dump_json() + "\n" for each in records).encode()


def _call(run: Run, model: ImportedModel | None) -> ModelCall:
    """Choose for an imported model; Bedrock's own know Converse, and an imported one that is gone says so to it."""
    if model is None:
        return ModelCall.CONVERSE
    pictures = run.plan is not None and run.plan.data.technique is Technique.VISUAL_QA
    return call_of_imported(instruct_supported=model.instruct_supported, pictures=pictures)


def _silent_candidate(message: str) -> Problem:
    return Problem(
        code="evaluate.silent",
        message=f"The tuned model cannot be called: {message}",
        fix="Mend what Bedrock says, then drop the dataset again.",
    )


def _stranger(run: Run, model: ImportedModel) -> Problem | None:
    """Return a problem unless Bedrock's model was made from this very run's artifact."""
    artifact = weights_uri(run) or ""
    if _folder(model.source_uri) != _folder(artifact):
        return Problem(
            code="evaluate.identity",
            message=f"{model.arn} was imported from {model.source_uri}, not from this run's {artifact}.",
            fix="Delete that model in the Bedrock console, then drop the dataset again.",
        )
    return None


def _same_weights(
    candidate: ImportedModel, sides: Mapping[str, str], models: Mapping[str, ImportedModel]
) -> Problem | None:
    """Return a problem when the candidate would be compared with itself: the same model, or the same artifact's."""
    for side, model_id in sides.items():
        if side == CANDIDATE:
            continue
        imported = models.get(model_id)
        if model_id == candidate.arn or (imported and _folder(imported.source_uri) == _folder(candidate.source_uri)):
            return Problem(
                code="evaluate.same-weights",
                message=f"The {side} model {model_id} has the tuned model's own weights, {candidate.source_uri}: "
                "the comparison would say nothing.",
                fix=f"Have the stack's parameter BaseModels name the untuned model for {side}."
                if side == BASE
                else "Import the champion's own artifact, or write evaluate: {against: [base]}.",
            )
    return None


def _folder(uri: str) -> str:
    return uri.rstrip("/")
