"""The dashboard and the alarms show what is measured, and all of it; nothing is measured that nobody sees."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.stack import RESOURCES
from tunedrop.domain.measures import BY_STATUS, Measure
from tunedrop.domain.run import EDGES, RunStatus
from tunedrop.observability import NAMESPACE

STACK = "${AWS::StackName}"
OF_AWS = {
    ("AWS/Lambda", "Errors"): "FunctionName",
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): "QueueName",
}
"""Metrics of AWS's own, and the dimension that each is told apart by."""


class Shown(NamedTuple):
    """A metric as the dashboard or an alarm names it."""

    namespace: str
    name: str
    dimensions: dict[str, str]


def written_out(metrics: list[list[Any]]) -> Iterator[Shown]:
    """Yield a widget's metrics with CloudWatch's abbreviations written out: `.` as above, `...` all of it as above.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    above: list[str] = []
    for metric in metrics:
        words = [each for each in metric if isinstance(each, str)]
        if words[0] == "...":
            words = [*above[: len(above) - len(words) + 1], *words[1:]]
        words = [above[place] if word == "." else word for place, word in enumerate(words)]
        above = words
        yield Shown(words[0], words[1], dict(zip(words[2::2], words[3::2], strict=True)))


BODY = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
WIDGETS = json.loads(BODY.replace("${MonthlyCapUsd}", "0"))["widgets"]
ALARMS = {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
ON_DASHBOARD = [shown for widget in WIDGETS for shown in written_out(widget["properties"]["metrics"])]
IN_ALARMS = [
    Shown(
        alarm["Namespace"],
        alarm["MetricName"],
        {
            each["Name"]: STACK if each["Value"] == {"Ref": "AWS::StackName"} else each["Value"]
            for each in alarm["Dimensions"]
        },
    )
    for alarm in ALARMS.values()
]


@pytest.mark.parametrize("shown", [*ON_DASHBOARD, *IN_ALARMS], ids=str)
def test_what_is_shown_is_measured_under_that_name_and_by_those_dimensions(shown: Shown) -> None:
    if shown.namespace != NAMESPACE:
        assert shown.dimensions.keys() == {OF_AWS[shown.namespace, shown.name]}
        return
    measure = Measure(shown.name)
    status = {"status"} if measure in BY_STATUS else set()
    assert shown.dimensions.keys() == {"service"} | status
    assert shown.dimensions["service"] == STACK
    assert set(RunStatus) >= {shown.dimensions[each] for each in status}


def test_what_is_measured_is_on_the_dashboard() -> None:
    ours = [shown for shown in ON_DASHBOARD if shown.namespace == NAMESPACE]
    assert {shown.name for shown in ours} == set(Measure)
    statuses = {
        measure: {shown.dimensions["status"] for shown in ours if shown.name == measure} for measure in BY_STATUS
    }
    assert statuses[Measure.RUNS_ENTERED] == set(RunStatus)
    assert statuses[Measure.STEP_SECONDS] == {status for status in RunStatus if EDGES[status]}


def test_every_function_s_failures_are_on_the_dashboard() -> None:
    errors = {shown.dimensions["FunctionName"] for shown in ON_DASHBOARD if shown.name == "Errors"}
    functions = {name: each for name, each in RESOURCES.items() if each["Type"] == "AWS::Serverless::Function"}
    # CloudFormation refuses a dashboard that names a function which the stack may not have.
    assert errors == {f"${{{name}}}" for name, each in functions.items() if "Condition" not in each}


def test_no_widget_covers_another() -> None:
    taken = [
        (x, y)
        for widget in WIDGETS
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_an_alarm_tells_people_and_is_quiet_where_nothing_is_measured() -> None:
    for alarm in ALARMS.values():
        assert alarm["AlarmActions"] == [{"Ref": "Notifications"}]
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["AlarmDescription"]
