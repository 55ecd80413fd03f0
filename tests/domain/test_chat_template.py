"""Converse renders a conversation into exactly the tokens that training saw."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

from tunedrop.domain.chat_template import adds_bos, training_chat_template
from tunedrop.domain.prompt_template import DEMARCATION


def tokenizer(*, bos: bool) -> PreTrainedTokenizerFast:
    """Make a byte-level tokeniser of the Llama 3 kind, whose post-processor adds BOS or does not."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(BPE(vocab={token: number for number, token in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<s>", "</s>"])
    byte_level = processors.ByteLevel(trim_offsets=False)
    if bos:
        frame = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))])
        core.post_processor = processors.Sequence([byte_level, frame])
    else:
        core.post_processor = byte_level
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")


TOKENIZERS = {bos: tokenizer(bos=bos) for bos in (True, False)}


def rendered(messages: list[dict[str, str]], *, demarcation: bool = True, bos: bool = False, **options: Any) -> str:
    """Render as transformers does, with its Jinja settings (trim_blocks, lstrip_blocks)."""
    template = training_chat_template(demarcation=demarcation, bos=bos)
    texts, _ = render_jinja_template([messages], chat_template=template, bos_token="<s>", eos_token="</s>", **options)
    text: str = texts[0]
    return text


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def test_one_user_turn_is_the_prompt_and_its_demarcation() -> None:
    assert rendered([user("Where is my card?")]) == "Where is my card?\n\n### Response:\n"
    assert rendered([user("Where is my card?")], bos=True) == "<s>Where is my card?\n\n### Response:\n"


def test_without_demarcation_the_prompt_stands_alone() -> None:
    assert rendered([user("Where is my card?")], demarcation=False) == "Where is my card?"


def test_asking_for_a_generation_prompt_changes_nothing() -> None:
    assert rendered([user("Hello")], add_generation_prompt=True) == rendered([user("Hello")])


def test_a_system_text_stands_first() -> None:
    messages = [{"role": "system", "content": "Be brief."}, user("Hello")]
    assert rendered(messages, bos=True) == f"<s>Be brief.\n\nHello{DEMARCATION}"


def test_an_assistant_turn_follows_its_demarcation_and_ends_with_eos() -> None:
    messages = [user("One"), assistant("1"), user("Two")]
    assert rendered(messages, bos=True) == f"<s>One{DEMARCATION}1</s>Two{DEMARCATION}"


@given(prompt=st.text(), demarcation=st.booleans(), bos=st.booleans())
def test_the_prompt_arrives_untouched(*, prompt: str, demarcation: bool, bos: bool) -> None:
    expected = ("<s>" if bos else "") + prompt + (DEMARCATION if demarcation else "")
    assert rendered([user(prompt)], demarcation=demarcation, bos=bos) == expected


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("demarcation", [True, False])
@pytest.mark.parametrize("prompt", ["Where is my card?", "  spaces, ünïcode\u2028 and {{ braces }} \n", "\n"])
def test_serving_sees_the_token_ids_of_training(*, bos: bool, demarcation: bool, prompt: str) -> None:
    coder = TOKENIZERS[bos]
    trained = [*coder(prompt + (DEMARCATION if demarcation else "") + "card arrival").input_ids, coder.eos_token_id]
    coder.chat_template = training_chat_template(demarcation=demarcation, bos=bos)
    asked = coder.apply_chat_template([user(prompt)], add_generation_prompt=True, return_dict=False)
    answered = coder.apply_chat_template([user(prompt), assistant("card arrival")], return_dict=False)
    assert answered == trained
    assert trained[: len(asked)] == asked
    assert coder.decode(trained[len(asked) :]) == "card arrival</s>"


@pytest.mark.parametrize("bos", [True, False])
def test_the_post_processor_tells_whether_a_text_begins_with_bos(*, bos: bool) -> None:
    coder = TOKENIZERS[bos]
    document = json.loads(coder.backend_tokenizer.to_str())
    assert (coder("x").input_ids[0] == coder.bos_token_id) is bos
    assert adds_bos(document, {"bos_token": "<s>"}) is bos
    assert adds_bos(document, {"bos_token": {"content": "<s>", "lstrip": False}}) is bos


def test_a_single_template_processor_is_read_too() -> None:
    frame = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    document = {"post_processor": json.loads(frame.__getstate__())}
    assert adds_bos(document, {"bos_token": "<s>"})
    assert not adds_bos(document, {"bos_token": "<other>"})
    assert not adds_bos(document, {"bos_token": None})


def test_a_token_behind_the_text_is_no_bos() -> None:
    frame = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    assert not adds_bos({"post_processor": json.loads(frame.__getstate__())}, {"bos_token": "</s>"})


def test_without_a_tokenizer_file_the_configuration_decides() -> None:
    assert adds_bos({}, {"bos_token": "<s>", "add_bos_token": True})
    assert not adds_bos({}, {"bos_token": "<s>"})


def test_a_tokenizer_without_post_processor_adds_nothing() -> None:
    assert not adds_bos({"post_processor": None, "model": {}}, {"bos_token": "<s>"})
