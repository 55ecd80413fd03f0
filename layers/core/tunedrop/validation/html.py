"""The report on a dataset as one page."""

import math
from collections.abc import Iterable, Sequence

from tunedrop.domain.words import Fact, number, share_words, size
from tunedrop.markup.charts import label, percent
from tunedrop.markup.elements import (
    NOTHING,
    Html,
    column,
    data,
    data_table,
    document,
    element,
    fact_list,
    join,
    number_column,
    section,
    text,
)
from tunedrop.validation.findings import Finding
from tunedrop.validation.report import HistogramBin, LabelCount, Tokens, ValidationReport
from tunedrop.validation.wording import (
    Group,
    duplicate_facts,
    groups,
    rows,
    shown_labels,
    subject,
    tally,
    token_facts,
    verdict,
)

OPEN_FINDINGS = 5
"""Findings of one code that are seen without unfolding the others."""

AXIS_LABELS = 6
"""Numbers under the histogram: as many as a phone has room for."""

FAINTEST = 0.012
"""Height of the lowest bar: one row among a million is seen."""


def render(report: ValidationReport, *, title: str) -> str:
    """Return the page as text; equal reports make equal pages."""
    return document(
        f"{verdict(report)}: {title}",
        eyebrow="Tunedrop: validation of a dataset",
        heading=title,
        subject=subject(report),
        main=(
            _verdict(report),
            _findings(groups(report)),
            _files(report),
            lengths(report.tokens, report.lengths),
            _labels(report.labels),
            section("duplicates", "Duplicates and leakage", fact_list(duplicate_facts(report.duplicates))),
            _training(report),
            _not_checked(report.not_checked),
            _limits(report),
        ),
        footer="Excerpts are cut, written in printable ASCII, and likely secrets in them masked.",
    )


# -------------------------------------------------------------------------------------------------- parts of the page


def _verdict(report: ValidationReport) -> Html:
    return element(
        "section",
        element("h2", text(verdict(report)), id="verdict"),
        element("p", text(tally(report))),
        element("p", text(rows(report))),
        class_=f"verdict {'accepted' if report.accepted else 'refused'}",
        aria_labelledby="verdict",
    )


def _findings(found: Sequence[Group]) -> Html:
    if not found:
        return NOTHING
    return section("findings", "Findings", *(_group(each) for each in found))


def _group(group: Group) -> Html:
    heading = f"finding-{group.code}"
    shown, folded = group.findings[:OPEN_FINDINGS], group.findings[OPEN_FINDINGS:]
    parts = [
        element(
            "div",
            element(
                "h3",
                element("span", data(group.title)),
                element("span", text(number(group.total, group.severity.value)), class_="count"),
                element("code", text(group.code), class_="at"),
                id=heading,
            ),
            element("p", text(f"Fix: {group.fix}")) if group.fix else NOTHING,
            class_="head",
        ),
        _places(shown),
    ]
    if folded:
        summary = element("summary", text(f"and {len(folded):,} more"))
        parts.append(element("details", summary, _places(folded)))
    if group.unlisted:
        counted = f"and {group.unlisted:,} more, counted and not kept." if group.findings else "Counted and not kept."
        parts.append(element("p", text(counted), class_="more soft"))
    return element("section", *parts, class_=f"group {group.severity.value}", aria_labelledby=heading)


def _places(findings: Sequence[Finding]) -> Html:
    if not findings:
        return NOTHING
    return element("ul", *(element("li", _finding(each)) for each in findings), class_="places")


def _finding(finding: Finding) -> Html:
    parts = [element("code", data(finding.where or "the whole dataset"), class_="place")]
    if finding.offset is not None:
        parts.append(element("span", text(f"byte {finding.offset:,}"), class_="at"))
    if finding.path:
        parts.append(element("code", data(finding.path), class_="at"))
    message = element("div", data(finding.message))
    excerpt = element("code", data(finding.excerpt), class_="excerpt") if finding.excerpt else NOTHING
    return join(Html(" ".join(parts)), message, excerpt)


def _files(report: ValidationReport) -> Html:
    head = element(
        "tr", column("File"), column("For"), *map(number_column, ("Size", "Good rows", "Faulty", "Blank lines"))
    )
    body = (
        element(
            "tr",
            element("th", element("code", data(each.name)), scope="row"),
            element("td", text(each.role.value)),
            *(
                element("td", text(value), class_="n")
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
    table = data_table("files", f"{number(len(report.files), 'file')}.", head, body)
    return section("files", "Files and rows", table, fact_list(facts))


def lengths(tokens: Tokens | None, bins: Sequence[HistogramBin]) -> Html:
    """Show how long the rows are, in numbers and as a histogram."""
    if tokens is None:
        return section("tokens", "Length in tokens", element("p", text("No row is good, so none was measured.")))
    chart = _chart(bins, tokens.max_input_length) if bins else NOTHING
    return section("tokens", "Length in tokens", fact_list(token_facts(tokens)), chart)


def _labels(labels: tuple[LabelCount, ...] | None) -> Html:
    if not labels:
        return section("labels", "Labels", element("p", text("The answers are free text, not labels.")))
    total = sum(each.rows for each in labels)
    listed = shown_labels(labels)
    most = max(each.rows for each in listed)
    head = element(
        "tr", column("Label"), number_column("Rows"), number_column("Share"), element("td", aria_hidden="true")
    )
    body = (
        element(
            "tr",
            element("th", data(each.label), scope="row"),
            element("td", text(f"{each.rows:,}"), class_="n"),
            element("td", text(share_words(each.rows, total)), class_="n"),
            element(
                "td", element("span", style=f"width:{percent(each.rows / most)}"), class_="bars", aria_hidden="true"
            ),
        )
        for each in listed
    )
    caption = f"{number(len(labels), 'label')} in the rows to train on, most frequent first."
    return section("labels", "Labels", data_table("labels", caption, head, body))


def _training(report: ValidationReport) -> Html:
    steps = report.expected_steps
    said = "Not known: the batch size is not." if steps is None else f"{number(steps, 'step')} of the optimiser."
    return section("training", "Expected training", element("p", text(said)))


def _not_checked(reasons: Sequence[str]) -> Html:
    if not reasons:
        return section("not-checked", "Not checked", element("p", text("Everything was looked at.")))
    listed = (element("li", data(reason)) for reason in reasons)
    return section("not-checked", "Not checked", element("ul", *listed, class_="plain"))


def _limits(report: ValidationReport) -> Html:
    values = report.limits.model_dump(mode="json")
    head = element("tr", column("Limit"), number_column("Value"))
    body = (
        element(
            "tr",
            element("th", element("code", text(name)), scope="row"),
            element("td", text(f"{value:,}"), class_="n"),
        )
        for name, value in values.items()
    )
    table = data_table("limits", "What the report was made with.", head, body)
    summary = element("summary", text(f"{len(values)} limits"))
    return section("limits", "Limits", element("details", summary, table))


# ------------------------------------------------------------------------------------------------------ the histogram


def _chart(bins: Sequence[HistogramBin], limit: int | None) -> Html:
    """Draw the bins side by side, in per cent of the width: bars scale with the page, letters do not."""
    most = max(each.rows for each in bins)
    total = sum(each.rows for each in bins)
    width = 1 / len(bins)
    bars = (_bar(each, index * width, width, most, limit) for index, each in enumerate(bins) if each.rows)
    peak = max(range(len(bins)), key=lambda index: bins[index].rows)
    # The bars' own field, so that their heights are per cent of it: above it the mark's words, below it the axis.
    field = element("svg", *bars, x="0", y="34", width="100%", height="150")
    drawing = element(
        "svg",
        element("title", text("How many rows have which length"), id="chart-title"),
        element("desc", text(_described(bins, total, limit)), id="chart-desc"),
        field,
        element("line", x1="0", x2="100%", y1="184.5", y2="184.5", class_="axis"),
        label((peak + 0.5) * width, 30, number(most, "row")),
        *_axis(bins, width),
        *_mark(bins, limit, width),
        class_="chart",
        style=f"max-width:{max(20, 3 * len(bins))}rem",
        role="img",
        aria_labelledby="chart-title chart-desc",
    )
    caption = "Rows by length in tokens, prompt and answer together. The scale is logarithmic"
    over = " bars in the second colour are cut off." if limit is not None and bins[-1].low >= limit else ""
    return element(
        "figure",
        element("figcaption", text(f"{caption};{over}" if over else f"{caption}.")),
        drawing,
        element("details", element("summary", text("The same in numbers")), _bins(bins, total)),
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
    return element(
        "rect",
        x=percent(left + width * 0.06),
        width=percent(width * 0.88),
        y=percent(1 - tall),
        height=percent(tall),
        class_="bar over" if over else "bar",
    )


def _axis(bins: Sequence[HistogramBin], width: float) -> Iterable[Html]:
    edges = [*(each.low for each in bins), bins[-1].high]
    for index in range(0, len(edges), math.ceil(len(edges) / AXIS_LABELS)):
        at = percent(index * width)
        yield element("line", x1=at, x2=at, y1="184", y2="189", class_="axis")
        yield label(index * width, 204, f"{edges[index]:,}")


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
    at = percent(place)
    yield element("line", x1=at, x2=at, y1="16", y2="184", class_="mark")
    yield label(place, 11, words, margin=0.2, class_="limit")


def _bins(bins: Sequence[HistogramBin], total: int) -> Html:
    head = element("tr", column("Tokens"), number_column("Rows"), number_column("Share"))
    body = (
        element(
            "tr",
            element("th", text(_range(each)), scope="row"),
            element("td", text(f"{each.rows:,}"), class_="n"),
            element("td", text(share_words(each.rows, total)), class_="n"),
        )
        for each in bins
    )
    return data_table("bins", "Rows by length in tokens.", head, body)


def _range(each: HistogramBin) -> str:
    return f"{each.low:,}" if each.high - each.low == 1 else f"{each.low:,} to {each.high - 1:,}"
