"""Rows for a trainer that reads no template: prompts and completions, the template filled in."""

import json

from tunedrop.domain.prompt_template import PROMPT_AND_COMPLETION, PromptTemplate
from tunedrop.validation.rows.instruction import InstructionRows

TEMPLATE = PromptTemplate(prompt_text="What is {colour}?", completion_text="{feeling}!")


def test_rows_are_handed_on_with_the_template_filled_in() -> None:
    rows = InstructionRows(TEMPLATE, applied=True)
    good = rows.judge(b'{"colour": "r\\u00e9d {x}", "feeling": "warm", "spare": 1}')

    (line,) = rows.written(good.line).splitlines()

    assert json.loads(line) == {"prompt": "What is r\u00e9d {x}?", "completion": "warm!"}
    assert rows.held_out(good.row) == json.loads(line), "what is asked is what was trained"


def test_a_script_is_given_the_rows_as_they_are() -> None:
    text = b'{"colour":"red","feeling":"warm"}\n'

    assert InstructionRows(TEMPLATE).written(text) == text


def test_rows_that_are_prompts_and_completions_stay_as_they_are() -> None:
    text = b'{"prompt":"red","completion":"warm"}\n'

    assert InstructionRows(PROMPT_AND_COMPLETION, applied=True).written(text) == text
