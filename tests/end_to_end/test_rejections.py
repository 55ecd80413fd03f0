"""What cannot work is refused before anything is paid for: with the place, the cause and what to do, once."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from local.jumpstart.specs import TINY_LLAMA, TINY_LLAMA_GATED
from tests.deployed import QUICK, TEMPLATE, Application, lines, rows
from tunedrop.domain.run import RunStatus

GOOD_ROWS = rows(0, 4)
MEND_ME = "tune.yaml:1"


def files(rows_of_training: list[Any] | None = None, template: Mapping[str, str] = TEMPLATE) -> dict[str, bytes]:
    held_out = lines(rows(50, 1))
    return {
        "train.jsonl": lines(rows_of_training or GOOD_ROWS),
        "held-out.jsonl": held_out,
        "template.json": json.dumps(template).encode(),
    }


UNKNOWN_FIELD = {"prompt": "{colour} {hue}", "completion": "{feeling}"}
LACKS_A_FIELD = [*GOOD_ROWS[:6], {"colour": "red 99"}, *GOOD_ROWS[6:]]
NOT_JSON = lines(GOOD_ROWS[:4]) + b'{"colour": "red 98", "feeling":\n' + lines(GOOD_ROWS[4:])


@pytest.mark.parametrize(
    ("dataset", "drop", "spec", "where", "says"),
    [
        ("no-response", files(LACKS_A_FIELD), {}, "train.jsonl:7", '"feeling"'),
        ("not-json", files() | {"train.jsonl": NOT_JSON}, {}, "train.jsonl:5", "JSON"),
        ("no-such-field", files(template=UNKNOWN_FIELD), {}, "train.jsonl:1", '"hue"'),
        ("unknown-hyperparameter", files(), {"hyperparameters": {"epochs": 3}}, MEND_ME, "epoch"),
        ("epoch-5000", files(), {"hyperparameters": {"epoch": 5000}}, MEND_ME, "at most 1000"),
        ("gated", files(), {"model": TINY_LLAMA_GATED.model_id}, "tune.yaml", "accept_eula: true"),
        ("unknown-model", files(), {"model": TINY_LLAMA.model_id[:-1]}, MEND_ME, TINY_LLAMA.model_id),
        ("wrong-instance", files(), {"instance_type": "ml.p3.2xlarge"}, MEND_ME, "ml.g5.2xlarge"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_drop_is_rejected_with_the_place_and_the_fix(
    application: Application, dataset: str, drop: dict[str, bytes], spec: dict[str, Any], where: str, says: str
) -> None:
    application.upload(dataset, drop)

    run = application.wait(application.start(dataset, **spec), RunStatus.REJECTED)

    [problem, *_] = run.problems
    assert problem.where == where
    assert says in problem.message + problem.fix
    assert application.training_jobs(run.run_id) == []
    [notice] = application.notices(run.run_id)
    assert notice["MessageAttributes"]["status"]["Value"] == "REJECTED"
    assert problem.where in notice["Message"]


def test_a_gated_model_trains_once_its_agreement_is_accepted(application: Application) -> None:
    application.upload("accepted", files())
    run_id = application.start(
        "accepted", model=TINY_LLAMA_GATED.model_id, accept_eula=True, hyperparameters=QUICK, evaluate={"min_gain": 1.0}
    )

    run = application.wait(run_id)

    assert run.status in (RunStatus.PROMOTED, RunStatus.NOT_PROMOTED), run.reason
    assert run.plan is not None
    assert run.plan.eula is not None
    assert run.plan.eula.accepted_by
    assert run.plan.price_source
    assert run.plan.price_source.startswith("AWS's Price List of ")
    assert run.plan.eula.accepted_at >= run.created_at


def test_a_misplaced_spec_is_told_of_too(application: Application) -> None:
    run = application.wait(application.start("two/deep"), RunStatus.REJECTED)

    assert [problem.code for problem in run.problems] == ["drop.place"]
    assert len(application.notices(run.run_id)) == 1
