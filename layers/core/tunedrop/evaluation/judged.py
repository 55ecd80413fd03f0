"""What a judge is handed of the answers, and what its grades come to.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-evaluation-prompt-datasets-judge.html
"""

import hashlib
import json
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tunedrop.domain.judge import MOST_ROWS
from tunedrop.domain.plan import JudgeMetric
from tunedrop.domain.run import JudgeScore
from tunedrop.evaluation.paired import compare
from tunedrop.evaluation.rows import REFUSED, HeldOutRow, StoredAnswer

NOTHING: Final = "(The answer is empty.)"
"""Stands for an empty text, for one of which Bedrock refuses all others."""

NOT_TAKEN: Final = "(The model did not take this prompt.)"

Grades = Mapping[JudgeMetric, Sequence[float | None]]
"""Metric → grade of each answer, in the order in which they were handed over; None where the judge gave none."""


class UnreadableGradesError(Exception):
    """Bedrock wrote what is not understood here; the message quotes none of it."""


def judged_rows(rows: int, seed: int) -> list[int]:
    """Choose the rows to be judged, in order: all, or as many as a job takes, drawn by the seed."""
    if rows <= MOST_ROWS:
        return list(range(rows))
    drawn = sorted(range(rows), key=lambda row: hashlib.sha256(f"{seed}:{row}".encode()).digest())
    return sorted(drawn[:MOST_ROWS])


def judge_line(row: HeldOutRow, given: StoredAnswer) -> bytes:
    """Write one answer as Bedrock takes it, with its prompt and the right answer."""
    said = NOT_TAKEN if given.answer.stop_reason == REFUSED else _some(given.answer.text)
    record = {
        "prompt": _some(_prompt(row)),
        "referenceResponse": _some(_reference(row)),
        "modelResponses": [{"response": said, "modelIdentifier": given.side}],
    }
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def read_grades(handed: bytes, outputs: Iterable[bytes], metrics: Sequence[JudgeMetric]) -> Grades:
    """Read the grades of the answers that were handed over; raises UnreadableGradesError.

    Bedrock promises no order and repeats what it was given, by which an answer is known. Of equal answers to equal
    prompts any grade is as good as the other.
    """
    lines = [line for line in handed.split(b"\n") if line]
    places: defaultdict[str, deque[int]] = defaultdict(deque)
    for place, line in enumerate(lines):
        places[_known_by(json.loads(line))].append(place)
    grades: dict[JudgeMetric, list[float | None]] = {metric: [None] * len(lines) for metric in metrics}
    for output in outputs:
        for line in filter(bytes.strip, output.split(b"\n")):
            try:
                record = json.loads(line)
                place = places[_known_by(record["inputRecord"])].popleft()
                told = {each["metricName"]: each["result"] for each in record["automatedEvaluationResult"]["scores"]}
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise UnreadableGradesError(
                    f"a line of its results is not understood ({type(error).__name__})"
                ) from None
            for metric in metrics:
                grades[metric][place] = _grade(told.get(f"Builtin.{metric}"))
    return grades


def judge_scores(
    candidate: Grades, rival: Grades | None, documents: Sequence[str | None]
) -> dict[JudgeMetric, JudgeScore]:
    """Put the grades together: of each metric, the rows that were graded for every model that there is.

    `documents` name the document of each row, by which rows are no independent evidence. A metric without a grade is
    left out.
    """
    scores: dict[JudgeMetric, JudgeScore] = {}
    for metric, given in candidate.items():
        others = rival[metric] if rival else given
        pairs = [
            (mine, other, document)
            for mine, other, document in zip(given, others, documents, strict=True)
            if mine is not None and other is not None
        ]
        if not pairs:
            continue
        mine, theirs, of = [each[0] for each in pairs], [each[1] for each in pairs], [each[2] for each in pairs]
        scores[metric] = JudgeScore(
            candidate=sum(mine) / len(mine),
            rival=sum(theirs) / len(theirs) if rival else None,
            rows=len(pairs),
            comparison=compare({metric: mine}, {metric: theirs}, of)[metric] if rival else None,
        )
    return scores


def _prompt(row: HeldOutRow) -> str:
    """Write what was asked as one text: a judge reads no turns, and sees no picture."""
    if len(row.messages) == 1:
        return row.asked
    return row.prompt or "\n\n".join(f"{message.role}: {message.content}" for message in row.messages)


def _reference(row: HeldOutRow) -> str:
    first, *others = row.right
    return first if not others else "\n".join([first, "Just as right:", *others])


def _some(text: str) -> str:
    return text if text.strip() else NOTHING


def _known_by(record: Mapping[str, Any]) -> str:
    (response,) = record["modelResponses"]
    return json.dumps([record["prompt"], record["referenceResponse"], response["response"]])


def _grade(told: object) -> float | None:
    """Take a grade; what is none, such as null for a metric that does not apply, counts for nothing."""
    known = isinstance(told, int | float) and not isinstance(told, bool) and math.isfinite(told)
    return float(told) if known and isinstance(told, int | float) else None
