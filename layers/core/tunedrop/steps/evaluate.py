"""Ask base, champion and candidate the same held-out rows."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from tunedrop.domain import names
from tunedrop.domain.alias import Champion
from tunedrop.domain.artifact import weights_uri
from tunedrop.domain.decide import LONGEST_RIVAL_WAIT
from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.model_call import ModelCall, call_of_imported
from tunedrop.domain.observations import Observation, Refused, Scored, ScoringPaused, Unavailable
from tunedrop.domain.plan import EvaluationPlan, HostingPlan, Technique
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import ASKING, AnswerPrice, Evaluation, Run
from tunedrop.domain.serving_price import answer_price, hosted_answer_price
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, TransientError
from tunedrop.evaluation.results import PriceOf, results
from tunedrop.evaluation.rows import BASE, CANDIDATE, HeldOut
from tunedrop.ports import Clock, RunFiles, RunStore, ServedModel, Workflows
from tunedrop.steps.ask_rows import (
    CALLS_AT_ONCE,
    AskingOrder,
    AskRows,
    OutOfTimeError,
    Side,
    all_answers,
    all_stored,
    most_tokens,
    whole_result,
    write_order,
    write_ranges,
)
from tunedrop.steps.endpoint import ServedModels
from tunedrop.steps.executions import LOOK_AGAIN, SUCCEEDED, failed, gave_up, latest

WARMING_UP = timedelta(minutes=1)


@dataclass(frozen=True)
class ScoreModels:
    """Score every side on the held-out rows, over several invocations if need be.

    More rows than `at_once_rows` are asked by a workflow, in ranges of `range_rows`.
    """

    served: ServedModels
    runs: RunStore
    files: RunFiles
    workflows: Workflows
    ask: AskRows
    at_once_rows: int
    range_rows: int
    clock: Clock

    def __call__(self, run: Run) -> Observation:
        """Have answered what is not answered yet, then judge."""
        if run.plan is None or run.deployment is None or run.deployment.model_arn is None:
            raise AssertionError(f"run {run.run_id} is {run.status} without a model")
        candidate = self.served.model(run.deployment.model_arn)
        champion = self.runs.alias(run.dataset).champion if "champion" in run.plan.evaluation.against else None
        sides = self._sides(run, run.plan.evaluation, candidate.arn, champion)
        models = {candidate.arn: candidate, **self._imported(sides)}
        if problem := _stranger(run, candidate) or _same_weights(candidate, sides, models):
            return Refused(problem=problem)
        held_out = HeldOut.of(self._held_out(run))
        calls = {
            side: Side(model_id=model_id, call=_call(run, model_id, models.get(model_id)))
            for side, model_id in sides.items()
        }
        order = self._order(run, run.plan.evaluation, calls, held_out)
        if unanswered := self._unanswered(order, held_out, patient=self._patient(run, champion)):
            return unanswered
        prices = self._prices(run, order, models, champion)
        seen = self._judged(run, run.plan.evaluation, order, held_out, prices)
        if isinstance(seen, Scored) and champion:
            return Scored(evaluation=seen.evaluation.model_copy(update={"champion_run": champion.run_id}))
        return seen

    def _order(self, run: Run, plan: EvaluationPlan, sides: dict[str, Side], held_out: HeldOut) -> AskingOrder:
        at_once = len(held_out) <= self.at_once_rows
        labels = plan.metric == "label_accuracy" or (run.data is not None and run.data.labels is not None)
        order = AskingOrder(
            run_id=run.run_id,
            metric=plan.metric,
            sides=sides,
            rows=len(held_out),
            range_rows=len(held_out) if at_once else self.range_rows,
            max_tokens=most_tokens(held_out),
            labels=labels,
        )
        return write_order(self.files, order)

    def _patient(self, run: Run, champion: Champion | None) -> bool:
        """Tell whether rivals that do not answer yet are waited for; a new champion is, for a while of its own."""
        since = max(run.entered_at, champion.since) if champion else run.entered_at
        return self.clock.now() - since < LONGEST_RIVAL_WAIT

    def _unanswered(self, order: AskingOrder, held_out: HeldOut, *, patient: bool) -> Observation | None:
        """Have the rows asked; returns what to wait for, or None when all answers are there."""
        if order.ranges > 1:
            return self._in_ranges(order)
        try:
            self.ask(order, 0, held_out, patient=patient)
        except OutOfTimeError as stop:
            return ScoringPaused(answered=stop.answered)
        except (ModelNotReadyError, TransientError) as error:
            return Unavailable(reason=f"The model cannot answer now: {error}", retry_after=WARMING_UP)
        return None

    def _in_ranges(self, order: AskingOrder) -> Observation | None:
        execution = latest(
            self.workflows,
            lambda attempt: names.evaluation_execution(order.run_id, order.name, attempt),
            lambda name: self.workflows.start(name, {"ranges": write_ranges(self.files, order)}),
        )
        if execution and execution.status == SUCCEEDED:
            return None
        if execution and failed(execution):
            return Refused(problem=gave_up("evaluate.failed", "The evaluation", execution))
        return Unavailable(reason=f"Asking {order.rows:,} rows in {order.ranges} ranges.", retry_after=LOOK_AGAIN)

    def _judged(
        self,
        run: Run,
        plan: EvaluationPlan,
        order: AskingOrder,
        held_out: HeldOut,
        price_of: PriceOf,
    ) -> Observation:
        whole = whole_result(self.files, order)
        if CANDIDATE in whole.silent:
            return Refused(problem=_silent_candidate(whole.silent[CANDIDATE]))
        if missing := self._base_missing(run):
            whole = whole.model_copy(update={"silent": {**whole.silent, BASE: missing}})
        report = results(plan, held_out, whole, price_of)
        return Scored(evaluation=self._written(run, order, report))

    def _written(self, run: Run, order: AskingOrder, report: EvaluationReport) -> Evaluation:
        """Write every answer and the report beside the run; return what the record takes over, no text of rows."""
        answers_key, report_key = names.answers_key(run.run_id), names.evaluation_report_key(run.run_id)
        with self.files.writer(answers_key) as write:
            for answers in all_answers(self.files, order, report.sides):
                write(answers)
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
            call=order.sides[CANDIDATE].call,
        )

    def _base_missing(self, run: Run) -> str:
        """Say why the base model's endpoint is not asked, or not any more; empty where it is, or there is none."""
        if run.base is None:
            return ""
        late = run.base.up_at is not None and self.clock.now() - run.base.up_at >= ASKING
        if late and not (run.base.model_arn and self._has_answered(run, run.base.model_arn)):
            hours = ASKING.total_seconds() / 3600
            return f"Its endpoint was there for {hours:g} hours, and not all rows were answered."
        return run.base.missing

    def _has_answered(self, run: Run, base_arn: str) -> bool:
        """Tell whether all that the base says is stored, whatever has become of its endpoint since."""
        return all_stored(self.files, run.run_id, BASE, base_arn, len(HeldOut.of(self._held_out(run))))

    def _held_out(self, run: Run) -> bytes:
        data = self.files.read(names.held_out_key(run.run_id))
        if data is None:
            raise AssertionError(f"run {run.run_id} has no held-out rows")
        return data

    def _prices(
        self, run: Run, order: AskingOrder, models: Mapping[str, ServedModel], champion: Champion | None
    ) -> PriceOf:
        hosted = self._hosted(run, champion)
        at_once = min(CALLS_AT_ONCE, order.rows)

        def price_of(model_id: str, latency_ms: float) -> AnswerPrice | None:
            hosting = hosted.get(model_id)
            if hosting and hosting.usd_per_hour:
                return hosted_answer_price(hosting.usd_per_hour, latency_ms, at_once)
            units = models[model_id].units_per_copy if model_id in models else None
            return answer_price(units, latency_ms, at_once) if units else None

        return price_of

    def _hosted(self, run: Run, champion: Champion | None) -> dict[str, HostingPlan]:
        """Return what each model on an endpoint runs on, by its ARN; the champion's own run says of the champion's."""
        promoted = self.runs.get(champion.run_id) if champion else None
        base = run.plan.evaluation.base_endpoint if run.plan else None
        found = (
            (run.deployment.model_arn if run.deployment else None, run.plan.hosting if run.plan else None),
            (run.base.model_arn if run.base else None, base.hosting if base else None),
            (champion.model_arn if champion else None, promoted.plan.hosting if promoted and promoted.plan else None),
        )
        return {model_arn: hosting for model_arn, hosting in found if model_arn and hosting}

    def _imported(self, sides: Mapping[str, str]) -> dict[str, ServedModel]:
        """Describe the tuned models among the candidate's rivals; one that is gone is left out."""
        found: dict[str, ServedModel] = {}
        for side, model_id in sides.items():
            if side != CANDIDATE and (":imported-model/" in model_id or names.endpoint_of(model_id)):
                with suppress(ModelUnavailableError):  # asking it says so
                    found[model_id] = self.served.model(model_id)
        return found

    def _sides(self, run: Run, plan: EvaluationPlan, candidate: str, champion: Champion | None) -> dict[str, str]:
        sides = {CANDIDATE: candidate}
        if "base" in plan.against and plan.base_model_id:
            sides[BASE] = plan.base_model_id
        elif run.base and run.base.model_arn and not self._base_missing(run):
            sides[BASE] = run.base.model_arn
        if champion:
            sides["champion"] = champion.model_arn
        return sides


def _call(run: Run, model_id: str, model: ServedModel | None) -> ModelCall:
    """Choose for a tuned model; Bedrock's own know Converse, and an imported one that is gone says so to it."""
    if names.endpoint_of(model_id):
        return ModelCall.INVOKE_ENDPOINT
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


def _stranger(run: Run, model: ServedModel) -> Problem | None:
    """Return a problem unless Bedrock's model was made from this very run's artifact."""
    artifact = weights_uri(run) or ""
    if _folder(model.source_uri) != _folder(artifact):
        return Problem(
            code="evaluate.identity",
            message=f"{model.arn} was made from {model.source_uri}, not from this run's {artifact}.",
            fix="Delete that model in its console, then drop the dataset again.",
        )
    return None


def _same_weights(
    candidate: ServedModel, sides: Mapping[str, str], models: Mapping[str, ServedModel]
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
