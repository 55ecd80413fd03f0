"""A run that may cost more than the stack launches by itself waits for a person, and pays for nothing meanwhile.

That one which is approved trains, `test_serverless.py` tells: nobody knows its price.
"""

from tests.deployed import QUICK, Application
from tunedrop.domain.run import RunStatus

UNPRICED = "ml.g6.xlarge"
"""An instance type whose price is in no table."""


def test_a_dear_run_waits_for_a_person_and_is_refused_without_a_cost(application: Application) -> None:
    run_id = application.drop("dear", seed=31, hyperparameters=QUICK, instance_type=UNPRICED)

    waiting = application.wait(run_id, RunStatus.AWAITING_APPROVAL)
    [notice] = application.notices(run_id)
    refused = application.command("reject", run_id, "--reason", "Try the small model first.")
    assert refused.returncode == 0, refused.stdout + refused.stderr
    run = application.wait(run_id, RunStatus.REJECTED)
    late = application.command("approve", run_id)

    assert waiting.plan
    assert waiting.plan.estimate
    assert "by the model's tokenizer" in waiting.plan.estimate.basis[0]
    assert notice["MessageAttributes"]["status"]["Value"] == "AWAITING_APPROVAL"
    assert f"tunedrop approve {run_id}" in notice["Message"]
    assert f"The price of {UNPRICED} is not known" in notice["Message"]
    assert run.approval
    assert run.approval.answer
    assert run.approval.answer.by in refused.stdout
    assert "Try the small model first." in run.problems[0].message
    assert late.returncode == 2
    assert "waits for no approval" in late.stderr
    assert application.training_jobs(run_id) == []
