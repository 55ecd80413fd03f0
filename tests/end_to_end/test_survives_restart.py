"""What the application did outlives the engine; after the others, which would have to start every function again."""

from tests.deployed import Application
from tunedrop.domain.run import Run


def test_the_alias_answers_after_the_engine_restarts(application: Application, promoted: Run) -> None:
    application.engine.settle()
    application.engine.restart()
    spoken = application.command("chat", promoted.dataset, "--message", "amber 51")
    assert spoken.stdout.strip().endswith("warm"), spoken.stderr
    assert not application.dead_letters()
