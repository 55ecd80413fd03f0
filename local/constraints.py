"""Check API requests against AWS's own service models, in AWS's own words.

botocore checks required members, types and minimums only; AWS also checks patterns, enums and maximums, and a request
that passes here must pass there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import regex
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

from local.engine.host import AwsError

_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "character": (str,),
    "blob": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str),
}


@cache
def service_model(service: str) -> ServiceModel:
    """Load botocore's model of a service, by boto3's name of it: megabytes of JSON, read once."""
    return botocore.session.get_session().get_service_model(service)


def check(shape: Shape | None, value: Any) -> None:
    """Raise AwsError unless the decoded JSON value satisfies the shape.

    Args:
        shape: an operation's input shape, as botocore loads it; None for an operation without input.
        value: the parameters, decoded from JSON.

    Raises:
        AwsError: SerializationException when a type is wrong, ValidationException with every violated constraint
            otherwise.
    """
    if shape is None:
        return
    violations = list(_violations(shape, value, ""))
    if violations:
        count = f"{len(violations)} validation error{'s' if len(violations) > 1 else ''} detected"
        raise AwsError("ValidationException", f"{count}: {'; '.join(violations)}")


def _violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.metadata.get("document"):
        return
    if not _has_type(shape, value):
        raise AwsError("SerializationException", f"{path or 'The request'} cannot be converted to {shape.type_name}")
    for constraint in _broken(shape, value):
        yield _violation(value, path, constraint)
    if isinstance(shape, StructureShape):
        yield from _member_violations(shape, value, path)
    elif isinstance(shape, ListShape):
        for position, member in enumerate(value, start=1):
            yield from _violations(shape.member, member, f"{path}.{position}.member")
    elif isinstance(shape, MapShape):
        yield from _entry_violations(shape, value, path)


def _has_type(shape: Shape, value: Any) -> bool:
    allowed = _JSON_TYPES[shape.type_name]
    # To Python True is an integer.
    return isinstance(value, allowed) and (bool in allowed or not isinstance(value, bool))


def _member_violations(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _violations(member, value[name], _join(path, name))


def _entry_violations(shape: MapShape, value: dict[str, Any], path: str) -> Iterator[str]:
    for key, member in value.items():
        if broken := list(_broken(shape.key, key)):
            yield _violation(value, path, f"Map keys must satisfy constraint: [{', '.join(broken)}]")
        if broken := list(_broken(shape.value, member)):
            yield _violation(value, path, f"Map value must satisfy constraint: [{', '.join(broken)}]")


def _violation(value: Any, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    """Name the constraints of this one shape that the value breaks."""
    least, most, pattern = (shape.metadata.get(key) for key in ("min", "max", "pattern"))
    numeric = shape.type_name in {"integer", "long", "float", "double"}
    size = value if numeric else len(value) if isinstance(value, str | list | dict) else None
    relation = "value" if numeric else "length"
    if size is not None and least is not None and size < least:
        yield f"Member must have {relation} greater than or equal to {least}"
    if size is not None and most is not None and size > most:
        yield f"Member must have {relation} less than or equal to {most}"
    # The models hold Java's regular expressions (\p{L} …), which the standard library's `re` cannot read.
    # Java also writes the characters beyond U+FFFF as pairs of surrogates.
    readable = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF") if pattern else ""
    if isinstance(value, str) and readable and not regex.fullmatch(readable, value):
        yield f"Member must satisfy regular expression pattern: {pattern}"
    if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


def _join(path: str, name: str) -> str:
    wire_name = name[0].lower() + name[1:]
    return f"{path}.{wire_name}" if path else wire_name
