"""What the terminal shows of a validation report."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tunedrop.domain import words
from tunedrop.validation import wording
from tunedrop.validation.findings import Finding, Severity
from tunedrop.validation.report import HistogramBin, ValidationReport

PLACES_SHOWN = 5
"""Places of one code; the page and the JSON hold all that are kept."""

BAR_WIDTH = 32
"""Characters of the longest bar: with the numbers before it and the mark behind it, 80 are enough."""

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}
_BLOCKS = " ▏▎▍▌▋▊▉█"
_EIGHTHS = len(_BLOCKS) - 1


class ReportView:
    """Lay a report out for one terminal, in the characters that it has."""

    def __init__(self, terminal: Console) -> None:
        """Take the width, the colours and the encoding from the terminal."""
        self._terminal = terminal
        self._unicode = terminal.encoding.lower().replace("-", "") == "utf8"

    def print(self, report: ValidationReport, name: str, ignored: Iterable[str]) -> None:
        """Print the report on the dataset `name`; `ignored` says which files are no part of it."""
        with self._terminal.capture() as captured:
            # The commands' console leaves lines to the terminal; a report of many indents has to break them itself.
            self._terminal.print(Group(*self._parts(report, name, tuple(ignored))), soft_wrap=False)
        # Rich fills what it indents up to the width.
        self._terminal.file.write(re.sub(" +$", "", captured.get(), flags=re.MULTILINE))

    def _parts(self, report: ValidationReport, name: str, ignored: Sequence[str]) -> Iterator[RenderableType]:
        colour = "bold green" if report.accepted else "bold red"
        yield Text.assemble((wording.verdict(report).upper(), colour), "  ", (self._plain(name), "bold"))
        yield Text(wording.tally(report))
        yield Text(wording.rows(report))
        yield self._text(wording.subject(report), "dim")
        for group in wording.groups(report):
            yield from self._group(group)
        yield from self._files(report)
        if report.tokens:
            yield from _headed("Length in tokens")
            yield self._facts(wording.token_facts(report.tokens))
            if report.lengths:
                yield Text("")
                yield self._histogram(report.lengths, report.tokens.max_input_length)
        if report.labels:
            yield from _headed("Labels")
            yield self._labels(report)
        yield from _headed("Duplicates and leakage")
        yield self._facts(wording.duplicate_facts(report.duplicates))
        if report.expected_steps is not None:
            yield from _headed("Expected training")
            yield Text(f"  {words.number(report.expected_steps, 'step')} of the optimiser")
        for heading, lines in (("Not checked", report.not_checked), ("Ignored", ignored)):
            if lines:
                yield from _headed(heading)
                yield from (Padding(self._text(line), (0, 0, 0, 2)) for line in lines)

    def _group(self, group: wording.Group) -> Iterator[RenderableType]:
        yield Text("")
        heading = f"{group.severity.value.upper()}  {group.title}: {group.total:,}"
        yield Text.assemble((heading, f"bold {_COLOURS[group.severity]}"), (f"  {group.code}", "dim"))
        for finding in group.findings[:PLACES_SHOWN]:
            yield from self._finding(finding)
        more = group.total - min(len(group.findings), PLACES_SHOWN)
        if more:
            yield Text(f"  and {more:,} more" if group.findings else "  counted, not kept", style="dim")
        if group.fix:
            yield Padding(Text.assemble(("Fix: ", "bold"), group.fix), (0, 0, 0, 2))

    def _finding(self, finding: Finding) -> Iterator[RenderableType]:
        offset = "" if finding.offset is None else f"  byte {finding.offset:,}"
        path = f"  {finding.path}" if finding.path else ""
        if finding.where:
            place = Text.assemble(
                (self._plain(finding.where), "cyan"), (self._plain(f"{offset}{path}"), "dim"), overflow="fold"
            )
            yield Padding(place, (0, 0, 0, 2))
        yield Padding(self._text(finding.message), (0, 0, 0, 4 if finding.where else 2))
        if finding.excerpt:
            yield Padding(self._text(finding.excerpt, "dim"), (0, 0, 0, 4))

    def _files(self, report: ValidationReport) -> Iterator[RenderableType]:
        yield from _headed("Files")
        table = _table("File", "For", right=("Size", "Good", "Faulty", "Blank"))
        for each in report.files:
            numbers = (words.size(each.bytes), *(f"{n:,}" for n in (each.rows, each.faulty_rows, each.blank_lines)))
            table.add_row(self._text(each.name), each.role.value, *numbers)
        yield Padding(table, (0, 0, 0, 2))

    def _facts(self, facts: Iterable[words.Fact]) -> RenderableType:
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="dim", overflow="fold")
        table.add_column(overflow="fold")
        for name, value in facts:
            table.add_row(name, self._text(value))
        return Padding(table, (0, 0, 0, 2))

    def _labels(self, report: ValidationReport) -> RenderableType:
        listed = wording.shown_labels(report.labels or ())
        most = max(each.rows for each in listed)
        table = _table("Label", right=("Rows",))
        table.add_column("", no_wrap=True)
        for each in listed:
            table.add_row(self._text(each.label), f"{each.rows:,}", self._bar(each.rows / most, BAR_WIDTH // 2))
        return Padding(table, (0, 0, 0, 2))

    def _histogram(self, bins: Sequence[HistogramBin], limit: int | None) -> RenderableType:
        octaves = _octaves(bins)
        most = max(each.rows for each in octaves)
        table = _table(right=("Tokens", "Rows"))
        table.add_column("", no_wrap=True)
        for each in octaves:
            marked = limit is not None and (each.low <= limit < each.high)
            bar = self._bar(each.rows / most if most else 0, BAR_WIDTH)
            mark = f"{' ' if bar else ''}< max_input_length {limit:,}" if marked else ""
            table.add_row(f"{each.low:,} to {each.high - 1:,}", f"{each.rows:,}", Text.assemble(bar, (mark, "yellow")))
        return Padding(table, (0, 0, 0, 2))

    def _bar(self, share: float, width: int) -> str:
        if not share:
            return ""
        if not self._unicode:
            return "#" * max(1, round(share * width))
        whole, eighths = divmod(max(1, round(share * width * _EIGHTHS)), _EIGHTHS)
        return "█" * whole + (_BLOCKS[eighths] if eighths else "")

    def _text(self, text: str, style: str = "") -> Text:
        return Text(self._plain(text), style=style, overflow="fold")

    def _plain(self, text: str) -> str:
        """Spell out what the terminal cannot show, or would obey."""
        seen = words.visible(text)
        if self._unicode:
            return seen
        encoding = self._terminal.encoding
        return seen.replace("…", "...").encode(encoding, "backslashreplace").decode(encoding)


def _headed(heading: str) -> Iterator[Text]:
    yield Text("")
    yield Text(heading, style="bold")


def _table(*left: str, right: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _octaves(bins: Sequence[HistogramBin]) -> list[HistogramBin]:
    """Join the bins up to the next power of two, and leave out the empty ones at both ends."""
    joined: dict[int, HistogramBin] = {}
    for each in bins:
        octave = each.low.bit_length()
        before = joined.get(octave, HistogramBin(low=each.low, high=each.low, rows=0))
        joined[octave] = HistogramBin(low=before.low, high=each.high, rows=before.rows + each.rows)
    octaves = list(joined.values())
    while len(octaves) > 1 and not octaves[0].rows:
        del octaves[0]
    while len(octaves) > 1 and not octaves[-1].rows:
        del octaves[-1]
    return octaves
