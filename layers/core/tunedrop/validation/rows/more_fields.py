"""Rows that have more fields than training reads, such as an id in each: told without the exact judge."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_MOST_NAMES = 32
"""Names of further fields that are known in one file: of rows with yet others the exact judge decides."""

_NEITHER = frozenset('"\\')
"""Signs that no field of a decoder's may have in its name."""

_DEEPEST = 8
"""Levels of lists and objects in a further field, at most."""

_LARGEST = 1 << 63
"""Whole numbers beyond it are left to the exact judge, which knows up to where they can be read."""

_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Unsure(Exception):  # noqa: N818 - no error: another one decides
    """Say that only the exact judge knows."""


class MoreFields:
    """Decode rows with fields beside those of a schema; which ones there are it learns from the rows."""

    def __init__(self, schema: Mapping[str, tuple[str, Any]], never: Sequence[str] = ()) -> None:
        """Know the schema's attributes, each with its field's name and type; fields named in `never` are no others."""
        self._schema = schema
        self._known = {name for name, _ in schema.values()} | {*never}
        self._others: list[str] = []
        self._decoder: msgspec.json.Decoder[Any] | None = None

    def decode(self, block: bytes) -> tuple[list[Any], list[dict[str, Any]]]:
        """Return rows with the schema's attributes, and the other fields of each.

        That no key stands twice is to be proven by the number of strings. Raises what the decoder raises, and Unsure.
        """
        try:
            rows = self._decoder.decode_lines(block) if self._decoder else None
        except msgspec.ValidationError:
            rows = None
        if rows is None:
            rows = self._learnt(block).decode_lines(block)
        names = [(name, f"more{number}") for number, name in enumerate(self._others)]
        others = [
            {name: value for name, more in names if (value := getattr(row, more)) is not msgspec.UNSET} for row in rows
        ]
        return rows, others

    def _learnt(self, block: bytes) -> msgspec.json.Decoder[Any]:
        """Return a decoder that knows the fields of these lines, too."""
        names = dict.fromkeys(name for row in _fields_of.decode_lines(block) for name in row if name not in self._known)
        plain = all(name.isprintable() and _NEITHER.isdisjoint(name) for name in names)
        if not names or not plain or len(self._others) + len(names) > _MOST_NAMES:
            raise Unsure
        self._others += names
        self._known |= {*names}
        more: list[Any] = [(f"more{number}", Any, msgspec.UNSET) for number in range(len(self._others))]
        row = msgspec.defstruct(
            "RowWithMore",
            [*((attribute, type_) for attribute, (_, type_) in self._schema.items()), *more],
            rename={attribute: name for attribute, (name, _) in self._schema.items()}
            | {f"more{number}": name for number, name in enumerate(self._others)},
            forbid_unknown_fields=True,
            frozen=True,
            gc=False,
        )
        self._decoder = msgspec.json.Decoder(row)
        return self._decoder


def strings_of(value: Any, depth: int = 0) -> int:
    """Count the strings of a decoded value, keys included; raises Unsure where the strict reader may refuse it."""
    match value:
        case str():
            return 1
        case None | bool():
            return 0
        case int() if -_LARGEST < value < _LARGEST:
            return 0
        case float() if math.isfinite(value):
            return 0
        case list() if depth < _DEEPEST:
            return sum(strings_of(each, depth + 1) for each in value)
        case dict() if depth < _DEEPEST:
            return len(value) + sum(strings_of(each, depth + 1) for each in value.values())
    raise Unsure
