"""JSON as a user's file must hold it: UTF-8, one object, no repeated key, finite numbers; refused with a reason."""

import json
import math
from collections.abc import Sequence

from tunedrop.domain.problem import excerpt

_TYPE_NAMES = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


class JsonError(ValueError):
    """Say why bytes are not the JSON object that was expected; neither part holds text of the file's values."""

    def __init__(self, code: str, message: str, position: int = 0) -> None:
        """Keep the stable `code` of the problem beside its `message`; `position` is the fault's first byte."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.position = position


def parse_object(data: bytes) -> dict[str, JsonValue]:
    """Parse `data` as one JSON object.

    Python's own reader takes the last of repeated keys, NaN and 1e999; each of them is refused here, because another
    reader of the same file would see other data. Raises `JsonError` for whatever is wrong, and nothing else.
    """
    if b"\0" in data:
        raise JsonError("nul", "holds a NUL character", data.index(b"\0"))
    try:
        text = data.decode()
        value: JsonValue = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise JsonError("not-utf8", f"is not UTF-8 (byte {error.start + 1})", error.start) from None
    except json.JSONDecodeError as error:
        position = len(text[: error.pos].encode(errors="surrogatepass"))
        told = f"{error.msg}{'' if error.msg.endswith(' at') else ','} column {error.colno}"
        raise JsonError("not-json", f"is not JSON ({told})", position) from None
    except RecursionError:
        raise JsonError("nested-too-deep", "is nested too deep to read") from None
    except JsonError:
        raise
    except ValueError:
        # Python refuses to convert integers of more than 4,300 digits.
        raise JsonError("number-too-large", "holds a number too large to read") from None
    if not isinstance(value, dict):
        raise JsonError("not-an-object", f"is {kind_of(value)}, not an object")
    return value


def kind_of(value: JsonValue) -> str:
    """Name the JSON type of `value` for a person: `null`, `a number`, `a list`."""
    return _TYPE_NAMES.get(type(value), "a number")


def quoted(name: str) -> str:
    """Quote a user's own name (a field, a key) for a message."""
    return f'"{excerpt(name)}"'


def _distinct(pairs: Sequence[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value: dict[str, JsonValue] = {}
    for key, item in pairs:
        if key in value:
            raise JsonError("duplicate-key", f"holds the key {quoted(key)} twice")
        value[key] = item
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonError("not-finite", "holds a number beyond the range of a float")
    return number


def _no_constant(text: str) -> float:
    raise JsonError("not-finite", f"holds {text}, which is not JSON")


# Made once: `json.loads` with hooks makes one for every text, which takes longer than to read a short one.
_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_float=_finite, parse_constant=_no_constant)
