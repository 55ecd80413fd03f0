"""A drop is planned from what lies in its folder: names first, and the head of one file where they do not tell."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.fakes import (
    MODEL,
    FakeClock,
    FakeKeys,
    FakeModelImports,
    FakeNetwork,
    FakePrices,
    FakeQuotas,
    InMemoryDrops,
    InMemoryRunFiles,
    InMemoryRunStore,
    OneModelCatalogue,
)
from tests.samples import DATASET, NOW, REGION, STACK, new_run
from tunedrop.domain import names
from tunedrop.domain.import_room import QUOTA_CODE, QUOTA_SERVICE
from tunedrop.domain.jumpstart import HyperparameterSpec, JumpStartModel, TrainingArtifacts
from tunedrop.domain.observations import PlanMade, PlanRefused
from tunedrop.domain.plan import PinnedObject, Technique, VpcConfig
from tunedrop.domain.plan_document import PlanDocument
from tunedrop.domain.planning import PlanRules
from tunedrop.domain.surroundings import Key, Subnet
from tunedrop.domain.technique import HEAD_BYTES
from tunedrop.errors import RequestDeniedError, UnreadableModelError
from tunedrop.steps.champions import FormerChampions
from tunedrop.steps.plan import Account, BedrockRoom, PlanRun

RULES = PlanRules(REGION)
CHAT = json.dumps({"messages": [{"role": "user", "content": "Hello"}]}).encode() + b"\n"
CHAT_SWITCH = HyperparameterSpec(name="chat_dataset", type="text", default="False", options=("True", "False"))


@dataclass
class WatchedDrops(InMemoryDrops):
    """Remember whose head was read."""

    heads: list[tuple[str, int]] = field(default_factory=list)

    def head(self, file: PinnedObject, limit: int) -> bytes:
        self.heads.append((file.key, limit))
        return super().head(file, limit)


class ChatCatalogue(OneModelCatalogue):
    """A catalogue of a model that is tuned on conversations too."""

    def model(self, model_id: str, version: str | None = None) -> JumpStartModel:
        known = super().model(model_id, version)
        return known.model_copy(update={"hyperparameters": (*known.hyperparameters, CHAT_SWITCH)})


class ScriptlessCatalogue(ChatCatalogue):
    """A catalogue whose document of the model names no script, which shows only when a job is planned."""

    def artifacts(self, model: JumpStartModel, instance_type: str) -> TrainingArtifacts:
        raise UnreadableModelError(model.model_id, f"its document names no script for {instance_type}")


def planned(
    drops: InMemoryDrops,
    text: str = "",
    *,
    catalogue: OneModelCatalogue | None = None,
    rules: PlanRules = RULES,
    network: FakeNetwork | None = None,
    keys: FakeKeys | None = None,
    account: Account | None = None,
    run_files: InMemoryRunFiles | None = None,
    **files: bytes,
) -> object:
    for name, data in files.items():
        drops.put(f"datasets/{DATASET}/{name.replace('_', '.')}", data)
    version = drops.put(f"datasets/{DATASET}/tune.yaml", f"model: {MODEL.model_id}\n{text}".encode())
    run = new_run()
    run = run.model_copy(update={"drop": run.drop.model_copy(update={"version_id": version})})
    return PlanRun(
        drops,
        run_files or InMemoryRunFiles(),
        catalogue or ChatCatalogue(),
        FakeClock(),
        rules,
        network or FakeNetwork(),
        keys or FakeKeys(),
        account or account_of(),
        FakePrices(),
    )(run)


def account_of(
    quotas: FakeQuotas | None = None, imports: FakeModelImports | None = None, runs: InMemoryRunStore | None = None
) -> Account:
    quotas, imports = quotas or FakeQuotas(), imports or FakeModelImports()
    former = FormerChampions(runs or InMemoryRunStore(), imports, FakeClock(), STACK)
    return Account(quotas, BedrockRoom(imports, quotas, former))


def test_the_head_of_the_first_training_file_tells_a_conversation() -> None:
    drops = WatchedDrops()

    made = planned(drops, b_jsonl=b"{}\n", a_jsonl=CHAT * 50_000)

    assert isinstance(made, PlanMade)
    assert (made.plan.data.technique, made.plan.data.technique_from) == (Technique.CHAT, "files")
    assert made.plan.training.hyperparameters["chat_dataset"] == "True"
    assert drops.heads == [(f"datasets/{DATASET}/a.jsonl", HEAD_BYTES)]


def test_no_head_is_read_where_the_names_tell() -> None:
    drops = WatchedDrops()

    made = planned(drops, train_txt=b"Once upon a time")

    assert isinstance(made, PlanMade)
    assert made.plan.data.technique is Technique.DOMAIN_ADAPTATION
    assert drops.heads == []


def test_a_model_whose_document_lacks_what_a_job_needs_is_refused() -> None:
    refused = planned(WatchedDrops(), catalogue=ScriptlessCatalogue(), train_txt=b"Once upon a time")

    assert isinstance(refused, PlanRefused)
    assert [each.code for each in refused.problems] == ["model.unreadable"]


def test_a_technique_that_the_rows_contradict_is_refused() -> None:
    refused = planned(WatchedDrops(), "technique: instruction", train_jsonl=CHAT)

    assert isinstance(refused, PlanRefused)
    assert [(each.code, each.where) for each in refused.problems] == [("drop.technique", "tune.yaml:2")]


VPC = VpcConfig(subnets=("subnet-1", "subnet-2"), security_group_ids=("sg-1",))
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
ONE_VPC = FakeNetwork(
    {each: Subnet(vpc_id="vpc-1", free_addresses=10, reaches_s3=True) for each in VPC.subnets},
    {"sg-1": "vpc-1", "sg-2": "vpc-2"},
)
GOOD_KEY = Key(state="Enabled", symmetric=True, usable=True)


def codes(rules: PlanRules, network: FakeNetwork = ONE_VPC, key: Key | None = GOOD_KEY) -> list[str]:
    keys = FakeKeys({KEY: key} if key else {})
    refused = planned(WatchedDrops(), rules=rules, network=network, keys=keys, train_jsonl=b"{}\n")
    if isinstance(refused, PlanMade):
        return []
    assert isinstance(refused, PlanRefused)
    for each in refused.problems:
        assert each.where.startswith("stack parameter ")
        assert each.fix
    return [each.code for each in refused.problems]


def test_a_network_and_a_key_that_can_be_used_are_no_problem() -> None:
    assert codes(PlanRules(REGION, vpc=VPC, kms_key_arn=KEY)) == []


@pytest.mark.parametrize(
    ("vpc", "network", "code"),
    [
        (VPC.model_copy(update={"subnets": ("subnet-1", "subnet-9")}), ONE_VPC, "vpc.subnet-missing"),
        (VPC.model_copy(update={"security_group_ids": ("sg-9",)}), ONE_VPC, "vpc.security-group-missing"),
        (VPC.model_copy(update={"security_group_ids": ("sg-2",)}), ONE_VPC, "vpc.several"),
        (VPC.model_copy(update={"security_group_ids": ()}), ONE_VPC, "vpc.no-security-group"),
        (VPC.model_copy(update={"subnets": ()}), ONE_VPC, "vpc.no-subnet"),
        (
            VPC,
            FakeNetwork(
                {each: Subnet(vpc_id="vpc-1", free_addresses=0, reaches_s3=True) for each in VPC.subnets},
                ONE_VPC.all_security_groups,
            ),
            "vpc.subnet-full",
        ),
        (
            VPC,
            FakeNetwork(
                {each: Subnet(vpc_id="vpc-1", free_addresses=9, reaches_s3=False) for each in VPC.subnets},
                ONE_VPC.all_security_groups,
            ),
            "vpc.no-way-to-s3",
        ),
    ],
)
def test_a_network_that_would_fail_the_job_is_found_before_it_is_paid_for(
    vpc: VpcConfig, network: FakeNetwork, code: str
) -> None:
    assert codes(PlanRules(REGION, vpc=vpc), network) == [code]


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "kms.missing"),
        (Key(state="Enabled", symmetric=False, usable=False), "kms.asymmetric"),
        (Key(state="PendingDeletion", symmetric=True, usable=False), "kms.unavailable"),
        (Key(state="Enabled", symmetric=True, usable=False), "kms.denied"),
    ],
)
def test_a_key_that_would_fail_the_upload_is_found_before_it_is_paid_for(key: Key | None, code: str) -> None:
    assert codes(PlanRules(REGION, kms_key_arn=KEY), key=key) == [code]


def stored_document(files: InMemoryRunFiles) -> PlanDocument:
    (key,) = files.objects
    assert key == names.plan_key(new_run().run_id)
    return PlanDocument.model_validate_json(files.objects[key])


def test_the_plan_is_stored_beside_the_run_with_what_differs_from_the_defaults() -> None:
    files = InMemoryRunFiles()

    made = planned(InMemoryDrops(), "hyperparameters: {epoch: 3}", run_files=files, train_txt=b"Once upon a time")

    assert isinstance(made, PlanMade)
    document = stored_document(files)
    assert document.plan == made.plan
    assert document.model.model_id == MODEL.model_id
    assert {each.name: (each.value, each.default, each.set_by) for each in document.hyperparameters} == {
        "epoch": ("3", "1", "tune.yaml"),
        "instruction_tuned": ("False", "False", "default"),
        "chat_dataset": ("False", "False", "default"),
    }
    assert any("stops the job itself" in each for each in document.then)
    assert any("called through Converse if Bedrock says" in each for each in document.then)


def test_a_refused_plan_is_stored_with_all_that_is_wrong() -> None:
    files = InMemoryRunFiles()

    refused = planned(
        InMemoryDrops(), "hyperparameters: {epochs: 3}\nbudget_usd: 0.01", run_files=files, train_txt=b"Once"
    )

    assert isinstance(refused, PlanRefused)
    document = stored_document(files)
    assert (document.accepted, document.problems) == (False, refused.problems)
    assert {each.code for each in document.problems} == {"hyperparameter.unknown", "budget.too-small"}
    assert "Did you mean epoch?" in next(
        each.fix for each in document.problems if each.code == "hyperparameter.unknown"
    )


def test_pain_9_a_drop_that_no_quota_allows_is_refused_before_anything_is_launched() -> None:
    name = "ml.g5.2xlarge for training job usage"
    files = InMemoryRunFiles()
    refused = planned(WatchedDrops(), train_jsonl=b"{}\n", account=account_of(FakeQuotas({name: 0})), run_files=files)

    assert isinstance(refused, PlanRefused)
    assert [each.code for each in refused.problems] == ["quota.zero"]
    assert isinstance(planned(WatchedDrops(), train_jsonl=b"{}\n", account=account_of(FakeQuotas({name: 1}))), PlanMade)


def room_of(quotas: FakeQuotas | None = None, *, imports: FakeModelImports) -> PlanMade | PlanRefused:
    made = planned(InMemoryDrops(), train_txt=b"Once", account=account_of(quotas, imports))
    assert isinstance(made, PlanMade | PlanRefused)
    return made


def holding(*models: str, importing: str | None = None) -> FakeModelImports:
    imports = FakeModelImports(created=dict.fromkeys(models, NOW))
    if importing:
        imports.start(importing, "s3://bucket/weights/", "run")
    return imports


def test_pain_36_a_full_bedrock_is_told_before_the_training_with_who_makes_room_and_what_to_do() -> None:
    made = room_of(imports=holding("a", "b", "c"))

    assert isinstance(made, PlanMade)
    warning = made.plan.warnings[-1]
    for part in ("holds 3 imported models", "may have 3", "No former champion", "waits for 24 hours", "L-45B04988"):
        assert part in warning


def test_pain_36_an_import_that_runs_is_told() -> None:
    made = room_of(imports=holding("a", importing="theirs"))

    assert isinstance(made, PlanMade)
    assert "theirs is being imported now" in made.plan.warnings[-1]


class DeniedImports(FakeModelImports):
    """An account whose policies do not let anybody see what Bedrock has imported."""

    def occupancy(self) -> tuple[int, str | None]:
        raise RequestDeniedError("explicit deny in a service control policy")


def test_a_drop_is_planned_though_nobody_may_see_how_full_bedrock_is() -> None:
    made = room_of(imports=DeniedImports())

    assert isinstance(made, PlanMade)
    assert "service control policy" in made.plan.warnings[-1]


class DeniedNetwork(FakeNetwork):
    """An account whose policies do not let anybody see its subnets."""

    def subnets(self, _ids: Sequence[str]) -> dict[str, Subnet]:
        raise RequestDeniedError("explicit deny in a service control policy")


def test_a_drop_is_planned_though_nobody_may_see_the_network() -> None:
    rules = PlanRules(REGION, vpc=VPC)
    made = planned(WatchedDrops(), rules=rules, network=DeniedNetwork(), train_jsonl=b"{}\n")

    assert isinstance(made, PlanMade)
    assert "service control policy" in made.plan.warnings[-1]


def test_room_is_what_the_account_s_quota_says() -> None:
    quota = f"{QUOTA_SERVICE} {QUOTA_CODE}"
    roomy = room_of(FakeQuotas({quota: 5}), imports=holding("a", "b", "c"))
    shut = room_of(FakeQuotas({quota: 0}), imports=holding())

    assert isinstance(roomy, PlanMade)
    assert not any("imported models" in each for each in roomy.plan.warnings)
    assert isinstance(shut, PlanRefused)
    assert [each.code for each in shut.problems] == ["quota.no-imports"]
