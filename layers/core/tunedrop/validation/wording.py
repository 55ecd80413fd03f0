"""The report in words: what the page and the terminal say alike, however each lays it out."""

from collections import defaultdict
from typing import NamedTuple

from tunedrop.domain.words import Fact, number, shortened, visible
from tunedrop.validation.findings import MEANINGS, Finding, Severity
from tunedrop.validation.report import Duplicates, LabelCount, Tokens, ValidationReport

LABELS_SHOWN = 20
"""Labels that are listed one by one; the rest is summed."""

LABEL_CHARACTERS = 60
"""Characters of a label that are shown."""


class Group(NamedTuple):
    """Hold the findings of one code that were kept, and the number of all."""

    code: str
    severity: Severity
    title: str
    fix: str
    total: int
    findings: tuple[Finding, ...]

    @property
    def unlisted(self) -> int:
        """Count the findings that were not kept."""
        return max(0, self.total - len(self.findings))


def groups(report: ValidationReport) -> tuple[Group, ...]:
    """Group the findings by code: errors first, then by number."""
    kept: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        kept[finding.code].append(finding)
    errors = report.errors
    return tuple(
        _group(code, Severity.ERROR if code in errors else Severity.WARNING, report.counts[code], kept[code])
        for code in sorted(report.counts, key=lambda code: (code not in errors, -report.counts[code], code))
    )


def verdict(report: ValidationReport) -> str:
    """Say in a word whether the dataset may be trained on."""
    return "Accepted" if report.accepted else "Refused"


def tally(report: ValidationReport) -> str:
    """Count errors and warnings, and their kinds."""
    told = [
        f"{number(sum(counts.values()), noun)} of {number(len(counts), 'kind')}"
        for noun, counts in (("error", report.errors), ("warning", report.warnings))
        if counts
    ]
    return f"{' and '.join(told)}." if told else "Nothing was found wrong."


def rows(report: ValidationReport) -> str:
    """Count the rows by what they are for."""
    source = "split off the training rows" if report.held_out_source == "split" else "from a file of their own"
    held_out = f"{report.held_out_rows:,} held out" + (f" ({source})" if report.held_out_rows else "")
    faulty = f"; {number(report.faulty_rows, 'faulty row')}" if report.faulty_rows else ""
    return (
        f"{number(report.training_rows, 'row')} to train on, {report.validation_rows:,} to validate with, "
        f"{held_out}{faulty}."
    )


def subject(report: ValidationReport) -> str:
    """Say what the rules were chosen for."""
    told = "asked for" if report.technique_from == "tune.yaml" else "told by the files"
    unread = any(code.startswith("spec.") for code in report.counts)
    model = report.model_id or ("not known, for tune.yaml could not be read" if unread else "not named")
    return f"Technique: {report.technique} ({told}). Model: {model}."


def token_facts(tokens: Tokens) -> tuple[Fact, ...]:
    """Tell how long the rows are, and by what that was measured."""
    if tokens.basis == "tokenizer":
        basis = f"Counted from {tokens.bytes_per_token:.2f} bytes a token, as measured with {visible(tokens.tokenizer)}"
    else:
        basis = f"Estimated from {tokens.bytes_per_token:.2f} bytes a token ({visible(tokens.tokenizer)})"
    if tokens.max_input_length is None:
        cut = "Not known"
    else:
        lost = f", {number(tokens.tokens_lost, 'token')} lost" if tokens.truncated_rows else ""
        cut = f"{number(tokens.truncated_rows, 'row')} at max_input_length {tokens.max_input_length:,}{lost}"
    return (
        Fact("Total", f"{tokens.total:,} to train on, once over"),
        Fact("Mean", f"{tokens.mean:,.1f} a row"),
        Fact("Median", f"{tokens.median:,}"),
        Fact("95th percentile", f"{tokens.p95:,}"),
        Fact("Longest", f"{tokens.longest:,}"),
        Fact("Cut off", cut),
        Fact("Basis", basis),
    )


def duplicate_facts(duplicates: Duplicates) -> tuple[Fact, ...]:
    """Tell how many rows stand more than once, among and between the roles."""
    return (
        Fact("Rows compared", f"{duplicates.compared:,}"),
        Fact("Equal rows", _looked_for(duplicates.exact)),
        Fact("Nearly equal rows", _looked_for(duplicates.near)),
        Fact("Rows to measure with that are trained on", _looked_for(duplicates.leaked)),
        Fact("Rows to measure with that are nearly trained on", _looked_for(duplicates.near_leaked)),
    )


def shown_labels(labels: tuple[LabelCount, ...]) -> tuple[LabelCount, ...]:
    """Take the most frequent labels, as they are shown, and sum the rest."""
    shown = [
        LabelCount(label=shortened(visible(each.label), LABEL_CHARACTERS), rows=each.rows)
        for each in labels[:LABELS_SHOWN]
    ]
    if rest := labels[LABELS_SHOWN:]:
        shown.append(
            LabelCount(label=f"({number(len(rest), 'other label')})", rows=sum(each.rows for each in rest)),
        )
    return tuple(shown)


_PROBLEMS = {
    "drop": "Problems with the files",
    "spec": "Problems with tune.yaml",
    "template": "Problems with the template",
    "hyperparameter": "Problems with hyperparameters",
}
"""What heads problems that no row has, by the first word of their codes."""


def _group(code: str, severity: Severity, count: int, findings: list[Finding]) -> Group:
    meaning = MEANINGS.get(code)
    title = meaning.title if meaning else _PROBLEMS.get(code.partition(".")[0], code)
    usual = meaning.fix if meaning else ""
    fixes = {each.fix for each in findings} or {usual}
    if len(fixes) == 1:
        return Group(code, severity, title, fixes.pop(), count, tuple(findings))
    told = (
        each if each.fix == usual else each.model_copy(update={"message": f"{each.message} {each.fix}"})
        for each in findings
    )
    return Group(code, severity, title, usual, count, tuple(told))


def _looked_for(count: int | None) -> str:
    return "not looked for" if count is None else f"{count:,}"
