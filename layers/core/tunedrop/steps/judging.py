"""What a dataset is judged by, read from its plan, and what a run is told of the report."""

from tunedrop.domain import names
from tunedrop.domain.decide import PROBLEMS_ON_RECORD
from tunedrop.domain.observations import DatasetAccepted, DatasetRefused
from tunedrop.domain.plan import FileRole, Plan
from tunedrop.domain.problem import Problem
from tunedrop.domain.prompt_template import (
    JUMPSTART_DEFAULT,
    PROMPT_AND_COMPLETION,
    SIZE_LIMIT_BYTES,
    TEMPLATE_FILE,
    PromptTemplate,
    TemplateError,
)
from tunedrop.domain.run import DatasetSummary
from tunedrop.errors import ObjectTooLargeError
from tunedrop.ports import Drops, ModelFiles, RunFiles
from tunedrop.steps.drop_source import data_files
from tunedrop.validation.findings import Severity
from tunedrop.validation.html import render
from tunedrop.validation.report import ValidationReport
from tunedrop.validation.settings import Rules
from tunedrop.validation.split import split_of
from tunedrop.validation.tokens import ModelTokenizer, TokenizerError
from tunedrop.validation.wording import groups

TOKENIZER_BYTES = 64 << 20
"""The largest `tokenizer.json` that is read: some four times the largest known."""


def template_of(plan: Plan, drops: Drops) -> PromptTemplate:
    """Read the drop's template; raises TemplateError with all that is wrong with it."""
    pinned = next((file for file in plan.files if file.role is FileRole.TEMPLATE), None)
    if pinned is None:
        return PROMPT_AND_COMPLETION if plan.data.template_applied else JUMPSTART_DEFAULT
    try:
        return PromptTemplate.parse(drops.read(pinned.key, pinned.version_id, SIZE_LIMIT_BYTES))
    except ObjectTooLargeError as error:
        fix = "Keep the template to a prompt and a completion."
        problem = Problem(code="template.too-large", message=f"{error}.", where=TEMPLATE_FILE, fix=fix)
        raise TemplateError((problem,)) from error


def rules_of(plan: Plan, template: PromptTemplate) -> Rules:
    """Say what the rows of a planned dataset are judged by."""
    evaluation = plan.evaluation
    split = split_of(data_files(plan.files), plan.data.technique, evaluation.held_out_ratio, evaluation.seed)
    return Rules(target=plan.data, template=template, split=split)


def tokenizer_of(plan_uri: str | None, models: ModelFiles) -> ModelTokenizer | None:
    """Read the model's own tokenizer; None when nobody may read it, or nothing can be counted with it."""
    content = models.read(plan_uri, TOKENIZER_BYTES) if plan_uri else None
    if content is None:
        return None
    try:
        return ModelTokenizer(content)
    except TokenizerError:
        return None


def write_report(files: RunFiles, run_id: str, dataset: str, report: ValidationReport) -> None:
    """Write the report beside the run, for machines and as a page: nothing else holds excerpts of rows."""
    files.write(names.report_page_key(run_id), render(report, title=dataset).encode())
    files.write(names.report_key(run_id), report.model_dump_json().encode())


def told(files: RunFiles, run_id: str, report: ValidationReport) -> DatasetAccepted | DatasetRefused:
    """Return what the run's record takes over from a report."""
    summary = _summary(files, run_id, report)
    if report.accepted:
        return DatasetAccepted(summary=summary)
    errors = (each.problem() for each in report.findings if each.severity is Severity.ERROR)
    problems = tuple(problem for problem, _ in zip(errors, range(PROBLEMS_ON_RECORD), strict=False))
    return DatasetRefused(problems=problems, counts=report.errors, summary=summary)


def _summary(files: RunFiles, run_id: str, report: ValidationReport) -> DatasetSummary:
    tokens = report.tokens
    return DatasetSummary(
        training_rows=report.training_rows,
        validation_rows=report.validation_rows,
        held_out_rows=report.held_out_rows,
        held_out_source=report.held_out_source,
        bytes=report.bytes,
        tokens=tokens.total if tokens else None,
        tokens_basis=tokens.basis if tokens else None,
        bytes_per_token=tokens.bytes_per_token if tokens else None,
        truncated_rows=tokens.truncated_rows if tokens else 0,
        tokens_lost=tokens.tokens_lost if tokens else 0,
        labels=None if report.labels is None else len(report.labels),
        duplicates=report.duplicates.exact,
        leaked_rows=report.duplicates.leaked,
        expected_steps=report.expected_steps,
        warnings=tuple(
            f"{group.title}: {group.total:,}" for group in groups(report) if group.severity is Severity.WARNING
        ),
        report_uri=files.uri(names.report_key(run_id)),
        page_uri=files.uri(names.report_page_key(run_id)),
    )
