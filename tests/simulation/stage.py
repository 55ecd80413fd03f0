"""The functions, deployed once a process on clients that lead to whichever world is being lived in.

Handlers, steps, adapters and core are production's own. What is replaced: boto3's clients (`aws.py`), the ports whose
adapters only move bytes (`tests/fakes.py`), the clock, sleeping, and threads. Answers of pure functions are remembered,
for thousands of worlds ask them the same: reading a record, judging a dataset's rows, the page of a run.
"""

import importlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import compress
from operator import is_, is_not
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, TypeVar, get_args, get_origin

from pydantic import TypeAdapter

from tests.deployment import BASE_MODEL, load
from tests.fakes import (
    MODEL,
    FakeKeys,
    FakeNetwork,
    FakePrices,
    FakeQuotas,
    OneModelCatalogue,
)
from tests.samples import REGION, RUN_BUCKET
from tests.simulation.aws import Client
from tests.stack import FUNCTIONS, PIPES, RULES, environment, event_of, lets_through, receivers
from tunedrop.bootstrap import Application
from tunedrop.domain.decide import Effect
from tunedrop.domain.jumpstart import HostingArtifacts, JumpStartModel
from tunedrop.domain.model import Record
from tunedrop.domain.plan import ApprovalRule
from tunedrop.domain.planning import PlanRules
from tunedrop.domain.run import Run
from tunedrop.observability import logger
from tunedrop.settings import Settings
from tunedrop.steps.advance import Performer

if TYPE_CHECKING:
    from tests.simulation.world import World

Model = TypeVar("Model", bound=Record)

SERVICES = {
    **{name: name for name in ("dynamodb", "sagemaker", "bedrock", "ssm", "sns", "cloudwatch")},
    "application-autoscaling": "scaling",
}
"""boto3's name of each service that is simulated, and the world's."""
PORTS = ("drops", "files", "models", "workflows", "evaluations", "experiments", "training_log", "conversation")
TIMEOUTS = {function: properties.get("Timeout", 60) for function, properties in FUNCTIONS.items()}
"""Seconds that an invocation of each function may take."""

CAP_USD = 4
"""A month's cap that has room for two jobs of `tests.fakes.MODEL`, and not for three."""

MOST_TEXTS = 50_000
"""Texts of records' fields whose meaning is remembered: those of moments do not come again in other worlds."""


class _Counted(dict[Effect, Performer]):
    """Performers; whose turn it is, is counted."""

    def __init__(self, performers: Mapping[Effect, Performer], met: Counter[str]) -> None:
        super().__init__(performers)
        self._met = met

    def __getitem__(self, effect: Effect) -> Performer:
        self._met[f"effect {effect}"] += 1
        return super().__getitem__(effect)


class MachineClock:
    """Tell a worker of the current world the time as its machine has it."""

    world: "World"

    def now(self) -> datetime:
        worker, now = self.world.worker, self.world.now()
        return now + timedelta(seconds=worker.skew) if worker and worker.skew else now


class Reached:
    """A port whose calls go through the current world, where they may fail; what is no call is read as it is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def lead_to(self, world: "World") -> None:
        """Lead to another world's port from now on."""
        name = self._name
        vars(self).clear()  # the calls of the former one
        self._name, self._world = name, world

    def __getattr__(self, attribute: str) -> Any:
        world, name = self._world, self._name
        value = getattr(getattr(world, name), attribute)
        if not callable(value):
            return value

        def called(*arguments: Any, **named: Any) -> Any:
            return world.call(name, attribute, partial(value, *arguments, **named))

        vars(self)[attribute] = value if attribute in ("uri", "writer") else called
        return vars(self)[attribute]


@dataclass
class Stage:
    """The deployed functions, and the world that they are deployed in for now."""

    world: "World" = field(init=False)
    handlers: dict[str, Callable[[dict[str, Any], Any], Any]] = field(init=False)

    def __post_init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._clients = {name: Client() for name in SERVICES}
        self._clock = MachineClock()
        self._ports = {name: Reached(name) for name in PORTS}
        self._modules = {function: load(function) for function in FUNCTIONS}
        self.handlers = {function: _plain(module.handler) for function, module in self._modules.items()}
        self._without_machine()
        self._applications = {
            capped: {function: self._application(function, capped=capped) for function in FUNCTIONS}
            for capped in (False, True)
        }
        for function, module in self._modules.items():
            self._replace(module, "application", self._applications[False][function])
            self._replace(module, "parse", lambda event, model: model.model_validate(event))
        self._replace(self._modules["plan_run"], "catalogue", CatalogueWithWeights())
        self._replace(self._modules["plan_run"], "rules", None)

    def leave(self) -> None:
        """Put back all that was replaced; whoever asks for the stage again gets a new one."""
        while self._undo:
            self._undo.pop()()
        stage.cache_clear()

    def _replace(self, holder: Any, name: str, value: object) -> None:
        if name in vars(holder):
            self._undo.append(partial(setattr, holder, name, vars(holder)[name]))
        else:
            self._undo.append(partial(delattr, holder, name))
        setattr(holder, name, value)

    def enter(self, world: "World", *, capped: bool, large: bool, approval: ApprovalRule | None) -> None:
        """Deploy the functions in a world, with the stack's parameters as it has them."""
        self.world = self._clock.world = world
        self.documents.forget()
        for name, client in self._clients.items():
            client.lead_to(getattr(world, SERVICES[name]), partial(world.call, name))
        for port in self._ports.values():
            port.lead_to(world)
        for function, module in self._modules.items():
            module.application = self._applications[capped][function]  # type: ignore[attr-defined]
        validate, evaluate = (self._applications[capped][each] for each in ("validate_dataset", "evaluate_model"))
        sizes = {"validate_at_once_megabytes": 0.0 if large else 1.0, "validation_range_megabytes": 0.0005}
        validate.settings = validate.settings.model_copy(update=sizes)
        rows = {"evaluate_at_once_rows": 4 if large else 100, "evaluation_range_rows": 4}
        evaluate.settings = evaluate.settings.model_copy(update=rows)
        rules = PlanRules(REGION, {MODEL.model_id: BASE_MODEL}, approval=approval)
        self._modules["plan_run"].rules = rules  # type: ignore[attr-defined]

    def sleep(self, seconds: float) -> None:
        """Let the worker wait that sleeps."""
        self.world.sleep(seconds)

    def _application(self, function: str, *, capped: bool) -> Application:
        settings = Settings.from_environment(environment(function))
        stack = {"monthly_cap_usd": CAP_USD if capped else 0, "run_bucket": RUN_BUCKET}
        application = Application(settings.model_copy(update=stack))
        application.clock = self._clock  # type: ignore[assignment]  # a clock by its shape
        vars(application).update(
            self._ports,
            advance=partial(self._advance, application.advance),
            _client=lambda service, _config=None: self._clients[service],
            network=FakeNetwork(),
            keys=FakeKeys(),
            quotas=FakeQuotas(),
            prices=FakePrices(),
        )
        return application

    def _advance(
        self, advance: Callable[..., Run | None], run_id: str, performers: Mapping[Effect, Performer], *first: Any
    ) -> Run | None:
        """Advance a run, and count which effects are done."""
        return advance(run_id, _Counted(performers, self.world.met), *first)

    def _without_machine(self) -> None:
        """Replace what is the machine's (sleep, chance, threads, standard output), and remember pure answers."""
        for each in (logger, logging.getLogger("tunedrop")):
            self._undo.append(partial(each.setLevel, each.level))
            each.setLevel(logging.CRITICAL)
        (
            bootstrap,
            dynamodb,
            paired,
            names,
            instruction,
            ask_rows,
            validate,
            scan_ranges,
            evaluate,
            plan,
            report,
            judging,
        ) = (
            importlib.import_module(f"tunedrop.{name}")
            for name in (
                *("bootstrap", "adapters.dynamodb", "evaluation.paired", "domain.names", "validation.rows.instruction"),
                *(
                    "steps.ask_rows",
                    "steps.validate",
                    "steps.scan_ranges",
                    "steps.evaluate",
                    "steps.plan",
                    "steps.report",
                    "steps.judging",
                ),
            )
        )
        self._replace(dynamodb, "time", SimpleNamespace(sleep=self.sleep))
        self._replace(dynamodb, "random", SimpleNamespace(uniform=lambda _least, most: most))
        observability = importlib.import_module("tunedrop.observability")
        self._replace(observability, "single_metric", _NoMetric)
        self._replace(observability, "_record", lambda _before, _run: None)
        self._replace(bootstrap, "follow", lambda _run_id: None)
        self._replace(logger, "info", lambda _message, **_words: None)
        self._replace(ask_rows, "ThreadPoolExecutor", _OneThread)
        self.documents = Documents()
        self._replace(Run, "model_validate_json", self.documents.read)
        self._replace(Run, "model_dump_json", lambda run: self.documents.write(run))  # noqa: PLW0108 - binds the run
        self._replace(Record, "model_copy", _copied)
        self._replace(Record, "__eq__", _equal)
        self._replace(Record, "model_validate_json", _remembered_reading())
        for name in ("interval", "sign_flips"):
            self._replace(paired, name, _remembered_arrays(vars(paired)[name]))
        for module, name in ((names, "run_id"), (names, "console_url"), (instruction, "_contract")):
            self._replace(module, name, cache(vars(module)[name]))
        self._replace(validate, "validate", _remembered_validation(validate.validate))
        self._replace(scan_ranges, "scan_range", _remembered_scan(scan_ranges.scan_range))
        self._replace(plan, "make_plan", _remembered_plans(plan.make_plan))
        self._replace(ask_rows, "scored", _remembered_scoring(ask_rows.scored))
        self._replace(evaluate, "results", _remembered_results(evaluate.results))
        self._replace(plan, "parse_tune_yaml", _remembered_parsing(plan.parse_tune_yaml))
        for pages in (report, judging):
            self._replace(pages, "render", lambda _report, **_words: "<!doctype html>")
        self._replace(report, "markdown", lambda _card, _title: "# Model card")
        self._replace(report, "json", SimpleNamespace(dumps=lambda _card, **_form: "{}"))


@cache
def stage() -> Stage:
    """Return the process's one stage."""
    return Stage()


def _plain(handler: Any) -> Any:
    """Take off what logs and traces a handler: Powertools' own, and half of an invocation's time."""
    while hasattr(handler, "__wrapped__"):
        handler = handler.__wrapped__
    return handler


class CatalogueWithWeights(OneModelCatalogue):
    """A catalogue whose model can be served as it was before the training, too."""

    def hosting(self, model: JumpStartModel, instance_type: str) -> HostingArtifacts:
        weights = {"weights_uri": f"s3://jumpstart/{model.model_id}/serving/"}
        return super().hosting(model, instance_type).model_copy(update=weights)


class Documents:
    """Write and read the records of runs field by field: what two of them have in common is written and read once.

    A record is kilobytes, most of them its plan, and a history writes it thirty times. So what lies in the table is a
    number that stands for the record, and the record is what its fields are read as from what they were written as.
    """

    def __init__(self) -> None:
        annotations = {name: field.annotation for name, field in Run.model_fields.items()}
        lists = {name: get_args(each)[0] for name, each in annotations.items() if get_origin(each) is tuple}
        self._fields = {name: TypeAdapter[Any](each) for name, each in (annotations | lists).items()}
        """How each field is written, or each member of a field that lists some."""
        self._given = set(self._fields)
        self._nothing = dict.fromkeys(self._fields, self)
        self._meant: dict[tuple[str, bytes], Any] = {}
        """What a field's text means, in whichever world."""
        self._plain: dict[tuple[str, type, object], Any] = {}
        """What a field's plain value is read as."""
        self._itself: dict[int, Any] = {}
        """By its identity, what was read: written once more, it is read as itself."""
        self.forget()

    def forget(self) -> None:
        """Forget the records of a world that is over."""
        self._written: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        """Run id → the values of its fields as they were written last, and as they are read."""
        self._runs: dict[str, Run] = {}
        if len(self._meant) > MOST_TEXTS:
            self._meant.clear()
            self._itself.clear()

    def write(self, run: Run) -> str:
        """Write a run, as `model_dump_json` would, and return what stands for it."""
        values = vars(run)
        former, read = self._written.get(run.run_id, (self._nothing, {}))
        changed = compress(values.items(), map(is_not, values.values(), map(former.__getitem__, values)))
        read = {**read, **{name: self._read(name, each) for name, each in changed}}
        self._written[run.run_id] = values, read
        document = f"record {len(self._runs)}"
        self._runs[document] = _made(Run, read, self._given)
        return document

    def read(self, document: str) -> Run:
        """Return what `model_validate_json` returns."""
        return self._runs[document]

    def _read(self, field: str, value: Any) -> Any:
        """Return what a field is read as that is written so."""
        if isinstance(value, datetime) or id(value) in self._itself:
            return value
        if isinstance(value, tuple):
            members = tuple([each if id(each) in self._itself else self._from_text(field, each) for each in value])
            return value if all(map(is_, members, value)) else members
        if not isinstance(value, str | int | None):
            return self._from_text(field, value)
        key = field, type(value), value
        if key not in self._plain:
            self._plain[key] = self._from_text(field, value)
        return self._plain[key]

    def _from_text(self, field: str, value: Any) -> Any:
        text = self._fields[field].serializer.to_json(value)
        if (field, text) not in self._meant:
            meant = self._meant[field, text] = self._fields[field].validate_json(text)
            self._itself[id(meant)] = meant
        return self._meant[field, text]


_set = object.__setattr__


def _made(kind: type[Model], values: dict[str, Any], given: set[str]) -> Model:
    """Make a record of values that are known to be good, as pydantic does, in a fifth of the time."""
    made = kind.__new__(kind)
    _set(made, "__dict__", values)
    _set(made, "__pydantic_fields_set__", given)
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


def _copied(record: Model, *, update: Mapping[str, Any] | None = None) -> Model:
    """Do what `model_copy` does."""
    changes = update or {}
    given = record.__pydantic_fields_set__
    return _made(
        type(record), {**vars(record), **changes}, given if given >= changes.keys() else given | changes.keys()
    )


def _equal(one: Record, other: object) -> bool:
    """Tell whether two records are equal, as pydantic does."""
    return one is other or (type(one) is type(other) and vars(one) == vars(other))


def _remembered_reading() -> Any:
    """Return a `model_validate_json` that reads the same text once: records do not change."""
    known: dict[tuple[type[Record], str | bytes], Record] = {}
    read = Record.model_validate_json.__func__  # type: ignore[attr-defined]  # the function of a class method

    def remembered(kind: type[Record], content: str | bytes) -> Record:
        if (kind, content) not in known:
            known[kind, content] = read(kind, content)
        return known[kind, content]

    return classmethod(remembered)


def _remembered_arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[object, Any] = {}

    def remembered(*arrays: Any) -> Any:
        key = tuple((each.tobytes(), each.shape) for each in arrays)
        if key not in known:
            known[key] = function(*arrays)
        return known[key]

    return remembered


class _Rows:
    """Take rows for a sink, and hand them to as many sinks as ask."""

    def __init__(self) -> None:
        self._taken: list[tuple[str, tuple[Any, ...]]] = []

    def rows(self, *taken: Any) -> None:
        self._taken.append(("rows", taken))

    def held_out(self, *taken: Any) -> None:
        self._taken.append(("held_out", taken))

    def hand_to(self, sink: Any) -> None:
        for method, taken in self._taken:
            getattr(sink, method)(*taken)


class _Read:
    """A source whose files were read before."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents

    def blocks(self, file: Any, start: int = 0, end: int | None = None) -> Iterable[bytes]:
        return iter([self._contents[file.name][start:end]])


def _remembered_validation(validate: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[tuple[str, bytes], ...], tuple[Any, _Rows]] = {}

    def remembered(source: Any, files: Any, rules: Any, *, counter: Any = None, sink: Any = None) -> Any:
        contents = {file.name: b"".join(source.blocks(file)) for file in files}
        key = tuple(sorted(contents.items()))
        if key not in known:
            rows = _Rows()
            known[key] = validate(_Read(contents), files, rules, counter=counter, sink=rows), rows
        report, rows = known[key]
        rows.hand_to(sink)
        return report

    return remembered


class _Noted:
    """A source of which is noted what was read."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.read: list[tuple[tuple[Any, ...], bytes]] = []

    def blocks(self, *place: Any) -> Iterable[bytes]:
        content = b"".join(self._source.blocks(*place))
        self.read.append((place, content))
        return iter([content])


def _remembered_scan(scan: Callable[..., Any]) -> Callable[..., Any]:
    """Read a range each time, and judge the same rows once: two worlds may have other rows under the same version."""
    known: dict[tuple[str, int, int | None, int], tuple[Any, ...]] = {}

    def remembered(source: Any, part: Any, settings: Any, sink: Any, counter: Any = None) -> Any:
        key = part.file.name, part.start, part.end, id(settings)
        if not (key in known and all(b"".join(source.blocks(*place)) == rows for place, rows in known[key][1])):
            noted, rows = _Noted(source), _Rows()
            known[key] = settings, noted.read, scan(noted, part, settings, rows, counter), rows
        *_, partial_result, rows = known[key]
        rows.hand_to(sink)
        return partial_result

    return remembered


def _remembered_plans(make: Callable[..., Any]) -> Callable[..., Any]:
    """Look into the files each time, and plan once what is asked for in the same words of the same files."""
    known: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    all_rules: list[PlanRules] = []

    def remembered(
        spec: Any, model: Any, artifacts: Any, drop: Any, objects: Any, head_of: Any, rules: PlanRules, now: Any
    ) -> Any:
        if model.gated:  # when its terms were accepted is in the plan
            return make(spec, model, artifacts, drop, objects, head_of, rules, now)
        if rules not in all_rules:
            all_rules.append(rules)
        key = id(spec), id(model), drop, tuple(objects), all_rules.index(rules)
        if key in known:
            for file in known[key][2]:
                head_of(file)
        else:
            heads: list[Any] = []

            def noted(file: Any) -> Any:
                heads.append(file)
                return head_of(file)

            known[key] = spec, model, heads, make(spec, model, artifacts, drop, objects, noted, rules, now)
        return known[key][-1]

    vars(remembered)["cache_clear"] = known.clear
    return remembered


def _remembered_scoring(score: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[object, Any] = {}

    def remembered(rows: Any, answers: Any) -> Any:
        key = tuple((each.side, each.model_id, each.row, each.answer.text) for each in answers)
        if key not in known:
            known[key] = score(rows, answers)
        return known[key]

    return remembered


def _remembered_results(results: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[object, Any] = {}

    def remembered(plan: Any, rows: Any, whole: Any, price_of: Any) -> Any:
        key = plan.model_dump_json(), whole.model_dump_json()
        if key not in known:
            known[key] = results(plan, rows, whole, price_of)
        return known[key]

    return remembered


def _remembered_parsing(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    known: dict[bytes, Any] = {}

    def remembered(content: bytes) -> Any:
        try:
            if content not in known:
                known[content] = parse(content)
        except Exception as error:  # noqa: BLE001 - remembered, too
            known[content] = error
        if isinstance(known[content], Exception):
            raise known[content]
        return known[content]

    return remembered


class _NoMetric:
    """Print no metrics."""

    def __init__(self, **_metric: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None: ...

    def add_dimension(self, **_dimension: str) -> None: ...


class _OneThread:
    """A pool that does one thing after the other: what threads do in between is not for chance to say."""

    def __init__(self, _workers: int) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None: ...

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return [function(each) for each in items]


class Routes:
    """The pipes and rules of the template; their answers are remembered by what they look at."""

    def __init__(self) -> None:
        self._receivers: dict[tuple[str, ...], list[str]] = {}
        self._pipes: dict[tuple[str | None, str | None], list[dict[str, Any]]] = {}
        self._paths: dict[str, list[tuple[str, ...]]] = {}

    def announced(self, image: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
        """Return what the pipes announce of an image of the table's stream."""
        looked_at = image["kind"]["S"], image.get("change", {}).get("S")
        if looked_at not in self._pipes:
            record = {"eventID": str(number), "dynamodb": {"NewImage": image}}
            self._pipes[looked_at] = [pipe for pipe in PIPES if lets_through(pipe, record)]
        if not self._pipes[looked_at]:
            return []
        record = {"eventID": str(number), "dynamodb": {"NewImage": image}}
        return [event_of(pipe, record) for pipe in self._pipes[looked_at]]

    def receivers(self, event: Mapping[str, Any]) -> list[str]:
        """Return the functions whose rules match an event."""
        kind = event["detail-type"]
        if kind not in self._paths:
            rules = (rule for rule in RULES if kind in rule.pattern.get("detail-type", (kind,)))
            self._paths[kind] = sorted({path for rule in rules for path in _leaves(rule.pattern)})
        looked_at = (kind, event["source"], *[str(_at(event, path)) for path in self._paths[kind]])
        if looked_at not in self._receivers:
            self._receivers[looked_at] = [rule.function for rule in receivers(dict(event))]
        return self._receivers[looked_at]


def _leaves(pattern: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    for key, value in pattern.items():
        yield from _leaves(value, (*path, key)) if isinstance(value, dict) else [(*path, key)]


def _at(event: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        event = event.get(key, {}) if isinstance(event, dict) else {}
    return event


@cache
def routes() -> Routes:
    """Return the template's routes."""
    return Routes()
