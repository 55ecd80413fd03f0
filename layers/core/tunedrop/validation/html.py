"""The report as one page: no script, nothing fetched, readable on a phone, on paper and by ear.

Text becomes `Html` through `_text` alone, and elements take nothing but `Html`: what is not escaped is a type error.
"""

import html
import math
from collections.abc import Iterable, Sequence
from typing import NewType

from tunedrop.validation.findings import Finding
from tunedrop.validation.report import HistogramBin, LabelCount, Tokens, ValidationReport
from tunedrop.validation.wording import (
    Fact,
    Group,
    duplicate_facts,
    groups,
    number,
    rows,
    shown_labels,
    size,
    subject,
    tally,
    token_facts,
    verdict,
    visible,
)

OPEN_FINDINGS = 5
"""Findings of one code that are seen without unfolding the others."""

AXIS_LABELS = 6
"""Numbers under the histogram: as many as a phone has room for."""

FAINTEST = 0.012
"""Height of the lowest bar: one row among a million is seen."""

Html = NewType("Html", str)

_NOTHING = Html("")
_VOID = frozenset({"meta"})

_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --card: #ffffff; --ink: #1d1f23; --soft: #595d66; --rule: #d9d9d3;
  --error: #a8201a; --error-tint: #fbeceb; --warning: #7a5200; --warning-tint: #fbf3df;
  --good: #1c6534; --good-tint: #e8f4ec; --bar: #4a6fa5; --cut: #b5541c; --link: #1f4f8f; --code: #f1f1ec;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #16181c; --card: #1e2126; --ink: #e6e6e3; --soft: #a5a9b1; --rule: #3a3e45;
    --error: #ff9c93; --error-tint: #3a1f1e; --warning: #ecc069; --warning-tint: #362b15;
    --good: #8fd3a4; --good-tint: #1b3223; --bar: #7ea3d9; --cut: #e58a52; --link: #9dc1f5; --code: #282c32;
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { font: 100%/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere; }
header, main, footer { max-width: 54rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2rem); }
header { padding-top: 2.25rem; }
main { padding-bottom: 2rem; }
footer { padding-bottom: 3rem; color: var(--soft); font-size: .875rem; }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; margin: 0; font-weight: 650; }
h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.125rem); letter-spacing: -.015em; }
h2 { font-size: 1.3125rem; letter-spacing: -.01em; margin: 2.75rem 0 .875rem; }
h3 { font-size: 1rem; }
p { margin: .375rem 0; }
a { color: var(--link); }
.eyebrow, .soft, caption { color: var(--soft); }
.eyebrow { margin: 0 0 .25rem; font-size: .875rem; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .25rem .75rem; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code { font: .875em/1.45 ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; }
.verdict { margin: 1.25rem 0 0; padding: 1rem 1.25rem; border-left: .375rem solid; border-radius: .25rem; }
.verdict h2 { margin: 0 0 .25rem; font-size: 1.5rem; }
.verdict p { color: var(--ink); }
.verdict.refused { color: var(--error); background: var(--error-tint); }
.verdict.accepted { color: var(--good); background: var(--good-tint); }
.group { margin: 0 0 1rem; background: var(--card); border: 1px solid var(--rule); border-radius: .375rem; }
.group > .head { padding: .875rem 1.125rem .75rem; }
.group .head h3 { display: flex; flex-wrap: wrap; gap: .25rem .625rem; align-items: baseline; }
.count { font-size: .8125rem; font-weight: 600; padding: .0625rem .5rem; border-radius: 1rem; white-space: nowrap; }
.error .count { color: var(--error); background: var(--error-tint); }
.warning .count { color: var(--warning); background: var(--warning-tint); }
.head code { margin-left: auto; font-weight: 400; }
.head p { font-size: .9375rem; }
.places { margin: 0; padding: 0; list-style: none; }
.places li { padding: .5rem 1.125rem; border-top: 1px solid var(--rule); font-size: .9375rem; }
.place { font-weight: 600; }
.at { color: var(--soft); font-size: .8125rem; }
.excerpt { display: block; margin-top: .25rem; padding: .25rem .5rem; background: var(--code); border-radius: 3px; }
.group .more { margin: 0; padding: .5rem 1.125rem; border-top: 1px solid var(--rule); font-size: .9375rem; }
summary { cursor: pointer; color: var(--link); padding: .5rem 0; }
.group summary { padding: .5rem 1.125rem; border-top: 1px solid var(--rule); font-size: .9375rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9375rem; }
.files, .labels { width: 100%; }
caption { text-align: left; font-size: .875rem; padding-bottom: .375rem; }
th, td { text-align: left; vertical-align: baseline; padding: .375rem .875rem .375rem 0; font-weight: 400; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: .8125rem; white-space: nowrap; }
tr { border-bottom: 1px solid var(--rule); }
th.n, td.n { text-align: right; white-space: nowrap; }
td { overflow-wrap: normal; }
.files tbody th { min-width: 9rem; }
.files td:nth-child(2) { white-space: nowrap; }
.scroll + dl { margin-top: 1.5rem; }
.labels td.bars { width: 45%; vertical-align: middle; }
.bars span { display: block; height: .625rem; min-width: 1px; background: var(--bar); }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; margin: 0; }
dt, dd { margin: 0; padding: .3125rem 1.5rem .3125rem 0; border-bottom: 1px solid var(--rule); font-size: .9375rem; }
dt { color: var(--soft); max-width: 17rem; }
figure { margin: 1.75rem 0 .5rem; }
figcaption { color: var(--soft); font-size: .875rem; margin-bottom: .5rem; }
.chart { display: block; width: 100%; height: 13.5rem; overflow: visible; font-size: 12px; }
.chart text { fill: var(--soft); font-variant-numeric: tabular-nums; }
.chart .bar { fill: var(--bar); }
.chart .bar.over { fill: var(--cut); }
.chart .axis { stroke: var(--soft); }
.chart .mark { stroke: var(--cut); stroke-width: 1.5; stroke-dasharray: 5 3; }
.chart text.limit { fill: var(--ink); }
ul.plain { padding-left: 1.125rem; margin: 0; max-width: 42rem; }
@media (max-width: 30rem) {
  dl { grid-template-columns: 1fr; }
  dt { border: 0; padding: .375rem 0 0; font-size: .8125rem; }
  dd { padding: 0 0 .375rem; }
  .group > .head, .places li, .group summary, .group .more { padding-left: .875rem; padding-right: .875rem; }
  .labels td.bars { width: 30%; }
}
@media print {
  @page { margin: 18mm 16mm; }
  html { font-size: 10pt; }
  body { background: none; }
  header, main, footer { max-width: none; padding: 0; }
  .skip { display: none; }
  .scroll { overflow: visible; }
  h2, h3, .head { break-after: avoid; }
  li, tr, figure, .head { break-inside: avoid; }
  figure > details::details-content, main > section > details::details-content {
    display: block; content-visibility: visible; block-size: auto;
  }
  .bars span, .bar, .verdict, .count, .excerpt { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""


def render(report: ValidationReport, *, title: str) -> str:
    """Return the page as text; equal reports make equal pages."""
    head = _join(
        _element("meta", charset="utf-8"),
        _element("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        _element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _element("meta", name="color-scheme", content="light dark"),
        _element("title", _text(f"{verdict(report)}: {title}")),
        _element("style", Html(_STYLE)),
    )
    body = _join(
        _element("a", _text("Skip to the verdict"), class_="skip", href="#verdict"),
        _element(
            "header",
            _element("p", _text("Tunedrop: validation of a dataset"), class_="eyebrow"),
            _element("h1", _data(title)),
            _element("p", _text(subject(report)), class_="soft"),
        ),
        _element(
            "main",
            _verdict(report),
            _findings(groups(report)),
            _files(report),
            _lengths(report.tokens, report.lengths),
            _labels(report.labels),
            _section("duplicates", "Duplicates and leakage", _facts(duplicate_facts(report.duplicates))),
            _training(report),
            _not_checked(report.not_checked),
            _limits(report),
        ),
        _element(
            "footer",
            _element("p", _text("Excerpts are cut, written in printable ASCII, and likely secrets in them masked.")),
        ),
    )
    return f"<!doctype html>\n{_element('html', _element('head', head), _element('body', body), lang='en')}\n"


# -------------------------------------------------------------------------------------------------- parts of the page


def _verdict(report: ValidationReport) -> Html:
    return _element(
        "section",
        _element("h2", _text(verdict(report)), id="verdict"),
        _element("p", _text(tally(report))),
        _element("p", _text(rows(report))),
        class_=f"verdict {'accepted' if report.accepted else 'refused'}",
        aria_labelledby="verdict",
    )


def _findings(found: Sequence[Group]) -> Html:
    if not found:
        return _NOTHING
    return _section("findings", "Findings", *(_group(each) for each in found))


def _group(group: Group) -> Html:
    heading = f"finding-{group.code}"
    shown, folded = group.findings[:OPEN_FINDINGS], group.findings[OPEN_FINDINGS:]
    parts = [
        _element(
            "div",
            _element(
                "h3",
                _element("span", _data(group.title)),
                _element("span", _text(number(group.total, group.severity.value)), class_="count"),
                _element("code", _text(group.code), class_="at"),
                id=heading,
            ),
            _element("p", _text(f"Fix: {group.fix}")) if group.fix else _NOTHING,
            class_="head",
        ),
        _places(shown),
    ]
    if folded:
        summary = _element("summary", _text(f"and {len(folded):,} more"))
        parts.append(_element("details", summary, _places(folded)))
    if group.unlisted:
        counted = f"and {group.unlisted:,} more, counted and not kept." if group.findings else "Counted and not kept."
        parts.append(_element("p", _text(counted), class_="more soft"))
    return _element("section", *parts, class_=f"group {group.severity.value}", aria_labelledby=heading)


def _places(findings: Sequence[Finding]) -> Html:
    if not findings:
        return _NOTHING
    return _element("ul", *(_element("li", _finding(each)) for each in findings), class_="places")


def _finding(finding: Finding) -> Html:
    parts = [_element("code", _data(finding.where or "the whole dataset"), class_="place")]
    if finding.offset is not None:
        parts.append(_element("span", _text(f"byte {finding.offset:,}"), class_="at"))
    if finding.path:
        parts.append(_element("code", _data(finding.path), class_="at"))
    message = _element("div", _data(finding.message))
    excerpt = _element("code", _data(finding.excerpt), class_="excerpt") if finding.excerpt else _NOTHING
    return _join(Html(" ".join(parts)), message, excerpt)


def _files(report: ValidationReport) -> Html:
    head = _element(
        "tr", _head("File"), _head("For"), *map(_number_head, ("Size", "Good rows", "Faulty", "Blank lines"))
    )
    body = (
        _element(
            "tr",
            _element("th", _element("code", _data(each.name)), scope="row"),
            _element("td", _text(each.role.value)),
            *(
                _element("td", _text(value), class_="n")
                for value in (size(each.bytes), f"{each.rows:,}", f"{each.faulty_rows:,}", f"{each.blank_lines:,}")
            ),
        )
        for each in report.files
    )
    inflated = any(each.name.endswith(".gz") for each in report.files)
    facts = (
        Fact("To train on", number(report.training_rows, "row")),
        Fact("To validate with", number(report.validation_rows, "row")),
        Fact("Held out, to measure with", number(report.held_out_rows, "row")),
        Fact("Faulty", number(report.faulty_rows, "row")),
        Fact("Read", size(report.bytes) + (", inflated" if inflated else "")),
    )
    table = _table("files", f"{number(len(report.files), 'file')}.", head, body)
    return _section("files", "Files and rows", table, _facts(facts))


def _lengths(tokens: Tokens | None, bins: Sequence[HistogramBin]) -> Html:
    if tokens is None:
        return _section("tokens", "Length in tokens", _element("p", _text("No row is good, so none was measured.")))
    chart = _chart(bins, tokens.max_input_length) if bins else _NOTHING
    return _section("tokens", "Length in tokens", _facts(token_facts(tokens)), chart)


def _labels(labels: tuple[LabelCount, ...] | None) -> Html:
    if not labels:
        return _section("labels", "Labels", _element("p", _text("The answers are free text, not labels.")))
    total = sum(each.rows for each in labels)
    listed = shown_labels(labels)
    most = max(each.rows for each in listed)
    head = _element(
        "tr", _head("Label"), _number_head("Rows"), _number_head("Share"), _element("td", aria_hidden="true")
    )
    body = (
        _element(
            "tr",
            _element("th", _data(each.label), scope="row"),
            _element("td", _text(f"{each.rows:,}"), class_="n"),
            _element("td", _text(_share(each.rows, total)), class_="n"),
            _element(
                "td", _element("span", style=f"width:{_percent(each.rows / most)}"), class_="bars", aria_hidden="true"
            ),
        )
        for each in listed
    )
    caption = f"{number(len(labels), 'label')} in the rows to train on, most frequent first."
    return _section("labels", "Labels", _table("labels", caption, head, body))


def _training(report: ValidationReport) -> Html:
    steps = report.expected_steps
    said = "Not known: the batch size is not." if steps is None else f"{number(steps, 'step')} of the optimiser."
    return _section("training", "Expected training", _element("p", _text(said)))


def _not_checked(reasons: Sequence[str]) -> Html:
    if not reasons:
        return _section("not-checked", "Not checked", _element("p", _text("Everything was looked at.")))
    listed = (_element("li", _data(reason)) for reason in reasons)
    return _section("not-checked", "Not checked", _element("ul", *listed, class_="plain"))


def _limits(report: ValidationReport) -> Html:
    values = report.limits.model_dump(mode="json")
    head = _element("tr", _head("Limit"), _number_head("Value"))
    body = (
        _element(
            "tr",
            _element("th", _element("code", _text(name)), scope="row"),
            _element("td", _text(f"{value:,}"), class_="n"),
        )
        for name, value in values.items()
    )
    table = _table("limits", "What the report was made with.", head, body)
    summary = _element("summary", _text(f"{len(values)} limits"))
    return _section("limits", "Limits", _element("details", summary, table))


# ------------------------------------------------------------------------------------------------------ the histogram


def _chart(bins: Sequence[HistogramBin], limit: int | None) -> Html:
    """Draw the bins side by side, in per cent of the width: bars scale with the page, letters do not."""
    most = max(each.rows for each in bins)
    total = sum(each.rows for each in bins)
    width = 1 / len(bins)
    bars = (_bar(each, index * width, width, most, limit) for index, each in enumerate(bins) if each.rows)
    peak = max(range(len(bins)), key=lambda index: bins[index].rows)
    # The bars' own field, so that their heights are per cent of it: above it the mark's words, below it the axis.
    field = _element("svg", *bars, x="0", y="34", width="100%", height="150")
    drawing = _element(
        "svg",
        _element("title", _text("How many rows have which length"), id="chart-title"),
        _element("desc", _text(_described(bins, total, limit)), id="chart-desc"),
        field,
        _element("line", x1="0", x2="100%", y1="184.5", y2="184.5", class_="axis"),
        _label((peak + 0.5) * width, 30, number(most, "row")),
        *_axis(bins, width),
        *_mark(bins, limit, width),
        class_="chart",
        style=f"max-width:{max(20, 3 * len(bins))}rem",
        role="img",
        aria_labelledby="chart-title chart-desc",
    )
    caption = "Rows by length in tokens, prompt and answer together. The scale is logarithmic"
    over = " bars in the second colour are cut off." if limit is not None and bins[-1].low >= limit else ""
    return _element(
        "figure",
        _element("figcaption", _text(f"{caption};{over}" if over else f"{caption}.")),
        drawing,
        _element("details", _element("summary", _text("The same in numbers")), _bins(bins, total)),
    )


def _described(bins: Sequence[HistogramBin], total: int, limit: int | None) -> str:
    peak = max(bins, key=lambda each: each.rows)
    told = (
        f"{number(total, 'row')} of {bins[0].low:,} to {bins[-1].high - 1:,} tokens; most, {peak.rows:,}, have "
        f"{_range(peak)}. "
    )
    reads = "" if limit is None else f"Training reads {limit:,} tokens of a row. "
    return f"{told}{reads}The numbers stand in the table below."


def _bar(each: HistogramBin, left: float, width: float, most: int, limit: int | None) -> Html:
    tall = max(FAINTEST, each.rows / most)
    over = limit is not None and each.low >= limit
    return _element(
        "rect",
        x=_percent(left + width * 0.06),
        width=_percent(width * 0.88),
        y=_percent(1 - tall),
        height=_percent(tall),
        class_="bar over" if over else "bar",
    )


def _axis(bins: Sequence[HistogramBin], width: float) -> Iterable[Html]:
    edges = [*(each.low for each in bins), bins[-1].high]
    for index in range(0, len(edges), math.ceil(len(edges) / AXIS_LABELS)):
        at = _percent(index * width)
        yield _element("line", x1=at, x2=at, y1="184", y2="189", class_="axis")
        yield _label(index * width, 204, f"{edges[index]:,}")


def _mark(bins: Sequence[HistogramBin], limit: int | None, width: float) -> Iterable[Html]:
    """Mark where training stops to read; at the edge, with an arrow, when that is beyond all rows."""
    if limit is None:
        return
    place, words = 1.0, f"max_input_length {limit:,} →"
    for index, each in enumerate(bins):
        if limit < each.high:
            share = (limit - each.low) / (each.high - each.low)
            place, words = (index + min(1, max(0, share))) * width, f"max_input_length {limit:,}"
            break
    at = _percent(place)
    yield _element("line", x1=at, x2=at, y1="16", y2="184", class_="mark")
    yield _label(place, 11, words, class_="limit")


def _label(place: float, y: int, words: str, **attributes: str) -> Html:
    """Centre words on a place; at the edges they end, or begin, there."""
    margin = 0.2 if y < 20 else 0.08  # noqa: PLR2004 - the mark's words, at the top, are the longest
    anchor = "start" if place < margin else "end" if place > 1 - margin else "middle"
    return _element("text", _text(words), x=_percent(place), y=str(y), text_anchor=anchor, **attributes)


def _bins(bins: Sequence[HistogramBin], total: int) -> Html:
    head = _element("tr", _head("Tokens"), _number_head("Rows"), _number_head("Share"))
    body = (
        _element(
            "tr",
            _element("th", _text(_range(each)), scope="row"),
            _element("td", _text(f"{each.rows:,}"), class_="n"),
            _element("td", _text(_share(each.rows, total)), class_="n"),
        )
        for each in bins
    )
    return _table("bins", "Rows by length in tokens.", head, body)


def _range(each: HistogramBin) -> str:
    return f"{each.low:,}" if each.high - each.low == 1 else f"{each.low:,} to {each.high - 1:,}"


def _share(part: int, whole: int) -> str:
    """Write a share so that something is never told as nothing."""
    share = part / whole if whole else 0
    return "< 0.1%" if 0 < share < 0.001 else f"{share:.1%}"  # noqa: PLR2004 - what one decimal can say


def _percent(share: float) -> str:
    return f"{share * 100:.3f}".rstrip("0").rstrip(".") + "%"


# --------------------------------------------------------------------------------------------------------- elements


def _section(name: str, heading: str, *parts: Html) -> Html:
    return _element("section", _element("h2", _text(heading), id=name), *parts, aria_labelledby=name)


def _facts(facts: Iterable[Fact]) -> Html:
    return _element("dl", *(_join(_element("dt", _text(name)), _element("dd", _text(value))) for name, value in facts))


def _table(name: str, caption: str, head: Html, body: Iterable[Html]) -> Html:
    # A table that is wider than the screen scrolls by itself; tabindex lets the keyboard do it.
    table = _element(
        "table",
        _element("caption", _text(caption)),
        _element("thead", head),
        _element("tbody", *body),
        class_=name,
    )
    return _element("div", table, class_="scroll", role="region", tabindex="0", aria_label=caption)


def _head(words: str) -> Html:
    return _element("th", _text(words), scope="col")


def _number_head(words: str) -> Html:
    return _element("th", _text(words), scope="col", class_="n")


def _data(text: str) -> Html:
    """Set text of a user's apart from the page's, so that Arabic in a label does not turn the line around."""
    return _element("bdi", _text(text))


def _text(text: str) -> Html:
    return Html(html.escape(visible(text)))


def _join(*parts: Html) -> Html:
    return Html("".join(parts))


def _element(tag: str, *children: Html, **attributes: str) -> Html:
    """Write an element; `class_` and `aria_label` name attributes that are no names in Python."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(visible(value))}"' for name, value in attributes.items()
    )
    return Html(f"<{tag}{named}>" if tag in _VOID else f"<{tag}{named}>{''.join(children)}</{tag}>")
