"""The real handlers on fakes of AWS, and the template's routes between them."""

import importlib
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from tests.fakes import (
    MODEL,
    FakeClock,
    FakeConversation,
    FakeEndpoints,
    FakeExperiments,
    FakeJudgeJobs,
    FakeKeys,
    FakeModelImports,
    FakeNetwork,
    FakePrices,
    FakeQuotas,
    FakeTrainingJobs,
    FakeTrainingLog,
    FakeWorkflows,
    InMemoryAliases,
    InMemoryDrops,
    InMemoryModelFiles,
    InMemoryRunFiles,
    InMemoryRunStore,
    OneModelCatalogue,
    RecordingNotifier,
)
from tests.samples import ACCOUNT, REGION
from tests.stack import FUNCTIONS, announcements, environment, receivers, sample
from tunedrop.adapters.dynamodb import _alias_item, _item
from tunedrop.bootstrap import Application
from tunedrop.domain.alias import Alias
from tunedrop.domain.planning import PlanRules
from tunedrop.domain.run import Run
from tunedrop.observability import ObservedRuns
from tunedrop.settings import Settings

BASE_MODEL = "base-model"

_REQUESTS = itertools.count(1)


@dataclass(frozen=True)
class Context:
    """What Lambda tells a handler about its invocation."""

    aws_request_id: str = field(default_factory=lambda: f"request-{next(_REQUESTS)}")
    function_name: str = "function"
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:function"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


def load(function: str) -> ModuleType:
    """Import a function's `app.py` in its own environment."""
    with mock.patch.dict(os.environ, environment(function)):
        return importlib.import_module(f"functions.{function}.app")


class Deployment:
    """The functions deployed on fakes; what a run's write announces is told to `deliver`."""

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        deliver: Callable[[str, dict[str, Any]], None] = lambda _function, _event: None,
    ) -> None:
        self._deliver = deliver
        self.clock = FakeClock()
        self.store = InMemoryRunStore(self._announce)
        self.drops = InMemoryDrops(clock=self.clock)
        self.files = InMemoryRunFiles(drops=self.drops)
        self.models = InMemoryModelFiles()
        self.workflows = FakeWorkflows()
        self.evaluations = FakeWorkflows()
        self.prices = FakePrices()
        self.jobs = FakeTrainingJobs(files=self.files)
        self.training_log = FakeTrainingLog()
        self.imports = FakeModelImports(clock=self.clock)
        self.judges = FakeJudgeJobs()
        self.endpoints = FakeEndpoints(clock=self.clock)
        self.aliases = InMemoryAliases()
        self.experiments = FakeExperiments()
        self.notifier = RecordingNotifier()
        self.conversation = FakeConversation(good=lambda model_id: model_id != BASE_MODEL)
        self._handlers: dict[str, Callable[[dict[str, Any], Any], Any]] = {}
        self._applications: dict[str, Application] = {}
        for function in FUNCTIONS:
            module = load(function)
            self._applications[function] = self._application(function)
            patch.setattr(module, "application", self._applications[function])
            self._handlers[function] = module.handler
            if function == "plan_run":
                patch.setattr(module, "catalogue", OneModelCatalogue())
                patch.setattr(module, "rules", PlanRules(REGION, {MODEL.model_id: BASE_MODEL}))

    def configure(self, function: str, **settings: object) -> None:
        """Deploy a function with other settings."""
        application = self._applications[function]
        application.settings = application.settings.model_copy(update=settings)

    def validate_in_parts(self, name: str) -> dict[str, Any]:
        """Be the workflow: run an execution to its end, and announce that; returns the event."""
        content = self.workflows.contents[name]
        ranges = json.loads(self.files.objects[content["ranges"]])
        assert [self.invoke("scan_range", each) for each in ranges] == list(range(len(ranges)))
        self.invoke("merge_scans", content)
        return self.end_workflow(name, "SUCCEEDED")

    def end_workflow(self, name: str, status: str) -> dict[str, Any]:
        """End an execution, and announce that; returns the event."""
        self.workflows.finish(name, status)
        event = sample("aws.states/step-functions-execution-status-change.succeeded")
        event["detail"] |= {"name": name, "status": status}
        self.route(event)
        return event

    def ask_in_ranges(self, name: str) -> dict[str, Any]:
        """Be the evaluation's workflow: run an execution to its end, and announce that; returns the event."""
        ranges = json.loads(self.files.objects[self.evaluations.contents[name]["ranges"]])
        for each in ranges:
            while not self.invoke("ask_range", each):
                pass
        self.evaluations.finish(name, "SUCCEEDED")
        event = sample("aws.states/step-functions-execution-status-change.evaluation-succeeded")
        event["detail"] |= {"name": name}
        self.route(event)
        return event

    def _application(self, function: str) -> Application:
        application = Application(Settings.from_environment(environment(function)))
        application.clock = self.clock  # type: ignore[assignment]  # a clock by its shape
        ports = {
            "runs": ObservedRuns(self.store),
            "drops": self.drops,
            "files": self.files,
            "models": self.models,
            "workflows": self.workflows,
            "evaluations": self.evaluations,
            "network": FakeNetwork(),
            "keys": FakeKeys(),
            "quotas": FakeQuotas(),
            "prices": self.prices,
            "jobs": self.jobs,
            "training_log": self.training_log,
            "imports": self.imports,
            "judges": self.judges,
            "endpoints": self.endpoints,
            "aliases": self.aliases,
            "experiments": self.experiments,
            "notifier": self.notifier,
            "conversation": self.conversation,
        }
        vars(application).update(ports)
        return application

    def invoke(self, function: str, event: dict[str, Any], context: Context | None = None) -> Any:
        """Call a handler; what it raises is Lambda's to handle."""
        return self._handlers[function](event, context or Context())

    def upload(self, dataset: str, tune_yaml: str, **files: str) -> dict[str, Any]:
        """Put a drop into the bucket, `tune.yaml` last, and return the event of that."""
        for name, text in files.items():
            self.drops.put(f"datasets/{dataset}/{name.replace('_', '-')}", text.encode())
        key = f"datasets/{dataset}/tune.yaml"
        version = self.drops.put(key, tune_yaml.encode())
        event = sample("aws.s3/object-created.tune-yaml")
        event["detail"]["object"].update({"key": key, "version-id": version})
        return event

    def tick(self, schedule: str) -> dict[str, Any]:
        """Return the event of a schedule, at the time of the clock."""
        return sample(f"aws.events/scheduled-event.{schedule}") | {"time": self.clock.now().isoformat()}

    def runs(self) -> list[Run]:
        """Return all runs, in the order of their making."""
        return [Run.model_validate_json(document) for document in self.store.runs.values()]

    def route(self, event: dict[str, Any]) -> None:
        """Hand an event to the functions whose rules match it."""
        for rule in receivers(event):
            self._deliver(rule.function, event)

    def _announce(self, written: Run | Alias) -> None:
        item = _item(written) if isinstance(written, Run) else _alias_item(written)
        record = {"eventID": f"{item['id']['S']}-{written.version}", "dynamodb": {"NewImage": item}}
        for event in announcements(record):
            self.route(event)


def job_event(job_name: str) -> dict[str, Any]:
    """Return SageMaker's event of a change of the job."""
    event = sample("aws.sagemaker/sagemaker-training-job-state-change.completed")
    text = json.dumps(event).replace(event["detail"]["TrainingJobName"], job_name)
    return dict(json.loads(text))
