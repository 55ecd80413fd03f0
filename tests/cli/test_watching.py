"""A run is followed as it happens: statuses, losses from the training log, waits, and how it ended."""

import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from rich.console import Console
from typer.testing import Result

from tests.cli.conftest import REGION, STACK, Account
from tests.domain.sample_runs import DATA, METRICS, NOW, PLAN, RUN_ID, TRAINING, run
from tunedrop.domain.cost_estimate import CostEstimate, Range
from tunedrop.domain.estimate import counted_tokens
from tunedrop.domain.jumpstart import MetricDefinition
from tunedrop.domain.notice import token_words
from tunedrop.domain.plan import ServeTarget
from tunedrop.domain.run import BaseEndpoint, Deployment, Run, RunStatus
from tunedrop.domain.training_curve import Reading, Step, readings_in, step_in
from tunedrop_cli.aws import Target, open_stack
from tunedrop_cli.errors import CommandError
from tunedrop_cli.training_log import LOG_GROUP, LogLine, TrainingLog
from tunedrop_cli.training_progress import TrainingProgress
from tunedrop_cli.views import duration, news, outcome, sparkline, spending
from tunedrop_cli.watching import POLL_SECONDS, START_SECONDS, Watcher, fitting

Command = Callable[..., Result]


class Log:
    """Write a training job's log as SageMaker does."""

    def __init__(self, account: Account, job_name: str) -> None:
        self._logs = account.client("logs")
        self._stream = f"{job_name}/algo-1-1700000000"
        self._logs.create_log_group(logGroupName=LOG_GROUP)
        self._logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=self._stream)
        self.clock = datetime.now(UTC)

    def write(self, *lines: str) -> None:
        self.clock += timedelta(seconds=1)
        stamp = int(self.clock.timestamp() * 1000)
        events = [{"timestamp": stamp, "message": line} for line in lines]
        self._logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=self._stream, logEvents=events)


def followed(patch: pytest.MonkeyPatch, moments: list[Callable[[], None]]) -> tuple[Run, str, list[float]]:
    """Follow the run while the moments pass, one each time the command sleeps."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        moments.pop(0)()

    patch.setattr("tunedrop_cli.watching.time.sleep", sleep)
    output = io.StringIO()
    console = Console(file=output, width=200, markup=False, highlight=False)
    ended = Watcher(open_stack(Target(STACK, REGION)), console).follow(RUN_ID)
    assert not moments
    return ended, output.getvalue(), slept


def test_a_run_is_told_from_its_start_to_its_end(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(account, TRAINING.job_name)
    step = "Training Epoch: {}/2, step {}/100 completed (loss: {:.6f})"

    def train() -> None:
        log.write(*(step.format(1, number, 3 - number / 50) for number in range(1, 101)))
        log.write("epoch 1: train_epoch_loss=1.9900", "eval_ppl=tensor(4.5) eval_epoch_loss=tensor(1.504100)")

    pending = TRAINING.model_copy(update={"secondary_status": "Starting"})
    moments: list[Callable[[], None]] = [
        lambda: account.store(run(RunStatus.PLANNING)),
        lambda: account.store(run(RunStatus.VALIDATING, plan=PLAN)),
        lambda: account.store(run(RunStatus.TRAINING, training=pending)),
        lambda: account.store(run(RunStatus.TRAINING)),
        train,
        lambda: log.write(step.format(2, 10, 0.9)),
        lambda: account.store(run(RunStatus.PROMOTED)),
    ]
    ended, output, slept = followed(monkeypatch, moments)
    assert ended.status is RunStatus.PROMOTED
    assert set(slept) == {POLL_SECONDS}
    told = [line[10:] for line in output.splitlines() if line.strip()]
    tokens, *warnings = told[5:8]
    assert tokens.startswith("  Tokens: 21,345 to train on")
    assert warnings == ["  Warning: Duplicate rows: 3", "  Warning: Likely secrets: 1"]
    del told[5:8]
    assert told[:8] == [
        "PLANNING",
        "VALIDATING",
        f"  instruction tuning of {PLAN.model_id} 1.2.3 on 1 x ml.g5.2xlarge, 7.20 USD an hour",
        "TRAINING",
        "  400 rows to train on, 0 to validate with, 80 held out (file)",
        f"  Training job {TRAINING.job_name}",
        "  Starting",
        "  Training",
    ]
    assert told[8].startswith("  epoch 1/2, step 1/100, loss 2.9800 · ")
    assert told[18].startswith("  epoch 1/2, step 100/100, loss 1.0000 · █")
    assert told[19:21] == ["  train-loss 1.99", "  eval-loss 1.5041"]
    assert told[21].startswith("  epoch 2/2, step 10/100, loss 0.9000 · ")
    assert "PROMOTED" in told


def test_a_wait_is_told_once_with_its_reason(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = run(RunStatus.LAUNCHING, plan=PLAN, reason="The quota is in use.", next_try_at=NOW)
    later = waiting.model_copy(update={"next_try_at": NOW + timedelta(minutes=5)})
    account.store(waiting)
    moments: list[Callable[[], None]] = [
        lambda: account.store(later),
        lambda: account.store(run(RunStatus.FAILED)),
    ]
    _, output, _ = followed(monkeypatch, moments)
    assert output.count("Waits: The quota is in use. Next try:") == 1


@pytest.mark.usefixtures("account")
def test_a_run_that_never_starts_is_told_to_be_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = int(START_SECONDS / POLL_SECONDS)
    with pytest.raises(CommandError, match="has not started") as caught:
        followed(monkeypatch, [lambda: None] * (patience + 1))
    assert "dead-letter queue" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "exit_code", "expected"),
    [
        (RunStatus.PROMOTED, 0, ("0.963", "77 of 80", "+0.938", "tunedrop chat banking77")),
        (RunStatus.NOT_PROMOTED, 1, ("champion", "-0.850", "tunedrop drop FOLDER --name banking77")),
        (RunStatus.REJECTED, 1, ("data.missing-field (4 times): train.jsonl:3", "Fix: Add")),
        (RunStatus.FAILED, 1, ("CUDA out of memory", "Choose a larger instance_type.")),
        (RunStatus.STOPPED, 1, ("STOPPED",)),
    ],
)
def test_the_end_is_told_with_what_to_do_next(
    account: Account, tunedrop: Command, status: RunStatus, exit_code: int, expected: tuple[str, ...]
) -> None:
    account.store(run(status))
    result = tunedrop("watch")
    assert result.exit_code == exit_code
    for words in expected:
        assert words in result.output


def test_an_interrupted_watch_leaves_the_run_and_says_so(
    account: Account, tunedrop: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tunedrop_cli.watching.time.sleep", interrupt)
    account.store(run(RunStatus.TRAINING))
    result = tunedrop("watch", "latest")
    assert result.exit_code == 1
    assert f"The run goes on. Follow it again: tunedrop watch {RUN_ID}" in result.output


def test_each_line_of_the_log_is_read_once(account: Account) -> None:
    log = Log(account, TRAINING.job_name)
    reader = TrainingLog(account.client("logs"), TRAINING.job_name)
    assert list(reader.new_lines()) == []
    log.write("one", "two")
    assert [line.text for line in reader.new_lines()] == ["one", "two"]
    log.write("three")
    (third,) = reader.new_lines()
    assert third.text == "three"
    assert third.at.timestamp() * 1000 == pytest.approx(log.clock.timestamp() * 1000, abs=1)
    assert list(reader.new_lines()) == []


def test_only_the_jobs_own_streams_are_read() -> None:
    # moto reads every stream of the group, whatever the prefix.
    client = boto3.client("logs", region_name=REGION)
    expected = {"logGroupName": LOG_GROUP, "logStreamNamePrefix": f"{TRAINING.job_name}/", "startTime": 0}
    with Stubber(client) as logs:
        logs.add_response("filter_log_events", {"events": []}, expected)
        assert list(TrainingLog(client, TRAINING.job_name).new_lines()) == []


def test_a_log_that_does_not_exist_yet_is_empty(account: Account) -> None:
    assert list(TrainingLog(account.client("logs"), TRAINING.job_name).new_lines()) == []


def test_progress_is_read_from_the_lines_of_llama_recipes() -> None:
    line = "Training Epoch: 1/5, step 12/120 completed (loss: 0.5321):  10%|#   | 12/120 [00:10<01:30]"
    assert step_in(line) == Step(1, 5, 12, 120, 0.5321)
    assert step_in("Downloading the model") is None


@pytest.mark.parametrize(
    ("line", "readings"),
    [
        ("eval_epoch_loss=tensor(0.2144)", [Reading("eval-loss", 0.2144)]),
        ("Epoch 1: train_epoch_loss=0.5, done", [Reading("train-loss", 0.5)]),
        ("train_epoch_loss=0.5. eval_epoch_loss=tensor(.)", []),
        ("nothing here", []),
    ],
)
def test_metrics_are_read_by_the_models_own_regexes(line: str, readings: list[Reading]) -> None:
    assert readings_in(line, METRICS) == readings


# ---------------------------------------------------------------- outlook

STEP = "Training Epoch: {}/2, step {}/100 completed (loss: {:.4f})"


def lines(*texts: str, every: float = 10) -> Iterator[LogLine]:
    """Write lines, one each so many seconds from NOW on."""
    for number, text in enumerate(texts):
        yield LogLine(NOW + timedelta(seconds=number * every), text)


def progress(*texts: str, epochs: float | None = None, every: float = 10) -> TrainingProgress:
    read = TrainingProgress(epochs)
    for line in lines(*texts, every=every):
        read.read(line, METRICS)
    return read


def test_what_is_left_follows_from_the_pace_of_the_steps() -> None:
    # A quarter of the training in 490 seconds: 50 steps of 200, the first of which only starts the clock.
    read = progress(*(STEP.format(1, step, 1.0) for step in range(1, 51)))
    assert read.left(NOW + timedelta(seconds=490)) == timedelta(seconds=1500)
    assert read.left(NOW + timedelta(seconds=500)) == timedelta(seconds=1490)
    assert read.left(NOW + timedelta(hours=9)) == timedelta()


def test_a_log_without_steps_tells_its_pace_by_epochs_and_its_losses_by_metrics() -> None:
    metrics = (MetricDefinition(name="task:train-loss", regex=r"'loss': ([0-9]+\.[0-9]+)"),)
    read = TrainingProgress(2)
    for line in lines("{'loss': 2.5, 'epoch': 0.5}", "{'loss': 1.5, 'epoch': 1.0}", "nothing", every=60):
        read.read(line, metrics)
    assert read.left(NOW + timedelta(seconds=60)) == timedelta(seconds=120)
    assert read.losses == [2.5, 1.5]


def test_one_step_tells_no_pace_yet() -> None:
    assert progress(STEP.format(1, 1, 1.0)).left(NOW) is None
    assert progress("{'epoch': 0.5}", "{'epoch': 1.0}").left(NOW) is None  # of how many nobody says


@pytest.mark.parametrize(
    ("width", "shown"),
    [(80, "TRAINING for 3m · loss 0.5 ▂▁ · 4m left"), (31, "TRAINING for 3m · loss 0.5 ▂▁"), (9, "TRAINING…")],
)
def test_a_narrow_line_says_the_most_important_first(width: int, shown: str) -> None:
    assert fitting(["TRAINING for 3m", "loss 0.5 ▂▁", "4m left"], width) == shown


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (120, r"loss 1\.0100 █.{22}▁ · [\d.]+ USD \(budget 5\.00\) · epoch 1/2, step 100/100$"),
        (80, r"loss 1\.0100 █.{8}▁ · [\d.]+ USD$"),
        (60, r"loss 1\.0100 █.{8}▁$"),
        (24, r"^TRAINING for "),
    ],
)
def test_the_status_line_keeps_to_the_terminal(
    account: Account, monkeypatch: pytest.MonkeyPatch, width: int, shown: str
) -> None:
    log = Log(account, TRAINING.job_name)
    log.write(*(STEP.format(1, step, 2 - step * 0.0099) for step in range(1, 101)))
    account.store(
        run(RunStatus.TRAINING, entered_at=datetime.now(UTC), plan=PLAN.model_copy(update={"budget_usd": 5.0}))
    )
    told: list[str] = []

    def sleep(_seconds: float) -> None:
        account.store(run(RunStatus.PROMOTED))

    monkeypatch.setattr("tunedrop_cli.watching.time.sleep", sleep)
    monkeypatch.setattr("rich.status.Status.update", lambda _self, text: told.append(str(text)))
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    Watcher(open_stack(Target(STACK, REGION)), console).follow(RUN_ID)
    (line,) = told
    assert len(line) <= width - 2
    assert re.search(shown, line)


def test_spending_stands_beside_the_estimate_and_the_budget() -> None:
    estimate = CostEstimate(
        tokens=counted_tokens(1000),
        epochs=1,
        hours=Range(low=0.1, likely=0.2, high=0.3),
        usd=Range(low=0.72, likely=1.44, high=2.16),
        usd_per_hour=7.2,
        basis=(),
        notes=(),
    )
    plan = PLAN.model_copy(update={"estimate": estimate, "budget_usd": 5.0})
    assert spending(run(RunStatus.TRAINING, plan=plan), NOW) == "1.20 USD (0.72 to 2.16 estimated, budget 5.00)"
    assert spending(run(RunStatus.TRAINING, plan=PLAN), NOW) == "1.20 USD"
    assert spending(run(RunStatus.VALIDATING, plan=None, training=None), NOW) == "-"


def test_a_pipe_is_told_each_change_on_a_line_without_escapes(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(account, TRAINING.job_name)
    account.store(run(RunStatus.TRAINING, plan=PLAN.model_copy(update={"budget_usd": 5.0})))
    moments: list[Callable[[], None]] = [
        lambda: log.write(STEP.format(1, 1, 3.0)),
        lambda: log.write(STEP.format(1, 11, 2.0)),
        lambda: account.store(run(RunStatus.PROMOTED)),
    ]
    _, output, _ = followed(monkeypatch, moments)
    (told,) = [line for line in output.splitlines() if "step 11/100" in line]
    assert re.search(r"loss 2\.0000 · █▁ · \d+s left · [\d.]+ USD \(budget 5\.00\)$", told)
    assert "\x1b" not in output


@pytest.mark.parametrize(("no_colour", "coloured"), [("", True), ("1", False)])
def test_a_terminal_is_told_in_one_line_and_without_colour_if_that_is_asked(
    account: Account, monkeypatch: pytest.MonkeyPatch, no_colour: str, *, coloured: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_colour)
    account.store(run(RunStatus.PROMOTED))
    output = io.StringIO()
    console = Console(file=output, width=40, force_terminal=True, markup=False, highlight=False)
    Watcher(open_stack(Target(STACK, REGION)), console).follow(RUN_ID)
    console.print(outcome(run(RunStatus.PROMOTED), None))
    assert bool(re.search(r"\x1b\[[\d;]*3[0-7]m", output.getvalue())) is coloured


def test_only_what_is_new_is_news() -> None:
    before = run(RunStatus.VALIDATING, plan=PLAN)
    assert list(news(before, before)) == []
    assert list(news(before, before.model_copy(update={"data": DATA.model_copy(update={"warnings": ("Old.",)})}))) == [
        "  400 rows to train on, 0 to validate with, 80 held out (file)",
        f"  Tokens: {token_words(DATA)}",
        "  Warning: Old.",
    ]
    on_endpoint = Deployment(target=ServeTarget.ENDPOINT, model_name="tunedrop-x")
    base = BaseEndpoint(name="tunedrop-x-b", since=NOW)
    assert list(news(before, before.model_copy(update={"deployment": on_endpoint, "base": base}))) == [
        "  Endpoint tunedrop-x",
        "  Base model's endpoint tunedrop-x-b",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0s"), (0, "0s"), (59.9, "59s"), (65, "1m05s"), (3599, "59m59s"), (7325, "2h02m")]
)
def test_durations_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], ""),
        ([1.0], "▁"),
        ([3.0, 2.0, 1.0], "█▅▁"),
        ([0.0] * 30 + [1.0], "▁" * 23 + "█"),
        ([9.0] * 24 + [1.0] * 24, "█" * 12 + "▁" * 12),
    ],
)
def test_losses_are_drawn(values: list[Any], text: str) -> None:
    assert sparkline(values) == text
