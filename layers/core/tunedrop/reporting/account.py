"""What a run rests on and what it took: its data, its plan, where everything comes from, when, and for how much."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tunedrop.domain import budget
from tunedrop.domain.cost import training_seconds, training_usd
from tunedrop.domain.notice import estimated, token_words
from tunedrop.domain.plan import Plan, ServeTarget, TrainingPlan
from tunedrop.domain.plan_document import PlannedHyperparameter
from tunedrop.domain.run import Run, RunStatus
from tunedrop.domain.words import Fact, number, size
from tunedrop.markup.elements import (
    NOTHING,
    Html,
    column,
    data,
    data_table,
    element,
    fact_list,
    folded,
    number_cell,
    number_column,
    paragraph,
    row_head,
    section,
    text,
)
from tunedrop.reporting.run_report import RunReport
from tunedrop.validation.html import lengths
from tunedrop.validation.wording import duplicate_facts, groups, rows, tally

FILES_LISTED = 100
"""Files of a drop that the page lists."""


def dataset(report: RunReport) -> Html:
    """Profile the data: what was read, what is wrong with it, how long the rows are."""
    found, run = report.validation, report.run
    if found is None:
        if run.data is None:
            return NOTHING
        counted = fact_list(
            [Fact("Rows to train on", f"{run.data.training_rows:,}"), Fact("Tokens", token_words(run.data))]
        )
        return section("dataset", "Dataset", counted)
    told = [rows(found), tally(found)]
    kinds = groups(found)
    listed = (
        element("li", data(f"{each.title}: {each.total:,}"), text(" "), element("code", text(each.code), class_="at"))
        for each in kinds
    )
    page = run.data.page_uri if run.data else ""
    return element(
        "section",
        element("h2", text("Dataset"), id="dataset"),
        *map(paragraph, told),
        element("ul", *listed, class_="plain") if kinds else NOTHING,
        paragraph(f"Every finding with its place: {page}", "soft") if page else NOTHING,
        folded("Duplicates and leakage", fact_list(duplicate_facts(found.duplicates))),
        lengths(found.tokens, found.lengths),
        aria_labelledby="dataset",
    )


def plan(report: RunReport) -> Html:
    """Tell what was decided before anything was paid for."""
    made = report.run.plan
    if made is None:
        return NOTHING
    document = report.plan
    parts = [fact_list(_plan_facts(made))]
    if made.warnings:
        parts.append(element("ul", *(element("li", data(each)) for each in made.warnings), class_="plain"))
    if document and document.hyperparameters:
        changed = [each for each in document.hyperparameters if each.set_by != "default"]
        same = [each for each in document.hyperparameters if each.set_by == "default"]
        if changed:
            parts.append(_hyperparameters("Hyperparameters that are not JumpStart's defaults.", changed))
        if same:
            parts.append(
                folded(
                    f"{number(len(same), 'hyperparameter')} as JumpStart has them",
                    _hyperparameters("JumpStart's defaults.", same),
                )
            )
    else:
        parts.append(
            folded(
                number(len(made.training.hyperparameters), "hyperparameter"),
                fact_list(Fact(name, value) for name, value in sorted(made.training.hyperparameters.items())),
            )
        )
    return section("plan", "Plan", *parts)


def _plan_facts(made: Plan) -> Iterator[Fact]:
    evaluation = made.evaluation
    yield Fact("Model", f"{made.model_id} {made.model_version}")
    asked = "asked for" if made.data.technique_from == "tune.yaml" else "told by the files"
    yield Fact("Technique", f"{made.data.technique} ({asked})")
    yield Fact("Trained on", made.training.place)
    yield Fact("At most", f"{made.training.max_runtime_seconds / 3600:.3g} h")
    yield Fact("Served by", made.serve)
    against = ", ".join(evaluation.against) or "nothing"
    yield Fact("Judged by", f"{evaluation.metric}, against {against}, for a gain of {evaluation.min_gain:+.3f}")
    if evaluation.judge:
        yield Fact("Graded by", f"{evaluation.judge.evaluator_model}, for {', '.join(evaluation.judge.metrics)}")


def _hyperparameters(caption: str, some: list[PlannedHyperparameter]) -> Html:
    head = element("tr", column("Name"), column("Value"), column("Default"), column("Set by"))
    body = (
        element(
            "tr",
            row_head(each.name, code=True),
            *(element("td", data(words)) for words in (each.value, each.default or "-", each.set_by)),
        )
        for each in some
    )
    return data_table("hyperparameters", caption, head, body)


# ----------------------------------------------------------------------------------------------------------- lineage


def lineage(report: RunReport) -> Html:
    """Name the exact version of all that the model came from, and all that came of it."""
    run = report.run
    files = NOTHING
    if run.plan:
        head = element("tr", column("File"), column("For"), number_column("Size"), column("Version"), column("ETag"))
        body = (
            element(
                "tr",
                row_head(each.name, code=True),
                element("td", text(each.role.value)),
                number_cell(size(each.size)),
                *(element("td", element("code", data(words))) for words in (each.version_id, each.etag)),
            )
            for each in run.plan.files[:FILES_LISTED]
        )
        count = len(run.plan.files)
        more = f"; the first {FILES_LISTED}" if count > FILES_LISTED else ""
        files = data_table("lineage", f"{number(count, 'file')} of the drop{more}.", head, body)
    return section("lineage", "Lineage", fact_list(_lineage_facts(run)), files)


def _lineage_facts(run: Run) -> Iterator[Fact]:
    drop = run.drop
    yield Fact("tune.yaml", f"s3://{drop.bucket}/{drop.key}, version {drop.version_id}")
    yield Fact("Uploaded by", drop.uploaded_by)
    if run.plan:
        yield from _sources(run.plan)
    if run.data:
        yield Fact("Validation report", run.data.report_uri)
    yield from _products(run)


def _sources(made: Plan) -> Iterator[Fact]:
    yield Fact("Fingerprint of all files", made.fingerprint)
    for images in made.images:
        yield Fact(f"Images of {images.metadata}", f"{images.count:,}, {size(images.bytes)}, digest {images.digest}")
    yield Fact("JumpStart model", f"{made.model_id} {made.model_version}")
    if isinstance(made.training, TrainingPlan):
        yield Fact("Training image", made.training.image_uri)
        yield Fact("Training script", made.training.script_uri)
        yield Fact("Weights before", made.training.hub_content_arn or made.training.model_uri or "-")
    else:
        yield Fact("Recipe", made.training.recipe)
    if made.eula:
        accepted = f"by {made.eula.accepted_by} on {_moment(made.eula.accepted_at)}"
        yield Fact("Licence agreement accepted", f"{accepted}: {made.eula.eula_uri or 'no address known'}")


def _products(run: Run) -> Iterator[Fact]:
    if training := run.training:
        yield Fact("Training job", training.job_arn)
        yield from (Fact("Hash of its request", each) for each in (run.request_hash,) if each)
        yield from (Fact("Tuned weights", each) for each in (training.artifact_uri,) if each)
    if deployment := run.deployment:
        yield from (Fact("Import job", each) for each in (deployment.import_job_arn,) if each)
        deleted = " (deleted)" if deployment.deleted else ""
        yield Fact(deployment.kind.capitalize(), f"{deployment.model_arn or deployment.model_name}{deleted}")
    if evaluation := run.evaluation:
        yield from (Fact("Compared with", side.model_id) for side in (evaluation.base, evaluation.champion) if side)
        yield Fact("Every answer", evaluation.answers_uri)


# ----------------------------------------------------------------------------------------------------- time and money


def timeline(report: RunReport) -> Html:
    """List when the run came to what, and how long it stayed."""
    run = report.run
    moments = [(RunStatus.PLANNING, run.created_at), *((each.status, each.entered_at) for each in run.history)]
    if not run.history:
        moments.append((run.status, run.entered_at))
    ends = [at for _, at in moments[1:]]
    head = element("tr", column("Status"), column("Entered (UTC)"), number_column("For"))
    body = [
        element("tr", row_head(status), element("td", text(_moment(at))), number_cell(_duration(end - at)))
        for (status, at), end in zip(moments, ends, strict=False)
    ]
    last, at = moments[-1]
    body.append(element("tr", row_head(last), element("td", text(_moment(at))), number_cell("")))
    table = data_table("timeline", "Every status, in order.", head, body)
    failed = (
        element(
            "li",
            data(
                f"Attempt {each.attempt} on {each.instance_type} ended {_moment(each.ended_at)}: {each.code}, "
                f"{each.billable_seconds:,} s billed."
            ),
        )
        for each in run.failed_attempts
    )
    attempts = element("ul", *failed, class_="plain") if run.failed_attempts else NOTHING
    return section("timeline", "Timeline", table, attempts)


def cost(report: RunReport) -> Html:
    """Hold what the run cost against what was expected and allowed."""
    return section("cost", "Cost", fact_list(_cost_facts(report)))


def _cost_facts(report: RunReport) -> Iterator[Fact]:
    run, now = report.run, report.made_at
    seconds, usd = training_seconds(run, now), training_usd(run, now)
    if not seconds:
        yield Fact("Training", "Nothing was billed")
    else:
        price = "no price is known" if usd is None else f"{usd:.2f} USD at the plan's price"
        yield Fact("Training", f"{price}, {seconds:,} s billed")
    if words := estimated(run):
        yield Fact("Estimate before", words)
    if usd and run.plan and run.plan.estimate and run.plan.estimate.usd:
        expected = run.plan.estimate.usd
        within = "within" if expected.low <= usd <= expected.high else "below" if usd < expected.low else "above"
        yield Fact("Against the estimate", f"{within} its range; {usd / expected.likely:.2f} times the likely sum")
    if run.plan and run.plan.budget_usd is not None:
        yield Fact("Budget", f"{run.plan.budget_usd:.2f} USD")
    for each in run.charges:
        spent = "not settled yet" if each.cents is None else budget.words(each.cents)
        yield Fact(
            f"Charged to {each.month}", f"{spent}; {budget.words(each.most_cents)} were reserved for {each.job_name}"
        )
    if run.evaluation and (price_of_answers := run.evaluation.candidate.price):
        yield Fact(
            "1,000 answers, estimated",
            f"{price_of_answers.busy:.4f} USD from a copy kept busy, {price_of_answers.alone:,.2f} USD when each call "
            "comes alone",
        )
    yield from (Fact("Not in it", each) for each in _not_in_it(run))


def _not_in_it(run: Run) -> Iterator[str]:
    """Name what is billed beside the training, and counted nowhere."""
    if run.deployment:
        hosted = run.deployment.target is ServeTarget.ENDPOINT
        imported = "What Bedrock bills for the imported model and for the evaluation's answers"
        yield "What SageMaker bills for the endpoint" if hosted else imported
    if run.base and run.plan and (planned := run.plan.evaluation.base_endpoint):
        usd = planned.hosting.usd_per_hour
        price = "a price that is not known" if usd is None else f"{usd:.2f} USD an hour"
        yield f"What SageMaker bills for the base model's endpoint, {planned.hosting.instance_type} at {price}"


def took(run: Run) -> str:
    """Tell how long the run took, from the drop to its end."""
    return _duration(run.entered_at - run.created_at)


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _duration(time: timedelta) -> str:
    seconds = max(0, round(time.total_seconds()))
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds % 60:02} s" if minutes else f"{seconds} s"
