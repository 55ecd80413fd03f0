"""What the pages point to is there."""

import re
from pathlib import Path

import pytest

from tests.stack import TEMPLATE

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_every_decision_has_a_number_of_its_own() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(each.name[:4]) for each in decisions]
    assert numbers == list(range(1, len(decisions) + 1))
    assert [each.name for each, number in zip(decisions, numbers, strict=True) if _title(each) != number] == []


def _title(decision: Path) -> int | None:
    found = re.match(r"# (\d+)\. ", decision.read_text())
    return int(found[1]) if found else None


def test_every_stack_parameter_is_told_on_a_page() -> None:
    pages = "\n".join(page.read_text() for page in PAGES if page.name != "CHANGELOG.md")
    assert [name for name in TEMPLATE["Parameters"] if not re.search(rf"\b{name}\b", pages)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_tests_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    links = {page.parent / each.partition("#")[0] for each in re.findall(r"\]\((?!https?://|#)([^)\s]+)\)", text)}
    tests = {ROOT / each for each in re.findall(r"`(tests/[\w/]+\.py)`", text)}
    assert [str(each) for each in sorted(links | tests) if not each.exists()] == []
