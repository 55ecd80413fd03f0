"""Read every row of the drop, and write what is good to the run's own prefix, channel by channel."""

from dataclasses import dataclass

from tunedrop.domain import names
from tunedrop.domain.observations import DatasetRefused, Observation, Refused, Unavailable
from tunedrop.domain.plan import FileRole, Plan, Technique
from tunedrop.domain.problem import Problem
from tunedrop.domain.prompt_template import PromptTemplate, TemplateError
from tunedrop.domain.run import Run
from tunedrop.errors import SourceChangedError
from tunedrop.ports import Drops, ModelFiles, RunFiles, Workflows
from tunedrop.steps.channels import Channels, Pictures, copy_pictures, metadata_of, write_template
from tunedrop.steps.drop_source import DropSource, data_files
from tunedrop.steps.executions import LOOK_AGAIN, SUCCEEDED, failed, gave_up, latest
from tunedrop.steps.judging import rules_of, template_of, tokenizer_of, told, write_report
from tunedrop.steps.scan_ranges import ScanOrder, write_order
from tunedrop.validation.dataset import calibrated, validate
from tunedrop.validation.report import ValidationReport
from tunedrop.validation.tokens import ModelTokenizer, TokenizerError

IN_PARTS = frozenset({Technique.INSTRUCTION, Technique.CHAT, Technique.DPO})
"""The techniques whose files are cut: a row is a line. Text is one sequence, and pictures lie apart."""


@dataclass(frozen=True)
class ValidateDataset:
    """Judge the pinned files, and copy the rows that training and evaluation will read.

    The channels hold copies, made from the very bytes that were judged: JumpStart reads every `.jsonl` of a channel's
    folder, and a drop that is overwritten later changes nothing. Datasets of JSON lines of more than
    `at_once_bytes` are read by a workflow, in ranges of `range_bytes`.
    """

    drops: Drops
    files: RunFiles
    models: ModelFiles
    workflows: Workflows
    at_once_bytes: int
    range_bytes: int

    def __call__(self, run: Run) -> Observation:
        """Validate the run's dataset; doing it again writes the same bytes to the same keys."""
        if run.plan is None:
            raise AssertionError(f"run {run.run_id} is {run.status} without a plan")
        try:
            template = template_of(run.plan, self.drops)
            if self._is_large(run.plan):
                return self._in_parts(run, run.plan, template)
            report = self._at_once(run, run.plan, template)
        except TemplateError as error:
            return _refused(error.problems)
        except SourceChangedError as error:
            return _changed(str(error))
        write_report(self.files, run.run_id, run.dataset, report)
        return told(self.files, run.run_id, report)

    def _is_large(self, plan: Plan) -> bool:
        size = sum(file.size for file in plan.files if file.role is not FileRole.TEMPLATE)
        return plan.data.technique in IN_PARTS and size > self.at_once_bytes

    def _at_once(self, run: Run, plan: Plan, template: PromptTemplate) -> ValidationReport:
        counter = tokenizer_of(plan.data.tokenizer_uri, self.models)
        try:
            return self._read(run, plan, template, counter)
        except TokenizerError:
            return self._read(run, plan, template, None)

    def _read(self, run: Run, plan: Plan, template: PromptTemplate, counter: ModelTokenizer | None) -> ValidationReport:
        technique, data, rules = plan.data.technique, data_files(plan.files), rules_of(plan, template)
        source = DropSource(self.drops, run.dataset, plan.files, plan.images)
        with Channels.whole(self.files, run.run_id, technique, data) as channels:
            if technique is not Technique.VISUAL_QA:
                report = validate(source, data, rules, counter=counter, sink=channels)
            else:
                pictures = Pictures(channels, run.run_id)
                report = validate(source, data, rules, counter=counter, sink=pictures)
                if report.accepted:
                    listed = {role: source.pictures(name) for role, name in metadata_of(data).items()}
                    copy_pictures(self.files, self.drops.bucket, pictures.copies(listed))
        if technique is Technique.INSTRUCTION and not plan.data.template_applied:
            write_template(self.files, run.run_id, template)
        return report

    def _in_parts(self, run: Run, plan: Plan, template: PromptTemplate) -> Observation:
        """Look at the workflow's executions, or start the next one."""
        execution = latest(
            self.workflows,
            lambda attempt: names.validation_execution(run.run_id, attempt),
            lambda name: self._start(name, run, plan, template),
            hopeless=SourceChangedError.__name__,
        )
        if execution and execution.status == SUCCEEDED:
            return told(self.files, run.run_id, self._report(run))
        if execution and failed(execution):
            if execution.error == SourceChangedError.__name__:
                return _changed("A file")
            return Refused(problem=gave_up("validation.failed", "The validation", execution))
        return Unavailable(reason="Validating the dataset in ranges.", retry_after=LOOK_AGAIN)

    def _start(self, name: str, run: Run, plan: Plan, template: PromptTemplate) -> None:
        source, data = DropSource(self.drops, run.dataset, plan.files), data_files(plan.files)
        rules = rules_of(plan, template)
        try:
            settings = calibrated(source, data, rules, tokenizer_of(plan.data.tokenizer_uri, self.models))
        except TokenizerError:
            settings = calibrated(source, data, rules)
        order = ScanOrder(dataset=run.dataset, files=plan.files, settings=settings, range_bytes=self.range_bytes)
        write_order(self.files, run.run_id, order)
        self.workflows.start(name, {"run_id": run.run_id, "ranges": names.ranges_key(run.run_id)})

    def _report(self, run: Run) -> ValidationReport:
        content = self.files.read(names.report_key(run.run_id))
        if content is None:
            raise AssertionError(f"the workflow left no report for run {run.run_id}")
        return ValidationReport.model_validate_json(content)


def _refused(problems: tuple[Problem, ...]) -> DatasetRefused:
    counts: dict[str, int] = {}
    for problem in problems:
        counts[problem.code] = counts.get(problem.code, 0) + 1
    return DatasetRefused(problems=problems, counts=counts, summary=None)


def _changed(what: str) -> DatasetRefused:
    fix = "Upload tune.yaml again, after all other files."
    return _refused((Problem(code="drop.changed", message=f"{what} changed after it was planned.", fix=fix),))
