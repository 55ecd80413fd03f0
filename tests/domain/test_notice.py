"""A notice says what happened, why, the numbers, the cost and the next step; every line of it is checked here."""

from datetime import timedelta

import pytest

from tests.domain.launch_costs import CHEAP, DEAR, choice, plan_of
from tests.domain.sample_runs import NOW, PLAN, PROBLEMS, TRAINING, TRAINING_PLAN, run
from tests.samples import HOSTING
from tunedrop.domain.cost import training_seconds, training_usd
from tunedrop.domain.decide import NOTIFIED
from tunedrop.domain.estimate import estimate, guessed_tokens
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.notice import GROUPS_LIMIT, notice
from tunedrop.domain.plan import ServerlessTrainingPlan, ServeTarget
from tunedrop.domain.pricing import Price
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import BaseEndpoint, Deployment, FailedAttempt, Judgement, JudgeScore, RunStatus
from tunedrop.domain.spot import WARNING

STARTED = """\
The data of "banking77" is valid and training has started.

Model: meta-textgeneration-llama-3-2-1b-instruct (instruction tuning on 1 x ml.g5.2xlarge)
Rows: 400 to train on, 0 to validate with, 80 held out (from held-out.jsonl)
Tokens: 21,345 to train on, by the model's tokenizer; 2 rows are cut off and lose 310; 100 steps of training
Warnings of the data:
- Duplicate rows: 3
- Likely secrets: 1
Report on the data:
  https://us-east-1.console.aws.amazon.com/s3/object/runs?region=us-east-1&prefix=runs%2Fx%2Fvalidation-report.html
  s3://runs/runs/x/validation-report.html
Cost so far: 1.20 USD (600 s of training at list price)

Follow it:
  tunedrop watch mfrggzdfmztwq2lknnwg23tpoa
"""

AWAITING_APPROVAL = """\
The data of "banking77" is valid, and its training waits for your approval.
Why: It may cost $7.44, and without asking this stack launches what may cost $5 at most.

Model: meta-textgeneration-llama-3-2-1b-instruct (instruction tuning on 1 x ml.g5.2xlarge)
What it may cost, and on what basis:
- ml.g5.2xlarge: $7.44 when SageMaker stops it at its time limit
Rows: 400 to train on, 0 to validate with, 80 held out (from held-out.jsonl)
Tokens: 21,345 to train on, by the model's tokenizer; 2 rows are cut off and lose 310; 100 steps of training
Warnings of the data:
- Duplicate rows: 3
- Likely secrets: 1
Report on the data:
  https://us-east-1.console.aws.amazon.com/s3/object/runs?region=us-east-1&prefix=runs%2Fx%2Fvalidation-report.html
  s3://runs/runs/x/validation-report.html
Cost so far: 0.00 USD (no training was billed)

Approve it before 2026-11-25 09:12 UTC, or say no with `tunedrop reject mfrggzdfmztwq2lknnwg23tpoa`:
  tunedrop approve mfrggzdfmztwq2lknnwg23tpoa
"""

PROMOTED = """\
The tuned model for "banking77" is promoted and answers through Bedrock Converse.
Why: The tuned model scored 0.963, 0.938 better than the base model (0.025).

Model: meta-textgeneration-llama-3-2-1b-instruct (instruction tuning on 1 x ml.g5.2xlarge)
Rows: 400 to train on, 0 to validate with, 80 held out (from held-out.jsonl)
Tokens: 21,345 to train on, by the model's tokenizer; 2 rows are cut off and lose 310; 100 steps of training
Warnings of the data:
- Duplicate rows: 3
- Likely secrets: 1
Report on the data:
  https://us-east-1.console.aws.amazon.com/s3/object/runs?region=us-east-1&prefix=runs%2Fx%2Fvalidation-report.html
  s3://runs/runs/x/validation-report.html
Losses: eval-loss 0.2144, train-loss 0.101
Scores: tuned 0.963 (77 of 80 right), base 0.025 (2 of 80 right), gain +0.938, asked for +0.050
Cost so far: 0.42 USD (210 s of training at list price; Bedrock bills imported models apart)

Ask your model something:
  tunedrop chat banking77
All that is known of this run:
  tunedrop show mfrggzdfmztwq2lknnwg23tpoa
"""

REJECTED = """\
The drop "banking77" is rejected; no training was started.

Problems:
- data.missing-field (4 times): train.jsonl:3, train.jsonl:9, train.jsonl:12 and 1 more: \
The row lacks "response"; it has "instruction", "context". \
Fix: Add "response", or name the fields you have in template.json.
- data.not-json: train.jsonl:40: The row is not JSON (Expecting value, column 1). \
Fix: Write one JSON object a line, in UTF-8.

Model: meta-textgeneration-llama-3-2-1b-instruct (instruction tuning on 1 x ml.g5.2xlarge)
Cost so far: 0.00 USD (no training was billed)

Mend what is listed, then drop again:
  tunedrop drop FOLDER --name banking77
All that is known of this run:
  tunedrop show mfrggzdfmztwq2lknnwg23tpoa
"""

FAILED = """\
The run of "banking77" failed during training.

Problems:
- training.failed: tunedrop-mfrggzdfmztwq2lknnwg23tpoa-a1: \
The training job failed: AlgorithmError: CUDA out of memory. Fix: Choose a larger instance_type.

Model: meta-textgeneration-llama-3-2-1b-instruct (instruction tuning on 1 x ml.g5.2xlarge)
Rows: 400 to train on, 0 to validate with, 80 held out (from held-out.jsonl)
Tokens: 21,345 to train on, by the model's tokenizer; 2 rows are cut off and lose 310; 100 steps of training
Warnings of the data:
- Duplicate rows: 3
- Likely secrets: 1
Report on the data:
  https://us-east-1.console.aws.amazon.com/s3/object/runs?region=us-east-1&prefix=runs%2Fx%2Fvalidation-report.html
  s3://runs/runs/x/validation-report.html
Losses: eval-loss 0.2144, train-loss 0.101
Cost so far: 0.42 USD (210 s of training at list price)

Clear the cause, then drop again:
  tunedrop drop FOLDER --name banking77
All that is known of this run:
  tunedrop show mfrggzdfmztwq2lknnwg23tpoa
"""


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (RunStatus.AWAITING_APPROVAL, AWAITING_APPROVAL),
        (RunStatus.TRAINING, STARTED),
        (RunStatus.PROMOTED, PROMOTED),
        (RunStatus.REJECTED, REJECTED),
        (RunStatus.FAILED, FAILED),
        (RunStatus.STOPPED, FAILED.replace("failed during", "stopped during")),
    ],
)
def test_the_body_reads_so(status: RunStatus, body: str) -> None:
    assert notice(run(status), NOW).body == body


def test_a_model_that_is_not_promoted_is_compared_with_each_that_there_was() -> None:
    body = notice(run(RunStatus.NOT_PROMOTED), NOW).body
    assert body.startswith('The tuned model for "banking77" is not promoted; what answers today has not changed.\n')
    assert (
        "Scores: tuned 0.025 (2 of 80 right), base 0.050 (4 of 80 right), gain -0.025, "
        "champion 0.875 (70 of 80 right), gain -0.850, asked for +0.050\n"
    ) in body
    assert "tunedrop drop FOLDER --name banking77" in body


@pytest.mark.parametrize("status", sorted(NOTIFIED))
@pytest.mark.parametrize("dataset", ["b", "a" * 64])
def test_the_subject_keeps_to_the_rules_of_sns(status: RunStatus, dataset: str) -> None:
    subject = notice(run(status, dataset=dataset, reason="a\nb é"), NOW).subject
    assert subject.isascii()
    assert subject.isprintable()
    assert len(subject) < 100
    assert dataset[:40] in subject
    assert "mfrggzdfmztwq2lknnwg23tpoa" in subject


@pytest.mark.parametrize("status", sorted(NOTIFIED))
def test_the_attributes_keep_to_the_rules_of_sns(status: RunStatus) -> None:
    attributes = notice(run(status), NOW).attributes
    assert len(attributes) <= 10
    assert all(attributes.values())
    assert attributes["status"] == status


def test_the_attributes_hold_the_facts_for_filters() -> None:
    assert notice(run(RunStatus.PROMOTED), NOW).attributes == {
        "status": "PROMOTED",
        "dataset": "banking77",
        "run_id": "mfrggzdfmztwq2lknnwg23tpoa",
        "technique": "instruction",
        "model_id": "meta-textgeneration-llama-3-2-1b-instruct",
        "score": "0.963",
        "gain": "0.938",
        "cost_usd": "0.42",
    }
    assert notice(run(RunStatus.NOT_PROMOTED), NOW).attributes["gain"] == "-0.850"
    assert notice(run(RunStatus.REJECTED), NOW).attributes["code"] == "data.missing-field"


def test_a_drop_that_was_never_planned_is_told_too() -> None:
    body = notice(run(RunStatus.REJECTED, plan=None), NOW).body
    assert "Model:" not in body
    assert "Cost so far: 0.00 USD" in body


def test_without_a_list_price_the_cost_is_told_in_seconds() -> None:
    told = notice(run(RunStatus.PROMOTED, plan=PLAN.model_copy(update={"usd_per_hour": None})), NOW)
    assert "Cost so far: 210 s of training, no list price known\n" in told.body
    assert "cost_usd" not in told.attributes


def test_a_serverless_training_is_never_told_to_have_cost_nothing() -> None:
    recipe = ServerlessTrainingPlan(
        recipe="sft",
        customization_technique="SFT",
        lora=True,
        sequence_length=None,
        accept_eula=True,
        hyperparameters={},
        max_runtime_seconds=3600,
        usage_type="USE1-tokens",
    )
    plan = PLAN.model_copy(update={"training": recipe, "usd_per_hour": None})
    unbilled = TRAINING.model_copy(update={"billable_seconds": 0})
    told = notice(run(RunStatus.PROMOTED, plan=plan, training=unbilled), NOW)
    assert "Cost so far: not known: SageMaker bills this training by what it reads, as USE1-tokens\n" in told.body


def test_the_body_stays_short_however_much_is_wrong() -> None:
    many = tuple(
        Problem(code=f"code-{number}", message="Wrong.", where=f"train.jsonl:{number}") for number in range(500)
    )
    lines = notice(run(RunStatus.REJECTED, problems=many), NOW).body.splitlines()
    assert len(lines) < GROUPS_LIMIT + 15
    assert "- and 490 other kinds" in lines


def test_a_problem_in_several_places_of_one_line_names_the_line_once() -> None:
    twice = (PROBLEMS[0], PROBLEMS[0])
    assert "(2 times): train.jsonl:3: The row" in notice(run(RunStatus.REJECTED, problems=twice), NOW).body


def test_a_reason_is_told_unless_a_problem_says_it() -> None:
    assert "Why: The champion" in notice(run(RunStatus.PROMOTED, reason="The champion lost."), NOW).body
    assert "Why:" not in notice(run(RunStatus.REJECTED), NOW).body
    assert "Why:" not in notice(run(RunStatus.REJECTED, reason=str(PROBLEMS[0])), NOW).body


def test_a_waiting_run_says_when_it_tries_again() -> None:
    waiting = run(RunStatus.TRAINING, reason="Quota.", next_try_at=NOW + timedelta(minutes=5))
    assert "Why: Quota.\nNext try: 2026-11-22 09:17 UTC\n" in notice(waiting, NOW).body


def test_what_earlier_attempts_were_billed_is_priced_too() -> None:
    faulty = FailedAttempt(
        attempt=1,
        instance_type="ml.g5.2xlarge",
        code="training.aws-fault",
        ended_at=NOW,
        billable_seconds=1800,
        usd_per_hour=2.0,
    )
    alone = training_usd(run(RunStatus.TRAINING), NOW)
    assert alone is not None
    assert training_usd(run(RunStatus.TRAINING, failed_attempts=(faulty,)), NOW) == pytest.approx(alone + 1.0)


def test_training_is_priced_by_the_clock_until_sagemaker_bills_it() -> None:
    running = run(RunStatus.TRAINING)
    assert training_seconds(running, NOW) == 600
    assert training_usd(running, NOW) == pytest.approx(1.2)
    stopped = TRAINING.model_copy(update={"ended_at": NOW - timedelta(seconds=60)})
    assert training_seconds(run(RunStatus.TRAINING, training=stopped), NOW) == 540
    pending = TRAINING.model_copy(update={"started_at": None})
    assert training_seconds(run(RunStatus.TRAINING, training=pending), NOW) == 0
    unbilled = stopped.model_copy(update={"billable_seconds": 0})  # what is billed counts, not the clock
    assert training_seconds(run(RunStatus.TRAINING, training=unbilled), NOW) == 0


def test_the_price_is_that_of_all_instances_together() -> None:
    two = PLAN.model_copy(update={"training": TRAINING_PLAN.model_copy(update={"instance_count": 2})})
    assert training_usd(run(RunStatus.PROMOTED, plan=two), NOW) == pytest.approx(0.42)


def test_a_price_is_told_with_its_source() -> None:
    priced = PLAN.model_copy(update={"price_source": "AWS's Price List of 2026-11-23, on demand"})
    body = notice(run(RunStatus.TRAINING, plan=priced), NOW).body
    assert "\nPrice: 7.2 USD an hour: AWS's Price List of 2026-11-23, on demand\n" in body
    assert "Price:" not in notice(run(RunStatus.TRAINING), NOW).body


def test_before_training_nothing_is_owed() -> None:
    assert training_usd(run(RunStatus.VALIDATING, plan=PLAN), NOW) == 0
    assert training_usd(run(RunStatus.PLANNING), NOW) is None


def test_an_estimate_is_one_line_of_range_and_basis() -> None:
    price = Price(usd_per_hour=7.09, source="a table")
    made = estimate("llama-8b", {"epoch": "3", "lora_r": "8"}, guessed_tokens(4000), "ml.g5.12xlarge", price)
    body = notice(run(RunStatus.TRAINING, plan=PLAN.model_copy(update={"estimate": made})), NOW).body
    unpriced = PLAN.model_copy(update={"estimate": made.model_copy(update={"usd": None})})
    unknown = PLAN.model_copy(update={"estimate": made.model_copy(update={"hours": None})})

    assert "\nEstimate: 0.54 to 2.10 US dollars, 0.1 to 0.3 hours (4,000 bytes at about 4 bytes a token)\n" in body
    assert "\nEstimate: 0.1 to 0.3 hours (" in notice(run(RunStatus.TRAINING, plan=unpriced), NOW).body
    assert "Estimate" not in notice(run(RunStatus.TRAINING, plan=unknown), NOW).body


def test_who_is_asked_for_approval_is_told_what_it_may_cost_on_each_instance_type_and_why() -> None:
    plan = plan_of(CHEAP, DEAR, choice("ml.g6.xlarge", None))
    body = notice(run(RunStatus.AWAITING_APPROVAL, plan=plan), NOW).body
    assert "\n- ml.g5.2xlarge: 0.17 to 0.96 US dollars by the estimate, $36.42 when SageMaker stops it" in body
    assert "\n- ml.g5.48xlarge: 1.49 to 6.17 US dollars by the estimate, " in body
    assert "\n- ml.g6.xlarge: nobody knows\n" in body
    assert plan.estimate
    assert all(f"\n- {each}\n" in body for each in plan.estimate.basis)


def test_a_training_on_spot_is_told_with_its_warning() -> None:
    spot = TRAINING_PLAN.model_copy(update={"max_wait_seconds": 7200})
    plan = PLAN.model_copy(update={"training": spot, "warnings": (WARNING,)})
    body = notice(run(RunStatus.TRAINING, plan=plan), NOW).body

    assert "1 x ml.g5.2xlarge, managed spot" in body
    assert f"Warnings of the plan:\n- {WARNING}\n" in body


def test_a_model_that_converse_does_not_take_is_announced_with_the_call_that_takes_it() -> None:
    promoted = run(RunStatus.PROMOTED)
    assert promoted.evaluation
    evaluation = promoted.evaluation.model_copy(update={"call": ModelCall.INVOKE_MODEL})
    told = notice(promoted.model_copy(update={"evaluation": evaluation}), NOW)
    assert told.body.startswith(
        'The tuned model for "banking77" is promoted and answers through Bedrock InvokeModel, with messages in '
        "OpenAI's chat form."
    )


def test_a_model_that_was_compared_with_no_other_is_said_to_be() -> None:
    promoted = run(RunStatus.PROMOTED)
    assert promoted.evaluation
    alone = promoted.evaluation.model_copy(update={"base": None, "champion": None})
    told = notice(promoted.model_copy(update={"evaluation": alone}), NOW)
    assert told.body.startswith(
        'The tuned model for "banking77" is promoted and answers through Bedrock Converse. It was compared with no '
        "other model.\n"
    )


def test_a_run_that_has_ended_tells_where_its_report_will_be() -> None:
    links = "https://signed", "https://console", "s3://runs/report.html"
    promoted = run(RunStatus.PROMOTED)
    told = notice(promoted, NOW, links).body.splitlines()
    assert told[told.index("  https://signed") + 1 :][:3] == [
        f"Later: tunedrop report {promoted.run_id}, or",
        "  https://console",
        "  s3://runs/report.html",
    ]
    assert not any(link in notice(run(RunStatus.TRAINING), NOW, links).body for link in links)


def test_what_the_judge_said_is_told_and_why_it_said_nothing() -> None:
    asked = Judgement(evaluator_model="amazon.nova-pro-v1:0", since=NOW, over=True, rows=80, of_rows=80)
    scores = {"Correctness": JudgeScore(candidate=0.75, rival=None, rows=80, comparison=None)}
    for judgement, told in (
        (asked.model_copy(update={"scores": scores}), "Judge: Correctness: tuned 0.750, 80 rows"),
        (asked.model_copy(update={"failure": "It failed."}), "Judge: no judgement: It failed."),
    ):
        assert told in notice(run(RunStatus.PROMOTED, judgement=judgement), NOW).body


def test_what_could_not_be_deleted_is_told_with_its_cost_its_cause_and_the_command_that_deletes_it() -> None:
    ended = run(RunStatus.NOT_PROMOTED)
    assert ended.deployment
    left = ended.model_copy(update={"deployment": ended.deployment.model_copy(update={"left": "A policy says no."})})
    text = notice(left, NOW)
    assert text.subject == f"Tunedrop: banking77 not deleted ({left.run_id})"
    assert text.attributes["left"] == "imported model"
    assert len(text.attributes) <= 10
    name = ended.deployment.model_name
    assert text.body.startswith(
        'Nobody wants it any more, and it is left for you to delete, of "banking77": '
        f"the imported model {name} (Bedrock bills its storage by the month).\nWhy: A policy says no.\n"
    )
    assert f"  aws bedrock delete-imported-model --model-identifier {name} --region us-east-1\n" in text.body
    assert f"  tunedrop show {left.run_id}\n" in text.body


@pytest.mark.parametrize(("usd", "price"), [(1.52, "1.52 US dollars an hour"), (None, "its price is not known")])
def test_both_endpoints_that_could_not_be_deleted_are_told(usd: float | None, price: str) -> None:
    hosting = HOSTING.model_copy(update={"usd_per_hour": usd})
    left = run(
        RunStatus.FAILED,
        plan=PLAN.model_copy(update={"hosting": hosting}),
        deployment=Deployment(target=ServeTarget.ENDPOINT, model_name="tuned", left="A policy says no."),
        base=BaseEndpoint(name="tuned-b", since=NOW, left="It failed 24 times."),
    )
    text = notice(left, NOW)
    assert text.attributes["left"] == "endpoint"
    assert f"the endpoint tuned (each of its instances is billed: {price}) and the endpoint tuned-b" in text.body
    assert "Why: A policy says no.\nWhy: It failed 24 times.\n" in text.body
    assert "  aws sagemaker delete-inference-component --inference-component-name tuned --region us-east-1" in text.body
    assert "`aws sagemaker delete-endpoint --endpoint-name tuned --region us-east-1` ends its cost" in text.body
