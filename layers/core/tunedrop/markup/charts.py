"""Drawings as static SVG: letters keep their size, and the rest scales with the page.

Places are shares of the width, from 0 to 1, written in per cent. A line through many places is drawn in a field of its
own, which stretches; its stroke does not (`vector-effect`).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from tunedrop.markup.elements import Html, data, element, join, text

_FIELD = 1000
"""Width and height of a field that stretches."""

_TOP, _BOTTOM = 10, 184
"""Pixels between which values are drawn; below stands the axis."""

_STEPS = 4
"""Lines across a chart, at most and without the axis."""

_LINE = 34
"""Pixels of one interval."""


_Place = Callable[[float], float]


class Line(NamedTuple):
    """Hold what one line of a chart goes through."""

    name: str
    kind: str
    """Class of the style sheet: `first`, `second` or `faint`."""
    points: Sequence[tuple[float, float]]


class Interval(NamedTuple):
    """Hold a value, and between what it lies."""

    name: str
    low: float
    value: float
    high: float
    words: str


def line_chart(name: str, title: str, description: str, lines: Sequence[Line], across: str) -> Html:
    """Draw lines over one another, from 0 upwards and onwards; `across` says what the horizontal axis counts.

    There is at least one point, and no place or value is negative or infinite. `name` begins the ids.
    """
    last = max(x for line in lines for x, _ in line.points)
    highest, step = _scale(max(y for line in lines for _, y in line.points))

    def place(x: float) -> float:
        return x / last if last > 0 else 0.5

    field = element(
        "svg",
        *(_drawn(line, place, highest) for line in lines if len(line.points) > 1),
        x="0",
        y=str(_TOP),
        width="100%",
        height=str(_BOTTOM - _TOP),
        viewBox=f"0 0 {_FIELD} {_FIELD}",
        preserveAspectRatio="none",
    )
    return element(
        "svg",
        *_described(name, title, description),
        *_grid(highest, step),
        field,
        *(dot for line in lines if line.kind != "faint" for dot in _dots(line, place, highest)),
        element("line", x1="0", x2="100%", y1=f"{_BOTTOM}.5", y2=f"{_BOTTOM}.5", class_="axis"),
        *_ends(last, across),
        class_="chart",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def interval_chart(
    name: str, title: str, description: str, intervals: Sequence[Interval], marks: Sequence[tuple[str, float]]
) -> Html:
    """Draw intervals below each other; `marks` are one or two named values to hold them against."""
    values = [each for one in intervals for each in (one.low, one.high)] + [value for _, value in marks]
    low, high = min(values), max(values)
    margin = ((high - low) or 1.0) * 0.08
    low, high = low - margin, high + margin

    def place(value: float) -> str:
        return percent((value - low) / (high - low))

    height = 24 + _LINE * len(intervals)
    drawn: list[Html] = []
    for index, (words, value) in enumerate(marks):
        at, kind = place(value), "axis" if index == 0 else "mark"
        drawn.append(element("line", x1=at, x2=at, y1="18", y2=str(height), class_=kind))
        drawn.append(label((value - low) / (high - low), height + 14 if index else 12, words, margin=0.2))
    for index, one in enumerate(intervals):
        middle = str(24 + _LINE * index + 26)
        drawn.append(element("line", x1=place(one.low), x2=place(one.high), y1=middle, y2=middle, class_="interval"))
        drawn.append(element("circle", cx=place(one.value), cy=middle, r="4.5", class_="dot first"))
        drawn.append(label((one.value - low) / (high - low), 24 + _LINE * index + 16, one.words, margin=0.3))
    return element(
        "svg",
        *_described(name, title, description),
        *drawn,
        class_="chart",
        style=f"height:{height + 20}px",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def legend(lines: Iterable[Line]) -> Html:
    """Say which line is which."""
    keys = (join(element("span", class_=f"key {line.kind}", aria_hidden="true"), data(line.name)) for line in lines)
    return element("p", *(element("span", key, class_="entry") for key in keys), class_="legend")


def label(place: float, y: int, words: str, *, margin: float = 0.08, **attributes: str) -> Html:
    """Centre words on a place; near the edges, within `margin`, they end or begin there."""
    anchor = "start" if place < margin else "end" if place > 1 - margin else "middle"
    return element("text", text(words), x=percent(place), y=str(y), text_anchor=anchor, **attributes)


def percent(share: float) -> str:
    """Write a share as SVG and CSS take it."""
    return f"{share * 100:.3f}".rstrip("0").rstrip(".") + "%"


def _described(name: str, title: str, description: str) -> tuple[Html, Html]:
    told = element("desc", text(description), id=f"{name}-desc")
    return element("title", text(title), id=f"{name}-title"), told


def _drawn(line: Line, place: _Place, highest: float) -> Html:
    points = " ".join(f"{place(x) * _FIELD:.1f},{(1 - y / highest) * _FIELD:.1f}" for x, y in line.points)
    return element("polyline", points=points, class_=f"line {line.kind}", vector_effect="non-scaling-stroke")


def _dots(line: Line, place: _Place, highest: float) -> Iterator[Html]:
    for x, y in line.points:
        height = _TOP + (1 - y / highest) * (_BOTTOM - _TOP)
        yield element("circle", cx=percent(place(x)), cy=f"{height:.1f}", r="3.5", class_=f"dot {line.kind}")


def _grid(highest: float, step: float) -> Iterator[Html]:
    for number in range(1, round(highest / step) + 1):
        y = _TOP + (1 - number * step / highest) * (_BOTTOM - _TOP)
        yield element("line", x1="0", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid")
        yield element("text", text(f"{number * step:g}"), x="0", y=f"{y + 12:.1f}")


def _ends(last: float, across: str) -> Iterator[Html]:
    yield label(0.0, 204, "0")
    yield label(0.5, 204, across)
    yield label(1.0, 204, f"{last:.3g}")


def _scale(most: float) -> tuple[float, float]:
    """Return the upper end of an axis, and the distance of its lines: 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1.0, 0.5
    rough = most / _STEPS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return step * math.ceil(most / step - 1e-9), step
