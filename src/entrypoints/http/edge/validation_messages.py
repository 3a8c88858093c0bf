"""What is wrong with a value, in plain words: msgspec speaks of Python's types, which no client has."""

import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final, Literal, get_args, get_origin

_MESSAGE_LENGTH: Final = 200
"""Characters. Some messages quote the value, which may be a megabyte."""

_WANTED: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "null": "null",
    "array": "an array",
    "object": "an object",
    "uuid": "a UUID",
    "datetime": "a date and time",
}
_GIVEN: Final = {"float": "a fraction", "bool": "a boolean"}
_PARTS: Final = {"str": "character", "array": "item", "object": "member"}
_BOUNDS: Final = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_FORMS: Final = {
    "UUID": "must be a UUID",
    "RFC3339 encoded datetime": "must be a date and time as in RFC 3339, such as 2026-11-21T09:30:00Z",
    "RFC3339 encoded date": "must be a date as in RFC 3339, such as 2026-11-21",
    "RFC3339 encoded time": "must be a time as in RFC 3339, such as 09:30:00Z",
}


def _types(names: str, words: dict[str, str]) -> str:
    return " or ".join(words.get(name, _WANTED.get(name, "another kind of value")) for name in names.split(" | "))


def _counted(number: str, name: str) -> str:
    return f"{number} {_PARTS.get(name, 'part')}{'' if number == '1' else 's'}"


_KINDS: Final[tuple[tuple[re.Pattern[str], str, Callable[["re.Match[str]"], str]], ...]] = (
    (
        re.compile(r"Expected `([^`]*)`, got `([^`]*)`"),
        "type",
        lambda said: f"must be {_types(said[1], _WANTED)}, not {_types(said[2], _GIVEN)}",
    ),
    (
        re.compile(r"Expected `(\w+)` of length ([<>]=?) (\d+)"),
        "length",
        lambda said: f"must have {_BOUNDS[said[2]]} {_counted(said[3], said[1])}",
    ),
    (
        re.compile(r"Expected `(\w+)` of length (\d+)(?:, got \d+)?"),
        "length",
        lambda said: f"must have {_counted(said[2], said[1])}",
    ),
    (re.compile(r"Expected `\w+` ([<>]=?) (.+)"), "range", lambda said: f"must be {_BOUNDS[said[1]]} {said[2]}"),
    (re.compile(r"Expected `\w+` that's a multiple of (.+)"), "range", lambda said: f"must be a multiple of {said[1]}"),
    (
        re.compile(r"Expected `\w+` matching regex (.+)", re.DOTALL),
        "pattern",
        lambda said: f"must match the pattern {said[1]}",
    ),
    (re.compile(r"Invalid (?:enum )?value (.+)", re.DOTALL), "choice", lambda said: f"does not take {said[1]}"),
    (
        re.compile(r"Object missing required field `([^`]+)`"),
        "required",
        lambda said: f"must have the member {said[1]}",
    ),
    (re.compile(r"Object contains unknown field `([^`]+)`"), "unknown", lambda said: f"has no member {said[1]}"),
    (re.compile(r"Invalid (.+)"), "type", lambda said: _FORMS.get(said[1], "is not written as it should be")),
)


def worded(message: str, type_: Any = None) -> tuple[str, str]:
    """Return the code and the words of what msgspec found wrong with a value, of this type where that is known."""
    for pattern, code, words in _KINDS:
        said = pattern.fullmatch(message)
        if said is not None:
            choices = [*_choices(type_)] if code == "choice" else []
            text = f"must be one of {', '.join(choices)}" if choices else words(said)
            return code, text[:_MESSAGE_LENGTH]
    return "type", "is not a value that is taken here"


def _choices(type_: Any) -> Iterable[str]:
    if isinstance(type_, type) and issubclass(type_, Enum):
        yield from (str(member.value) for member in type_)
    elif get_origin(type_) is Literal:
        yield from map(str, get_args(type_))
    else:
        for part in get_args(type_):
            yield from _choices(part)
