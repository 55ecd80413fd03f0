"""Freeze what a run will do, before anything is paid for."""

from dataclasses import dataclass

from tunedrop.contracts.tune_spec import SIZE_LIMIT, TuneSpec, TuneSpecError, parse_tune_yaml
from tunedrop.domain import names
from tunedrop.domain.observations import Observation, PlanMade, PlanRefused
from tunedrop.domain.plan import Plan
from tunedrop.domain.planning import PlanRules, make_plan, unknown_model, unknown_model_version, unreadable_model
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Drop, Run
from tunedrop.domain.surroundings import key_problems, network_problems
from tunedrop.domain.technique import HEAD_BYTES
from tunedrop.errors import ObjectTooLargeError, UnknownModelError, UnknownModelVersionError, UnreadableModelError
from tunedrop.ports import Catalogue, Clock, Drops, Keys, Network


@dataclass(frozen=True)
class PlanRun:
    """Pin the drop's files, look the model up, and check both against what is asked."""

    drops: Drops
    catalogue: Catalogue
    clock: Clock
    rules: PlanRules
    network: Network
    keys: Keys

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
        planned = self._plan(spec, run.drop, dataset)
        if not isinstance(planned, Plan):
            return PlanRefused(problems=planned)
        problems = self._surroundings()
        return PlanRefused(problems=problems) if problems else PlanMade(plan=planned)

    def _surroundings(self) -> tuple[Problem, ...]:
        """Look at what the stack puts around every job; asks AWS only about what its parameters name."""
        vpc, key = self.rules.vpc, self.rules.kms_key_arn
        return (
            *(
                network_problems(
                    vpc, self.network.subnets(vpc.subnets), self.network.security_groups(vpc.security_group_ids)
                )
                if vpc
                else ()
            ),
            *(key_problems(key, self.keys.key(key)) if key else ()),
        )

    def _plan(self, spec: TuneSpec, drop: Drop, dataset: str) -> Plan | tuple[Problem, ...]:
        try:
            model = self.catalogue.model(spec.model, spec.model_version)
        except UnknownModelError as error:
            return (unknown_model(spec, error.suggestions),)
        except UnknownModelVersionError as error:
            return (unknown_model_version(spec, error.versions),)
        except UnreadableModelError as error:
            return (unreadable_model(spec, error.reason),)
        return make_plan(
            spec,
            model,
            lambda instance_type: self.catalogue.artifacts(model, instance_type),
            drop,
            self.drops.files(dataset),
            lambda file: self.drops.head(file, HEAD_BYTES),
            self.rules,
            self.clock.now(),
        )


def _misplaced(drop: Drop) -> Problem:
    return Problem(
        code="drop.place",
        message=f"A tune.yaml belongs directly into datasets/<name>/, and this one lies at {drop.key!a:.200}.",
        where="tune.yaml",
        fix="Name the folder with 1 to 64 letters, digits, dots, dashes or underscores, and upload everything into it.",
    )
