"""What the terminal shows of a plan."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tunedrop.domain import words
from tunedrop.domain.budget import most_cents
from tunedrop.domain.cost_estimate import Range
from tunedrop.domain.plan import Plan, TrainingPlan
from tunedrop.domain.plan_document import PlanDocument
from tunedrop.domain.problem import Problem
from tunedrop.validation import wording
from tunedrop.validation.report import ValidationReport


@dataclass(frozen=True)
class PlannedDrop:
    """Hold all that is known of a drop before it is one."""

    dataset: str
    document: PlanDocument | None
    """None when the model could not be looked up."""
    problems: tuple[Problem, ...]
    data: ValidationReport | None
    """None when the rows could not be judged."""
    unknown: tuple[str, ...]

    @property
    def refused(self) -> bool:
        """Whether something is known that a drop would be refused for."""
        return bool(self.problems) or (self.data is not None and not self.data.accepted)

    @property
    def ready(self) -> bool:
        """Whether all is known, and nothing speaks against a drop."""
        return not self.refused and self.document is not None and self.data is not None

    def as_json(self) -> dict[str, Any]:
        """Return the plan for programs: that of `plan.json`, with the data and what is not known."""
        document = self.document.model_dump(mode="json") if self.document else {"model": None, "plan": None}
        return {
            **document,
            "dataset": self.dataset,
            # None where nobody knows.
            "accepted": False if self.refused else self.ready or None,
            "problems": [each.model_dump() for each in self.problems],
            "data": self.data.model_dump(mode="json") if self.data else None,
            "unknown": list(self.unknown),
        }


def print_plan(terminal: Console, planned: PlannedDrop, folder: Path) -> None:
    """Print the whole plan."""
    terminal.print(Group(*_parts(planned, folder)), soft_wrap=False)


def _parts(planned: PlannedDrop, folder: Path) -> Iterator[RenderableType]:
    yield _verdict(planned)
    if planned.problems:
        yield from _headed("Problems")
        yield from (_indented(_problem(each)) for each in planned.problems)
    document = planned.document
    if document:
        yield from _headed("Model")
        yield _facts(_model(document))
        if document.plan:
            yield from _headed("Training")
            yield _facts(_training(document, document.plan))
            yield from _headed("Hyperparameters")
            yield from map(_indented, _hyperparameters(document))
            yield from _headed("Money")
            yield _facts(_money(document.plan))
    if planned.data:
        yield from _headed("Data")
        yield from map(_indented, _data(planned.data, folder, {each.code for each in planned.problems}))
    if document and document.then:
        yield from _headed("Then")
        yield from (_indented(Text(f"{number}. {each}")) for number, each in enumerate(document.then, 1))
    warnings = document.plan.warnings if document and document.plan else ()
    for heading, lines in (("Warnings", warnings), ("Not known", planned.unknown)):
        if lines:
            yield from _headed(heading)
            yield from (_indented(Text(each)) for each in lines)


def _verdict(planned: PlannedDrop) -> Text:
    name = words.visible(planned.dataset)
    if planned.refused:
        kinds = set(planned.data.errors) if planned.data else set()
        faults = len(planned.problems) + len(kinds - {each.code for each in planned.problems})
        reasons = words.number(faults, "reason")
        return Text.assemble(("REFUSED", "bold red"), f"  A drop of {name} would be refused, for {reasons}.")
    if not planned.ready:
        return Text.assemble(("NOT PLANNED", "bold yellow"), f"  What a drop of {name} would do is not known.")
    return Text.assemble(("READY", "bold green"), f"  A drop of {name} would be launched. Nothing has been.")


def _model(document: PlanDocument) -> Iterator[tuple[str, str]]:
    model = document.model
    yield "model", f"{model.model_id} {model.version}"
    yield "provider, licence", f"{model.provider or 'not told'}, {model.licence or 'not told'}"
    if model.gated:
        accepted = "; accepted in tune.yaml: who uploads it, and when, is recorded" if document.plan else ""
        yield "EULA", f"{model.eula_uri or 'gated'}{accepted}"
    yield "Bedrock", f"imports it: {model.bedrock_imports}; Converse calls it: {model.converse}"
    if document.imports:
        yield "Bedrock has", document.imports.words()


def _training(document: PlanDocument, plan: Plan) -> Iterator[tuple[str, str]]:
    source = "asked for" if plan.data.technique_from == "tune.yaml" else "told by the files"
    yield "technique", f"{plan.data.technique} ({source})"
    yield "on", plan.training.place
    yield from (("when it is taken", each.instance_type) for each in plan.choices[1:])
    yield "longest", f"{plan.training.max_runtime_seconds / 3600:.3g} hours, then SageMaker stops it"
    if isinstance(plan.training, TrainingPlan):
        yield "image", plan.training.image_uri or "the SageMaker SDK's choice, when the run is planned"
    else:
        yield "recipe", plan.training.recipe
    for each in document.replaced_defaults:
        yield "not JumpStart's", f"{each.name}: {each.theirs} -> {each.ours}. {each.reason}"


def _hyperparameters(document: PlanDocument) -> Iterator[Text]:
    changed = [each for each in document.hyperparameters if each.set_by != "default"]
    for each in changed:
        arrow = f"{each.default} -> " if each.default != each.value else ""
        yield Text.assemble(
            ("~ ", "yellow"), each.name, f": {arrow}", (each.value, "bold"), (f"  {each.set_by}", "dim")
        )
    kept = [f"{each.name}={each.value}" for each in document.hyperparameters if each.set_by == "default"]
    if kept:
        yield Text(f"  {len(kept)} as JumpStart has them: {', '.join(kept)}")


def _money(plan: Plan) -> Iterator[tuple[str, str]]:
    if plan.estimate and plan.estimate.usd:
        yield "estimate", f"{_range(plan.estimate.usd)} USD"
    if plan.estimate and plan.estimate.hours:
        yield "hours", _range(plan.estimate.hours)
    yield from (("basis", each) for each in (plan.estimate.basis if plan.estimate else ()))
    if plan.price and not plan.estimate:
        yield "price", plan.price.words()
    if plan.usd_per_hour is None:
        yield "at most", "not known: no price is known"
    else:
        most = most_cents(plan.usd_per_hour, timedelta(seconds=plan.training.max_runtime_seconds))
        yield "at most", f"{most / 100:.2f} USD, where SageMaker stops the job"
    yield "budget", f"{plan.budget_usd:.2f} USD" if plan.budget_usd is not None else "none"
    yield from (("on top", each) for each in (plan.estimate.notes if plan.estimate else ()))


def _data(report: ValidationReport, folder: Path, told: Collection[str]) -> Iterator[Text]:
    """Sum the report up, without the problems whose codes are `told` already."""
    yield Text(f"{wording.verdict(report)}. {wording.tally(report)}")
    yield Text(wording.rows(report))
    if report.tokens:
        tokens = report.tokens
        cut = (
            "whether rows are cut off is not known"
            if tokens.max_input_length is None
            else f"{words.number(tokens.truncated_rows, 'row')} cut off"
        )
        yield Text(
            f"{tokens.total:,} tokens to train on ({tokens.basis}), {tokens.median:,} in the median row, "
            f"{tokens.longest:,} in the longest; {cut}."
        )
    for group in wording.groups(report):
        if group.code in told:
            continue
        place = next((f" first at {each.where}" for each in group.findings if each.where), "")
        yield Text(f"{group.severity.value.upper()} {group.title}: {group.total:,}{place}. {group.fix}")
    if report.counts:
        yield Text(f"Every finding: tunedrop validate {folder}", style="dim")


def _problem(problem: Problem) -> Text:
    place = f"{problem.where}: " if problem.where else ""
    fix = f" Fix: {problem.fix}" if problem.fix else ""
    return Text.assemble((f"{problem.code}  ", "dim"), f"{place}{problem.message}", (fix, "bold"), overflow="fold")


def _facts(facts: Iterator[tuple[str, str]]) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    last = ""
    for name, value in facts:
        table.add_row("" if name == last else name, value)
        last = name
    return _indented(table)


def _headed(heading: str) -> Iterator[Text]:
    yield Text("")
    yield Text(heading, style="bold")


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2))


def _range(value: Range) -> str:
    return f"{value.low:.2f} to {value.high:.2f}, likely {value.likely:.2f}"
