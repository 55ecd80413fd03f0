"""A plan as people read it, before the run and beside it: what was decided, and how that differs from the defaults."""

from collections.abc import Iterator, Mapping
from typing import Literal

from tunedrop.domain import approval, serverless
from tunedrop.domain.base_endpoint import base_words
from tunedrop.domain.budget import limit_cents, words
from tunedrop.domain.hosting import hosting_words
from tunedrop.domain.import_room import ImportRoom
from tunedrop.domain.judge import judge_words
from tunedrop.domain.jumpstart import JumpStartModel
from tunedrop.domain.model import Record
from tunedrop.domain.model_call import ModelCall, expected_call
from tunedrop.domain.offer import Offer
from tunedrop.domain.plan import EvaluationPlan, Plan, Technique, TrainingPlan
from tunedrop.domain.problem import Problem
from tunedrop.domain.sensible_defaults import ReplacedDefault, replaced


class PlannedHyperparameter(Record):
    """Say which value a job is given, and who decided."""

    name: str
    value: str
    default: str
    """JumpStart's, on the plan's instance type."""
    set_by: Literal["default", "tune.yaml", "technique"]


class PlanDocument(Record):
    """Hold the plan of one drop, or all that keeps it from being made; `tunedrop plan --json` and `plan.json`."""

    format: Literal[1] = 1
    dataset: str
    accepted: bool
    problems: tuple[Problem, ...]
    model: Offer
    plan: Plan | None
    hyperparameters: tuple[PlannedHyperparameter, ...] = ()
    replaced_defaults: tuple[ReplacedDefault, ...] = ()
    """Where JumpStart's own default was not taken."""
    imports: ImportRoom | None = None
    """How full Bedrock was when the plan was made; None where it was not asked."""
    then: tuple[str, ...] = ()
    """What happens after the plan, a sentence each."""


def plan_document(
    dataset: str,
    model: JumpStartModel,
    offer: Offer,
    asked: Mapping[str, str],
    made: Plan | tuple[Problem, ...],
    imports: ImportRoom | None,
) -> PlanDocument:
    """Describe what planning came to; `asked` are the hyperparameters of `tune.yaml`."""
    if not isinstance(made, Plan):
        return PlanDocument(dataset=dataset, accepted=False, problems=made, model=offer, plan=None, imports=imports)
    return PlanDocument(
        dataset=dataset,
        accepted=True,
        problems=(),
        model=offer,
        plan=made,
        imports=imports,
        hyperparameters=tuple(_hyperparameters(model, asked, made)),
        replaced_defaults=replaced(model, made.training) if isinstance(made.training, TrainingPlan) else (),
        then=tuple(_then(made, offer)),
    )


def refused(document: PlanDocument, problems: tuple[Problem, ...]) -> PlanDocument:
    """Return the document of a plan that something else speaks against; as it is where nothing does."""
    if not problems:
        return document
    return PlanDocument(
        dataset=document.dataset,
        accepted=False,
        problems=problems,
        model=document.model,
        plan=None,
        imports=document.imports,
    )


def warned(document: PlanDocument, warning: str) -> PlanDocument:
    """Return the document with one more warning of its plan's."""
    if document.plan is None:
        return document
    plan = document.plan.model_copy(update={"warnings": (*document.plan.warnings, warning)})
    return document.model_copy(update={"plan": plan})


def _hyperparameters(model: JumpStartModel, asked: Mapping[str, str], plan: Plan) -> Iterator[PlannedHyperparameter]:
    defaults = _defaults(model, plan)
    container = {each.name for each in model.hyperparameters if each.container}
    for name, value in plan.training.hyperparameters.items():
        if name in container:
            continue
        default = defaults.get(name, "")
        set_by: Literal["default", "tune.yaml", "technique"] = (
            "tune.yaml" if name in asked else "default" if value == default else "technique"
        )
        yield PlannedHyperparameter(name=name, value=value, default=default, set_by=set_by)


def _defaults(model: JumpStartModel, plan: Plan) -> dict[str, str]:
    if isinstance(plan.training, TrainingPlan):
        return model.on(plan.training.instance_type).defaults
    return next((serverless.defaults(each) for each in model.recipes if each.name == plan.training.recipe), {})


def _serving(plan: Plan, offer: Offer) -> Iterator[str]:
    if plan.hosting:
        call = ModelCall.INVOKE_ENDPOINT.words
        yield f"The tuned model is served by an inference component on a SageMaker endpoint, called through {call}."
        yield from hosting_words(plan.hosting)
        return
    call = expected_call(offer.converse, pictures=plan.data.technique is Technique.VISUAL_QA)
    yield f"The tuned model is served by {plan.serve}: Custom Model Import, called through {call}."


def _served_as(plan: Plan) -> str:
    return "endpoint" if plan.hosting else "import"


def _base(evaluation: EvaluationPlan) -> str:
    if evaluation.base_endpoint:
        return base_words(evaluation.base_endpoint)
    if evaluation.base_model_id:
        return f"its base model {evaluation.base_model_id}"
    return "no base model, for Bedrock has none of the same weights"


def _then(plan: Plan, offer: Offer) -> Iterator[str]:
    hours = plan.training.max_runtime_seconds / 3600
    yield "Every row of the dataset is validated; a faulty one refuses the drop, and nothing is paid."
    if plan.approval:
        limit = words(limit_cents(plan.approval.auto_approve_usd))
        expected = "as this one is expected to" if approval.without_asking(plan) is None else "which is not expected"
        yield (
            f"Should it then still cost more than {limit}, {expected}, it waits for `tunedrop approve`, "
            f"{plan.approval.hours:g} hours at most, and nothing is paid."
        )
    yield f"SageMaker trains on {plan.training.place}, and stops the job itself after {hours:.3g} hours."
    yield from _serving(plan, offer)
    evaluation = plan.evaluation
    rivals = []
    if "champion" in evaluation.against:
        rivals.append("the dataset's promoted model (if there is one)")
    if "base" in evaluation.against:
        rivals.append(_base(evaluation))
    yield f"It is judged on held-out rows by {evaluation.metric}, against {' and '.join(rivals) or 'nothing'}."
    if evaluation.judge:
        yield judge_words(evaluation.judge)
    yield (
        f"It is promoted when it is surely better, by {evaluation.min_gain:.3f} at least; otherwise its "
        f"{_served_as(plan)} is deleted, and its weights stay in the run bucket."
    )
