"""What the pages point to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_tests_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    links = {page.parent / each.partition("#")[0] for each in re.findall(r"\]\((?!https?://|#)([^)\s]+)\)", text)}
    tests = {ROOT / each for each in re.findall(r"`(tests/[\w/]+\.py)`", text)}
    assert [str(each) for each in sorted(links | tests) if not each.exists()] == []
