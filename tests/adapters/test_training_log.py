"""The end of a job's log is read, on all its hosts, and a job without a log has none."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.adapters.conftest import Script
from tests.samples import JOB_NAME
from tunedrop.adapters.training_log import LOG_GROUP, CloudWatchTrainingLog
from tunedrop.errors import TransientError

SERVICE = "logs"


def write(logs: Any, stream: str, *lines: str) -> None:
    logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=stream)
    events = [{"timestamp": round(time.time() * 1000) + number, "message": line} for number, line in enumerate(lines)]
    logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=stream, logEvents=events)


def test_the_last_lines_of_every_host_of_the_job_are_read(aws: Callable[[str], Any]) -> None:
    logs = aws("logs")
    logs.create_log_group(logGroupName=LOG_GROUP)
    write(logs, f"{JOB_NAME}/algo-1-1", *(f"one {number}" for number in range(30)))
    write(logs, f"{JOB_NAME}/algo-2-1", "two")
    write(logs, f"{JOB_NAME}0/algo-1-1", "another job")

    assert CloudWatchTrainingLog(logs).tail(JOB_NAME, 2) == ("one 28", "one 29", "two")


def test_a_job_that_never_started_has_no_log(aws: Callable[[str], Any]) -> None:
    assert CloudWatchTrainingLog(aws("logs")).tail(JOB_NAME, 10) == ()


def test_throttling_is_tried_again_by_lambda(script: Script) -> None:
    script.fails("describe_log_streams", "ThrottlingException")
    with pytest.raises(TransientError):
        CloudWatchTrainingLog(script.client).tail(JOB_NAME, 10)


def test_a_log_that_may_not_be_read_keeps_no_run_from_its_end(script: Script) -> None:
    script.fails("describe_log_streams", "AccessDeniedException")
    assert CloudWatchTrainingLog(script.client).tail(JOB_NAME, 10) == ()


def test_a_log_that_may_not_be_read_has_no_lines(script: Script) -> None:
    script.fails("describe_log_streams", "AccessDeniedException")
    assert list(CloudWatchTrainingLog(script.client).lines(JOB_NAME)) == []


def test_the_lines_of_the_first_host_are_read_page_by_page_to_the_end(aws: Callable[[str], Any]) -> None:
    logs = aws("logs")
    logs.create_log_group(logGroupName=LOG_GROUP)
    # A page has 10,000 lines at most.
    printed = [f"line {number}" for number in range(10_001)]
    write(logs, f"{JOB_NAME}/algo-1-1", *printed[:6_000])
    later = [
        {"timestamp": round(time.time() * 1000) + 6_001 + n, "message": each} for n, each in enumerate(printed[6_000:])
    ]
    logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=f"{JOB_NAME}/algo-1-1", logEvents=later)
    write(logs, f"{JOB_NAME}/algo-2-1", "another host")
    write(logs, f"{JOB_NAME}/algo-10-1", "a tenth host")

    assert list(CloudWatchTrainingLog(logs).lines(JOB_NAME)) == printed


def test_a_job_that_never_started_has_no_lines(aws: Callable[[str], Any]) -> None:
    assert list(CloudWatchTrainingLog(aws("logs")).lines(JOB_NAME)) == []
