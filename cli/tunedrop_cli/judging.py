"""A folder under the validator: all that a drop's plan would tell it, as far as it is known without AWS."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

from tunedrop.contracts.tune_spec import EvaluateSpec, TuneSpec, TuneSpecError, parse_tune_yaml
from tunedrop.domain import spot
from tunedrop.domain.base_endpoint import contradicted
from tunedrop.domain.contradictions import contradictions
from tunedrop.domain.data_target import DEFAULT_VALIDATION_SPLIT, devices
from tunedrop.domain.drop_files import DropFiles
from tunedrop.domain.hyperparameters import no_numbers, other_technique
from tunedrop.domain.plan import DataTarget, FileRole, ServeTarget, Technique
from tunedrop.domain.planning import HELD_OUT_SEED, endpoint_contradicted
from tunedrop.domain.problem import Problem, excerpt
from tunedrop.domain.prompt_template import (
    JUMPSTART_DEFAULT,
    PROMPT_AND_COMPLETION,
    SIZE_LIMIT_BYTES,
    PromptTemplate,
    TemplateError,
)
from tunedrop.domain.technique import HEAD_BYTES, LOOKS, first_rows, telling_file
from tunedrop.steps.drop_source import data_files
from tunedrop.validation.dataset import calibrated, validate, validate_in_parallel
from tunedrop.validation.report import ValidationReport, unread
from tunedrop.validation.rows.json_lines import MEASURING_FIELDS
from tunedrop.validation.settings import Rules
from tunedrop.validation.sources import DataFile
from tunedrop.validation.split import split_of
from tunedrop.validation.tokens import ModelTokenizer
from tunedrop_cli.folder import Folder, FolderSource
from tunedrop_cli.upload import TUNE_FILE, misnamed

WORTH_PROCESSES_BYTES = 64 << 20
"""Less is read before another process has started."""

RANGES_PER_WORKER = 4
"""So many that no process waits long for the others, and that progress is seen."""

SMALLEST_RANGE_BYTES = 8 << 20

_FOR_A_RECIPE = (
    "Whether the model reads rows of prompt and completion, as was assumed: one that SageMaker customises serverless "
    "does; one with a training script needs a template.json that names the two fields."
)
_FOR_A_SCRIPT = (
    "Whether the model has a training script, as was assumed: rows without a template.json are of instruction, context "
    "and response then; one that SageMaker customises serverless reads prompt and completion."
)


def judge(
    root: Path,
    asked: Technique | None,
    tokenizer: Path | None,
    max_input_length: int | None,
    jobs: int | None,
    progress: Callable[[int], None],
    planned: DataTarget | None = None,
    *,
    rows_only: bool = False,
) -> tuple[ValidationReport, DropFiles]:
    """Validate the files of a folder; raises CommandError for what cannot be read.

    A drop that could come no further for its files or its `tune.yaml` has a report, too, that says why; rows are read
    only when it is clear which ones, and what they must be. `planned` is what a plan says that the data must suit. With
    `rows_only`, what is wrong with `tune.yaml` is left to whoever planned.
    """
    folder = Folder.open(root)
    spec, problems = _spec(root)
    asked = asked or (spec.technique if spec else None)
    seen = folder.technique(asked)
    technique = asked or seen or Technique.INSTRUCTION
    if spec and (asked or seen):
        problems += other_technique(technique, spec.hyperparameters, _where_in(spec))
    if rows_only:
        problems = ()
    dropped = folder.files(technique)
    template, unreadable, assumed = _template(folder, dropped, technique, planned)
    unreadable += dropped.problems
    if seen not in (technique, None):
        unreadable += (_contradicted(technique, seen, spec),)
    target = planned or _target(spec, technique, "tune.yaml" if asked else "files", max_input_length)
    if unreadable:
        return unread(target).with_problems((*problems, *unreadable)), dropped
    files = data_files(dropped.files)
    source = FolderSource.of(folder, files, technique)
    ratio = (spec.evaluate if spec else EvaluateSpec()).held_out_ratio
    rules = Rules(target=target, template=template, split=split_of(files, technique, ratio, HELD_OUT_SEED))
    counter = ModelTokenizer(tokenizer.read_bytes(), tokenizer.name) if tokenizer else None
    report = _read(source, files, rules, counter, jobs, progress)
    unasked = () if planned else _unasked(spec, root, target)
    report = report.model_copy(update={"not_checked": (*report.not_checked, *assumed, *unasked)})
    return report.with_problems(problems), dropped


def _read(
    source: FolderSource,
    files: Sequence[DataFile],
    rules: Rules,
    counter: ModelTokenizer | None,
    jobs: int | None,
    progress: Callable[[int], None],
) -> ValidationReport:
    size = sum(each.bytes for each in files)
    workers = jobs or ((os.cpu_count() or 1) if size >= WORTH_PROCESSES_BYTES else 1)
    if workers == 1 or counter:
        # A tokenizer settles what the estimate leaves in doubt, row by row, and does not travel between processes.
        return validate(source, files, rules, counter=counter, progress=progress)
    range_bytes = max(SMALLEST_RANGE_BYTES, size // (workers * RANGES_PER_WORKER))
    settings = calibrated(source, files, rules)
    return validate_in_parallel(source, files, settings, workers, range_bytes=range_bytes, progress=progress)


def _spec(root: Path) -> tuple[TuneSpec | None, tuple[Problem, ...]]:
    """Read the `tune.yaml`, if there is one, and say all that can be known to be wrong with it."""
    path = root / TUNE_FILE
    if not path.is_file():
        return None, tuple(map(_misnamed, misnamed(root)))
    try:
        spec = parse_tune_yaml(path.read_bytes())
    except TuneSpecError as error:
        return None, error.problems
    asked, instance_type = spec.hyperparameters, spec.instance_type or ""

    where = _where_in(spec)
    return spec, (
        *no_numbers(asked, where),
        *contradictions(spec.model, asked, instance_type, where),
        *contradicted(spec),
        # How long the training may take beside the wait is the plan's to tell.
        *spot.problems(spec, timedelta()),
        *(endpoint_contradicted(spec) if spec.serve is ServeTarget.BEDROCK else ()),
    )


def _where_in(spec: TuneSpec) -> Callable[[str], str]:
    return lambda name: spec.where(f"hyperparameters.{name}")


def _misnamed(name: str) -> Problem:
    return Problem(
        code="spec.file-name",
        message=f"{excerpt(name)} is not read: no run starts from it, and nothing in it was checked.",
        where=excerpt(name),
        fix=f"Rename it to {TUNE_FILE}.",
    )


def _contradicted(technique: Technique, seen: Technique, spec: TuneSpec | None) -> Problem:
    return Problem(
        code="drop.technique",
        message=f"The technique is {technique}, but the files look like {seen}: {LOOKS[seen]}.",
        where=spec.where("technique") if spec and spec.technique is technique else "",
        fix=f"Choose the technique {seen}; or bring the data of {technique}: {LOOKS[technique]}.",
    )


def _unasked(spec: TuneSpec | None, root: Path, target: DataTarget) -> tuple[str, ...]:
    """Say what AWS alone could answer for, and what of a `tune.yaml` is missing."""
    unasked = []
    if spec:
        names = ", ".join(map(excerpt, spec.hyperparameters))
        hyperparameters = f", and what it makes of the hyperparameters {names}" if names else ""
        unasked.append(f"Whether JumpStart trains {spec.model}{hyperparameters}: a drop's plan asks AWS.")
    elif not (root / TUNE_FILE).is_file():
        unasked.append(f"The model and its settings: there is no {TUNE_FILE}, and no run starts without it.")
    if target.technique is Technique.DPO:
        unasked.append("Whether the model can be tuned by dpo: only some that SageMaker customises serverless can.")
    if target.max_input_length is None and target.technique in _CUT_OFF:
        unasked.append("Whether training cuts long rows off: nothing here names the model's max_input_length.")
    return tuple(unasked)


_CUT_OFF = frozenset({Technique.INSTRUCTION, Technique.CHAT})
"""The techniques whose scripts read so many tokens of a row."""


def _template(
    folder: Folder, dropped: DropFiles, technique: Technique, planned: DataTarget | None
) -> tuple[PromptTemplate, tuple[Problem, ...], tuple[str, ...]]:
    """Read the template, if there is one, else choose the default; return what is wrong with it, and what was assumed.

    One byte more than is allowed tells that it is too large. Which default a model's trainer has is known to AWS alone.
    """
    name = next((each.name for each in dropped.files if each.role is FileRole.TEMPLATE), None)
    if name is not None:
        try:
            return PromptTemplate.parse(folder.head(name, SIZE_LIMIT_BYTES + 1)), (), ()
        except TemplateError as error:
            return JUMPSTART_DEFAULT, error.problems, ()
    if planned:
        return PROMPT_AND_COMPLETION if planned.template_applied else JUMPSTART_DEFAULT, (), ()
    if technique is not Technique.INSTRUCTION:
        return JUMPSTART_DEFAULT, (), ()
    telling = telling_file([each.name for each in dropped.files])
    looked_at = first_rows(folder.head(telling, HEAD_BYTES)) if telling else []
    alike = sum(row.keys() - MEASURING_FIELDS == set(PROMPT_AND_COMPLETION.fields) for row in looked_at)
    if 2 * alike > len(looked_at):
        return PROMPT_AND_COMPLETION, (), (_FOR_A_RECIPE,)
    return JUMPSTART_DEFAULT, (), (_FOR_A_SCRIPT,)


def _target(
    spec: TuneSpec | None,
    technique: Technique,
    technique_from: Literal["tune.yaml", "files"],
    max_input_length: int | None,
) -> DataTarget:
    """Say what the data must suit, as far as `tune.yaml` tells: the model's defaults are known to AWS alone."""
    if spec is None:
        return DataTarget(technique=technique, technique_from=technique_from, max_input_length=max_input_length)
    pictures = technique is Technique.VISUAL_QA
    asked = spec.hyperparameters
    length = _positive(asked, "max_input_length")
    return DataTarget(
        technique=technique,
        technique_from=technique_from,
        model_id=spec.model,
        demarcation=asked.get("add_input_output_demarcation_key", "").lower() != "false",
        max_input_length=max_input_length or (int(length) if length else None),
        epochs=_positive(asked, "epoch") or _positive(asked, "epochs"),
        batch_size=_batch_size(spec),
        validation_split_ratio=_share(asked, "validation_split_ratio", None if pictures else DEFAULT_VALIDATION_SPLIT),
    )


def _batch_size(spec: TuneSpec) -> int | None:
    """Count the rows of one step; None unless `tune.yaml` names what decides it."""
    rows = _positive(spec.hyperparameters, "per_device_train_batch_size")
    number = devices(spec.instance_type) if spec.instance_type else None
    if rows is None or number is None:
        return None
    return int(rows * (_positive(spec.hyperparameters, "gradient_accumulation_steps") or 1)) * number or None


def _share(hyperparameters: Mapping[str, str], name: str, default: float | None) -> float | None:
    try:
        value = float(hyperparameters[name])
    except (KeyError, ValueError):
        return default
    return value if 0 <= value <= 1 else default


def _positive(hyperparameters: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(hyperparameters.get(name, ""))
    except ValueError:
        return None
    return value if 0 < value <= _MOST else None


_MOST = 1e9
"""Of rows, tokens or epochs: what no training has, and what products of a few are finite with."""
