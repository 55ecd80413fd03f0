"""A drop is planned from what lies in its folder: names first, and the head of one file where they do not tell."""

import json
from dataclasses import dataclass, field

from tests.fakes import MODEL, FakeClock, InMemoryDrops, OneModelCatalogue
from tests.samples import DATASET, REGION, new_run
from tunedrop.domain.jumpstart import HyperparameterSpec, JumpStartModel
from tunedrop.domain.observations import PlanMade, PlanRefused
from tunedrop.domain.plan import PinnedObject, Technique
from tunedrop.domain.planning import PlanRules
from tunedrop.domain.technique import HEAD_BYTES
from tunedrop.steps.plan import PlanRun

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


def planned(drops: InMemoryDrops, text: str = "", **files: bytes) -> object:
    for name, data in files.items():
        drops.put(f"datasets/{DATASET}/{name.replace('_', '.')}", data)
    version = drops.put(f"datasets/{DATASET}/tune.yaml", f"model: {MODEL.model_id}\n{text}".encode())
    run = new_run()
    run = run.model_copy(update={"drop": run.drop.model_copy(update={"version_id": version})})
    return PlanRun(drops, ChatCatalogue(), FakeClock(), PlanRules(REGION))(run)


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


def test_a_technique_that_the_rows_contradict_is_refused() -> None:
    refused = planned(WatchedDrops(), "technique: instruction", train_jsonl=CHAT)

    assert isinstance(refused, PlanRefused)
    assert [(each.code, each.where) for each in refused.problems] == [("drop.technique", "tune.yaml:2")]
