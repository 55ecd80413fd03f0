"""Find the chat template of a model's folder in the order that Bedrock's Custom Model Import looks for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def find_chat_template(folder: Path) -> str | None:
    """Return the Jinja text of a model's chat template, or None: Bedrock applies no default one.

    A separate file wins over the field in `tokenizer_config.json`:
    https://docs.aws.amazon.com/bedrock/latest/userguide/model-customization-import-model.html
    """
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file() and (template := _template(json.loads(path.read_text(encoding="utf-8")))):
            return template
    return None


def _template(content: Any) -> str | None:
    value = content.get("chat_template") if isinstance(content, dict) else None
    if isinstance(value, list):  # several named templates
        value = next((entry["template"] for entry in value if entry.get("name") == "default"), None)
    return value if isinstance(value, str) else None
