"""Read every row of the drop, and write what is good to the run's own prefix, channel by channel."""

import json
from contextlib import ExitStack
from dataclasses import dataclass

from tunedrop.domain import names
from tunedrop.domain.instruction_data import DataReport, HeldOutSplit, InstructionValidator
from tunedrop.domain.observations import DatasetAccepted, DatasetRefused, Observation
from tunedrop.domain.plan import FileRole, PinnedFile, Plan
from tunedrop.domain.problem import Problem
from tunedrop.domain.prompt_template import (
    JUMPSTART_DEFAULT,
    SIZE_LIMIT_BYTES,
    TEMPLATE_FILE,
    PromptTemplate,
    TemplateError,
)
from tunedrop.domain.run import DatasetSummary, Run
from tunedrop.errors import ObjectTooLargeError
from tunedrop.ports import Drops, RunFiles

ROLES = (FileRole.TRAINING, FileRole.VALIDATION, FileRole.HELD_OUT)


@dataclass(frozen=True)
class ValidateDataset:
    """Judge the pinned files, and copy the rows that training and evaluation will read.

    The channels hold copies, made from the very bytes that were judged: JumpStart reads every `.jsonl` of a channel's
    folder, and a drop that is overwritten later changes nothing.
    """

    drops: Drops
    files: RunFiles

    def __call__(self, run: Run) -> Observation:
        """Validate the run's dataset; doing it again writes the same bytes to the same keys."""
        if run.plan is None:
            raise AssertionError(f"run {run.run_id} is {run.status} without a plan")
        try:
            template = self._template(run.plan)
        except TemplateError as error:
            return _refused(error.problems)
        report = self._read(run, run.plan, template)
        self.files.write(names.report_key(run.run_id), report.model_dump_json(indent=1).encode())
        if not report.accepted:
            return DatasetRefused(problems=report.problems, counts=report.problem_counts)
        return DatasetAccepted(
            summary=DatasetSummary(
                training_rows=report.training_rows,
                validation_rows=report.validation_rows,
                held_out_rows=report.held_out_rows,
                held_out_source=report.held_out_source,
                longest_prompt_bytes=report.longest_prompt_bytes,
                longest_completion_bytes=report.longest_completion_bytes,
                bytes=report.bytes,
                warnings=report.warnings,
                report_uri=self.files.uri(names.report_key(run.run_id)),
            )
        )

    def _template(self, plan: Plan) -> PromptTemplate:
        pinned = next((file for file in plan.files if file.role is FileRole.TEMPLATE), None)
        if pinned is None:
            return JUMPSTART_DEFAULT
        try:
            return PromptTemplate.parse(self.drops.read(pinned.key, pinned.version_id, SIZE_LIMIT_BYTES))
        except ObjectTooLargeError as error:
            fix = "Keep the template to a prompt and a completion."
            problem = Problem(code="template_too_large", message=str(error), where=TEMPLATE_FILE, fix=fix)
            raise TemplateError((problem,)) from error

    def _read(self, run: Run, plan: Plan, template: PromptTemplate) -> DataReport:
        given = {file.role for file in plan.files}
        split = None
        if FileRole.HELD_OUT not in given:
            split = HeldOutSplit(ratio=plan.evaluation.held_out_ratio, seed=plan.evaluation.seed)
        validator = InstructionValidator(template, split)
        training = names.channel_prefix(run.run_id, "training")
        template_json = json.dumps({"prompt": template.prompt_text, "completion": template.completion_text})
        self.files.write(training + TEMPLATE_FILE, template_json.encode())
        with ExitStack() as open_files:
            write = {
                FileRole.TRAINING: open_files.enter_context(self.files.writer(training + "train.jsonl")),
                FileRole.HELD_OUT: open_files.enter_context(self.files.writer(names.held_out_key(run.run_id))),
            }
            if FileRole.VALIDATION in given:
                key = names.channel_prefix(run.run_id, "validation") + "validation.jsonl"
                write[FileRole.VALIDATION] = open_files.enter_context(self.files.writer(key))
            for file in sorted((file for file in plan.files if file.role in ROLES), key=_first_to_train_on):
                for row in validator.read(file.role, file.name, self.drops.blocks(file)):
                    asked = {"prompt": row.prompt, "completion": row.completion}
                    held_out = row.role is FileRole.HELD_OUT
                    write[row.role](json.dumps(asked, ensure_ascii=False).encode() + b"\n" if held_out else row.line)
        return validator.report()


def _first_to_train_on(file: PinnedFile) -> tuple[int, str]:
    return ROLES.index(file.role), file.name


def _refused(problems: tuple[Problem, ...]) -> DatasetRefused:
    counts: dict[str, int] = {}
    for problem in problems:
        counts[problem.code] = counts.get(problem.code, 0) + 1
    return DatasetRefused(problems=problems, counts=counts)
