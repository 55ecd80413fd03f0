"""The part of DynamoDB's expression language that the table's writers use, understood for any table and any names.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from operator import eq, ge, gt, le, lt, ne
from typing import Any

Item = dict[str, Any]
Condition = Callable[[Item, Mapping[str, Any]], bool]

_TOKEN = re.compile(r"\s*(<=|>=|<>|[=<>(),+-]|[\w:#.]+)")
_COMPARISONS = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


@cache
def condition(expression: str) -> Condition:
    """Read a condition; the function says whether it holds of an item, which is empty when there is none."""
    tokens = _TOKEN.findall(expression)
    holds = _or(tokens)
    if tokens:
        raise ValueError(f"not understood: {expression} at {tokens}")
    return holds


def _or(tokens: list[str]) -> Condition:
    sides = [_and(tokens)]
    while tokens[:1] == ["OR"]:
        tokens.pop(0)
        sides.append(_and(tokens))
    return sides[0] if len(sides) == 1 else lambda item, values: any(side(item, values) for side in sides)


def _and(tokens: list[str]) -> Condition:
    sides = [_term(tokens)]
    while tokens[:1] == ["AND"]:
        tokens.pop(0)
        sides.append(_term(tokens))
    return sides[0] if len(sides) == 1 else lambda item, values: all(side(item, values) for side in sides)


def _term(tokens: list[str]) -> Condition:
    first = tokens.pop(0)
    if first in ("attribute_exists", "attribute_not_exists"):
        _, name, _ = tokens.pop(0), tokens.pop(0), tokens.pop(0)
        wanted = first == "attribute_exists"
        return lambda item, _values: (name in item) is wanted
    operator = tokens.pop(0)
    if operator == "IN":
        names = tokens[1 : tokens.index(")")][::2]
        del tokens[: tokens.index(")") + 1]
        return lambda item, values: item.get(first) in [values[name] for name in names]
    compare, operand = _COMPARISONS[operator], tokens.pop(0)
    return lambda item, values: first in item and compare(_value(item[first]), _value(values[operand]))


def _value(typed: Mapping[str, Any]) -> Any:
    ((kind, value),) = typed.items()
    return int(value) if kind == "N" else value


def updated(item: Item, expression: str, names: Mapping[str, str], values: Mapping[str, Any]) -> Item:
    """Return what an update of `SET a = b + :c, m.#n = :v REMOVE m.#n` makes of an item."""
    after = {key: {"M": dict(value["M"])} if "M" in value else value for key, value in item.items()}
    sets, _, removals = expression.removeprefix("SET ").partition(" REMOVE ")
    for assignment in sets.split(", "):
        target, _, source = assignment.partition(" = ")
        terms = [values[each] if each in values else item[each] for each in source.split(" + ")]
        value = terms[0] if len(terms) == 1 else {"N": str(sum(_value(term) for term in terms))}
        place, key = _place(after, target, names)
        place[key] = value
    for path in filter(None, removals.split(", ")):
        place, key = _place(after, path, names)
        place.pop(key, None)
    return after


def _place(item: Item, path: str, names: Mapping[str, str]) -> tuple[Item, str]:
    *outer, last = (names.get(part, part) for part in path.split("."))
    for part in outer:
        item = item[part]["M"]
    return item, last
