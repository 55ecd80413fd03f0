"""Read a stack parameter that holds JSON or a list: strictly, and with all that is wrong told at once."""

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tunedrop.domain.problem import Problem, excerpt
from tunedrop.domain.strict_json import JsonError, parse_object

Shape = TypeVar("Shape")


class StackParameterError(Exception):
    """Say all that is wrong with a stack parameter."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Hold the problems."""
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def parse_parameter(name: str, text: str, shape: type[Shape], example: str) -> Shape:
    """Read the JSON object in the stack parameter `name`; raises StackParameterError, and nothing else.

    `example` is a value that is right, for the fix.
    """
    try:
        parse_object(text.encode(errors="surrogatepass"))
        adapter: TypeAdapter[Any] = TypeAdapter(shape)
        return adapter.validate_json(text, strict=True)  # type: ignore[no-any-return]
    except JsonError as error:
        problem = Problem(
            code=f"parameter.{error.code}",
            message=f"{name} {error.message}.",
            where=f"stack parameter {name}",
            fix=_fix(name, example),
        )
        raise StackParameterError((problem,)) from None
    except ValidationError as error:
        raise _wrong(name, error, example) from None


def check_parameter(name: str, values: tuple[str, ...], shape: type[Shape], example: str) -> Shape:
    """Check the entries of the list in the stack parameter `name`; raises StackParameterError, and nothing else."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(shape)
        return adapter.validate_python(values)  # type: ignore[no-any-return]
    except ValidationError as error:
        raise _wrong(name, error, example) from None


def _wrong(name: str, error: ValidationError, example: str) -> StackParameterError:
    fix = _fix(name, example)
    return StackParameterError(tuple(_problem(name, each["loc"], each["msg"], fix) for each in error.errors()))


def _fix(name: str, example: str) -> str:
    return f"Deploy with a value such as {name}='{example}'."


def _problem(name: str, location: tuple[int | str, ...], message: str, fix: str) -> Problem:
    path = ".".join(excerpt(str(each)) for each in location)
    return Problem(
        code="parameter.value",
        message=f"{path or name}: {excerpt(message)}.",
        where=f"stack parameter {name}",
        fix=fix,
    )
