"""What Converse renders a conversation with, so that serving and training see the same tokens."""

import json
from collections.abc import Mapping

from tunedrop.domain.prompt_template import DEMARCATION


def adds_bos(tokenizer: Mapping[str, object], tokenizer_config: Mapping[str, object]) -> bool:
    """Tell whether a tokeniser puts its BOS token in front of a text, from its `tokenizer.json` and configuration.

    The post-processor of `tokenizer.json` decides: a `bos_token` in the configuration only names the token. Without
    a `tokenizer.json` (pass an empty mapping) the configuration's `add_bos_token` does.
    """
    if not tokenizer:
        return tokenizer_config.get("add_bos_token") is True
    bos = _token(tokenizer_config.get("bos_token"))
    return bos is not None and any(
        _token(_mapping(_first(step.get("single"))).get("SpecialToken"), key="id") == bos
        for step in _processors(tokenizer.get("post_processor"))
    )


def training_chat_template(*, demarcation: bool, bos: bool) -> str:
    """Write the Jinja template that renders a conversation into exactly what the model was trained on.

    A training row is BOS (if `bos`) + prompt + demarcation (if `demarcation`) + completion + EOS. One user turn
    therefore renders to all of it up to the completion; an assistant turn adds its text and EOS. A system text stands
    before the first prompt, a blank line between. `add_generation_prompt` changes nothing: the demarcation belongs to
    the user's turn.
    """
    # White space that Jinja's trim_blocks, lstrip_blocks and final-newline rules would eat stands inside string
    # literals. The renderer's text is tokenised without special tokens, so that BOS is spelled out here.
    return (
        f"{'{{- bos_token -}}' if bos else ''}\n"
        "{%- for message in messages -%}\n"
        "{%- if message['role'] == 'system' -%}\n"
        f"{{{{- message['content'] + {_literal(chr(10) * 2)} -}}}}\n"
        "{%- elif message['role'] == 'user' -%}\n"
        f"{{{{- message['content'] + {_literal(DEMARCATION if demarcation else '')} -}}}}\n"
        "{%- elif message['role'] == 'assistant' -%}\n"
        "{{- message['content'] + eos_token -}}\n"
        "{%- endif -%}\n"
        "{%- endfor -%}\n"
    )


def _literal(text: str) -> str:
    # A JSON string is a Jinja string: Jinja reads the same escapes.
    return json.dumps(text)


def _processors(post_processor: object) -> list[Mapping[str, object]]:
    """List a post-processor's steps; a `Sequence` holds several."""
    outer = _mapping(post_processor)
    inner = outer.get("processors")
    return [_mapping(step) for step in inner] if isinstance(inner, list) else [outer]


def _first(items: object) -> object:
    return items[0] if isinstance(items, list) and items else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _token(value: object, key: str = "content") -> str | None:
    """Read a token that is written as text, or as an object that holds the text under `key`."""
    text = value.get(key) if isinstance(value, dict) else value
    return text if isinstance(text, str) else None
