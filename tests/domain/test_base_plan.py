"""Where the base model answers that a tuned one is compared with, and why it does not."""

from collections.abc import Collection

import pytest

from tests.fakes import MODEL
from tunedrop.contracts.tune_spec import parse_tune_yaml
from tunedrop.domain.base_endpoint import (
    LARGEST_SHARE,
    BaseChoice,
    base_choice,
    base_words,
    contradicted,
    wants_endpoint,
)
from tunedrop.domain.hosting import HostingRules
from tunedrop.domain.jumpstart import HostingArtifacts, JumpStartModel
from tunedrop.domain.plan import ServeTarget
from tunedrop.domain.policy import Policy
from tunedrop.domain.pricing import Price
from tunedrop.domain.quotas import Quota

PRICE = Price(usd_per_hour=2.0, source="a table")
WEIGHTS = "s3://jumpstart/base/"
ARTIFACTS = HostingArtifacts(image_uri="image", environment={}, weights_uri=WEIGHTS)
UNHOSTED = MODEL.model_copy(update={"hosting_instance_types": (), "default_hosting_instance_type": None})


def chosen(
    text: str = "",
    *,
    model: JumpStartModel = MODEL,
    artifacts: HostingArtifacts | None = ARTIFACTS,
    price: Price | None = PRICE,
    quota: float | None = None,
    serve: ServeTarget = ServeTarget.BEDROCK,
    stack: str = "tunedrop",
    **limits: float,
) -> BaseChoice:
    def quotas(names: Collection[str]) -> dict[str, Quota]:
        return {} if quota is None else {each: Quota(name=each, code="L-1", value=quota) for each in names}

    return base_choice(
        parse_tune_yaml(f"model: {model.model_id}\n{text}".encode()),
        model,
        lambda _type: artifacts,
        quotas,
        HostingRules(Policy(), lambda _type: price, None, None, isolated=False, stack=stack),
        serve=serve,
        budget_usd=limits.get("budget_usd"),
        cap_usd=limits.get("cap_usd"),
    )


ASKED = "evaluate: {base: endpoint}"


@pytest.mark.parametrize(
    ("text", "at_bedrock", "wanted"),
    [
        ("", None, True),
        ("", "example.base-v1", False),
        ("evaluate: {base: endpoint}", "example.base-v1", True),
        ("evaluate: {base: bedrock}", None, False),
        ("evaluate: {against: [champion]}", None, False),
    ],
)
def test_an_endpoint_is_for_what_bedrock_lacks_unless_tune_yaml_says_other(
    text: str, at_bedrock: str | None, *, wanted: bool
) -> None:
    assert wants_endpoint(parse_tune_yaml(f"model: a\n{text}".encode()), at_bedrock) is wanted


def test_the_base_has_one_instance_that_stays_at_a_price_that_is_told() -> None:
    base = chosen(quota=1).endpoint
    assert base
    assert (base.weights_uri, base.accept_eula, base.required) == (WEIGHTS, False, False)
    assert (base.hosting.max_instances, base.hosting.scale_to_zero, base.hosting.ttl_hours) == (1, False, None)
    assert base.hosting.instance_type == "ml.g5.xlarge"
    assert base.most_usd == 6.0
    assert "2.00 USD an hour, 6.00 USD at most" in base_words(base)
    asked = chosen(ASKED, artifacts=ARTIFACTS.model_copy(update={"gated_weights": True})).endpoint
    assert asked
    assert (asked.required, asked.accept_eula) == (True, True)


@pytest.mark.parametrize(
    ("why", "choice"),
    [
        ("names no weights", {"artifacts": None}),
        ("names no weights", {"artifacts": ARTIFACTS.model_copy(update={"weights_uri": None})}),
        ("private hub", {"model": MODEL.model_copy(update={"hub_content_arn": "arn"})}),
        ("names no instance type", {"model": UNHOSTED}),
        ("has capitals", {"stack": "Tunedrop"}),
        ("is 0; 1 would run", {"quota": 0}),
        ("is 1; 2 would run, with that of the tuned model", {"quota": 1, "serve": ServeTarget.ENDPOINT}),
        ("price of ml.g5.xlarge is not known", {"price": None, "budget_usd": 40}),
        ("budget or the monthly cap is 6", {"cap_usd": 6, "budget_usd": 40}),
        ("budget or the monthly cap is 5", {"budget_usd": 5}),
    ],
)
def test_what_cannot_be_had_is_a_warning_and_where_it_was_asked_for_a_refusal(
    why: str, choice: dict[str, object]
) -> None:
    quiet, asked = chosen(**choice), chosen(ASKED, **choice)  # type: ignore[arg-type]  # as `chosen` takes them
    assert quiet.endpoint is asked.endpoint is None
    (warning,) = quiet.warnings
    (problem,) = asked.problems
    assert why in warning
    assert why in problem.message
    assert (problem.code, problem.where) == ("evaluate.base", "tune.yaml:2")
    assert quiet.problems == asked.warnings == ()


def test_a_share_of_the_budget_that_nobody_asked_to_spend_is_not_spent() -> None:
    dear = 6 / LARGEST_SHARE - 1
    assert chosen(budget_usd=dear).endpoint is None
    assert chosen(budget_usd=6 / LARGEST_SHARE).endpoint
    assert chosen(ASKED, budget_usd=dear).endpoint


def test_an_endpoint_of_the_tuned_model_names_the_instance_of_the_base_too() -> None:
    model = MODEL.model_copy(update={"hosting_instance_types": ("ml.g5.xlarge", "ml.g5.4xlarge")})
    hosted = "serve: endpoint\nendpoint: {instance_type: ml.g5.4xlarge, scale_to_zero: true}"
    base = chosen(hosted, model=model, serve=ServeTarget.ENDPOINT).endpoint
    assert base
    assert base.hosting.instance_type == "ml.g5.4xlarge"


def test_where_a_base_answers_that_nobody_asks_is_contradicted() -> None:
    (problem,) = contradicted(parse_tune_yaml(b"model: a\nevaluate: {base: endpoint, against: [champion]}"))
    assert problem.code == "evaluate.base-not-asked"
    assert contradicted(parse_tune_yaml(b"model: a\nevaluate: {base: endpoint}")) == ()
