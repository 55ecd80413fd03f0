"""The page holds all of the report, none of it as markup, and can be read by anybody."""

import html
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings

from tests.markup_page import ATTRIBUTES, ELEMENTS, HOSTILE, UNSEEN, Page
from tests.validation.sample_reports import FINDINGS, clean, one, report
from tunedrop.domain.plan import FileRole, Technique
from tunedrop.domain.words import visible
from tunedrop.validation.html import render
from tunedrop.validation.report import FileStatistics, HistogramBin, LabelCount, ValidationReport


def hostile_report(text: str) -> ValidationReport:
    # A report that was read from JSON holds no halves of surrogate pairs; a page must not break on them all the same.
    honest = report()
    return honest.model_copy(
        update={
            "findings": (one(message=text, file=text, path=text, excerpt=text), one(code="data.not-json", fix=text)),
            "files": (honest.files[0].model_copy(update={"name": text}),),
            "labels": (LabelCount(label="a", rows=3).model_copy(update={"label": text}),),
            "model_id": text,
            "not_checked": (text,),
            "tokens": honest.tokens and honest.tokens.model_copy(update={"tokenizer": text}),
        }
    )


@given(HOSTILE)
@settings(max_examples=80)
def test_no_text_of_a_dataset_becomes_markup_or_stays_unseen(text: str) -> None:
    rendered = render(hostile_report(text), title=text)
    page = Page(rendered)

    assert {name for name, _ in page.elements} <= ELEMENTS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    assert not re.search(UNSEEN, rendered)
    rendered.encode()
    # The message, path, excerpt and file, the title, and what was not checked; long labels are cut.
    assert page.shown.count(visible(text)) >= 6 * bool(text)


def test_a_bidi_control_is_spelt_out() -> None:
    assert "user\\u202egnp.exe" in Page(render(hostile_report("user\u202egnp.exe"), title="x")).text


def test_the_page_has_landmarks_and_headings_in_order() -> None:
    page = Page(render(report(), title="bank-transactions"))

    assert page.all("html") == [{"lang": "en"}]
    assert [len(page.all(tag)) for tag in ("header", "main", "footer", "h1", "title")] == [1, 1, 1, 1, 2]
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [name for _, attributes in page.elements for name in (attributes.get("aria-labelledby") or "").split()]
    assert set(named) <= set(ids)


def test_every_header_of_a_table_says_what_it_heads() -> None:
    page = Page(render(report(), title="x"))

    assert {attributes.get("scope") for attributes in page.all("th")} == {"row", "col"}
    assert len(page.all("caption")) == len(page.all("table")) == 4


def test_nothing_is_fetched_and_nothing_is_run() -> None:
    rendered = render(report(), title="x")
    page = Page(rendered)

    policy = {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"}
    assert policy in page.all("meta")
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script", rendered)
    assert [attributes["href"] for attributes in page.all("a")] == ["#verdict"]


def test_the_verdict_comes_first() -> None:
    text = Page(render(report(), title="bank-transactions")).text

    assert text.startswith("Refused: bank-transactions")
    assert text.index("13 errors of 2 kinds and 104 warnings of 2 kinds.") < text.index("Fields missing")
    assert "Accepted" in Page(render(clean(), title="x")).text


def test_every_finding_that_was_kept_is_there_and_the_others_are_counted() -> None:
    text = Page(render(report(), title="x")).text

    for each in FINDINGS:
        assert (each.where or "the whole dataset") in text
        assert each.offset is None or f"byte {each.offset:,}" in text
    assert "and 7 more" in text, "folded"
    assert "and 100 more, counted and not kept." in text


def test_a_code_of_which_no_place_was_kept_is_counted() -> None:
    text = Page(render(report(findings=()), title="x")).text

    assert "Lines that are not JSON" in text
    assert "Counted and not kept." in text


def test_the_histogram_tells_its_numbers_in_words_and_in_a_table() -> None:
    page = Page(render(report(), title="x"))
    chart = page.all("svg")[0]

    assert chart["role"] == "img"
    assert chart["aria-labelledby"] == "chart-title chart-desc"
    assert len(page.all("rect")) == 4
    assert sum(attributes["class"] == "bar over" for attributes in page.all("rect")) == 1
    for told in ("964 rows of 8 to 127 tokens", "max_input_length 64", "64 to 127", "32 to 63"):
        assert told in page.text


@pytest.mark.parametrize(
    "bins",
    [
        (HistogramBin(low=0, high=1, rows=1),),
        (HistogramBin(low=7, high=8, rows=0),),
        tuple(HistogramBin(low=number, high=number + 1, rows=number % 3) for number in range(90)),
    ],
)
@pytest.mark.parametrize("limit", [None, 1, 7, 45, 4096])
def test_any_histogram_can_be_drawn(bins: tuple[HistogramBin, ...], limit: int | None) -> None:
    tokens = report().tokens
    assert tokens is not None

    page = Page(render(report(lengths=bins, tokens=tokens.model_copy(update={"max_input_length": limit})), title="x"))

    places = [attributes["x"] or "" for attributes in page.all("text")]
    assert all(0 <= float(place.rstrip("%")) <= 100 for place in places)


def test_twenty_labels_are_listed_and_the_others_summed() -> None:
    text = Page(render(report(), title="x")).text

    assert "label 19" in text
    assert "label 20" not in text
    assert "(3 other labels)" in text


def test_what_is_not_there_is_said() -> None:
    text = Page(
        render(clean(tokens=None, lengths=(), labels=None, expected_steps=None, not_checked=()), title="x")
    ).text

    for told in ("No row is good", "free text, not labels", "Not known", "Everything was looked at."):
        assert told in text
    assert "Findings" not in text


def test_equal_reports_make_equal_pages() -> None:
    assert render(report(), title="x") == render(report(), title="x")


def test_a_large_report_stays_a_small_page() -> None:
    many = tuple(one(line=number, offset=number) for number in range(1_000))
    files = tuple(
        FileStatistics(
            name=f"training/{number}.jsonl", role=FileRole.TRAINING, bytes=1, rows=1, faulty_rows=0, blank_lines=0
        )
        for number in range(200)
    )

    assert len(render(report(findings=many, files=files, technique=Technique.CHAT), title="x")) < 1_000_000


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(theme: int) -> None:
    style = html.unescape(render(report(), title="x"))
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", re.findall(r":root \{.*?\}", style, re.DOTALL)[theme]))
    pairs = [(ink, behind) for ink in ("ink", "soft", "link") for behind in ("paper", "card", "code")]
    tinted = [(kind, f"{kind}-tint") for kind in ("error", "warning", "good")]
    washed = [("ink", f"{kind}-tint") for kind in ("error", "good")]

    for ink, behind in (*pairs, *tinted, *washed):
        lighter, darker = sorted((luminance(colours[ink]), luminance(colours[behind])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (ink, behind)
    for drawn in ("bar", "cut"):
        lighter, darker = sorted((luminance(colours[drawn]), luminance(colours["paper"])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3, drawn
