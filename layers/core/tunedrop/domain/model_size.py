"""How large a model is, read from its id: JumpStart's specs do not tell the number of parameters."""

import re

from tunedrop.domain.model import Record

_SIZE = re.compile(r"(?<![a-z0-9.])(?P<number>[0-9]{1,4}(?:\.[0-9]{1,2})?)(?P<unit>[bm])(?![a-z0-9])")
_QWEN_DECIMAL = re.compile(r"(?<=[a-z0-9]-)(?P<whole>[01])-(?P<tenths>[5-9])b(?![a-z0-9])")
"""Qwen's sizes below 2B, whose point JumpStart's ids spell as a hyphen: `distill-qwen-1-5b` is 1.5B.

Only Qwen's: `llama-3-1-8b` is version 3.1 with 8B.
"""
_ACTIVE = re.compile(r"(?<![a-z0-9])a(?P<number>[0-9]{1,3})b(?![a-z0-9])")
_EXPERTS = re.compile(r"(?<![a-z0-9])[0-9]{1,3}(?:e|x[0-9]{1,3}b)(?![a-z0-9])")

_UNITS = {"b": 1_000_000_000, "m": 1_000_000}


class ModelSize(Record):
    """Count a model's parameters; a mixture of experts uses only some of them for a token."""

    total: int
    active: int


_MIXTURES = {
    "8x7b": ModelSize(total=46_700_000_000, active=12_900_000_000),
    "8x22b": ModelSize(total=141_000_000_000, active=39_000_000_000),
    "gpt-oss-20b": ModelSize(total=20_900_000_000, active=3_600_000_000),
    "gpt-oss-120b": ModelSize(total=116_800_000_000, active=5_100_000_000),
}
"""Mixtures of experts whose names do not tell both numbers.

https://mistral.ai/news/mixtral-8x22b and https://openai.com/index/gpt-oss-model-card
"""


def model_size(model_id: str) -> ModelSize | None:
    """Return the size that the id names, such as 8b, 135m, 8x7b or 30b-a3b; None when it names none, or several."""
    name = model_id.lower()
    if mixture := next((size for part, size in _MIXTURES.items() if f"-{part}-" in f"-{name}-"), None):
        return mixture
    if _EXPERTS.search(name):
        return None  # an unknown mixture: the name tells only one of its numbers
    sizes = {int(float(each["number"]) * _UNITS[each["unit"]]) for each in _SIZE.finditer(_spell_decimals(name))}
    if len(sizes) != 1:
        return None
    total = sizes.pop()
    active = _ACTIVE.search(name)
    return ModelSize(total=total, active=int(active["number"]) * _UNITS["b"] if active else total)


def _spell_decimals(name: str) -> str:
    return _QWEN_DECIMAL.sub(r"\g<whole>.\g<tenths>b", name) if "qwen" in name else name
