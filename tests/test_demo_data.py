"""The demo's drop: generated, complete, and fair."""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

DEMO = Path(__file__).parent.parent / "demo" / "bank-transactions"


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DEMO / name).read_text(encoding="utf-8").splitlines()]


def test_the_committed_rows_are_what_the_generator_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(DEMO.with_name("bank_transactions.py")), str(tmp_path)], check=True)
    for name in ("train.jsonl", "held-out.jsonl"):
        assert (tmp_path / name).read_bytes() == (DEMO / name).read_bytes()


def test_no_bank_line_is_both_trained_on_and_held_out() -> None:
    training, held_out = ({row["context"] for row in rows(name)} for name in ("train.jsonl", "held-out.jsonl"))
    assert (len(training), len(held_out)) == (640, 80)
    assert not training & held_out


def test_every_held_out_account_occurs_in_the_training_rows() -> None:
    assert {row["response"] for row in rows("held-out.jsonl")} <= {row["response"] for row in rows("train.jsonl")}


def test_no_constant_answer_scores_well() -> None:
    answers = [row["response"] for row in rows("held-out.jsonl")]
    assert max(answers.count(answer) for answer in answers) / len(answers) < 0.2


def test_one_merchant_is_booked_to_different_accounts() -> None:
    booked = defaultdict(set)
    for row in rows("train.jsonl"):
        for merchant in ("KETTLE ROW", "CASA LUMEN", "LENSWORKS"):
            if merchant in row["context"]:
                booked[merchant].add(row["response"])
    assert booked == {
        "KETTLE ROW": {"Client Coffee", "Owner Draw"},
        "CASA LUMEN": {"Crew Meals", "Client Hosting"},
        "LENSWORKS": {"Small Kit", "Kit Register"},
    }


def test_the_template_names_fields_that_every_row_has() -> None:
    template = json.loads((DEMO / "template.json").read_text(encoding="utf-8"))
    for row in [*rows("train.jsonl"), *rows("held-out.jsonl")]:
        assert template["prompt"].format(**row)
        assert template["completion"].format(**row) == row["response"]
