"""A folder under the validator: all that a drop's plan would tell it, as far as it is known without AWS."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from tunedrop.contracts.tune_spec import EvaluateSpec, TuneSpec, TuneSpecError, parse_tune_yaml
from tunedrop.domain.data_target import devices
from tunedrop.domain.drop_files import DropFiles
from tunedrop.domain.plan import DataTarget, FileRole, Technique
from tunedrop.domain.planning import HELD_OUT_SEED
from tunedrop.domain.problem import Problem
from tunedrop.domain.prompt_template import JUMPSTART_DEFAULT, SIZE_LIMIT_BYTES, PromptTemplate, TemplateError
from tunedrop.steps.drop_source import data_files
from tunedrop.validation.dataset import calibrated, validate, validate_in_parallel
from tunedrop.validation.report import ValidationReport
from tunedrop.validation.settings import Rules
from tunedrop.validation.split import HeldOutSplit
from tunedrop.validation.tokens import ModelTokenizer
from tunedrop_cli.errors import CommandError
from tunedrop_cli.folder import Folder, FolderSource
from tunedrop_cli.upload import TUNE_FILE

WORTH_PROCESSES_BYTES = 64 << 20
"""Less is read before another process has started."""

RANGES_PER_WORKER = 4
"""So many that no process waits long for the others, and that progress is seen."""

SMALLEST_RANGE_BYTES = 8 << 20


def judge(
    root: Path,
    asked: Technique | None,
    tokenizer: Path | None,
    max_input_length: int | None,
    jobs: int | None,
    progress: Callable[[int], None],
) -> tuple[ValidationReport, DropFiles]:
    """Validate the files of a folder; raises CommandError when no drop of them could come so far."""
    folder = Folder.open(root)
    spec = _spec(root)
    asked = asked or (spec.technique if spec else None)
    technique = folder.technique(asked)
    dropped = folder.files(technique)
    _refuse(dropped.problems)
    files = data_files(dropped.files)
    target = _target(spec, technique, "tune.yaml" if asked else "files", max_input_length)
    ratio = (spec.evaluate if spec else EvaluateSpec()).held_out_ratio
    held_out_file = any(each.role is FileRole.HELD_OUT for each in files)
    source = FolderSource.of(folder, files, technique)
    split = None if held_out_file else HeldOutSplit(ratio=ratio, seed=HELD_OUT_SEED)
    rules = Rules(target=target, template=_template(folder, dropped), split=split)
    counter = ModelTokenizer(tokenizer.read_bytes(), tokenizer.name) if tokenizer else None
    size = sum(each.bytes for each in files)
    workers = jobs or ((os.cpu_count() or 1) if size >= WORTH_PROCESSES_BYTES else 1)
    if workers == 1 or counter:
        # A tokenizer settles what the estimate leaves in doubt, row by row, and does not travel between processes.
        report = validate(source, files, rules, counter=counter, progress=progress)
    else:
        range_bytes = max(SMALLEST_RANGE_BYTES, size // (workers * RANGES_PER_WORKER))
        settings = calibrated(source, files, rules)
        report = validate_in_parallel(source, files, settings, workers, range_bytes=range_bytes, progress=progress)
    return report, dropped


def _spec(root: Path) -> TuneSpec | None:
    """Read the `tune.yaml`, if there is one."""
    path = root / TUNE_FILE
    if not path.is_file():
        return None
    try:
        return parse_tune_yaml(path.read_bytes())
    except TuneSpecError as error:
        raise _refusal(error.problems) from error


def _template(folder: Folder, dropped: DropFiles) -> PromptTemplate:
    """Read the template, if there is one; one byte more than is allowed tells that it is too large."""
    name = next((each.name for each in dropped.files if each.role is FileRole.TEMPLATE), None)
    if name is None:
        return JUMPSTART_DEFAULT
    try:
        return PromptTemplate.parse(folder.head(name, SIZE_LIMIT_BYTES + 1))
    except TemplateError as error:
        raise _refusal(error.problems) from error


def _target(
    spec: TuneSpec | None,
    technique: Technique,
    technique_from: Literal["tune.yaml", "files"],
    max_input_length: int | None,
) -> DataTarget:
    """Say what the data must suit, as far as `tune.yaml` tells: the model's defaults are known to AWS alone."""
    if spec is None:
        return DataTarget(technique=technique, technique_from=technique_from, max_input_length=max_input_length)
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
    )


def _batch_size(spec: TuneSpec) -> int | None:
    """Count the rows of one step; None unless `tune.yaml` names what decides it."""
    rows = _positive(spec.hyperparameters, "per_device_train_batch_size")
    number = devices(spec.instance_type) if spec.instance_type else None
    if rows is None or number is None:
        return None
    return int(rows * (_positive(spec.hyperparameters, "gradient_accumulation_steps") or 1)) * number


def _positive(hyperparameters: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(hyperparameters.get(name, ""))
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise _refusal(problems)


def _refusal(problems: Sequence[Problem]) -> CommandError:
    return CommandError("\n".join(map(str, problems)))
