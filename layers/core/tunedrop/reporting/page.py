"""The page of a run, its verdict first."""

from collections.abc import Iterator

from tunedrop.domain.cost import training_usd
from tunedrop.domain.notice import problem_groups, untold_reason
from tunedrop.domain.run import Run, RunStatus
from tunedrop.domain.scoring import interval_words
from tunedrop.domain.words import Fact
from tunedrop.markup.elements import NOTHING, Html, data, document, element, join, paragraph, section, text
from tunedrop.reporting import account, evaluation, judge, training
from tunedrop.reporting.advice import advice
from tunedrop.reporting.run_report import SIDES, RunReport

_VERDICTS = {
    RunStatus.PROMOTED: ("Promoted", "accepted"),
    RunStatus.NOT_PROMOTED: ("Not promoted", "undecided"),
    RunStatus.REJECTED: ("Rejected", "refused"),
    RunStatus.FAILED: ("Failed", "refused"),
    RunStatus.STOPPED: ("Stopped", "refused"),
}


def render(report: RunReport) -> str:
    """Return the page as text; raises KeyError for a run that has not ended."""
    run, answers = report.run, report.evaluation
    word, _ = _VERDICTS[run.status]
    of_answers = (
        (
            evaluation.scores(answers),
            evaluation.labels(answers),
            evaluation.segments(answers),
            evaluation.side_by_side(answers),
        )
        if answers
        else ()
    )
    return document(
        f"{word}: {run.dataset}",
        eyebrow="Tunedrop: report of a run",
        heading=run.dataset,
        subject=f"Run {run.run_id}, ended {run.entered_at:%Y-%m-%d %H:%M} UTC.",
        main=(
            _verdict(run),
            _figures(report),
            _problems(run),
            _next(report),
            *of_answers,
            judge.judgement(run.judgement) if run.judgement else NOTHING,
            training.losses(report),
            account.dataset(report),
            account.plan(report),
            account.lineage(report),
            account.timeline(report),
            account.cost(report),
        ),
        footer=f"Written {report.made_at:%Y-%m-%d %H:%M} UTC. It quotes rows of the dataset: give it to nobody who may "
        "not read them.",
    )


def _verdict(run: Run) -> Html:
    word, kind = _VERDICTS[run.status]
    if run.status in (RunStatus.FAILED, RunStatus.STOPPED):
        word = f"{word} during {run.previous_status.lower()}"
    reason = untold_reason(run)
    return element(
        "section",
        element("h2", text(word), id="verdict"),
        paragraph(reason) if reason else NOTHING,
        class_=f"verdict {kind}",
        aria_labelledby="verdict",
    )


def _figures(report: RunReport) -> Html:
    tiles = (join(element("dt", text(fact.name)), element("dd", data(fact.value))) for fact in _figures_of(report))
    return element("dl", *(element("div", tile) for tile in tiles), class_="figures")


def _figures_of(report: RunReport) -> Iterator[Fact]:
    run, answers = report.run, report.run.evaluation
    if answers:
        yield Fact(f"{answers.metric}, tuned", f"{answers.candidate.value:.3f}")
        for side, other in (("base", answers.base), ("champion", answers.champion)):
            if other:
                yield Fact(f"the same, {SIDES[side]}", f"{other.value:.3f}")
            if compared := answers.comparisons.get(side):
                yield Fact(f"gain over {SIDES[side]}, 95 %", interval_words(compared))
    usd = training_usd(run, report.made_at)
    yield Fact("training", "0.00 USD" if not run.training else "price not known" if usd is None else f"{usd:.2f} USD")
    yield Fact("from drop to end", account.took(run))


def _problems(run: Run) -> Html:
    if not run.problems:
        return NOTHING
    return section(
        "problems",
        "What is wrong",
        element("ul", *(element("li", data(each)) for each in problem_groups(run)), class_="plain"),
    )


def _next(report: RunReport) -> Html:
    listed = (element("li", data(each)) for each in advice(report))
    return section("next", "What to try next", element("ul", *listed, class_="plain"))
