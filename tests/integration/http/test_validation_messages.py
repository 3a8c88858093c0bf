"""What is wrong with a body is told in words that need no knowledge of Python."""

import enum
import re
from datetime import date, datetime, time
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta

from domain.shared.errors import FieldError, Invalid
from entrypoints.http.edge import json_body
from entrypoints.http.edge.json_body import decode
from entrypoints.http.edge.validation_messages import worded


class Direction(enum.Enum):
    UP = "up"
    DOWN = "down"


class Tagged(msgspec.Struct, tag="one"):
    inner: int


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    inner: int


KINDS: list[tuple[Any, Any, str, str]] = [
    (int, "x", "type", "must be a whole number, not a string"),
    (int, 1.5, "type", "must be a whole number, not a fraction"),
    (int, True, "type", "must be a whole number, not a boolean"),
    (int, None, "type", "must be a whole number, not null"),
    (float, "x", "type", "must be a number, not a string"),
    (str, 1, "type", "must be a string, not a whole number"),
    (str, [], "type", "must be a string, not an array"),
    (bool, {}, "type", "must be true or false, not an object"),
    (None, 1, "type", "must be null, not a whole number"),
    (list[int], 1, "type", "must be an array, not a whole number"),
    (dict[str, int], "x", "type", "must be an object, not a string"),
    (Closed, [], "type", "must be an object, not an array"),
    (int | None, "x", "type", "must be a whole number or null, not a string"),
    (int | str | None, [], "type", "must be a whole number or a string or null, not an array"),
    (Annotated[int, Meta(ge=1)], 0, "range", "must be at least 1"),
    (Annotated[int, Meta(gt=1)], 1, "range", "must be at least 2"),
    (Annotated[int, Meta(le=1)], 2, "range", "must be at most 1"),
    (Annotated[float, Meta(gt=1)], 0.5, "range", "must be more than 1.0"),
    (Annotated[float, Meta(lt=1)], 1.5, "range", "must be less than 1.0"),
    (Annotated[int, Meta(multiple_of=2)], 3, "range", "must be a multiple of 2"),
    (Annotated[str, Meta(min_length=2)], "x", "length", "must have at least 2 characters"),
    (Annotated[str, Meta(max_length=2)], "xxx", "length", "must have at most 2 characters"),
    (Annotated[list[int], Meta(min_length=1)], [], "length", "must have at least 1 item"),
    (Annotated[dict[str, int], Meta(min_length=1)], {}, "length", "must have at least 1 member"),
    (tuple[int, int], [1], "length", "must have 2 items"),
    (Annotated[str, Meta(pattern="^a$")], "x", "pattern", "must match the pattern '^a$'"),
    (Direction, "x\n", "choice", "must be one of up, down"),
    (Literal["a", "b"] | None, "x", "choice", "must be one of a, b"),
    (Literal[1, 2], 3, "choice", "must be one of 1, 2"),
    (UUID, "x", "type", "must be a UUID"),
    (datetime, "x", "type", "must be a date and time as in RFC 3339, such as 2026-11-21T09:30:00Z"),
    (date, "x", "type", "must be a date as in RFC 3339, such as 2026-11-21"),
    (time, "x", "type", "must be a time as in RFC 3339, such as 09:30:00Z"),
    (bytes, "x", "type", "is not written as it should be"),
    (Annotated[datetime, Meta(tz=True)], "2026-11-21T09:30:00", "type", "is not a value that is taken here"),
    (Tagged | Closed, {"type": "two"}, "choice", "does not take 'two'"),
]


@pytest.mark.parametrize(("type_", "value", "code", "words"), KINDS, ids=[kind[3] for kind in KINDS])
def test_each_kind_of_fault_is_told_in_plain_words(type_: Any, value: Any, code: str, words: str) -> None:
    if type_ == Tagged | Closed:
        type_ = Tagged | msgspec.defstruct("Other", [("x", int)], tag="other")
    schema = msgspec.defstruct("Body", [("field", type_)])
    raw = msgspec.json.encode({"field": value})

    for faults in (faults_of(raw, schema), faults_of(raw, schema, strictly=True)):
        [fault] = faults
        assert (fault.code, fault.field.partition("/")[0]) == (code, "field")
        assert fault.message == words or (code == "choice" and fault.message.startswith("does not take "))


@pytest.mark.parametrize("strictly", [False, True])
def test_what_is_missing_and_what_is_too_much_is_named(strictly: bool) -> None:
    assert faults_of(b"{}", Closed, strictly=strictly) == [FieldError("inner", "required", "is missing")]
    [fault] = faults_of(b'{"inner":1,"other":2}', Closed, strictly=strictly)
    assert (fault.field, fault.code, fault.message) == ("other", "unknown", "is not a field of this")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Object missing required field `inner`", ("required", "must have the member inner")),
        ("Object contains unknown field `other`", ("unknown", "has no member other")),
        ("Something that msgspec begins to say one day", ("type", "is not a value that is taken here")),
    ],
)
def test_what_is_seldom_said_has_words_too(message: str, words: tuple[str, str]) -> None:
    assert worded(message) == words


def test_a_value_is_quoted_no_further_than_anybody_reads() -> None:
    assert len(worded(f"Invalid value {'x' * 1_000_000!r}")[1]) <= 200


def faults_of(raw: bytes, schema: type[msgspec.Struct], *, strictly: bool = False) -> list[FieldError]:
    with pytest.raises(Invalid) as caught:
        json_body._decode_strictly(raw, schema) if strictly else decode(raw, schema)
    for fault in caught.value.errors:
        assert not re.search(r"`|\b(?:int|str|float|bool)\b|Expected|regex", fault.message), fault
    return list(caught.value.errors)
