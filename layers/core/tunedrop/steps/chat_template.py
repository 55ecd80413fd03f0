"""The chat template of a training's own prompts, written beside the weights for whoever serves them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tunedrop.domain.chat_template import adds_bos, training_chat_template
from tunedrop.domain.plan import Plan, ServerlessTrainingPlan, Technique
from tunedrop.ports import RunFiles

TOKENIZER_CONFIG = "tokenizer_config.json"

_FILE = "chat_template.jinja"

_BY_THE_MODELS_TEMPLATE = frozenset({Technique.CHAT, Technique.VISUAL_QA})
"""Techniques whose rows are trained with the chat template that the model brings; nobody else can write it."""


@dataclass(frozen=True)
class ChatTemplate:
    """Read and write what lies beside a run's weights."""

    files: RunFiles

    def missing(self, plan: Plan, prefix: str) -> bool:
        """Tell whether nobody can serve conversations: the model brings no template, and none can be written."""
        return plan.data.technique in _BY_THE_MODELS_TEMPLATE and not self._brought(prefix)

    def write(self, plan: Plan, prefix: str) -> None:
        """Write the training's template, unless it was trained with the one that the model brings.

        By a recipe, prompts are trained as a user's turns, with the chat template that the model brings, if any. A
        separate file wins over the template in tokenizer_config.json at Bedrock, which adds none of its own; older
        containers of endpoints know the field alone.
        https://docs.aws.amazon.com/bedrock/latest/userguide/model-customization-import-model.html
        """
        own = isinstance(plan.training, ServerlessTrainingPlan) or plan.data.technique in _BY_THE_MODELS_TEMPLATE
        if own and self._brought(prefix):
            return
        settings = self._json(prefix + TOKENIZER_CONFIG)
        demarcation = plan.data.technique is Technique.INSTRUCTION and plan.data.demarcation
        bos = adds_bos(self._json(prefix + "tokenizer.json"), settings)
        template = training_chat_template(demarcation=demarcation, bos=bos)
        self.files.write(prefix + _FILE, template.encode())
        if plan.hosting and settings.get("chat_template") != template:
            told = json.dumps({**settings, "chat_template": template}, ensure_ascii=False)
            self.files.write(prefix + TOKENIZER_CONFIG, told.encode())

    def _brought(self, prefix: str) -> bool:
        separate = {_FILE, "chat_template.json"} & set(self.files.sizes(prefix))
        return bool(separate or self._json(prefix + TOKENIZER_CONFIG).get("chat_template"))

    def _json(self, key: str) -> Mapping[str, object]:
        data = self.files.read(key)
        value = json.loads(data) if data else {}
        return value if isinstance(value, dict) else {}
