"""What Converse renders a conversation with, so that serving and training see the same tokens."""

import json

from tunedrop.domain.model import Record
from tunedrop.domain.prompt_template import DEMARCATION

CHAT_TEMPLATE_FILE = "chat_template.jinja"
"""A file of this name wins over the template in `tokenizer_config.json`, and Bedrock applies no default of its own.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-customization-import-model.html
"""


class SpecialTokens(Record):
    """Name the tokens that frame a training row: `bos` only when the tokeniser itself puts it in front."""

    bos: str | None
    eos: str


def special_tokens(tokenizer_config: bytes, tokenizer: bytes) -> SpecialTokens:
    """Read the tokens from an artifact's `tokenizer_config.json` and `tokenizer.json`.

    The tokeniser's post-processor decides whether a row began with BOS in training; `bos_token` in the configuration
    only names it. Raises ValueError when the configuration names no EOS or a file is not what its name says.
    """
    config, document = json.loads(tokenizer_config), json.loads(tokenizer)
    eos = config.get("eos_token")
    # Older tokenizers write {"content": "</s>", ...}.
    eos = eos["content"] if isinstance(eos, dict) else eos
    if not isinstance(eos, str):
        raise ValueError("tokenizer_config.json names no eos_token")
    processor = document.get("post_processor") or {}
    for step in processor.get("processors", [processor]):
        if step.get("type") == "TemplateProcessing" and "SpecialToken" in step["single"][0]:
            return SpecialTokens(bos=step["single"][0]["SpecialToken"]["id"], eos=eos)
    return SpecialTokens(bos=None, eos=eos)


def training_chat_template(tokens: SpecialTokens, *, demarcation: bool) -> str:
    """Write the Jinja template that renders a conversation into exactly what the model was trained on.

    A training row is BOS (if any) + prompt + demarcation (if asked for) + completion + EOS. One user turn therefore
    renders to all of it up to the completion; an assistant turn adds its text and EOS. A system text stands before
    the first prompt, a blank line between. `add_generation_prompt` changes nothing: the demarcation belongs to the
    user's turn.
    """
    # Only expressions print: white space that Jinja's trim_blocks, lstrip_blocks and final-newline rules would eat
    # stands inside string literals. The renderer tokenises without special tokens, so BOS is spelled out here.
    return (
        f"{{{{- {_literal(tokens.bos or '')} -}}}}\n"
        "{%- for message in messages -%}\n"
        "{%- if message['role'] == 'system' -%}\n"
        f"{{{{- message['content'] + {_literal(chr(10) * 2)} -}}}}\n"
        "{%- elif message['role'] == 'user' -%}\n"
        f"{{{{- message['content'] + {_literal(DEMARCATION if demarcation else '')} -}}}}\n"
        "{%- elif message['role'] == 'assistant' -%}\n"
        f"{{{{- message['content'] + {_literal(tokens.eos)} -}}}}\n"
        "{%- endif -%}\n"
        "{%- endfor -%}\n"
    )


def _literal(text: str) -> str:
    # A JSON string is a Jinja string: Jinja reads the same escapes, and other characters as they are.
    return json.dumps(text, ensure_ascii=False)
