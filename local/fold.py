"""Settle a template's conditions for some parameters, as CloudFormation does before it makes anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ABSENT = object()


def fold(template: Mapping[str, Any], parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the template without conditions, parameters filled in; what AWS alone knows stays a function.

    Args:
        template: as `load_template` reads it, or transformed by SAM.
        parameters: values by name; the others keep their defaults.

    Raises:
        KeyError: a parameter has neither value nor default.
        ValueError: a condition is none.
    """
    given = parameters or {}
    values: dict[str, Any] = {}
    for name, parameter in template.get("Parameters", {}).items():
        value = given[name] if name in given else parameter["Default"]
        values[name] = str(value).split(",") if parameter["Type"] == "CommaDelimitedList" else value
    written = template.get("Conditions", {})
    conditions = {name: _holds(each, written, values) for name, each in written.items()}
    kept = {
        name: {key: value for key, value in resource.items() if key != "Condition"}
        for name, resource in template["Resources"].items()
        if conditions.get(resource.get("Condition"), True)
    }
    rest = {key: value for key, value in template.items() if key not in ("Parameters", "Conditions", "Resources")}
    return dict(_settled({**rest, "Resources": kept}, values, conditions))


def _holds(condition: Any, written: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Decide a condition, and those that it names."""

    def holds(inner: Any) -> bool:
        return _holds(inner, written, parameters)

    match condition:
        case {"Condition": str(name)}:
            return holds(written[name])
        case {"Fn::Not": [inner]}:
            return not holds(inner)
        case {"Fn::And": list(parts)}:
            return all(map(holds, parts))
        case {"Fn::Or": list(parts)}:
            return any(map(holds, parts))
        case {"Fn::Equals": [left, right]}:
            # CloudFormation compares texts: a number that a template writes equals the parameter's text.
            return str(_settled(left, parameters, {})) == str(_settled(right, parameters, {}))
    raise ValueError(f"not a condition: {condition}")


def _settled(value: Any, parameters: Mapping[str, Any], conditions: Mapping[str, bool]) -> Any:
    def settle(inner: Any) -> Any:
        return _settled(inner, parameters, conditions)

    match value:
        case {"Ref": "AWS::NoValue"}:
            return _ABSENT
        case {"Ref": str(name)} if name in parameters:
            return parameters[name]
        case {"Fn::If": [name, then, otherwise]}:
            return settle(then if conditions[name] else otherwise)
        case dict():
            settled = {key: settle(each) for key, each in value.items()}
            return _computed({key: each for key, each in settled.items() if each is not _ABSENT})
        case list():
            return [each for each in map(settle, value) if each is not _ABSENT]
    return value


def _computed(value: dict[str, Any]) -> Any:
    match value:
        case {"Fn::Select": [index, list(parts)]}:
            return parts[int(index)]
        case {"Fn::Join": [str(separator), list(parts)]} if all(isinstance(each, str) for each in parts):
            return separator.join(parts)
    return value
