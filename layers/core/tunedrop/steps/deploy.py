"""Bring the tuned weights behind Bedrock, and take them away again."""

from dataclasses import dataclass
from datetime import timedelta

from tunedrop.domain import names
from tunedrop.domain.artifact import weights_uri
from tunedrop.domain.import_compatibility import NO_CHAT_TEMPLATE, Findings, artifact_compatibility
from tunedrop.domain.observations import (
    DeletionDenied,
    ImportSlotWanted,
    ImportStarted,
    ModelDeleted,
    ModelLimitReached,
    Observation,
    Refused,
    Unavailable,
)
from tunedrop.domain.plan import Plan, ServerlessTrainingPlan
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Run
from tunedrop.errors import ModelLimitError, RequestDeniedError, RequestRefusedError, UnavailableError
from tunedrop.ports import ModelImports, RunFiles
from tunedrop.steps.champions import FormerChampions
from tunedrop.steps.chat_template import TOKENIZER_CONFIG, ChatTemplate

SLOT_WAIT = timedelta(minutes=1)
"""How long to wait when Bedrock has no room: another import runs in the account, or it holds no more models."""

IMPORT_STILL_RUNNING = timedelta(minutes=2)


def take_import_slot(_run: Run) -> Observation:
    """Ask for the one import slot; the commit that follows takes it, or says who has it."""
    return ImportSlotWanted()


@dataclass(frozen=True)
class StartImport:
    """Write the chat template beside the artifact and start the import."""

    imports: ModelImports
    files: RunFiles
    former: FormerChampions
    stack: str

    def __call__(self, run: Run) -> Observation:
        """Start the import job, or find it started; choose who makes room, where Bedrock has none."""
        artifact_uri = weights_uri(run)
        if run.plan is None or artifact_uri is None:
            return _refused("import.no-artifact", "The training job completed without an artifact.")
        prefix = artifact_uri.removeprefix(self.files.uri(""))
        serverless = isinstance(run.plan.training, ServerlessTrainingPlan)
        if serverless and self.files.read(prefix + "config.json") is None:
            message = f"SageMaker's serverless customisation left no merged weights at {artifact_uri}."
            return _refused("import.no-merged-weights", message)
        findings = self._findings(run.plan, prefix)
        missing = next((each for each in findings.warnings if each.code == NO_CHAT_TEMPLATE), None)
        if problems := tuple(each for each in findings.problems if each.code not in _TRIED_ALL_THE_SAME):
            return Refused(problem=_unfit(problems, artifact_uri))
        template = ChatTemplate(self.files)
        if missing and template.missing(run.plan, prefix):
            return Refused(problem=_unfit((missing,), artifact_uri))
        template.write(run.plan, prefix)
        name = names.imported_model(self.stack, run.run_id)
        try:
            job_arn = self.imports.start(name, artifact_uri, run.run_id)
        except ModelLimitError:
            former, words = self.former.next_to_go()
            reason = f"Bedrock holds as many imported models as the account may have. {words}"
            return ModelLimitReached(former=former, reason=reason, retry_after=SLOT_WAIT)
        except UnavailableError as error:
            return Unavailable(reason=f"Bedrock cannot import now: {error}", retry_after=SLOT_WAIT)
        except RequestDeniedError as error:
            return Refused(problem=_denied(error))
        except RequestRefusedError as error:
            return _refused("import.refused", f"Bedrock refused the import: {error}")
        return ImportStarted(job_name=name, job_arn=job_arn, model_name=name)

    def _findings(self, plan: Plan, prefix: str) -> Findings:
        """Look for what Bedrock would refuse, in words that help less, an hour later."""
        config, tokenizer_config = self.files.read(prefix + "config.json"), self.files.read(prefix + TOKENIZER_CONFIG)
        return artifact_compatibility(self.files.sizes(prefix), config or b"{}", tokenizer_config, plan.region)


_TRIED_ALL_THE_SAME = frozenset({"import.context", "import.tokenizer-class"})
"""Of these Bedrock's documentation says less than certain; an import costs nothing, and the training is paid."""


@dataclass(frozen=True)
class DeleteImport:
    """Delete the imported model of a run that was not promoted, or of a former champion."""

    imports: ModelImports

    def __call__(self, run: Run) -> Observation:
        """Delete the model, once its import is over; say so when the account's policies forbid it."""
        if run.deployment is None:
            return ModelDeleted()
        state = self.imports.state(run.deployment.import_job_arn)
        if state and state.status == "InProgress":
            reason = "The import has to end before it can be deleted."
            return Unavailable(reason=reason, retry_after=IMPORT_STILL_RUNNING)
        try:
            self.imports.delete(run.deployment.model_name)
        except RequestDeniedError as error:
            return DeletionDenied(reason=str(error))
        return ModelDeleted()


def _denied(error: RequestDeniedError) -> Problem:
    return Problem(
        code="import.denied",
        message=f"A policy of this account denies the import: {error}",
        fix="Ask those who deployed the stack: a permissions boundary or an organisation's policy says what is "
        "allowed. The trained artifact lies in the run's folder; drop the dataset again once imports are allowed.",
    )


def _unfit(found: tuple[Problem, ...], artifact_uri: str) -> Problem:
    return Problem(
        code=found[0].code,
        message=" ".join(each.message for each in found),
        where=artifact_uri,
        fix=found[0].fix,
    )


def _refused(code: str, message: str) -> Refused:
    fix = "The trained artifact, if any, lies in the run's folder; mend tune.yaml and drop again."
    return Refused(problem=Problem(code=code, message=message, fix=fix))
