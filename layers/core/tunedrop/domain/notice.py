"""What a person is told of a run: short, with the numbers, the cause, the cost and the next step."""

from collections.abc import Iterator
from datetime import datetime

from tunedrop.domain import approval, names
from tunedrop.domain.budget import words as dollars
from tunedrop.domain.cost import training_seconds, training_usd
from tunedrop.domain.cost_estimate import estimate_words
from tunedrop.domain.judge import judgement_lines
from tunedrop.domain.left_behind import left_behind
from tunedrop.domain.model import Record
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.plan import Plan, ServerlessTrainingPlan, ServeTarget
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import DatasetSummary, Run, RunStatus, Score
from tunedrop.domain.scoring import gain, interval_words
from tunedrop.domain.training_curve import short_name

PLACES_LIMIT = 3
"""Places that a group of problems names."""

DATASET_LIMIT = 43
"""Characters of the dataset's name in a subject: with all the rest they make 99."""

GROUPS_LIMIT = 10
"""Groups of problems that a notice lists."""

_HAPPENED = {
    RunStatus.AWAITING_APPROVAL: "awaits approval",
    RunStatus.TRAINING: "training started",
    RunStatus.PROMOTED: "promoted",
    RunStatus.NOT_PROMOTED: "not promoted",
    RunStatus.REJECTED: "rejected",
    RunStatus.FAILED: "failed",
    RunStatus.STOPPED: "stopped",
}


class NoticeText(Record):
    """Hold one notice as SNS takes it."""

    subject: str
    """ASCII, below 100 characters, on one line: SNS's own rule."""
    body: str
    """Plain text for people."""
    attributes: dict[str, str]
    """The same facts for filter policies; at most 10, since SNS delivers no more to a queue as raw messages."""


def notice(run: Run, now: datetime, report: tuple[str, ...] = ()) -> NoticeText:
    """Write the notice of the run's status; raises KeyError for a status that nobody is told of.

    `report` says where the run's report will lie, once the run has ended: a link that is good for some hours, and where
    those who may read the bucket find it.
    https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
    """
    return NoticeText(
        subject=f"Tunedrop: {_cut(run.dataset)} {_happened(run)} ({run.run_id})",
        body="\n".join(_body(run, now, report)) + "\n",
        attributes=dict(_attributes(run, now)),
    )


def next_step(run: Run) -> tuple[str, str]:
    """Advise what to do about a run that stands so: a sentence, and the command that does it."""
    if left := left_behind(run):
        return left[0].deletion
    if run.taken_down:
        return "Bring it back without training, in some minutes", f"tunedrop wake {run.run_id}"
    if run.failed_champion and run.deployment:
        logs = f"/aws/sagemaker/InferenceComponents/{run.deployment.model_name}"
        return f"Read why in the log group {logs}; see who answers now", f"tunedrop aliases {run.dataset}"
    match run.status:
        case RunStatus.AWAITING_APPROVAL:
            until = f" before {run.approval.lapses_at:%Y-%m-%d %H:%M} UTC" if run.approval else ""
            return f"Approve it{until}, or say no with `tunedrop reject {run.run_id}`", f"tunedrop approve {run.run_id}"
        case RunStatus.PROMOTED:
            return "Ask your model something", f"tunedrop chat {run.dataset}"
        case RunStatus.NOT_PROMOTED:
            return "Read the scores; more or better rows help most. Then drop again", _drop(run)
        case RunStatus.REJECTED:
            return "Mend what is listed, then drop again", _drop(run)
        case RunStatus.FAILED | RunStatus.STOPPED:
            return "Clear the cause, then drop again", _drop(run)
        case _:
            return "Follow it", f"tunedrop watch {run.run_id}"


def untold_reason(run: Run) -> str:
    """Return why the run stands so, unless its problems say it already."""
    told = {text for problem in run.problems for text in (problem.message, str(problem))}
    return "" if run.reason in told else run.reason


def problem_groups(run: Run) -> list[str]:
    """Tell problems in a line for each code: how many, the first places, the first one's words and fix."""
    groups: dict[str, list[Problem]] = {}
    for problem in run.problems:
        groups.setdefault(problem.code, []).append(problem)
    return [_group(code, group, run.problem_counts.get(code, len(group))) for code, group in groups.items()]


def token_words(data: DatasetSummary) -> str:
    """Tell how many tokens are trained on, by what they were counted, and what is lost of them."""
    if data.tokens is None:
        return ""
    counted = "the model's tokenizer" if data.tokens_basis == "tokenizer" else "an estimate"
    lost = f"; {data.truncated_rows:,} rows are cut off and lose {data.tokens_lost:,}" if data.truncated_rows else ""
    steps = f"; {data.expected_steps:,} steps of training" if data.expected_steps else ""
    return f"{data.tokens:,} to train on, by {counted}{lost}{steps}"


def estimated(run: Run) -> str:
    """Tell what the training was estimated to take before it was launched; empty when nobody knows."""
    return estimate_words(run.plan.estimate) if run.plan and run.plan.estimate else ""


def cost_basis(plan: Plan) -> Iterator[str]:
    """Tell what a run may cost on each instance type that it may turn to, and what the estimate rests on."""
    for cost in approval.costs(plan):
        if cost.stopped_cents is None:
            yield f"{cost.instance_type}: nobody knows"
            continue
        usd = cost.estimated_usd
        told = f"{usd.low:.2f} to {usd.high:.2f} US dollars by the estimate, " if usd else ""
        yield f"{cost.instance_type}: {told}{dollars(cost.stopped_cents)} when SageMaker stops it at its time limit"
    if plan.estimate:
        yield from plan.estimate.basis


def report_links(run: Run) -> tuple[str, ...]:
    """Return where the report on the data can be read as a page: in the console, and in S3."""
    if not run.data or not run.plan:
        return ()
    return names.console_url(run.plan.region, run.data.page_uri), run.data.page_uri


def _body(run: Run, now: datetime, report: tuple[str, ...]) -> Iterator[str]:
    yield _headline(run)
    yield from _why(run)
    if run.next_try_at:
        yield f"Next try: {run.next_try_at:%Y-%m-%d %H:%M} UTC"
    if run.problems:
        yield ""
        yield "Problems:"
        groups = problem_groups(run)
        yield from (f"- {group}" for group in groups[:GROUPS_LIMIT])
        if len(groups) > GROUPS_LIMIT:
            yield f"- and {len(groups) - GROUPS_LIMIT} other kinds"
    yield ""
    if run.plan:
        yield from _plan(run, run.plan)
    if run.data:
        yield from _data(run, run.data)
    yield from _results(run)
    yield f"Cost so far: {_cost(run, now)}"
    yield from _links(run, report)


def _results(run: Run) -> Iterator[str]:
    """Tell what training, evaluation and judge came to."""
    if run.training and run.training.metrics:
        yield "Losses: " + ", ".join(f"{short_name(metric.name)} {metric.value:g}" for metric in run.training.metrics)
    if run.evaluation:
        yield "Scores: " + ", ".join(_scores(run))
    if run.judgement:
        yield from (f"Judge: {line}" for line in judgement_lines(run.judgement))


def _why(run: Run) -> Iterator[str]:
    if left := left_behind(run):
        yield from (f"Why: {each.because}" for each in left)
    elif run.deployment and run.taken_down:
        yield f"Why: {run.deployment.retirement}"
    elif failed := run.failed_champion:
        yield failed.outcome
        yield f"Why: {failed.because}"
    elif reason := untold_reason(run):
        yield f"Why: {reason}"


def _links(run: Run, report: tuple[str, ...]) -> Iterator[str]:
    """Tell where to read on, and what to do next."""
    if run.status.terminal and report:
        link, *places = report
        yield "Report of the run, within a minute of this notice; for some hours, for whoever has the link:"
        yield f"  {link}"
        yield f"Later: tunedrop report {run.run_id}, or"
        yield from (f"  {place}" for place in places)
    advice, command = next_step(run)
    yield ""
    yield f"{advice}:"
    yield f"  {command}"
    if not command.endswith(run.run_id):
        yield "All that is known of this run:"
        yield f"  tunedrop show {run.run_id}"


def _data(run: Run, data: DatasetSummary) -> Iterator[str]:
    """Tell what the validator counted, and where its report lies."""
    split = "set apart by seed" if data.held_out_source == "split" else "from held-out.jsonl"
    yield (
        f"Rows: {data.training_rows:,} to train on, {data.validation_rows:,} to validate with, "
        f"{data.held_out_rows:,} held out ({split})"
    )
    if tokens := token_words(data):
        yield f"Tokens: {tokens}"
    if data.warnings:
        yield "Warnings of the data:"
        yield from (f"- {warning}" for warning in data.warnings[:GROUPS_LIMIT])
        if len(data.warnings) > GROUPS_LIMIT:
            yield f"- and {len(data.warnings) - GROUPS_LIMIT} other kinds"
    yield "Report on the data:"
    yield from (f"  {link}" for link in report_links(run))


def _plan(run: Run, plan: Plan) -> Iterator[str]:
    yield f"Model: {plan.model_id} ({plan.data.technique} tuning on {plan.training.place})"
    if words := estimated(run):
        yield f"Estimate: {words}"
    if plan.price:
        yield f"Price: {plan.price.words()}"
    if run.status is RunStatus.AWAITING_APPROVAL:
        yield "What it may cost, and on what basis:"
        yield from (f"- {line}" for line in cost_basis(plan))
    if plan.warnings:
        yield "Warnings of the plan:"
        yield from (f"- {warning}" for warning in plan.warnings)


def _happened(run: Run) -> str:
    if left_behind(run):
        return "not deleted"
    if run.taken_down:
        return "taken down"
    return "fails" if run.failed_champion else _HAPPENED[run.status]


def _headline(run: Run) -> str:
    if left := left_behind(run):
        things = " and ".join(each.words for each in left)
        return f'Nobody wants it any more, and it is left for you to delete, of "{run.dataset}": {things}.'
    if run.taken_down:
        return f'The endpoint of "{run.dataset}" is taken down and costs nothing any more; calls of it fail.'
    if run.failed_champion:
        return f'The model that was promoted for "{run.dataset}" fails: its endpoint answers with errors.'
    match run.status:
        case RunStatus.AWAITING_APPROVAL:
            return f'The data of "{run.dataset}" is valid, and its training waits for your approval.'
        case RunStatus.TRAINING:
            return f'The data of "{run.dataset}" is valid and training has started.'
        case RunStatus.PROMOTED:
            call = run.evaluation.call if run.evaluation else ModelCall.CONVERSE
            alone = run.evaluation and not (run.evaluation.base or run.evaluation.champion)
            return (
                f'The tuned model for "{run.dataset}" is promoted and answers through {_service(call)} {call.words}.'
                + (" It was compared with no other model." if alone else "")
            )
        case RunStatus.NOT_PROMOTED:
            return f'The tuned model for "{run.dataset}" is not promoted; what answers today has not changed.'
        case RunStatus.REJECTED:
            return f'The drop "{run.dataset}" is rejected; no training was started.'
        case _:
            return f'The run of "{run.dataset}" {_HAPPENED[run.status]} during {run.previous_status.lower()}.'


def _service(call: ModelCall) -> str:
    return "SageMaker" if call is ModelCall.INVOKE_ENDPOINT else "Bedrock"


def _cut(dataset: str) -> str:
    return dataset if len(dataset) <= DATASET_LIMIT else f"{dataset[: DATASET_LIMIT - 3]}..."


def _drop(run: Run) -> str:
    return f"tunedrop drop FOLDER --name {run.dataset}"


def _group(code: str, problems: list[Problem], number: int) -> str:
    places = list(dict.fromkeys(problem.where for problem in problems if problem.where))
    where = ", ".join(places[:PLACES_LIMIT])
    more = f" and {len(places) - PLACES_LIMIT} more" if len(places) > PLACES_LIMIT else ""
    times = f" ({number:,} times)" if number > 1 else ""
    first = problems[0]
    # AWS's own reasons come without a full stop.
    message = first.message.rstrip(".") + "."
    text = f"{where}{more}: {message}" if where else message
    return f"{code}{times}: {text}" + (f" Fix: {first.fix}" if first.fix else "")


def _scores(run: Run) -> Iterator[str]:
    if evaluation := run.evaluation:
        yield f"tuned {_score(evaluation.candidate)}"
        for name, other in (("base", evaluation.base), ("champion", evaluation.champion)):
            if other:
                compared = evaluation.comparisons.get(name)
                sure = f" ({interval_words(compared)})" if compared else ""
                yield f"{name} {_score(other)}, gain {gain(evaluation.candidate.value, other.value):+.3f}{sure}"
        yield f"asked for {evaluation.min_gain:+.3f}"


def _score(score: Score) -> str:
    return f"{score.value:.3f} ({score.correct} of {score.rows} right)"


def _cost(run: Run, now: datetime) -> str:
    seconds, dollars = training_seconds(run, now), training_usd(run, now)
    if run.training and run.plan and isinstance(run.plan.training, ServerlessTrainingPlan):
        return f"not known: SageMaker bills this training by what it reads, as {run.plan.training.usage_type}"
    if seconds == 0:
        return "0.00 USD (no training was billed)"
    if dollars is None:
        return f"{seconds:,} s of training, no list price known"
    served, endpoints = "", ["the base model's endpoint"] if run.base else []
    if run.deployment and run.deployment.target is ServeTarget.ENDPOINT:
        endpoints.insert(0, "the endpoint")
    elif run.deployment:
        served = "; Bedrock bills imported models apart"
    if endpoints:
        served += f"; SageMaker bills {' and '.join(endpoints)} apart"
    return f"{dollars:.2f} USD ({seconds:,} s of training at list price{served})"


def _attributes(run: Run, now: datetime) -> Iterator[tuple[str, str]]:
    yield "status", run.status
    yield "dataset", run.dataset
    yield "run_id", run.run_id
    if left := left_behind(run):
        yield "left", left[0].kind
    elif run.taken_down:
        yield "endpoint", "taken-down"
    elif run.failed_champion:
        yield "endpoint", "failing"
    if run.plan:
        yield "technique", run.plan.data.technique
        yield "model_id", run.plan.model_id
    if run.problems:
        yield "code", run.problems[0].code
    if run.evaluation:
        evaluation = run.evaluation
        yield "score", f"{evaluation.candidate.value:.3f}"
        gains = [
            gain(evaluation.candidate.value, each.value) for each in (evaluation.base, evaluation.champion) if each
        ]
        if gains:
            yield "gain", f"{min(gains):.3f}"
    dollars = training_usd(run, now)
    if dollars is not None:
        yield "cost_usd", f"{dollars:.2f}"
