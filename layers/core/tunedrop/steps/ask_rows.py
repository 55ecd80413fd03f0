"""Ask the models held-out rows, range by range, and leave what each range came to for the whole.

`evaluate_model` writes the order. It asks the one range of a small set itself; for a larger set it starts a workflow,
whose Distributed Map runs `AskRows` for each range. Answers are stored a few at a time, so that whoever runs out of
time, or dies, goes on where they stopped.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from tunedrop.domain import names
from tunedrop.domain.model import Record
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.plan import MetricName
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError, TransientError
from tunedrop.evaluation.partial import PartialResult, joined, partial_result, scored
from tunedrop.evaluation.rows import CANDIDATE, REFUSED, HeldOut, HeldOutRow, StoredAnswer
from tunedrop.ports import Answer, Conversation, Picture, Question, RunFiles, Turn

ROWS_AT_ONCE = 16
"""Rows whose answers are stored together: what is lost, at most, when an invocation dies."""

CALLS_AT_ONCE = 8
"""Concurrent calls."""

LEAST_TOKENS = 16
MOST_TOKENS = 2048
"""Bounds of maxTokens; in between, no answer needs more tokens than the longest expected one has bytes."""

RESERVE_SECONDS = 120.0
"""Time kept back at the end of an invocation: the worst case of one chunk, cold start included."""

_FORMATS: Mapping[str, Literal["png", "jpeg", "gif", "webp"]] = {
    "png": "png",
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "gif": "gif",
    "webp": "webp",
}
"""What Converse calls the formats of pictures, by file extension."""


class OutOfTimeError(Exception):
    """The invocation must end before all rows of a range are answered."""

    def __init__(self, answered: int) -> None:
        """Count the rows answered so far, over all models."""
        super().__init__(answered)
        self.answered = answered


class Side(Record):
    """Name a model, and how it is called."""

    model_id: str
    call: ModelCall


class AskingOrder(Record):
    """Hold what every range of one evaluation is asked by."""

    run_id: str
    metric: MetricName
    """The one that decides."""
    sides: dict[str, Side]
    rows: int
    range_rows: int
    max_tokens: int
    labels: bool
    """Whether answers are counted by label."""

    @property
    def name(self) -> str:
        """Name the order by what is asked: other models are another one."""
        models = "\n".join(f"{side} {each.model_id} {each.call}" for side, each in sorted(self.sides.items()))
        return hashlib.sha256(models.encode()).hexdigest()[:8]

    @property
    def ranges(self) -> int:
        """Count the ranges."""
        return -(-self.rows // self.range_rows)


class RangeToAsk(Record):
    """Name one range of a run's held-out rows, as the workflow hands it to a function."""

    run_id: str
    order: str
    number: int


_RANGES = TypeAdapter(list[RangeToAsk])


def most_tokens(rows: Iterable[HeldOutRow]) -> int:
    """Return what an answer may have at most."""
    longest = max(len(right.encode()) for row in rows for right in row.right)
    return max(LEAST_TOKENS, min(MOST_TOKENS, longest))


def write_order(files: RunFiles, order: AskingOrder) -> AskingOrder:
    """Leave for all ranges what they are asked by; the first order of the same models stands, and is returned.

    What was asked before is then not asked again, whatever was deployed in between.
    """
    key = names.asking_order_key(order.run_id, order.name)
    return AskingOrder.model_validate_json(files.write_once(key, order.model_dump_json().encode()))


def write_ranges(files: RunFiles, order: AskingOrder) -> str:
    """List the ranges for the workflow; returns the list's key."""
    ranges = [RangeToAsk(run_id=order.run_id, order=order.name, number=number) for number in range(order.ranges)]
    key = names.asked_ranges_key(order.run_id, order.name)
    files.write(key, _RANGES.dump_json(ranges))
    return key


def whole_result(files: RunFiles, order: AskingOrder) -> PartialResult:
    """Return what all ranges came to together, once each of them has been asked."""
    keys = (_result_key(order, number) for number in range(order.ranges))
    return joined([PartialResult.model_validate_json(_read(files, key)) for key in keys])


def all_answers(files: RunFiles, order: AskingOrder, sides: Iterable[str]) -> Iterator[bytes]:
    """Yield the scored answers, as JSON lines: model by model, in the order of the rows."""
    for side in sides:
        for number in range(order.ranges):
            yield _read(files, _answers_key(order, number, side))


def all_stored(files: RunFiles, run_id: str, side: str, model_id: str, rows: int) -> bool:
    """Tell whether a model has answered every row, so that it need not be there any more."""
    stored_as = _stored_as(side, model_id)
    found = (name for name in files.sizes(names.answers_prefix(run_id)) if name.startswith(stored_as))
    spans = (name.removeprefix(stored_as).removesuffix(".jsonl").split("-") for name in found)
    return sum(int(end) - int(first) for first, end in spans) == rows


def _stored_as(side: str, model_id: str) -> str:
    return f"{side}-{hashlib.sha256(model_id.encode()).hexdigest()[:8]}-"


@dataclass(frozen=True)
class AskRows:
    """Ask one range of the rows, chunk by chunk, over several invocations if need be."""

    conversation: Conversation
    files: RunFiles
    seconds_left: Callable[[], float]

    def ordered(self, part: RangeToAsk) -> bool:
        """Ask a range that the workflow names; tells whether all of it is answered, or time ran out before."""
        order = AskingOrder.model_validate_json(_read(self.files, names.asking_order_key(part.run_id, part.order)))
        try:
            self(order, part.number, HeldOut.of(_read(self.files, names.held_out_key(part.run_id))))
        except OutOfTimeError:
            return False
        return True

    def __call__(self, order: AskingOrder, number: int, held_out: HeldOut, *, patient: bool = True) -> None:
        """Answer what is not answered yet, score it, and leave the range's result.

        Raises OutOfTimeError, and ModelNotReadyError or TransientError where a later try may do better. Who is not
        `patient` any more has the candidate compared with those of its rivals that answer.
        """
        first = number * order.range_rows
        rows = held_out.between(first, first + order.range_rows)
        answers: dict[str, list[StoredAnswer]] = {}
        silent: dict[str, str] = {}
        later: ModelNotReadyError | None = None
        for side, asked in order.sides.items():
            answered = sum(map(len, answers.values()))
            try:
                given = self._answers(order, side, asked, first, rows, answered)
            except ModelUnavailableError as error:
                silent[side] = str(error)
            except ModelNotReadyError as error:
                # The others are asked all the same: they need not be there any more when this one is.
                if patient or side == CANDIDATE:
                    later = later or error
                silent[side] = f"It was waited for too long: {error}"
            else:
                answers[side] = scored(rows, given)
        if later:
            raise later
        for side, given in answers.items():
            self.files.write(_answers_key(order, number, side), _json_lines(given))
        result = partial_result(order.metric, first, rows, answers, silent, labels=order.labels)
        self.files.write(_result_key(order, number), result.model_dump_json().encode())

    def _answers(
        self, order: AskingOrder, side: str, asked: Side, start: int, rows: Sequence[HeldOutRow], answered: int
    ) -> list[StoredAnswer]:
        prefix = names.answers_prefix(order.run_id) + _stored_as(side, asked.model_id)
        answers: list[StoredAnswer] = []
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            for place in range(0, len(rows), ROWS_AT_ONCE):
                chunk, first = rows[place : place + ROWS_AT_ONCE], start + place
                key = f"{prefix}{first:06}-{first + len(chunk):06}.jsonl"
                stored = self.files.read(key)
                if stored is None:
                    if self.seconds_left() < RESERVE_SECONDS:
                        raise OutOfTimeError(answered + len(answers))
                    said = pool.map(lambda row: self._ask(asked, row, order.max_tokens), chunk)
                    fresh = [
                        StoredAnswer(
                            side=side, model_id=asked.model_id, row=index, expected=row.completion, answer=answer
                        )
                        for index, (row, answer) in enumerate(zip(chunk, said, strict=True), start=first)
                    ]
                    stored = _json_lines(fresh)
                    self.files.write(key, stored)
                answers += [StoredAnswer.model_validate_json(line) for line in stored.split(b"\n") if line]
        return answers

    def _ask(self, asked: Side, row: HeldOutRow, max_tokens: int) -> Answer:
        """Return the answer; a prompt that the model does not take, such as one too long for it, has a wrong one.

        Raises ModelNotReadyError for a model that is throttled, too: TransientError is S3's.
        """
        try:
            return self.conversation.ask(asked.model_id, asked.call, self._question(row), max_tokens)
        except PromptRefusedError as error:
            return Answer(text=str(error), stop_reason=REFUSED, latency_ms=0, input_tokens=0, output_tokens=0)
        except TransientError as error:
            raise ModelNotReadyError(str(error)) from error

    def _question(self, row: HeldOutRow) -> Question:
        system = next((message.content for message in row.messages if message.role == "system"), None)
        turns = tuple(
            Turn(role=message.role, text=message.content) for message in row.messages if message.role != "system"
        )
        picture = self._picture(row.image) if row.image else None
        return Question(turns=turns or (Turn(role="user", text=row.prompt),), system=system, picture=picture)

    def _picture(self, key: str) -> Picture:
        return Picture(format=_FORMATS[key.rpartition(".")[2].lower()], data=_read(self.files, key))


def _answers_key(order: AskingOrder, number: int, side: str) -> str:
    return f"{names.asked_range_prefix(order.run_id, order.name, number)}{side}.jsonl"


def _result_key(order: AskingOrder, number: int) -> str:
    return f"{names.asked_range_prefix(order.run_id, order.name, number)}result.json"


def _read(files: RunFiles, key: str) -> bytes:
    data = files.read(key)
    if data is None:
        raise AssertionError(f"{key} is gone, or was never written")
    return data


def _json_lines(records: Iterable[Record]) -> bytes:
    return "".join(each.model_dump_json() + "\n" for each in records).encode()
