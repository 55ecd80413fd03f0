"""After a rollback the former champion answers; forward again, the other one does. Nothing is trained for either."""

from collections.abc import Mapping, Sequence

from tests.deployed import COLOURS, LEARNS, Application
from tunedrop.domain.run import Run, RunStatus

OPPOSITE = {"warm": COLOURS["cold"], "cold": COLOURS["warm"]}


def test_after_a_rollback_chat_answers_from_the_former_champion(application: Application) -> None:
    first = promoted(application, COLOURS)
    assert spoken(application) == "cold"
    second = promoted(application, OPPOSITE)
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
    assert not application.dead_letters()


def promoted(application: Application, colours: Mapping[str, Sequence[str]]) -> Run:
    """Have a model promoted that was compared with the base alone."""
    run_id = application.drop("moods", colours=colours, hyperparameters=LEARNS, evaluate={"against": ["base"]})
    run = application.wait(run_id)
    assert run.status is RunStatus.PROMOTED, run.reason
    return run


def spoken(application: Application) -> str:
    """Ask the dataset's champion of a cold colour."""
    answer = application.command("chat", "moods", "--message", "teal 50")
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()
