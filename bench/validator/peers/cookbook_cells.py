"""The format checks of OpenAI's cookbook, "Data preparation and analysis for chat model fine-tuning".

https://cookbook.openai.com/examples/chat_finetuning_data_prep: the whole dataset is loaded, then seven kinds of error
are counted. The loading cell has no `try`: a line that is not JSON ends it.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from protocol import Verdict, run

KEYS = ("role", "content", "name", "function_call", "weight")
ROLES = ("system", "user", "assistant", "function")


def errors(dataset: list[Any]) -> Counter[str]:
    """Count the errors of each kind."""
    found: Counter[str] = Counter()
    for example in dataset:
        if not isinstance(example, dict):
            found["data_type"] += 1
            continue
        messages = example.get("messages")
        if not messages:
            found["missing_messages_list"] += 1
            continue
        for message in messages:
            if "role" not in message or "content" not in message:
                found["message_missing_key"] += 1
            if any(key not in KEYS for key in message):
                found["message_unrecognized_key"] += 1
            if message.get("role") not in ROLES:
                found["unrecognized_role"] += 1
            content, call = message.get("content"), message.get("function_call")
            if (not content and not call) or not isinstance(content, str):
                found["missing_content"] += 1
        if not any(message.get("role") == "assistant" for message in messages):
            found["example_missing_assistant_message"] += 1
    return found


def check(_technique: str, path: Path) -> Verdict:
    """Load all rows, then count."""
    verdict = Verdict()
    try:
        with path.open(encoding="utf-8") as lines:
            dataset = [json.loads(line) for line in lines]
    except ValueError as error:
        verdict.refuse(f"{type(error).__name__}: {error}")
        return verdict
    verdict.rows = len(dataset)
    found = errors(dataset)
    verdict.refused = found.total()
    verdict.said = ", ".join(f"{kind}: {number}" for kind, number in found.items())
    return verdict


run(check)
