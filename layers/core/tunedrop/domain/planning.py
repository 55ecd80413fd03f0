"""Make the plan of a run: what is asked for and what is there, checked together and frozen."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tunedrop.contracts.tune_spec import TuneSpec
from tunedrop.domain import contradictions, names, serverless, spot
from tunedrop.domain.base_endpoint import NO_ENDPOINT, BaseChoice, contradicted
from tunedrop.domain.budget import SHORTEST_TRAINING, amount, cap_cents, longest_runtime, most_cents, words
from tunedrop.domain.capacity import alternatives
from tunedrop.domain.cost_estimate import CostEstimate, TokenCount
from tunedrop.domain.data_target import batch_size, data_target
from tunedrop.domain.drop_files import DropFiles, assign_roles, names_in
from tunedrop.domain.estimate import estimate, guessed_tokens
from tunedrop.domain.hosting import hosting_problems
from tunedrop.domain.hyperparameters import choose_hyperparameters, techniques_of
from tunedrop.domain.import_compatibility import Findings, ModelFacts, compatibility
from tunedrop.domain.judge import judge_problems, judge_warnings
from tunedrop.domain.jumpstart import JumpStartModel, TrainingArtifacts
from tunedrop.domain.plan import (
    ApprovalRule,
    DataTarget,
    EulaAcceptance,
    EvaluationPlan,
    FileRole,
    InstanceChoice,
    JudgePlan,
    MetricName,
    PinnedObject,
    Plan,
    ServerlessTrainingPlan,
    ServeTarget,
    Technique,
    TrainingPlan,
    VpcConfig,
)
from tunedrop.domain.policy import Policy
from tunedrop.domain.policy import problems as policy_problems
from tunedrop.domain.pricing import PARAMETER, Price, PriceList, price
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Drop
from tunedrop.domain.sensible_defaults import training_instance_type
from tunedrop.domain.technique import LOOKS, seen_technique

LONGEST_TRAINING = timedelta(hours=24)
"""How long a job may train when no budget says less. JumpStart's own value, 100 hours, is a cost that nobody wants."""

_METRIC: Mapping[Technique, MetricName] = {Technique.DOMAIN_ADAPTATION: "token_f1", Technique.DPO: "token_f1"}
"""The metric of a technique whose answers are never right to the letter: a text may go on in many ways, and a
preferred answer is one of many good ones."""

HELD_OUT_SEED = 0
"""The same for every run, so that a dataset's runs are judged on the same rows."""

_TEXT_MODEL = "meta-textgeneration-llama-3-1-8b-instruct"
_VISION_MODEL = "meta-vlm-llama-3-2-11b-vision-instruct"
_PREFERENCE_MODEL = "openai-reasoning-gpt-oss-20b"
"""One whose spec has recipes of DPO; scripts know none."""

_EXAMPLES: Mapping[Technique, str] = {Technique.VISUAL_QA: _VISION_MODEL, Technique.DPO: _PREFERENCE_MODEL}


@dataclass(frozen=True)
class PlanRules:
    """Say what the stack and its Region, not the user, decide about every run."""

    region: str
    base_models: Mapping[str, str] = field(default_factory=dict)
    """JumpStart model id → id of Bedrock's own on-demand model of the same weights."""
    longest_training: timedelta = LONGEST_TRAINING
    kms_key_arn: str | None = None
    vpc: VpcConfig | None = None
    serverless: bool = True
    """Whether SageMaker may train serverless, billed by tokens, what has no training script."""
    isolated: bool = False
    """Whether no job has a network, whatever JumpStart says, and instances encrypt what they exchange."""
    instance_prices: Mapping[str, float] = field(default_factory=dict)
    """Instance type → US dollars an hour, where the platform team knows better than AWS's Price List."""
    price_list: PriceList | None = None
    """AWS's prices in the Region; None until it has been asked."""
    policy: Policy = field(default_factory=Policy)
    max_budget_usd: float | None = None
    """The budget of a run that names none, and the most that one may name."""
    monthly_cap_usd: float | None = None
    """What the jobs of a month may cost together; a job that may cost more would wait for ever."""
    approval: ApprovalRule | None = None
    """When a person is asked before a run is launched; None for never."""
    stack: str = "tunedrop"
    """As the names of endpoints begin."""
    base: BaseChoice = NO_ENDPOINT
    """Where the model's base answers, if not on Bedrock: found out for each plan."""

    def price(self, instance_type: str) -> Price | None:
        """Return the best known price of one instance."""
        return price(instance_type, self.region, self.instance_prices, self.price_list)


@dataclass(frozen=True)
class _Prepared:
    """Hold the part of a plan that depends on who trains: JumpStart's script, or SageMaker's recipe."""

    training: TrainingPlan | ServerlessTrainingPlan
    data: DataTarget
    usd_per_hour: float | None
    estimate: CostEstimate | None
    warnings: tuple[str, ...]
    price_source: str | None = None
    choices: tuple[InstanceChoice, ...] = ()


def make_plan(
    spec: TuneSpec,
    model: JumpStartModel,
    artifacts_for: Callable[[str], TrainingArtifacts],
    drop: Drop,
    objects: Sequence[PinnedObject],
    head_of: Callable[[PinnedObject], bytes],
    rules: PlanRules,
    now: datetime,
) -> Plan | tuple[Problem, ...]:
    """Return the plan, or all that is wrong.

    `artifacts_for` locates the model's training artifacts for an instance type; it is called when nothing that can be
    told without them is wrong, for the type to train on and for those to take in its place. `objects` are the newest
    versions of what lies in the drop's folder; `head_of` reads the first bytes of one of them. Raises ValueError for
    the key of a drop that starts no run.
    """
    dataset, base = names.dataset_of(drop.key), rules.base
    if dataset is None:
        raise ValueError(f"{drop.key!a} starts no run")
    above_limit = _above_limit(spec, rules)
    if spec.budget_usd is None:
        spec = spec.model_copy(update={"budget_usd": rules.max_budget_usd})
    prefix = f"datasets/{dataset}/"
    asked = spec.technique
    found = names_in(prefix, objects)
    seen = seen_technique(asked, found, lambda name: head_of(found[name])) or asked or Technique.INSTRUCTION
    technique = asked or seen
    drop_files = assign_roles(prefix, objects, seen)
    serve, findings = served(spec, model, rules)
    any_trainer = (
        *_technique_contradicted(spec, seen),
        *_eula_problems(spec, model),
        *above_limit,
        *findings.problems,
        *contradicted(spec),
        *judge_problems(spec, rules.region),
        *base.problems,
        *(
            hosting_problems(spec, model, rules.policy, rules.stack)
            if serve is ServeTarget.ENDPOINT
            else endpoint_contradicted(spec)
        ),
    )
    # What the base may cost is the training's to leave of the budget.
    base_usd = (base.endpoint and base.endpoint.most_usd) or 0
    trained = spec.model_copy(update={"budget_usd": spec.budget_usd and spec.budget_usd - base_usd})
    if model.training_supported:
        prepared = _by_script(trained, model, artifacts_for, technique, drop_files, rules, any_trainer)
    else:
        prepared = _by_recipe(trained, model, technique, drop_files, rules, any_trainer)
    if not isinstance(prepared, _Prepared):
        return prepared
    judge = spec.evaluate.judge
    return Plan(
        serve=serve,
        model_id=model.model_id,
        model_version=model.version,
        region=rules.region,
        eula=EulaAcceptance(eula_uri=model.eula_uri, accepted_by=drop.uploaded_by, accepted_at=now)
        if model.gated
        else None,
        data=prepared.data,
        files=drop_files.files,
        images=drop_files.images,
        fingerprint=names.fingerprint(dataset, [("tune.yaml", _digest(spec)), *drop_files.etags]),
        training=prepared.training,
        evaluation=EvaluationPlan(
            metric=spec.evaluate.metric or _METRIC.get(technique, "exact_match"),
            against=spec.evaluate.against,
            min_gain=spec.evaluate.min_gain,
            held_out_ratio=spec.evaluate.held_out_ratio,
            seed=HELD_OUT_SEED,
            base_model_id=None if base.endpoint else rules.base_models.get(model.model_id),
            base_endpoint=base.endpoint,
            judge=JudgePlan(evaluator_model=judge.evaluator_model, metrics=judge.metrics) if judge else None,
        ),
        usd_per_hour=prepared.usd_per_hour,
        price_source=prepared.price_source,
        budget_usd=spec.budget_usd,
        estimate=prepared.estimate,
        approval=rules.approval,
        choices=prepared.choices,
        warnings=(
            *_model_warnings(model),
            *(f"{each.message} {each.fix}" for each in findings.warnings),
            *base.warnings,
            *prepared.warnings,
            *drop_files.warnings,
            *judge_warnings(spec, technique),
        ),
    )


def _by_script(
    spec: TuneSpec,
    model: JumpStartModel,
    artifacts_for: Callable[[str], TrainingArtifacts],
    technique: Technique,
    drop_files: DropFiles,
    rules: PlanRules,
    any_trainer: tuple[Problem, ...],
) -> _Prepared | tuple[Problem, ...]:
    """Prepare the training by JumpStart's own script, or say all that is wrong; `any_trainer` has the same to say."""
    instance_type = spec.instance_type or training_instance_type(model)
    if instance_type is None:
        return (_not_trainable(spec, model), *any_trainer, *drop_files.problems)

    model = model.on(instance_type)

    def where(name: str) -> str:
        return spec.where(f"hyperparameters.{name}")

    hyperparameters, hyperparameter_problems = choose_hyperparameters(model, technique, spec.hyperparameters, where)
    known_price = rules.price(instance_type)
    usd_per_hour = known_price.usd_per_hour if known_price else None
    longest = _longest_training(model, rules, spec.budget_usd, usd_per_hour)
    problems = (
        *any_trainer,
        *policy_problems(rules.policy, model, instance_type, spec.where),
        *spot.problems(spec, longest),
        *_technique_problems(spec, model, technique, techniques_of(model)),
        # What an instance costs that the model cannot be trained on is of no interest.
        *(
            _instance_problems(spec, model, instance_type)
            or (
                *_budget_problems(spec, rules, instance_type, usd_per_hour, longest),
                *_cap_problems(spec, rules, instance_type, usd_per_hour, longest),
            )
        ),
        *hyperparameter_problems,
        *drop_files.problems,
    )
    if problems:
        return problems
    tokens = _tokens(drop_files)

    def choice(each: str) -> InstanceChoice:
        return _choice(spec, model, artifacts_for(each), hyperparameters, each, tokens, rules)

    first = choice(instance_type)
    if problems := contradictions.contradictions(model.model_id, first.hyperparameters, instance_type, where):
        return problems
    target = data_target(model, technique, first, "tune.yaml" if spec.technique else "files")
    # A type that the user chose is not replaced by another.
    others = () if spec.instance_type else _other_choices(spec, model, first, choice, tokens, rules)
    suitable = [
        each
        for each in others
        if not contradictions.contradictions(model.model_id, each.hyperparameters, each.instance_type, where)
        and target.reads_like(data_target(model, technique, each, target.technique_from))
    ]
    return _Prepared(
        training=TrainingPlan(
            image_uri=first.image_uri,
            script_uri=first.script_uri,
            model_uri=first.model_uri,
            hub_content_arn=model.hub_content_arn,
            environment=first.environment,
            hyperparameters=first.hyperparameters,
            instance_type=instance_type,
            volume_size_gb=model.volume_size_gb,
            max_runtime_seconds=first.max_runtime_seconds,
            max_wait_seconds=first.max_wait_seconds,
            kms_key_arn=rules.kms_key_arn,
            vpc=rules.vpc,
            metrics=model.metrics,
            # What serves the model reads a folder of weights, not an archive.
            compress_output=False,
            encrypt_inter_container_traffic=model.encrypt_inter_container_traffic or rules.isolated,
            network_isolation=model.network_isolation or rules.isolated,
        ),
        data=target,
        usd_per_hour=first.usd_per_hour,
        price_source=first.price_source,
        estimate=first.estimate,
        choices=(first, *suitable),
        warnings=(
            *((spot.WARNING,) if spec.spot else ()),
            *_price_warnings(rules, first),
            *contradictions.warnings(first.hyperparameters),
        ),
    )


def _by_recipe(
    spec: TuneSpec,
    model: JumpStartModel,
    technique: Technique,
    drop_files: DropFiles,
    rules: PlanRules,
    any_trainer: tuple[Problem, ...],
) -> _Prepared | tuple[Problem, ...]:
    """Prepare SageMaker's serverless customisation, or say all that is wrong; `any_trainer` has the same to say."""
    if rules.region not in serverless.regions(model):
        return (_not_trainable(spec, model), *any_trainer, *drop_files.problems)

    def where(name: str) -> str:
        return spec.where(f"hyperparameters.{name}")

    recipe = serverless.recipe_for(model, technique, rules.region)
    if recipe is None or recipe.hyperparameters is None:
        hyperparameters, hyperparameter_problems = serverless.unlisted(spec.hyperparameters, where)
    else:
        trained = JumpStartModel.model_validate({**dict(model), "hyperparameters": recipe.hyperparameters})
        hyperparameters, hyperparameter_problems = choose_hyperparameters(
            trained, technique, spec.hyperparameters, where
        )
    problems = (
        *any_trainer,
        *policy_problems(rules.policy, model, None, spec.where),
        *_technique_problems(spec, model, technique, serverless.techniques(model, rules.region)),
        *serverless.refusals(
            spec.model_dump(exclude_defaults=True),
            spec.where,
            model.hub_content_arn,
            allowed=rules.serverless,
            isolated=rules.isolated,
        ),
        *_token_budget_problems(spec, rules, model),
        *hyperparameter_problems,
        *drop_files.problems,
    )
    if problems or recipe is None:
        return problems
    hyperparameters = {**serverless.defaults(recipe), **hyperparameters}
    tokens = _tokens(drop_files)
    return _Prepared(
        training=ServerlessTrainingPlan(
            recipe=recipe.name,
            customization_technique=recipe.technique,
            lora=recipe.lora,
            sequence_length=recipe.sequence_length,
            accept_eula=spec.accept_eula,
            hyperparameters=hyperparameters,
            max_runtime_seconds=int(_longest_training(model, rules, None, None).total_seconds()),
            kms_key_arn=rules.kms_key_arn,
            vpc=rules.vpc,
            usage_type=recipe.usage_types[rules.region],
            hub_content_arn=model.hub_content_arn,
        ),
        data=serverless.customisation_target(
            model, recipe, technique, hyperparameters, "tune.yaml" if spec.technique else "files"
        ),
        usd_per_hour=None,
        estimate=serverless.estimate(recipe, rules.region, hyperparameters, tokens) if tokens else None,
        warnings=serverless.warnings(recipe, spec.model_version),
    )


def _choice(
    spec: TuneSpec,
    model: JumpStartModel,
    artifacts: TrainingArtifacts,
    chosen: Mapping[str, str],
    instance_type: str,
    tokens: TokenCount | None,
    rules: PlanRules,
) -> InstanceChoice:
    """Gather what a job on the instance type is given; `chosen` are the hyperparameters that do not depend on it."""
    hyperparameters = {**artifacts.hyperparameters, **chosen}
    known_price = rules.price(instance_type)
    usd_per_hour = known_price.usd_per_hour if known_price else None
    longest = _longest_training(model, rules, spec.budget_usd, usd_per_hour)
    longest_wait = spot.max_wait(spec, longest)
    estimated = estimate(model.model_id, hyperparameters, tokens, instance_type, known_price) if tokens else None
    return InstanceChoice(
        instance_type=instance_type,
        image_uri=artifacts.image_uri,
        script_uri=artifacts.script_uri,
        model_uri=artifacts.model_uri,
        # JumpStart's scripts for gated models look for the acceptance here, whichever way the weights arrive.
        environment={**artifacts.environment, "accept_eula": "true"} if model.gated else artifacts.environment,
        hyperparameters=hyperparameters,
        max_runtime_seconds=int(longest.total_seconds()),
        max_wait_seconds=int(longest_wait.total_seconds()) if longest_wait else None,
        usd_per_hour=usd_per_hour,
        price_source=known_price.source if known_price else None,
        estimate=spot.at_spot_price(estimated) if estimated and spec.spot else estimated,
        batch_size=batch_size(hyperparameters, instance_type),
    )


def _other_choices(
    spec: TuneSpec,
    model: JumpStartModel,
    first: InstanceChoice,
    choice: Callable[[str], InstanceChoice],
    tokens: TokenCount | None,
    rules: PlanRules,
) -> tuple[InstanceChoice, ...]:
    """Choose what to train on where AWS has none of the first, from what the run likely costs there."""
    costs = {}
    for each in model.instance_types:
        if known_price := rules.price(each):
            told = estimate(model.model_id, first.hyperparameters, tokens, each, known_price) if tokens else None
            # Where nobody can tell the hours, an hour's price still orders the types.
            costs[each] = told.usd.likely if told and told.usd else known_price.usd_per_hour
    types = alternatives(model, first.instance_type, rules.policy, costs, spec.budget_usd)
    others = (choice(each) for each in types if each != first.instance_type)
    return tuple(
        each
        for each in others
        if each.max_runtime_seconds >= SHORTEST_TRAINING.total_seconds()
        and not _cap_problems(
            spec, rules, each.instance_type, each.usd_per_hour, timedelta(seconds=each.max_runtime_seconds)
        )
    )


def _tokens(files: DropFiles) -> TokenCount | None:
    """Guess the tokens of an epoch; None for compressed files, whose size tells little."""
    training = {each.name: each.size for each in files.files if each.role is FileRole.TRAINING}
    if any(name.endswith(".gz") for name in training):
        return None
    images = sum(each.count for each in files.images if each.metadata in training)
    return guessed_tokens(sum(training.values()), images=images)


def unknown_model(spec: TuneSpec, suggestions: Sequence[str], hub: str | None = None) -> Problem:
    """Say that JumpStart, or the stack's private hub, has no such model, and which it has under a similar name."""
    nearest = f"Did you mean {' or '.join(suggestions)}? " if suggestions else ""
    if hub:
        return Problem(
            code="model.not-in-hub",
            message=f"The private hub {hub}, which alone has the models of this stack, has no model {spec.model}.",
            where=spec.where("model"),
            fix=f"{nearest}See what it has with `tunedrop models`, or ask those who keep the hub to add the model.",
        )
    return Problem(
        code="model.unknown",
        message=f"JumpStart has no model {spec.model} in this region.",
        where=spec.where("model"),
        fix=f"{nearest}All models: https://sagemaker.readthedocs.io/en/stable/doc_utils/pretrainedmodels.html",
    )


def unknown_model_version(spec: TuneSpec, versions: Sequence[str]) -> Problem:
    """Say that the model has no such version, and which it has."""
    return Problem(
        code="model.unknown-version",
        message=f"{spec.model} has no version {spec.model_version}.",
        where=spec.where("model_version"),
        fix=f"Use one of {', '.join(versions)}, or leave model_version out for the newest.",
    )


def unreadable_model(spec: TuneSpec, reason: str) -> Problem:
    """Say that JumpStart describes the model in a way that is not understood."""
    return Problem(
        code="model.unreadable",
        message=f"{spec.model} cannot be planned: {reason}.",
        where=spec.where("model"),
        fix="Name an older model_version, or update Tunedrop.",
    )


def _not_trainable(spec: TuneSpec, model: JumpStartModel) -> Problem:
    version = f"{model.model_id} {model.version}"
    if regions := serverless.regions(model):
        return Problem(
            code="model.region",
            message=f"JumpStart has no training script for {version}, and SageMaker customises it serverless in "
            f"{', '.join(regions)} only.",
            where=spec.where("model"),
            fix=f"Deploy the stack in one of these regions, or choose a model with a script, such as {_TEXT_MODEL}.",
        )
    if model.training_supported:
        return Problem(
            code="model.no-instance-type",
            message=f"JumpStart names no instance type to train {version} on, or no image for one in this Region.",
            where=spec.where("model"),
            fix=f"Name an older model_version, or choose another model, such as {_TEXT_MODEL}.",
        )
    return Problem(
        code="model.not-trainable",
        message=f"JumpStart has no training script for {version} (its spec says training_supported: false), and no "
        "recipe by which SageMaker customises it serverless.",
        where=spec.where("model"),
        fix=f"Choose one that JumpStart tunes with a script, such as {_TEXT_MODEL}.",
    )


def _technique_contradicted(spec: TuneSpec, seen: Technique) -> list[Problem]:
    if spec.technique in (None, seen):
        return []
    return [
        Problem(
            code="drop.technique",
            message=f"technique is {spec.technique}, but the files look like {seen}: {LOOKS[seen]}.",
            where=spec.where("technique"),
            fix=f"Write `technique: {seen}`; or upload the data of {spec.technique}: {LOOKS[spec.technique]}.",
        )
    ]


def _technique_problems(
    spec: TuneSpec, model: JumpStartModel, technique: Technique, offered: tuple[Technique, ...]
) -> list[Problem]:
    """Refuse a technique that the model's trainer does not offer: an image classifier takes no instructions."""
    if technique in offered:
        return []
    example = _EXAMPLES.get(technique, _TEXT_MODEL)
    others = reason = ""
    if technique is Technique.DPO:
        others = "; `tunedrop models` names the techniques of each"
        reason = " JumpStart's training scripts know no dpo." if model.training_supported else ""
    return [
        Problem(
            code="model.technique",
            message=f"The training of {model.model_id} does not offer the technique {technique}; it offers "
            f"{' and '.join(offered) or 'none that Tunedrop knows'}.{reason}",
            where=spec.where("technique" if spec.technique else "model"),
            fix=f"Choose a model that does, such as {example}{others}"
            + (f"; or upload data for {' or '.join(offered)}." if offered else "."),
        )
    ]


def served(spec: TuneSpec, model: JumpStartModel, rules: PlanRules) -> tuple[ServeTarget, Findings]:
    """Choose what serves the tuned model, and ask before GPUs are paid for whether it will take it."""
    if spec.serve is ServeTarget.ENDPOINT:
        return ServeTarget.ENDPOINT, Findings()
    findings = compatibility(ModelFacts(model_id=model.model_id, vision=model.vision), rules.region)
    if not findings.problems or not model.hosting_instance_types:
        return ServeTarget.BEDROCK, findings
    if spec.serve is None:
        instead = "An endpoint serves it instead, as `serve: endpoint` would."
        told = tuple(each.model_copy(update={"fix": instead}) for each in findings.problems)
        return ServeTarget.ENDPOINT, Findings(warnings=told)
    instead = "Write `serve: endpoint`, or leave serve out: SageMaker serves it then."
    told = tuple(each.model_copy(update={"fix": f"{each.fix} Or: {instead}"}) for each in findings.problems)
    return ServeTarget.BEDROCK, Findings(problems=told, warnings=findings.warnings)


def endpoint_contradicted(spec: TuneSpec) -> list[Problem]:
    """Refuse to say how an endpoint serves what Bedrock is to serve."""
    if spec.endpoint is None:
        return []
    return [
        Problem(
            code="endpoint.not-asked",
            message="endpoint says how an endpoint serves the model, and Bedrock is to serve it.",
            where=spec.where("endpoint"),
            fix="Write `serve: endpoint`, or leave endpoint out.",
        )
    ]


def _eula_problems(spec: TuneSpec, model: JumpStartModel) -> list[Problem]:
    if not model.gated or spec.accept_eula:
        return []
    agreement = model.eula_uri or "the model's licence agreement"
    return [
        Problem(
            code="model.eula",
            message=f"{model.model_id} is gated by an end-user licence agreement: {agreement}",
            where=spec.where("accept_eula"),
            fix="Read it; if you agree, write `accept_eula: true`. Who accepted, and when, is recorded with the run.",
        )
    ]


def _instance_problems(spec: TuneSpec, model: JumpStartModel, instance_type: str) -> list[Problem]:
    if instance_type in model.instance_types:
        return []
    return [
        Problem(
            code="instance.unsupported",
            message=f"{model.model_id} cannot be trained on {instance_type}.",
            where=spec.where("instance_type"),
            fix=f"Use one of {', '.join(model.instance_types)}, or leave instance_type out for "
            f"{training_instance_type(model)}.",
        )
    ]


def _budget_problems(
    spec: TuneSpec, rules: PlanRules, instance_type: str, usd_per_hour: float | None, longest: timedelta
) -> list[Problem]:
    if spec.budget_usd is None:
        return []
    if usd_per_hour is None:
        return [
            Problem(
                code="budget.unknown-price",
                message=f"The budget cannot be kept: {_unpriced(rules, instance_type)}",
                where=spec.where("budget_usd"),
                fix=f"{_price_fix(rules)}; without a budget, here and in the stack's MaxBudgetUsd, no price is needed.",
            )
        ]
    if longest < SHORTEST_TRAINING:
        least = most_cents(usd_per_hour, SHORTEST_TRAINING) / 100
        return [
            Problem(
                code="budget.too-small",
                message=f"{amount(spec.budget_usd)} US dollars buy {int(longest.total_seconds())} s of "
                f"{instance_type}, less than it takes to start.",
                where=spec.where("budget_usd"),
                fix=f"Allow at least {least:.2f} US dollars, or choose a smaller instance_type.",
            )
        ]
    return []


def _above_limit(spec: TuneSpec, rules: PlanRules) -> list[Problem]:
    if spec.budget_usd is None or rules.max_budget_usd is None or spec.budget_usd <= rules.max_budget_usd:
        return []
    return [
        Problem(
            code="budget.above-limit",
            message=f"budget_usd is {amount(spec.budget_usd)}, and this stack lets a run spend "
            f"{amount(rules.max_budget_usd)} US dollars at most.",
            where=spec.where("budget_usd"),
            fix=f"Write {amount(rules.max_budget_usd)} or less, or ask those who deployed the stack to change its "
            "parameter MaxBudgetUsd.",
        )
    ]


def _cap_problems(
    spec: TuneSpec, rules: PlanRules, instance_type: str, usd_per_hour: float | None, longest: timedelta
) -> list[Problem]:
    """Refuse a job that no month has room for; `longest` is its time limit."""
    cap = cap_cents(rules.monthly_cap_usd or 0)
    if cap is None:
        return []
    if usd_per_hour is None:
        return [
            Problem(
                code="cap.unknown-price",
                message=f"The stack's monthly cap cannot be kept: {_unpriced(rules, instance_type)}",
                where=spec.where("instance_type"),
                fix=f"{_price_fix(rules)}.",
            )
        ]
    most = most_cents(usd_per_hour, longest)
    if most <= cap:
        return []
    return [
        Problem(
            code="cap.too-small",
            message=f"The training may cost {words(most)}, more than the whole monthly cap of this stack, "
            f"{words(cap)}.",
            where=spec.where("budget_usd"),
            fix=f"Write `budget_usd: {cap / 100:.2f}` or less: SageMaker stops the job there.",
        )
    ]


def _unpriced(rules: PlanRules, instance_type: str) -> str:
    """Say that no price is known, and what kept AWS from telling it."""
    unread = rules.price_list and rules.price_list.unread
    because = f" AWS's Price List could not be read: {unread}" if unread else ""
    return f"the price of {instance_type} in {rules.region} is not known.{because}"


def _price_fix(rules: PlanRules) -> str:
    unread = rules.price_list and rules.price_list.unread
    choose = "Drop it again once the Price List can be read, choose" if unread else "Choose"
    return f"{choose} another instance_type, or have the stack's parameter {PARAMETER} name its price"


def _price_warnings(rules: PlanRules, choice: InstanceChoice) -> tuple[str, ...]:
    """Say that AWS's own prices were not to be had; of no interest where the stack names the price."""
    if rules.price_list is None or rules.price_list.unread is None or choice.instance_type in rules.instance_prices:
        return ()
    instead = f"the price is from {choice.price_source}" if choice.price_source else "the price is not known"
    return (f"AWS's Price List could not be read, so {instead}: {rules.price_list.unread}",)


def _token_budget_problems(spec: TuneSpec, rules: PlanRules, model: JumpStartModel) -> list[Problem]:
    """Refuse a budget or a cap where AWS bills tokens: nobody knows their price here, and AWS stops at no sum."""
    if spec.budget_usd is None and rules.monthly_cap_usd is None:
        return []
    return [
        Problem(
            code="budget.unknown-price",
            message=f"The budget or the stack's cap cannot be kept: SageMaker customises {model.model_id} serverless "
            "and bills it by what it trains on, at a price that Tunedrop does not know.",
            where=spec.where("budget_usd"),
            fix="Do without a budget and look the price up (https://aws.amazon.com/sagemaker/ai/pricing/), or choose a "
            f"model that is trained on an instance, such as {_TEXT_MODEL}.",
        )
    ]


def _longest_training(
    model: JumpStartModel, rules: PlanRules, budget_usd: float | None, usd_per_hour: float | None
) -> timedelta:
    """Take the shortest of the limits; SageMaker itself stops the job there, whatever becomes of Tunedrop."""
    longest = min(rules.longest_training, timedelta(seconds=model.max_runtime_seconds))
    if budget_usd is None or usd_per_hour is None:
        return longest
    return min(longest, longest_runtime(budget_usd, usd_per_hour))


def _model_warnings(model: JumpStartModel) -> list[str]:
    warnings = []
    if model.deprecated:
        warnings.append(f"JumpStart has deprecated {model.model_id} {model.version}.")
    if model.vulnerabilities:
        warnings.append(
            f"JumpStart lists {len(model.vulnerabilities)} known vulnerabilities in the training script of "
            f"{model.model_id} {model.version}."
        )
    return warnings


def _digest(spec: TuneSpec) -> str:
    """Digest what is asked, not how it is written: comments do not matter, nor ETags, which differ under SSE-KMS."""
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()
