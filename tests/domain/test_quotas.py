"""A quota of zero is found before anything is launched, and told with what raises it."""

from tests.samples import PLAN
from tunedrop.domain.plan import InstanceChoice, Plan, TrainingPlan
from tunedrop.domain.quotas import Quota, quota_names, within_quotas

G5, G6 = "ml.g5.2xlarge", "ml.g6.2xlarge"


def choice(instance_type: str) -> InstanceChoice:
    return InstanceChoice(
        instance_type=instance_type,
        image_uri="image:1",
        script_uri="s3://jumpstart/script.tar.gz",
        model_uri="s3://jumpstart/model/",
        environment={},
        hyperparameters={"epoch": "1"},
        max_runtime_seconds=3600,
        max_wait_seconds=None,
        usd_per_hour=1.0,
        estimate=None,
    )


def plan(*instance_types: str, spot: bool = False) -> Plan:
    assert isinstance(PLAN.training, TrainingPlan)
    training = PLAN.training.model_copy(update={"max_wait_seconds": 7200 if spot else None})
    return PLAN.model_copy(update={"training": training, "choices": tuple(map(choice, instance_types))})


def quotas(**values: float) -> dict[str, Quota]:
    names = {"g5": G5, "g6": G6, "g5_spot": G5}
    found = {}
    for key, value in values.items():
        use = "spot training" if key.endswith("_spot") else "training"
        name = f"{names[key]} for {use} job usage"
        found[name] = Quota(name=name, code="L-0A1B2C3D", value=value)
    return found


def test_training_and_spot_have_quotas_of_their_own() -> None:
    assert quota_names(plan(G5, G6)) == (f"{G5} for training job usage", f"{G6} for training job usage")
    assert quota_names(plan(G5, spot=True)) == (f"{G5} for spot training job usage",)
    assert isinstance(within_quotas(plan(G5), quotas(g5=1, g5_spot=0)), Plan)
    assert isinstance(within_quotas(plan(G5, spot=True), quotas(g5=1, g5_spot=0)), tuple)


def test_pain_9_a_quota_of_zero_refuses_the_drop_with_the_command_that_raises_it() -> None:
    refused = within_quotas(plan(G5, G6), quotas(g5=0, g6=0))
    assert isinstance(refused, tuple)
    (problem,) = refused
    assert problem.code == "quota.zero"
    assert f"'{G5} for training job usage' (L-0A1B2C3D) is 0" in problem.message
    assert "aws service-quotas request-service-quota-increase" in problem.fix
    assert "--quota-code L-0A1B2C3D" in problem.fix
    assert "https://us-east-1.console.aws.amazon.com/servicequotas/" in problem.fix


def test_a_type_without_quota_gives_way_to_one_that_has_some() -> None:
    made = within_quotas(plan(G5, G6), quotas(g5=0, g6=2))
    assert isinstance(made, Plan)
    assert isinstance(made.training, TrainingPlan)
    assert made.training.instance_type == G6
    assert [each.instance_type for each in made.choices] == [G6]
    assert G6 in made.warnings[-1]


def test_a_quota_that_nobody_tells_stands_in_nobody_s_way() -> None:
    assert within_quotas(plan(G5, G6), {}) == plan(G5, G6)
    left = within_quotas(plan(G5, G6), quotas(g6=0))
    assert isinstance(left, Plan)
    assert [each.instance_type for each in left.choices] == [G5]
    assert left.warnings == PLAN.warnings
