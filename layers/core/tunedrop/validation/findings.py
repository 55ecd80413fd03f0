"""What can be found in a dataset: a stable code, where it stands, and how it is mended."""

from enum import StrEnum
from typing import NamedTuple

from tunedrop.domain.model import Record
from tunedrop.domain.problem import Problem


class Severity(StrEnum):
    """Say what follows: an error refuses the dataset, a warning informs."""

    ERROR = "error"
    WARNING = "warning"


class Finding(Record):
    """Say one thing that is wrong, or worth knowing.

    Only `excerpt` holds text of a user's rows: it stands in the report, which lies beside the data, and nowhere else.
    """

    code: str
    severity: Severity
    message: str
    """One sentence."""
    file: str = ""
    """The path under the dataset's folder; empty when the whole dataset is meant."""
    line: int | None = None
    """From 1; a record's first line."""
    offset: int | None = None
    """Bytes from the start of the file (inflated, for a gzip file) to the fault, or to the line that holds it."""
    path: str = ""
    """Where in the record, such as `messages[2].role`."""
    excerpt: str = ""
    """At most 80 characters of the text at fault, escaped to printable ASCII; secrets are masked."""
    fix: str = ""

    @property
    def where(self) -> str:
        """Locate the finding for a person: `train.jsonl:17`."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def problem(self) -> Problem:
        """Return the finding as a run's record and notices tell it: without text of the user's rows."""
        message = f"{self.message.removesuffix('.')} ({self.path})." if self.path else self.message
        return Problem(code=self.code, message=message, where=self.where, fix=self.fix)


class Flaw(NamedTuple):
    """Name what is wrong with one record, before it is known where the record lies."""

    code: str
    message: str
    path: str = ""
    column: int = 0
    """Bytes from the start of the line."""
    excerpt: str = ""
    fix: str = ""
    """What mends this one, where more is known than the code's `Meaning` says."""


class Meaning(NamedTuple):
    """Explain a code: what people call it, whether it refuses the dataset, and what mends it."""

    severity: Severity
    title: str
    """A noun phrase that heads a group of findings: "Fields missing"."""
    fix: str


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_JSON_FIX = "Write one JSON object a line, in UTF-8."

MEANINGS: dict[str, Meaning] = {
    # ------------------------------------------------ files
    "data.foreign-format": Meaning(_ERROR, "Files of another format", "Upload plain text, in UTF-8."),
    "data.json-array": Meaning(
        _ERROR,
        "Files that are one JSON array",
        "Write one JSON object a line: jq -c '.[]' FILE > rows.new && mv rows.new FILE",
    ),
    "data.json-over-lines": Meaning(
        _ERROR,
        "Files of JSON that goes over several lines",
        "Write one JSON object a line: jq -c . FILE > rows.new && mv rows.new FILE",
    ),
    "data.empty-file": Meaning(_ERROR, "Files without a row", "Add rows, or remove the file."),
    "data.broken-gzip": Meaning(_ERROR, "Gzip files that cannot be read", "Compress the file anew."),
    "data.gzip-bomb": Meaning(_ERROR, "Gzip files that inflate without end", "Upload the text itself, in parts."),
    "data.byte-order-mark": Meaning(_WARNING, "Byte order marks", "Save as UTF-8 without BOM; it was skipped."),
    "data.blank-line": Meaning(_WARNING, "Blank lines", "Remove them; they were skipped."),
    "data.line-too-long": Meaning(_ERROR, "Lines too long to read", "Shorten the row, or split it."),
    # ------------------------------------------------ JSON
    "data.not-utf8": Meaning(_ERROR, "Bytes that are not UTF-8", "Save the file as UTF-8."),
    "data.not-json": Meaning(_ERROR, "Lines that are not JSON", _JSON_FIX),
    "data.not-an-object": Meaning(_ERROR, "Lines that are no JSON object", _JSON_FIX),
    "data.nested-too-deep": Meaning(_ERROR, "JSON nested too deep", _JSON_FIX),
    "data.duplicate-key": Meaning(_ERROR, "Keys that stand twice", "Keep one of the two."),
    "data.not-finite": Meaning(_ERROR, "NaN and infinity", "Write a finite number, or text."),
    "data.number-too-large": Meaning(_ERROR, "Numbers too large to read", "Write the number as text, in quotes."),
    "data.nul": Meaning(_ERROR, "NUL characters", "Remove the character."),
    "data.lone-surrogate": Meaning(_ERROR, "Halves of surrogate pairs", "Write the whole character."),
    # ------------------------------------------------ fields
    "data.missing-field": Meaning(
        _ERROR,
        "Fields missing",
        "Add the field, or correct its name; for instructions, template.json may name your own fields.",
    ),
    "data.not-text": Meaning(
        _ERROR,
        "Values that are not text",
        'Write it as text: "42" instead of 42. For null write the text that is missing, "" where a field may be empty.',
    ),
    "data.empty-prompt": Meaning(_ERROR, "Empty prompts", "Give the question, or remove the row."),
    "data.empty-completion": Meaning(_ERROR, "Empty answers", "Give the answer, or remove the row."),
    "data.empty-field": Meaning(
        _WARNING, "Empty fields beside filled ones", "Fill the field in, or leave it out of template.json."
    ),
    "data.repeated-header": Meaning(
        _WARNING, "Headers among the rows of a table", "Remove them: files were joined without leaving them out."
    ),
    "data.extra-field": Meaning(
        _WARNING, "Fields that training does not read", "Nothing, if you do not need them: they are left out."
    ),
    # ------------------------------------------------ chat
    "data.no-messages": Meaning(
        _ERROR,
        "Conversations without messages",
        'Write one conversation a line: {"messages": [{"role": "user", "content": "..."}, '
        '{"role": "assistant", "content": "..."}]}.',
    ),
    "data.not-a-list": Meaning(
        _ERROR,
        "Values that should be lists",
        'Write a list of messages: "messages": [{"role": "user", "content": "..."}, ...].',
    ),
    "data.not-a-message": Meaning(
        _ERROR, "Messages that are no objects", 'Write {"role": "user", "content": "..."} for each message.'
    ),
    "data.unknown-role": Meaning(
        _ERROR, "Unknown roles", 'Use system, user or assistant: {"role": "assistant", "content": "..."}.'
    ),
    "data.role-order": Meaning(
        _ERROR,
        "Roles out of order",
        "Let user and assistant take turns, after an optional system message: system, user, assistant, user, ...",
    ),
    "data.system-message": Meaning(
        _ERROR,
        "System messages that the model does not know",
        'Write what it says into the first user message: {"role": "user", "content": "You help. What is...?"}.',
    ),
    "data.ends-with-user": Meaning(
        _ERROR,
        "Conversations without a last answer",
        'End with {"role": "assistant", "content": "the answer to learn"}, or remove the last question.',
    ),
    "data.empty-content": Meaning(
        _ERROR,
        "Empty messages",
        'Give the message a text, such as {"role": "user", "content": "What is my balance?"}; or remove the row.',
    ),
    "data.extra-message-key": Meaning(
        _ERROR,
        "Message keys that training cannot use",
        'Keep role and content alone: {"role": "user", "content": "..."}.',
    ),
    "data.sharegpt": Meaning(
        _ERROR,
        "Messages in ShareGPT's form",
        'Write {"from": "human", "value": "..."} as {"role": "user", "content": "..."}, and gpt as assistant.',
    ),
    "data.mixed-message-keys": Meaning(
        _ERROR,
        "Conversations under different keys",
        'Keep one of messages, dialog and conversations in each row: {"messages": [...]}.',
    ),
    # ------------------------------------------------ preferences
    "data.same-answers": Meaning(
        _ERROR,
        "Pairs whose answers are the same",
        "Let chosen be the better answer and rejected a worse one, or remove the row: equals teach no preference.",
    ),
    "data.different-prompts": Meaning(
        _ERROR,
        "Pairs about different conversations",
        "Let chosen and rejected share every message but the last, the answer; the system message, too.",
    ),
    "data.mixed-pairs": Meaning(
        _ERROR,
        "Pairs of another form",
        'Write every row alike: {"prompt": "...", "chosen": "...", "rejected": "..."}, or chosen and rejected as lists '
        "of messages.",
    ),
    # ------------------------------------------------ domain adaptation
    "data.no-text-column": Meaning(_ERROR, "Tables without text", "Name the column with the text `text`."),
    "data.not-running-text": Meaning(
        _ERROR,
        "Tables of questions and answers",
        "Save the rows as train.jsonl, one JSON object a line, or call the column with the text `text`.",
    ),
    "data.first-column": Meaning(
        _WARNING, "Tables without a column `text`", "Name the column `text`; the first one is trained on."
    ),
    "data.no-header": Meaning(
        _WARNING,
        "Tables without a header",
        "Write a first row that names the columns, the one with the text `text`: else the first row of data is lost.",
    ),
    "data.not-csv": Meaning(
        _ERROR, "Table rows that cannot be read", 'Close every quote, and write a quote inside a cell twice: "".'
    ),
    "data.separator": Meaning(_ERROR, "Tables without commas", "Save the table anew, with commas between the columns."),
    "data.ragged-row": Meaning(
        _ERROR,
        "Table rows of another width",
        "Give every row as many cells as the header, and write a cell that holds a comma in quotes.",
    ),
    "data.formula": Meaning(
        _WARNING, "Cells that a spreadsheet would execute", "Check them before you open the file in a spreadsheet."
    ),
    "data.empty-text": Meaning(_WARNING, "Records without text", "Remove them; nothing is learnt from them."),
    # ------------------------------------------------ visual question answering
    "data.image-path": Meaning(
        _ERROR,
        "Image paths that leave the folder",
        'Write a path relative to metadata.jsonl: "file_name": "images/0001.png".',
    ),
    "data.image-missing": Meaning(
        _ERROR,
        "Images that are not there",
        "Upload it, or write its path from the folder of metadata.jsonl, in the same case: images/0001.png.",
    ),
    "data.image-format": Meaning(_ERROR, "Images of an unknown format", "Save the picture as PNG, JPEG, GIF or WebP."),
    "data.image-broken": Meaning(_ERROR, "Images that cannot be read to the end", "Save the picture anew."),
    "data.image-too-large": Meaning(_ERROR, "Images too large", "Scale the picture down."),
    "data.image-too-small": Meaning(_ERROR, "Images without an area", "Use a picture of at least 2 pixels a side."),
    "data.image-mislabelled": Meaning(
        _WARNING, "Images whose name tells another format", "Give the file the extension of its format."
    ),
    "data.image-unreferenced": Meaning(_WARNING, "Images that no row mentions", "Remove them, or add rows."),
    # ------------------------------------------------ the whole dataset
    "data.too-few-rows": Meaning(_ERROR, "Too few rows", "Add rows to a training file."),
    "data.nothing-held-out": Meaning(
        _ERROR,
        "Nothing to measure with",
        "Add rows, raise evaluate.held_out_ratio in tune.yaml, or upload held-out.jsonl.",
    ),
    "data.few-rows": Meaning(_WARNING, "Few rows to train on", "Add rows: a hundred is a beginning."),
    "data.few-held-out-rows": Meaning(
        _WARNING,
        "Few rows to measure with",
        "Upload more in held-out.jsonl; where there is none, raise evaluate.held_out_ratio in tune.yaml.",
    ),
    "data.short-row": Meaning(_WARNING, "Short rows", "Check that nothing was lost."),
    "data.truncated": Meaning(
        _WARNING,
        "Rows that training will cut off",
        "Shorten them, or raise max_input_length in tune.yaml if the model allows it.",
    ),
    "data.near-empty-answer": Meaning(_WARNING, "Answers of next to nothing", "Check that nothing was lost."),
    "data.all-equal": Meaning(
        _WARNING,
        "Datasets of one row, many times",
        "Add rows that differ: from these a model learns one answer by heart.",
    ),
    "data.duplicate": Meaning(_WARNING, "Rows that stand twice", "Remove the copies."),
    "data.near-duplicate": Meaning(_WARNING, "Rows that are nearly the same", "Keep the better of the two."),
    "data.leakage": Meaning(
        _WARNING, "Rows to measure with that are also trained on", "Remove them from one side: they flatter the score."
    ),
    "data.near-leakage": Meaning(
        _WARNING,
        "Rows to measure with that are nearly trained on",
        "Remove them from one side: they flatter the score.",
    ),
    "data.imbalance": Meaning(_WARNING, "Labels of very different number", "Add rows of the rare ones."),
    "data.one-label": Meaning(_WARNING, "One answer only", "Add rows with other answers."),
    "data.secret": Meaning(_WARNING, "Likely secrets", "Remove them, and revoke them: a model repeats what it learnt."),
    "data.personal": Meaning(
        _WARNING, "Likely personal data", "Replace it by placeholders unless the model must know it."
    ),
}
"""Every code that a report may hold; `docs/` and people's views take their words from here."""


def finding(flaw: Flaw, file: str = "", line: int | None = None, start: int | None = None) -> Finding:
    """Place a flaw in its file: `start` is the offset of the line that holds it."""
    meaning = MEANINGS[flaw.code]
    offset = None if start is None else start + flaw.column
    return Finding(
        code=flaw.code,
        severity=meaning.severity,
        message=flaw.message,
        file=file,
        line=line,
        offset=offset,
        path=flaw.path,
        excerpt=flaw.excerpt,
        fix=flaw.fix or meaning.fix,
    )
