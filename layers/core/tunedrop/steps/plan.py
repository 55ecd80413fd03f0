"""Freeze what a run will do, before anything is paid for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from tunedrop.contracts.tune_spec import SIZE_LIMIT, TuneSpec, TuneSpecError, parse_tune_yaml
from tunedrop.domain import names
from tunedrop.domain.base_endpoint import NO_ENDPOINT, BaseChoice, base_choice, wants_endpoint
from tunedrop.domain.hosting import HostingRules, hosting_plan, hosting_quota_name, hosting_within_quota
from tunedrop.domain.import_room import (
    QUOTA_CODE,
    QUOTA_SERVICE,
    USUAL_LIMIT,
    ImportRoom,
    with_room,
    with_room_unseen,
)
from tunedrop.domain.jumpstart import HostingArtifacts, JumpStartModel
from tunedrop.domain.observations import Observation, PlanMade, PlanRefused
from tunedrop.domain.offer import Offer, offer
from tunedrop.domain.plan import PinnedObject, Plan, ServeTarget
from tunedrop.domain.plan_document import PlanDocument, plan_document, refused, warned
from tunedrop.domain.planning import (
    PlanRules,
    make_plan,
    served,
    unknown_model,
    unknown_model_version,
    unreadable_model,
)
from tunedrop.domain.problem import Problem
from tunedrop.domain.quotas import quota_names, within_quotas
from tunedrop.domain.run import Drop, Run
from tunedrop.domain.sensible_defaults import training_instance_type
from tunedrop.domain.surroundings import key_problems, network_problems
from tunedrop.domain.technique import HEAD_BYTES
from tunedrop.errors import (
    ObjectTooLargeError,
    RequestDeniedError,
    UnknownModelError,
    UnknownModelVersionError,
    UnreadableModelError,
)
from tunedrop.ports import Catalogue, Clock, Drops, Keys, ModelImports, Network, Prices, Quotas, RunFiles
from tunedrop.steps.champions import FormerChampions


def refuse_all(problems: tuple[Problem, ...]) -> Callable[[Run], Observation]:
    """Refuse every drop for what is wrong with the stack itself."""
    return lambda _run: PlanRefused(problems=problems)


@dataclass(frozen=True)
class BedrockRoom:
    """Look whether Bedrock has room for another imported model, and who would make some."""

    imports: ModelImports
    quotas: Quotas
    former: FormerChampions | None
    """None where there is no stack to have any."""

    def __call__(self) -> ImportRoom:
        """Count models and imports; the former champions are looked through only where it is full."""
        models, importing = self.imports.occupancy()
        told = self.quotas.quota(QUOTA_SERVICE, QUOTA_CODE)
        room = ImportRoom(models=models, limit=USUAL_LIMIT if told is None else int(told), importing=importing)
        if not room.full or self.former is None:
            return room
        _, making_room = self.former.next_to_go()
        return room.model_copy(update={"making_room": making_room})


@dataclass(frozen=True)
class Account:
    """Hold what a plan asks the account for, beside what the stack's parameters name."""

    quotas: Quotas
    room: Callable[[], ImportRoom | None]
    """Tells how full Bedrock is; None where nobody may ask."""


@dataclass(frozen=True)
class PlanRun:
    """Pin the drop's files, look the model up, and check both against what is asked."""

    drops: Drops
    files: RunFiles
    catalogue: Catalogue
    clock: Clock
    rules: PlanRules
    network: Network
    keys: Keys
    account: Account
    prices: Prices

    def __call__(self, run: Run) -> Observation:
        """Make the plan, or say all that is wrong."""
        dataset = names.dataset_of(run.drop.key)
        if dataset is None:
            return PlanRefused(problems=(_misplaced(run.drop),))
        try:
            spec = parse_tune_yaml(self.drops.read(run.drop.key, run.drop.version_id, SIZE_LIMIT))
        except TuneSpecError as error:
            return PlanRefused(problems=error.problems)
        except ObjectTooLargeError as error:
            fix = "A tune.yaml has a few lines; upload data as files beside it."
            problem = Problem(code="spec.too-large", message=str(error), where="tune.yaml", fix=fix)
            return PlanRefused(problems=(problem,))
        document = plan_folder(
            spec,
            run.drop,
            self.drops.files(dataset),
            lambda file: self.drops.head(file, HEAD_BYTES),
            self.catalogue,
            self.account,
            replace(self.rules, price_list=self.prices.price_list()),
            self.clock.now(),
        )
        if not isinstance(document, PlanDocument):
            return PlanRefused(problems=document)
        if document.accepted:
            try:
                problems = network(self.rules, self.network)
            except RequestDeniedError as error:
                problems = ()
                reason = f"for AWS denies that it is looked at: {error}"
                document = warned(document, f"Whether the stack's network is fit for training is not known, {reason}")
            document = refused(document, (*problems, *key(self.rules, self.keys)))
        self.files.write(names.plan_key(run.run_id), document.model_dump_json(indent=1).encode())
        if document.plan is None:
            return PlanRefused(problems=document.problems)
        return PlanMade(plan=document.plan)


def network(rules: PlanRules, known: Network) -> tuple[Problem, ...]:
    """Say what is wrong with the network that the stack names for its jobs; asks AWS nothing where it names none.

    Raises RequestDeniedError.
    """
    vpc = rules.vpc
    if vpc is None:
        return ()
    return network_problems(vpc, known.subnets(vpc.subnets), known.security_groups(vpc.security_group_ids))


def key(rules: PlanRules, keys: Keys) -> tuple[Problem, ...]:
    """Say why the key that the stack names cannot be used; asks AWS nothing where it names none."""
    arn = rules.kms_key_arn
    return key_problems(arn, keys.key(arn)) if arn else ()


def plan_folder(
    spec: TuneSpec,
    drop: Drop,
    objects: Sequence[PinnedObject],
    head_of: Callable[[PinnedObject], bytes],
    catalogue: Catalogue,
    account: Account,
    rules: PlanRules,
    now: datetime,
) -> PlanDocument | tuple[Problem, ...]:
    """Plan what lies in a folder, on S3 or on somebody's disk; no more than problems where there is no such model."""
    try:
        model = catalogue.model(spec.model, spec.model_version)
        rules = replace(rules, base=_base(spec, model, catalogue, account, rules))
        made = make_plan(spec, model, partial(catalogue.artifacts, model), drop, objects, head_of, rules, now)
        if isinstance(made, Plan) and made.serve is ServeTarget.ENDPOINT:
            made = _hosted(made, spec, model, catalogue, rules)
    except UnknownModelError as error:
        return (unknown_model(spec, error.suggestions, error.hub),)
    except UnknownModelVersionError as error:
        return (unknown_model_version(spec, error.versions),)
    except UnreadableModelError as error:
        return (unreadable_model(spec, error.reason),)
    if isinstance(made, Plan) and (needed := quota_names(made)):
        made = within_quotas(made, account.quotas.quotas(needed))
    if isinstance(made, Plan) and made.hosting:
        made = hosting_within_quota(made, account.quotas.quotas([hosting_quota_name(made.hosting)])) or made
    found = None
    if isinstance(made, Plan) and made.serve is ServeTarget.BEDROCK:
        try:
            found = account.room()
        except RequestDeniedError as error:
            made = with_room_unseen(made, str(error))
    if isinstance(made, Plan) and found:
        made = with_room(made, found)
    dataset = names.dataset_of(drop.key) or drop.key
    return plan_document(dataset, model, offered(model, rules), spec.hyperparameters, made, found)


def _base(
    spec: TuneSpec, model: JumpStartModel, catalogue: Catalogue, account: Account, rules: PlanRules
) -> BaseChoice:
    """Plan where the base model answers, if it is not one of Bedrock's own."""
    if not wants_endpoint(spec, rules.base_models.get(model.model_id)):
        return NO_ENDPOINT

    def artifacts_for(instance_type: str) -> HostingArtifacts | None:
        try:
            return catalogue.hosting(model, instance_type)
        except UnreadableModelError:
            return None

    return base_choice(
        spec,
        model,
        artifacts_for,
        account.quotas.quotas,
        _around(rules),
        serve=served(spec, model, rules)[0],
        budget_usd=rules.max_budget_usd if spec.budget_usd is None else spec.budget_usd,
        cap_usd=rules.monthly_cap_usd,
    )


def _hosted(plan: Plan, spec: TuneSpec, model: JumpStartModel, catalogue: Catalogue, rules: PlanRules) -> Plan:
    """Add what the endpoint is made of."""
    hosting = hosting_plan(spec, model, partial(catalogue.hosting, model), _around(rules))
    return plan.model_copy(update={"hosting": hosting})


def _around(rules: PlanRules) -> HostingRules:
    return HostingRules(
        rules.policy, rules.price, rules.vpc, rules.kms_key_arn, isolated=rules.isolated, stack=rules.stack
    )


def offered(model: JumpStartModel, rules: PlanRules) -> Offer:
    """Describe a model under the stack's rules."""
    instance_type = training_instance_type(model)
    known = rules.price(instance_type) if instance_type else None
    return offer(model, rules.region, rules.policy, known)


def _misplaced(drop: Drop) -> Problem:
    return Problem(
        code="drop.place",
        message=f"A tune.yaml belongs directly into datasets/<name>/, and this one lies at {drop.key!a:.200}.",
        where="tune.yaml",
        fix="Name the folder with 1 to 64 letters, digits, dots, dashes or underscores, and upload everything into it.",
    )
