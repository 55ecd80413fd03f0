"""After a rollback, by hand or by an alarm, the former champion answers. Nothing is trained for either."""

from collections.abc import Mapping, Sequence

from tests.deployed import COLOURS, LEARNS, Application
from tunedrop.domain.run import Run, RunStatus

OPPOSITE = {"warm": COLOURS["cold"], "cold": COLOURS["warm"]}


def test_after_a_rollback_chat_answers_from_the_former_champion(application: Application) -> None:
    first = promoted(application, COLOURS)
    assert spoken(application) == "cold"
    # By one on an endpoint, for users need not know where a model answers.
    second = promoted(application, OPPOSITE, serve="endpoint")
    assert spoken(application) == "warm"
    assert second.promotion
    assert second.promotion.instead_of == first.run_id

    back = application.command("rollback", "moods")
    assert back.returncode == 0, back.stderr
    assert first.run_id in back.stdout
    assert spoken(application) == "cold"
    told = application.command("aliases", "moods").stdout
    assert [line.split()[0] for line in told.splitlines()[1:]] == [first.run_id, second.run_id, first.run_id]

    forward = application.command("promote", "moods", second.run_id)
    assert forward.returncode == 0, forward.stderr
    assert spoken(application) == "warm"
    assert application.training_jobs(first.run_id) + application.training_jobs(second.run_id) == [
        f"tunedrop-{first.run_id}-a1",
        f"tunedrop-{second.run_id}-a1",
    ]

    # Its endpoint fails, by the alarm that watches it: the former champion answers again, and people are told.
    assert second.deployment
    cloudwatch = application.engine.client("cloudwatch")
    alarm, reason = f"{second.deployment.model_name}-errors", "Ten calls failed within five minutes."
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason=reason)
    failed = application.wait_for(second.run_id, lambda seen: seen.failed_champion is not None)
    assert failed.failed_champion
    assert spoken(application) == "cold"
    told = [each["Message"] for each in application.notices(second.run_id) if "fails" in each["Subject"]]
    assert len(told) == 1
    assert reason in told[0]
    assert f"run {first.run_id}, answers again" in told[0]
    assert not application.dead_letters()


def promoted(application: Application, colours: Mapping[str, Sequence[str]], **spec: str) -> Run:
    """Have a model promoted that was compared with the base alone."""
    run_id = application.drop("moods", colours=colours, hyperparameters=LEARNS, evaluate={"against": ["base"]}, **spec)
    run = application.wait(run_id)
    assert run.status is RunStatus.PROMOTED, run.reason
    return run


def spoken(application: Application) -> str:
    """Ask the dataset's champion of a cold colour."""
    answer = application.command("chat", "moods", "--message", "teal 50")
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()
