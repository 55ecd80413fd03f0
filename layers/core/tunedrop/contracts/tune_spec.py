"""`tune.yaml`: what a user asks for. Reading it is total: it yields a spec or every problem at once, never an error.

YAML is read event by event rather than through PyYAML's loaders, which resolve tags, expand aliases without a bound,
keep the last of two equal keys, recurse, and follow YAML 1.1 (`no` is false, `010` is 8, `12:30:45` is 45045).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PrivateAttr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tunedrop.domain.plan import JudgeMetric, MetricName, ServeTarget, Technique
from tunedrop.domain.problem import Problem, excerpt

FILE = "tune.yaml"

SIZE_LIMIT = 16 * 1024
"""Bytes of a `tune.yaml`; a real one has a few hundred."""

DEPTH_LIMIT = 4
"""Levels of nesting; a real one has two."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class JudgeSpec(_Strict):
    """Say which model is to grade the answers on Bedrock, and for what."""

    evaluator_model: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.:-]{1,199}$",
        description="a model that Bedrock judges with, such as amazon.nova-pro-v1:0",
    )
    metrics: Annotated[tuple[JudgeMetric, ...], Field(strict=False)] = Field(
        ("Correctness",), description=f"a list of {', '.join(get_args(JudgeMetric))}, each at most once"
    )

    @field_validator("metrics", mode="before")
    @classmethod
    def _without_prefix(cls, metrics: object) -> object:
        """Take a metric as Bedrock's API spells it, too: `Builtin.Correctness`."""
        if not isinstance(metrics, list):
            return metrics
        return [each.removeprefix("Builtin.") if isinstance(each, str) else each for each in metrics]

    @field_validator("metrics")
    @classmethod
    def _once_each(cls, metrics: tuple[JudgeMetric, ...]) -> tuple[JudgeMetric, ...]:
        if not metrics or len(set(metrics)) < len(metrics):
            raise ValueError("each metric is named once, and at least one is")
        return metrics


class EvaluateSpec(_Strict):
    """Say how the candidate is to be judged."""

    metric: MetricName | None = Field(None, description=" or ".join(get_args(MetricName)))
    """None: the one that suits the technique."""
    against: Annotated[tuple[Literal["base", "champion"], ...], Field(strict=False)] = Field(
        ("base", "champion"), description="a list of base and champion, each at most once, such as [base]"
    )
    base: Literal["bedrock", "endpoint"] | None = Field(
        None, description="bedrock or endpoint; left out, bedrock where it has the base model, else endpoint"
    )
    """Where the base model answers: as one of Bedrock's own, or on an endpoint for as long as it is asked."""
    min_gain: FiniteFloat = Field(0.05, ge=0, le=1, description="a number from 0 to 1, such as 0.05")
    held_out_ratio: FiniteFloat = Field(0.1, gt=0, le=0.5, description="a number above 0, at most 0.5, such as 0.1")
    judge: JudgeSpec | None = Field(None, description="a mapping of evaluator_model, metrics")
    """None: nobody grades the answers but the metrics."""

    @field_validator("against")
    @classmethod
    def _once_each(cls, against: tuple[str, ...]) -> tuple[str, ...]:
        if not against or len(set(against)) < len(against):
            raise ValueError("each model is named once, and at least one is")
        return against


class EndpointSpec(_Strict):
    """Say how an endpoint is to serve the tuned model."""

    instance_type: str | None = Field(
        None,
        pattern=r"^ml\.[a-z0-9-]{1,30}\.[a-z0-9-]{1,30}$",
        description="an instance to serve on, such as ml.g5.2xlarge",
    )
    scale_to_zero: bool = Field(default=True, description="true or false")
    max_instances: int = Field(1, ge=1, le=20, description="a number from 1 to 20")
    ttl_hours: FiniteFloat | None = Field(
        None, ge=1, le=8760, description="hours without a call, from 1 to 8760, such as 72"
    )
    """None: never for an endpoint that scales to zero; another one is taken down after a day."""


class TuneSpec(_Strict):
    """Hold a `tune.yaml`; what is left out has its default."""

    model: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$",
        description="a JumpStart model id, such as meta-textgeneration-llama-3-1-8b-instruct",
    )
    model_version: str | None = Field(
        None, pattern=r"^[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}$", description="a full version, such as 2.16.2"
    )
    technique: Annotated[Technique, Field(strict=False)] | None = Field(
        None, description=f"{' or '.join(Technique)}; left out, the files tell it"
    )
    hyperparameters: dict[str, str] = Field(
        default_factory=dict, description="JumpStart's names, each with one value, such as {epoch: 3, lora_r: 16}"
    )
    """Values as they were written: the plan knows their types."""
    instance_type: str | None = Field(
        None,
        pattern=r"^ml\.[a-z0-9-]{1,30}\.[a-z0-9-]{1,30}$",
        description="a training instance, such as ml.g5.12xlarge",
    )
    accept_eula: bool = Field(default=False, description="true or false")
    budget_usd: FiniteFloat | None = Field(None, gt=0, description="US dollars above 0, such as 40")
    spot: bool = Field(default=False, description="true or false")
    max_wait_hours: FiniteFloat | None = Field(
        None, gt=0, le=672, description="hours to wait for spot capacity, above 0 and at most 672, such as 12"
    )
    serve: Annotated[ServeTarget, Field(strict=False)] | None = Field(
        None, description=f"{' or '.join(ServeTarget)}; left out, bedrock where it imports the model, else endpoint"
    )
    endpoint: EndpointSpec | None = Field(
        None, description="a mapping of instance_type, scale_to_zero, max_instances, ttl_hours"
    )
    evaluate: EvaluateSpec = Field(
        EvaluateSpec(), description="a mapping of metric, against, base, min_gain, held_out_ratio, judge"
    )

    _lines: dict[str, int] = PrivateAttr(default_factory=dict)

    def where(self, path: str) -> str:
        """Locate a key, such as `hyperparameters.epoch`, as `tune.yaml:<line>`; without a line if it was left out."""
        return _where(self._lines, path)


_NESTED: Mapping[tuple[str, ...], type[_Strict]] = {
    ("evaluate",): EvaluateSpec,
    ("evaluate", "judge"): JudgeSpec,
    ("endpoint",): EndpointSpec,
}
"""What the values of keys hold that are mappings of known keys."""


class TuneSpecError(Exception):
    """Say all that is wrong with a `tune.yaml`."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Hold the problems, in the order of the file."""
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def parse_tune_yaml(data: bytes) -> TuneSpec:
    """Read a `tune.yaml`; raises TuneSpecError with every problem, and nothing else."""
    reader = _Reader(data)
    tree = reader.read()
    try:
        spec = TuneSpec.model_validate(tree)
    except ValidationError as error:
        reader.problems.extend(_problem(each, reader.lines) for each in error.errors())
    if reader.problems:
        raise TuneSpecError(tuple(sorted(reader.problems, key=_line)))
    spec._lines.update(reader.lines)  # noqa: SLF001 - pydantic takes no private attribute on construction
    return spec


@dataclass(frozen=True)
class _Scalar:
    text: str
    plain: bool

    def value(self) -> object:
        """Resolve the text as JSON does, in one spelling each; anything else stays a string."""
        if not self.plain:
            return self.text
        if self.text in _WORDS:
            return _WORDS[self.text]
        if _INTEGER.fullmatch(self.text):
            return int(self.text)
        if _DECIMAL.fullmatch(self.text):
            return float(self.text)
        return self.text


_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?")


class _Reader:
    """Read a document into dicts, lists and scalars, noting the line of every key and all that is wrong."""

    def __init__(self, data: bytes) -> None:
        self.problems: list[Problem] = []
        self.lines: dict[str, int] = {}
        self._data = data
        self._events: Iterator[yaml.Event] = iter(())

    def read(self) -> object:
        """Return the document as pydantic takes it; an empty mapping where there is no document to speak of."""
        try:
            self._events = yaml.parse(self._text(), Loader=yaml.SafeLoader)
            root = self._document()
        except _UnreadableError as error:
            raise TuneSpecError((*self.problems, error.problem)) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            unreadable = _UnreadableError(str(error.problem), mark.line + 1 if mark else None)
            raise TuneSpecError((*self.problems, unreadable.problem)) from None
        except yaml.reader.ReaderError as error:
            line = self._text().count("\n", 0, error.position) + 1
            unreadable = _UnreadableError(f"it holds the character U+{error.character:04X}", line, fix="Remove it.")
            raise TuneSpecError((*self.problems, unreadable.problem)) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # PyYAML lets ValueError and OverflowError of `chr` and `int` through: "\U00110000", %YAML 1.<5,000 digits>.
            raise TuneSpecError((*self.problems, _UnreadableError(excerpt(str(error))).problem)) from None
        return {key: _texts(value) if key == "hyperparameters" else _values(value) for key, value in root.items()}

    def _text(self) -> str:
        if len(self._data) > SIZE_LIMIT:
            raise _UnreadableError(f"the file has more than {SIZE_LIMIT:,} bytes")
        try:
            return self._data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self._data.count(b"\n", 0, error.start) + 1
            raise _UnreadableError("the file is not UTF-8 text", line, fix="Save the file as UTF-8.") from None

    def _document(self) -> dict[str, object]:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise _UnreadableError("the file is empty", 1, fix="Write at least `model: <JumpStart model id>`.")
        root = self._node(next(self._events), "", 1)
        if not isinstance(root, dict):
            raise _UnreadableError("the file is not a mapping of keys to values", 1)
        next(self._events)  # the document's end
        if not isinstance(event := next(self._events), yaml.StreamEndEvent):
            raise _UnreadableError("the file holds a second document", _line_of(event))
        return root

    def _node(self, event: yaml.Event, path: str, depth: int) -> object:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _UnreadableError("anchors and aliases (& and *) are not allowed", _line_of(event))
        if getattr(event, "tag", None):
            raise _UnreadableError("tags (!) are not allowed", _line_of(event))
        if isinstance(event, yaml.ScalarEvent):
            return _Scalar(event.value, plain=event.style is None)
        if depth > DEPTH_LIMIT:
            raise _UnreadableError(f"the file is nested more than {DEPTH_LIMIT} levels deep", _line_of(event))
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[object] = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(event, path, depth + 1))
            return items
        return self._mapping(path, depth)

    def _mapping(self, path: str, depth: int) -> dict[str, object]:
        mapping: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, path, depth + 1)
            if not isinstance(key, _Scalar):
                raise _UnreadableError("a key is not a plain word", _line_of(event))
            child = f"{path}.{key.text}" if path else key.text
            value = self._node(next(self._events), child, depth + 1)
            if key.text in mapping:
                self.problems.append(
                    Problem(
                        code="spec.duplicate-key",
                        message=f"{excerpt(child)} stands here and on line {self.lines[child]}.",
                        where=f"{FILE}:{_line_of(event)}",
                        fix="Keep one of them.",
                    )
                )
                continue
            mapping[key.text] = value
            self.lines[child] = _line_of(event)
        return mapping


class _UnreadableError(Exception):
    """End the reading: what follows cannot be told."""

    def __init__(
        self, message: str, line: int | None = None, fix: str = "Write plain YAML: keys, values, lists."
    ) -> None:
        super().__init__(message)
        self.problem = Problem(
            code="spec.yaml",
            message=f"{FILE} cannot be read: {message}.",
            where=f"{FILE}:{line}" if line else FILE,
            fix=fix,
        )


def _line_of(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _values(node: object) -> object:
    match node:
        case _Scalar():
            return node.value()
        case dict():
            return {key: _values(value) for key, value in node.items()}
        case list():
            return [_values(value) for value in node]
    return node


def _texts(node: object) -> object:
    """Keep the hyperparameters as they were written; pydantic refuses an empty value, and one that is no scalar."""
    if not isinstance(node, dict):
        return _values(node)
    return {
        key: value.text if isinstance(value, _Scalar) and value.value() is not None else _values(value)
        for key, value in node.items()
    }


def _problem(error: ErrorDetails, lines: Mapping[str, int]) -> Problem:
    names = [str(each) for each in error["loc"]]
    path = _key_path(names, lines)
    shown = excerpt(path)
    if error["type"] == "extra_forbidden":
        known = sorted(_NESTED.get(tuple(names[:-1]), TuneSpec).model_fields)
        near = get_close_matches(names[-1], known, n=1)
        fix = f"Did you mean {near[0]}? " if near else ""
        return Problem(
            code="spec.unknown-key",
            message=f"{shown} is not a key of {FILE}.",
            where=_where(lines, path),
            fix=f"{fix}Known keys: {', '.join(known)}.",
        )
    if error["type"] == "missing":
        return Problem(
            code="spec.missing-key",
            message=f"{shown} is missing.",
            where=FILE,
            fix=f"Add `{shown}:` with {_field(names).description}.",
        )
    return Problem(
        code="spec.value",
        message=f"{shown} cannot be {_shown(error['input'])}.",
        where=_where(lines, path),
        fix=f"Use an allowed value: {_field(names).description}.",
    )


def _field(names: list[str]) -> FieldInfo:
    """Find the field that the names lead to; below a list or the hyperparameters, the field that holds them."""
    for end in range(len(names) - 1, 0, -1):
        if nested := _NESTED.get(tuple(names[:end])):
            return nested.model_fields[names[end]]
    return TuneSpec.model_fields[names[0]]


def _key_path(names: list[str], lines: Mapping[str, int]) -> str:
    """Join the names up to the last one that is a key in the file, leaving out indices of lists."""
    path = ".".join(names)
    while path not in lines and "." in path:
        path = path.rpartition(".")[0]
    return path


def _where(lines: Mapping[str, int], path: str) -> str:
    line = lines.get(path)
    return f"{FILE}:{line}" if line else FILE


def _line(problem: Problem) -> int:
    return int(problem.where.partition(":")[2] or 0)


def _shown(value: object) -> str:
    match value:
        case dict():
            return "a mapping"
        case list():
            return "this list"
    return excerpt(json.dumps(value))
