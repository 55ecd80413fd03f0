"""What the terminal shows of runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import fmean
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tunedrop.domain import names
from tunedrop.domain.approval import question_words
from tunedrop.domain.budget import Ledger, words
from tunedrop.domain.cost import training_seconds, training_usd
from tunedrop.domain.judge import judgement_lines
from tunedrop.domain.notice import estimated, next_step, problem_groups, report_links, token_words, untold_reason
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import ApprovalAnswer, Evaluation, Run, RunStatus, Score
from tunedrop.domain.scoring import gain, interval_words
from tunedrop.domain.training_curve import short_name
from tunedrop.domain.words import visible
from tunedrop.validation.findings import Severity
from tunedrop.validation.report import ValidationReport

COLOURS = {
    RunStatus.PROMOTED: "bold green",
    RunStatus.NOT_PROMOTED: "bold yellow",
    RunStatus.REJECTED: "bold red",
    RunStatus.FAILED: "bold red",
    RunStatus.STOPPED: "bold red",
}

_BARS = "▁▂▃▄▅▆▇█"
SPARKLINE_WIDTH = 24


def console(*, stderr: bool = False) -> Console:
    """Make a console that prints texts as they are: AWS's messages hold brackets and colons."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)


def status_text(run: Run) -> Text:
    """Show a status in its colour."""
    return Text(run.status, style=COLOURS.get(run.status, "bold cyan"))


def runs_table(runs: Iterable[Run], now: datetime) -> Table:
    """Show runs, one a row."""
    table = Table("Run", "Dataset", "Status", "Started", "Took", "Score", "Gain", "Cost", box=None, pad_edge=False)
    for run in runs:
        end = run.entered_at if run.status.terminal else now
        better = _gain(run.evaluation)
        table.add_row(
            Text(run.run_id, no_wrap=True),
            run.dataset,
            status_text(run),
            f"{run.created_at.astimezone():%Y-%m-%d %H:%M}",
            duration(end - run.created_at),
            f"{run.evaluation.candidate.value:.3f}" if run.evaluation else "-",
            "-" if better is None else f"{better:+.3f}",
            cost(run, now),
        )
    return table


def run_record(run: Run, now: datetime) -> dict[str, Any]:
    """Tell programs what the table of runs tells people; what is not known yet is null."""
    return {
        "run_id": run.run_id,
        "dataset": run.dataset,
        "status": run.status,
        "reason": run.reason,
        "started_at": run.created_at.isoformat(),
        "ended_at": run.entered_at.isoformat() if run.status.terminal else None,
        "metric": run.evaluation.metric if run.evaluation else None,
        "score": run.evaluation.candidate.value if run.evaluation else None,
        "gain": _gain(run.evaluation),
        "cost_usd": training_usd(run, now),
    }


def _gain(evaluation: Evaluation | None) -> float | None:
    """Return the gain over the best of base and champion."""
    others = [other.value for other in (evaluation.base, evaluation.champion) if other] if evaluation else []
    return gain(evaluation.candidate.value, max(others)) if evaluation and others else None


def facts(run: Run, now: datetime, run_bucket: str) -> Table:
    """Show all that is known of one run, a fact a row."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(run, now, run_bucket):
        table.add_row(name, value)
    return table


def account(ledger: Ledger, cap: int | None) -> Table:
    """Show a month's account; `cap` is in cents, None for no cap."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("month", f"{ledger.month} (UTC)")
    table.add_row("spent", words(ledger.spent))
    for job_name, amount in sorted(ledger.reserved.items()):
        table.add_row("reserved", f"{words(amount)} at most for {job_name}")
    table.add_row("committed", words(ledger.committed))
    table.add_row("cap", "none" if cap is None else f"{words(cap)}, room for {words(max(0, cap - ledger.committed))}")
    return table


def account_record(ledger: Ledger, cap: int | None) -> dict[str, Any]:
    """Tell programs what the month's account tells people, in US dollars; `cap_usd` is null for no cap."""
    return {
        "month": ledger.month,
        "spent_usd": ledger.spent / 100,
        "reserved_usd": {job_name: amount / 100 for job_name, amount in sorted(ledger.reserved.items())},
        "committed_usd": ledger.committed / 100,
        "cap_usd": None if cap is None else cap / 100,
    }


def news(before: Run | None, after: Run) -> Iterator[str]:
    """Tell what has become known of a run since it was last seen, a line each."""
    if before is None or before.status is not after.status:
        yield after.status
    if after.plan and not (before and before.plan):
        yield f"  {_plan(after)}"
        yield from (f"  Warning: {warning}" for warning in after.plan.warnings)
    if after.data and not (before and before.data):
        yield f"  {_rows(after)}"
        yield from (f"  Tokens: {tokens}" for tokens in (token_words(after.data),) if tokens)
        yield from (f"  Warning: {warning}" for warning in after.data.warnings)
    yield from _approval_news(before, after)
    if after.training:
        training = before.training if before else None
        if training is None or training.job_name != after.training.job_name:
            yield f"  Training job {after.training.job_name}"
        if after.training.secondary_status != (training.secondary_status if training else ""):
            yield f"  {after.training.secondary_status}"
    if after.deployment and not (before and before.deployment):
        job, name = after.deployment.import_job_name, after.deployment.model_name
        yield f"  Import job {job}" if job else f"  Endpoint {name}"
    if after.base and not (before and before.base):
        yield f"  Base model's endpoint {after.base.name}"
    if after.next_try_at and after.reason != (before.reason if before else ""):
        yield f"  Waits: {after.reason} Next try: {after.next_try_at.astimezone():%H:%M:%S}"


def _approval_news(before: Run | None, after: Run) -> Iterator[str]:
    known = before.approval if before else None
    asked = after.approval
    if asked and not known and not asked.answer:
        advice, command = next_step(after)
        yield f"  {question_words(asked)} {advice}: {command}"
    if asked and asked.answer and not (known and known.answer):
        yield f"  {answer_words(asked.answer)}"


def outcome(run: Run, stack: str | None) -> RenderableType:
    """Show how a run ended: verdict, scores, problems, what to do next."""
    parts: list[RenderableType] = [Text.assemble(status_text(run), f"  {untold_reason(run)}".rstrip())]
    if run.evaluation:
        parts += [scores(run.evaluation)]
    if run.judgement:
        parts += [Text(f"Judge: {line}") for line in judgement_lines(run.judgement)]
    parts += [Text(f"- {group}") for group in problem_groups(run)]
    advice, command = next_step(run)
    parts += [Text(""), Text(f"{advice}:"), Text(f"  {for_stack(command, stack)}", style="bold")]
    return Group(*parts)


def scores(evaluation: Evaluation) -> Table:
    """Show the models that were compared, a row each."""
    table = Table("Model", evaluation.metric, "right", "tuned model's gain", "ms an answer", box=None, pad_edge=False)
    sides: tuple[tuple[str, Score | None], ...] = (
        ("tuned", evaluation.candidate),
        ("base", evaluation.base),
        ("champion", evaluation.champion),
    )
    for name, score in sides:
        if score:
            better = "" if name == "tuned" else f"{gain(evaluation.candidate.value, score.value):+.3f}"
            if compared := evaluation.comparisons.get(name):
                better += f" ({interval_words(compared)})"
            right = f"{score.correct} of {score.rows}"
            table.add_row(name, f"{score.value:.3f}", right, better, f"{score.mean_latency_ms:.0f}")
    return table


def problems(run: Run, report: ValidationReport | None) -> Iterator[Text]:
    """List every problem that is kept, in full: the report's, which holds more than the record."""
    errors = [each.problem() for each in report.findings if each.severity is Severity.ERROR] if report else []
    listed = {str(problem): problem for problem in (*run.problems, *errors)}
    yield from (_problem(problem) for problem in listed.values())
    if report and (unlisted := sum(report.errors.values()) - len(errors)):
        yield Text(f"and {unlisted:,} more")


def for_stack(command: str, stack: str | None) -> str:
    """Name the stack in a suggested command, when it had to be named in this one."""
    return command.replace("tunedrop ", f"tunedrop --stack {stack} ", 1) if stack else command


def answer_words(answer: ApprovalAnswer) -> str:
    """Tell who let a run be launched, or did not, and when."""
    said = "Approved" if answer.approved else "Refused"
    return f"{said} by {answer.by} on {_moment(answer.at)}{': ' if answer.reason else '.'}{answer.reason}"


def duration(time: timedelta) -> str:
    """Write a time as people say it: `45s`, `12m05s`, `3h20m`."""
    seconds = max(0, int(time.total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{seconds % 60:02}s" if minutes else f"{seconds}s"


def cost(run: Run, now: datetime) -> str:
    """Write what the training has cost so far."""
    dollars = training_usd(run, now)
    if dollars is not None:
        return f"{dollars:.2f} USD"
    return "no list price known" if training_seconds(run, now) else "-"


def spending(run: Run, now: datetime) -> str:
    """Write what the training has cost so far, beside what it was estimated at and what it may cost."""
    spent = cost(run, now)
    if spent == "-" or run.plan is None:
        return spent
    limits = []
    if run.plan.estimate and (usd := run.plan.estimate.usd):
        limits.append(f"{usd.low:.2f} to {usd.high:.2f} estimated")
    if run.plan.budget_usd is not None:
        limits.append(f"budget {run.plan.budget_usd:.2f}")
    return f"{spent} ({', '.join(limits)})" if limits else spent


def sparkline(values: Sequence[float], width: int = SPARKLINE_WIDTH) -> str:
    """Draw the course of `values` as bars; of many, each bar stands for the mean of some."""
    count = min(len(values), width)
    edges = [len(values) * place // count for place in range(count + 1)] if count else []
    shown = [fmean(values[start:end]) for start, end in pairwise(edges)]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((value - low) / (high - low) * steps) if high > low else 0] for value in shown)


def confidence_words(confidence: Mapping[str, Any]) -> str:
    """Say how sure a model is of its answer, and of which token it is the least."""
    doubtful = min(confidence["tokens"], key=lambda token: float(token["probability"]))
    return (
        f"Confidence {confidence['value']:.3f}; the least sure token is "
        f'"{visible(doubtful["text"])}" ({doubtful["probability"]:.3f}).'
    )


def _since(run: Run, now: datetime) -> tuple[str, str]:
    if run.status.terminal:
        return "ended", _moment(run.entered_at)
    return "in status for", duration(now - run.entered_at)


def _reports(run: Run) -> Iterator[tuple[str, str]]:
    yield from (("report on the data", link) for link in report_links(run))
    if run.report_uri:
        yield "report of the run", run.report_uri


def _facts(run: Run, now: datetime, run_bucket: str) -> Iterator[tuple[str, str | Text]]:
    yield "run", run.run_id
    yield "dataset", run.dataset
    yield "status", status_text(run)
    if run.reason:
        yield "reason", run.reason
    if run.next_try_at:
        yield "next try", _moment(run.next_try_at)
    yield "started", f"{_moment(run.created_at)} by the upload of {run.drop.uploaded_by}"
    yield _since(run, now)
    yield "cost so far", cost(run, now)
    yield "tune.yaml", f"s3://{run.drop.bucket}/{run.drop.key} (version {run.drop.version_id})"
    yield from _plan_facts(run, run_bucket)
    if run.data:
        yield "data", _rows(run)
        yield from (("tokens", tokens) for tokens in (token_words(run.data),) if tokens)
        yield from (("warning", warning) for warning in run.data.warnings)
    yield from _reports(run)
    yield from _approval_facts(run)
    yield from (
        ("failed attempt", f"{each.attempt}, on {each.instance_type}: {each.code} at {_moment(each.ended_at)}")
        for each in run.failed_attempts
    )
    for charge in run.charges:
        actual = "reserved" if charge.cents is None else f"cost {words(charge.cents)}"
        yield "charge", f"{charge.job_name}: {actual}, {words(charge.most_cents)} at most, in {charge.month}"
    if run.training:
        yield "training job", f"{run.training.job_name} ({run.training.status} {run.training.secondary_status})"
        yield from ((short_name(metric.name), f"{metric.value:g}") for metric in run.training.metrics)
        yield "artifact", run.training.artifact_uri or "-"
    if run.deployment:
        deleted = " (deleted)" if run.deployment.deleted else ""
        deleted += f" (left, for you to delete: {run.deployment.left})" if run.deployment.left else ""
        deleted += f" {run.deployment.retirement}" if run.deployment.retirement else ""
        if run.deployment.import_job_name:
            yield "import job", run.deployment.import_job_name
        yield "model", f"{run.deployment.model_arn or run.deployment.model_name}{deleted}"
    if run.base:
        left = f" (left, for you to delete: {run.base.left})" if run.base.left else ""
        yield "base model's endpoint", f"{run.base.name}{' (deleted)' if run.base.deleted else left}"
    yield from _answer_facts(run)
    if run.promotion:
        yield "promoted", f"by {run.promotion.by} at {_moment(run.promotion.at)}"
        yield "champion before", f"run {run.promotion.instead_of}" if run.promotion.instead_of else "-"
    yield from (("notified", f"{status} at {_moment(told.claimed_at)}") for status, told in run.notices.items())


def _answer_facts(run: Run) -> Iterator[tuple[str, str]]:
    if run.evaluation:
        yield "called through", run.evaluation.call.words
        yield "answers", run.evaluation.answers_uri
    if run.judgement:
        yield from (("judge", line) for line in judgement_lines(run.judgement))
        yield from (("judge's job", job.name) for job in run.judgement.jobs)


def _approval_facts(run: Run) -> Iterator[tuple[str, str]]:
    if run.approval is None:
        return
    yield "approval", question_words(run.approval)
    if run.approval.answer:
        yield "answer", answer_words(run.approval.answer)
    elif run.status is RunStatus.AWAITING_APPROVAL:
        yield "lapses", _moment(run.approval.lapses_at)


def _plan_facts(run: Run, run_bucket: str) -> Iterator[tuple[str, str]]:
    if not run.plan:
        return
    plan = run.plan
    yield "plan", _plan(run)
    yield "plan in full", f"s3://{run_bucket}/{names.plan_key(run.run_id)}"
    yield from (("estimate", words) for words in (estimated(run),) if words)
    if plan.price and not plan.estimate:
        yield "price", plan.price.words()
    yield from (("estimate's basis", each) for each in (plan.estimate.basis if plan.estimate else ()))
    yield (
        "hyperparameters",
        ", ".join(f"{name}={value}" for name, value in sorted(plan.training.hyperparameters.items())),
    )
    yield "files", ", ".join(f"{file.name} ({file.role}, {file.size:,} bytes)" for file in plan.files)
    if plan.eula:
        yield "EULA", f"accepted by {plan.eula.accepted_by} on {_moment(plan.eula.accepted_at)}"
    yield from (("warning", warning) for warning in plan.warnings)


def _plan(run: Run) -> str:
    if not run.plan:
        return ""
    plan = run.plan
    price = f"{plan.usd_per_hour:.2f} USD an hour" if plan.usd_per_hour is not None else "no list price known"
    budget = f", budget {plan.budget_usd:.2f} USD" if plan.budget_usd is not None else ""
    model = f"{plan.model_id} {plan.model_version}"
    return f"{plan.data.technique} tuning of {model} on {plan.training.place}, {price}{budget}"


def _rows(run: Run) -> str:
    if not run.data:
        return ""
    data = run.data
    return (
        f"{data.training_rows:,} rows to train on, {data.validation_rows:,} to validate with, "
        f"{data.held_out_rows:,} held out ({data.held_out_source})"
    )


def _problem(problem: Problem) -> Text:
    place = f"{problem.where}: " if problem.where else ""
    return Text.assemble(
        (f"{problem.code}  ", "dim"),
        f"{place}{problem.message}",
        (f" Fix: {problem.fix}" if problem.fix else "", "bold"),
    )


def _moment(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"
