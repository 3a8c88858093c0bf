"""Request bodies: strict JSON into msgspec structs, every fault told at once.

msgspec stops at the first fault, which makes people correct a form one field at a time. So a body is converted whole
first, which is the fast and usual way; only when that fails is each field converted by itself to find all faults.

A field's type may carry a `Parsed` beside its `Meta`: the domain's own parser of that value, whose faults belong in
the same list.
"""

import json
import re
from asyncio import to_thread
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from domain.shared.errors import FieldError, Invalid
from entrypoints.http.edge.exchange import Exchange
from entrypoints.http.edge.validation_messages import worded
from entrypoints.http.problems.errors import BadRequest, MalformedBody, UnsupportedContentCoding, UnsupportedMediaType

T = TypeVar("T", bound=msgspec.Struct)

_PARAMETER = re.compile(
    r';[ \t]*(?:(?P<name>[!#$%&\'*+.^_`|~0-9a-z-]+)=(?P<value>"(?:[^"\\]|\\.)*"[ \t]*|[^;"]*))?', re.IGNORECASE
)
"""One parameter of a media type (RFC 9110, section 5.6.6), which may be empty. Each is read by itself, so that no two
parts of the pattern can match the same blanks: such a pattern takes twice as long with each parameter more."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """Goes into `Annotated` beside `Meta`: the parser of the value object that the field becomes."""

    parse: Callable[[str], object]


async def read(exchange: Exchange, schema: type[T]) -> T:
    """Read the body as `schema`.

    Raises `UnsupportedMediaType` unless it says it is JSON, `MalformedBody` when it is not, `Invalid` with every faulty
    field, and `BadRequest` when it breaks off. The edge has bounded its size.
    """
    return await decoded(await collect(exchange), schema)


async def collect(exchange: Exchange) -> bytes:
    """Receive the whole body, for `decode`.

    Raises `UnsupportedMediaType` unless it says it is JSON, and `BadRequest` when it ends before it is whole: broken
    off, or chunked wrongly.
    """
    _check_media_type(exchange)
    return await collect_chunks(exchange)


async def collect_chunks(exchange: Exchange) -> bytes:
    """Receive the whole body, whatever it is. Raises `BadRequest` when it ends before it is whole."""
    receive = exchange.body.receive
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest("The body ended before it was whole.")
        body: bytes = message["body"]
        if not message["more_body"]:
            return b"".join((*chunks, body)) if chunks else body
        chunks.append(body)


def _check_media_type(exchange: Exchange) -> None:
    fields = exchange.fields
    if fields.get(b"content-type") != b"application/json":  # as nearly everybody has it; else it is read
        media_type = exchange.field(b"content-type")
        if media_type is None or not _is_json(media_type.strip()):
            raise UnsupportedMediaType(_media_type_fault(media_type))
    if b"content-encoding" in fields and fields[b"content-encoding"].lower() != b"identity":
        raise UnsupportedContentCoding


def _media_type_fault(media_type: str | None) -> str:
    """Return what is wrong with a media type that is not taken."""
    if not media_type:
        return "The body does not say what it is: Content-Type is missing."
    kind = media_type.partition(";")[0].strip(" \t")
    if kind.lower() != "application/json":
        return f"The body says that it is {kind[:100]!r}."
    if "charset" in media_type.lower():
        return "The body says that it is in another charset than UTF-8, which is the only one of JSON (RFC 8259)."
    return "The parameters of Content-Type cannot be read."


def _is_json(media_type: str) -> bool:
    """Tell whether it is `application/json`, in UTF-8 as far as it says; other parameters mean nothing (RFC 8259)."""
    kind = media_type.partition(";")[0]
    if kind.rstrip(" \t").lower() != "application/json":
        return False
    at = len(kind)
    while at < len(media_type):
        found = _PARAMETER.match(media_type, at)
        if found is None:
            return False
        if (found["name"] or "").lower() == "charset" and found["value"].strip(' \t"').lower() != "utf-8":
            return False
        at = found.end()
    return True


ON_LOOP_BYTES: Final = 8_192
"""Of a body that is decoded on the event loop, and whose text is looked at there."""


async def decoded(raw: bytes, schema: type[T]) -> T:
    """Decode and validate `raw`, in a thread where that may take more than a moment; see `read`."""
    return decode(raw, schema) if len(raw) <= ON_LOOP_BYTES else await to_thread(decode, raw, schema)


def decode(raw: bytes, schema: type[T]) -> T:
    """Decode and validate `raw`; see `read`."""
    if len(raw) > _PLAIN_BYTES and _tokens(raw) > _TOKENS_MAX:
        body = _decode_strictly(raw, schema)
    else:
        data = _decode_json(raw)
        try:
            body = msgspec.convert(data, schema)
        except msgspec.ValidationError:
            raise Invalid(_faults(data, schema, "")) from None
    faults = _value_faults(body)
    if faults:
        raise Invalid(faults)
    return body


_TOKENS_MAX: Final = 5_000
"""More values than any body takes: an order of a hundred products has four hundred."""
_DEPTH_BYTES: Final = 16_384
"""Enough of a body to tell whether it is nested too deeply: decoding ends at a depth of about a thousand."""


def _tokens(raw: bytes) -> int:
    """Return how many values a body has at the most: a text with many commas has only one."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _decode_strictly(raw: bytes, schema: type[T]) -> T:
    """Decode `raw` as `schema` and nothing else, so that decoding ends at the first value that does not belong there.

    A body of 1 MiB can hold a third of a million objects: they take 200 ms to be made, and longer to be looked at for
    faults. So that fault is the only one to be told.
    """
    try:
        text = raw.decode()
        body = msgspec.json.decode(text, type=schema)
        _duplicates.decode(text)  # A valid body has few objects.
    except msgspec.ValidationError as error:
        if _is_deep(raw):
            raise _malformed(RecursionError(), raw) from None
        raise Invalid([_located(error)], left_out=True) from None
    except _MALFORMED as error:
        raise _malformed(error, raw) from None
    return body


def _is_deep(raw: bytes) -> bool:
    """Tell whether the beginning of `raw` is nested too deeply."""
    try:
        msgspec.json.decode(raw[:_DEPTH_BYTES])
    except RecursionError:
        return True
    except ValueError:  # It is cut off, after all.
        return False
    return False


class _Duplicate(Exception):
    def __init__(self, name: str) -> None:
        self.name = name


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names = {name for name, _ in pairs}
    if len(names) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Duplicate(name)
            seen.add(name)


_duplicates = json.JSONDecoder(object_pairs_hook=_unique)


def _decode_json(raw: bytes) -> object:
    try:
        text = raw.decode()
        data: object = msgspec.json.decode(text)
        # msgspec keeps the last of two members of one name, where another reader would keep the first (RFC 8259,
        # section 4): a gap to smuggle through. It has no hook for it, and the standard library has. That reads the
        # text a second time, so it is asked only where counting cannot tell.
        if not _is_plain(raw, data):
            _duplicates.decode(text)
    except _MALFORMED as error:
        raise _malformed(error, raw) from None
    return data


_MALFORMED: Final = (ValueError, RecursionError, _Duplicate)


_HALF: Final = re.compile(
    r"(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"  # regexes: a run of \\ is begun only once
)
"""The first half of a surrogate pair without its second, as an escape in JSON."""


def _malformed(error: Exception, raw: bytes) -> MalformedBody:
    """Return what is told of JSON that cannot be decoded, or not be taken."""
    match error:
        case msgspec.DecodeError() if _is_half_a_pair(str(error), raw):
            message = r"holds half of a surrogate pair, such as \ud800 alone, which stands for no character"
            fault = FieldError("", "surrogate", message)
        case UnicodeDecodeError():
            fault = FieldError("", "encoding", "is not UTF-8")
        case msgspec.DecodeError():
            fault = FieldError("", "json", _sentence(str(error)))
        case RecursionError():
            fault = FieldError("", "depth", "is nested too deeply")
        case _Duplicate():
            fault = FieldError("", "duplicate", f"has a member twice in one object: {error.name[:100]!r}")
        case _:  # The standard library bounds the digits of a number; msgspec let a long fraction through.
            fault = FieldError("", "json", "holds a number out of range")
    return MalformedBody([fault])


def _is_half_a_pair(message: str, raw: bytes) -> bool:
    """Tell whether msgspec stumbled over a lone surrogate; where a string ends after it, it says that the body does."""
    return "surrogate" in message or ("truncated" in message and _HALF.search(raw.decode()) is not None)


_PLAIN_BYTES: Final = 4_000
"""Fewer than the digits that the standard library takes for one number, so no number in so few bytes has too many."""


def _is_plain(raw: bytes, data: object) -> bool:
    """Tell whether it is certain, from counting alone, that `raw` names no member twice; `data` is what it says.

    Without a backslash every quotation mark begins or ends a string. A flat object of n members, none of them lost to
    another of its name, has n strings for names and one for each value that is a string; with a member twice, the
    text has more strings than the object. Anything else than a short flat object is not counted.
    """
    if len(raw) > _PLAIN_BYTES or b"\\" in raw or type(data) is not dict:
        return False
    strings = len(data)
    for value in data.values():
        kind = type(value)
        if kind is str:
            strings += 1
        elif kind is dict or kind is list:
            return False
    return raw.count(b'"') == 2 * strings


def _sentence(message: str) -> str:
    said = message.removeprefix("JSON is malformed: ").replace("`", "'")
    return f"is not JSON: {said[:1].lower()}{said[1:]}"


_fields: dict[type[msgspec.Struct], dict[str, tuple[str, Any]]] = {}


def _fields_of(schema: type[msgspec.Struct]) -> dict[str, tuple[str, Any]]:
    """Return a struct's fields: name on the wire → (attribute, type with its annotations)."""
    if schema not in _fields:
        hints = get_type_hints(schema, include_extras=True)
        _fields[schema] = {
            field.encode_name: (field.name, hints[field.name]) for field in msgspec.structs.fields(schema)
        }
    return _fields[schema]


def _faults(value: object, type_: Any, path: str) -> Iterator[FieldError]:
    """Find the faults of `value` as `type_`: those of its parts if any, else its own.

    As far as they are asked for, and not in a list that is far too long.
    """
    inner = _strip(type_, value)
    parts: Iterator[FieldError] = iter(())
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, dict):
        parts = _struct_faults(value, inner, path)
    elif get_origin(inner) is list and isinstance(value, list) and len(value) <= 2 * _longest(type_):
        (item_type,) = get_args(inner)
        parts = (
            fault for index, item in enumerate(value) for fault in _faults(item, item_type, _join(path, str(index)))
        )
    first = next(parts, None)
    if first is not None:
        yield first
        yield from parts
        return
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        yield _field_error(path, error, type_)
        return
    if isinstance(value, str):
        yield from _parser_faults(value, _parsers(type_), path)


def _longest(type_: Any) -> float:
    """Return how many items a list takes."""
    origin = get_origin(type_)
    if origin is Annotated:
        inner, *notes = get_args(type_)
        own = [note.max_length for note in notes if isinstance(note, msgspec.Meta) and note.max_length is not None]
        return min(own) if own else _longest(inner)
    if origin in {Union, UnionType}:
        return min(map(_longest, get_args(type_)))
    return inf


def _struct_faults(value: dict[str, object], schema: type[msgspec.Struct], path: str) -> Iterator[FieldError]:
    fields = _fields_of(schema)
    for field in msgspec.structs.fields(schema):
        if field.required and field.encode_name not in value:
            yield FieldError(_join(path, field.encode_name), "required", "is missing")
    for name, (_, type_) in fields.items():
        if name in value:
            yield from _faults(value[name], type_, _join(path, name))
    if schema.__struct_config__.forbid_unknown_fields:
        for name in value:
            if name not in fields:
                yield FieldError(_join(path, name), "unknown", "is not a field of this")


def _strip(type_: Any, value: object) -> Any:
    """Return the type behind `Annotated` and behind an optional, as far as it is one for this value."""
    while True:
        origin = get_origin(type_)
        if origin is Annotated:
            type_ = get_args(type_)[0]
        elif origin in {Union, UnionType}:
            members = [m for m in get_args(type_) if m not in {NoneType, msgspec.UnsetType}]
            if value is None or len(members) != 1:
                return type_
            type_ = members[0]
        else:
            return type_


def _parsers(type_: Any) -> Sequence[Parsed]:
    origin = get_origin(type_)
    if origin is Annotated:
        inner, *notes = get_args(type_)
        return [*(note for note in notes if isinstance(note, Parsed)), *_parsers(inner)]
    if origin in {Union, UnionType}:
        return [parser for member in get_args(type_) for parser in _parsers(member)]
    return []


def _parser_faults(value: str, parsers: Sequence[Parsed], path: str) -> list[FieldError]:
    for parser in parsers:
        try:
            parser.parse(value)
        except Invalid as refused:
            return [FieldError(path, error.code, error.message) for error in refused.errors]
    return []


def _value_faults(body: msgspec.Struct, path: str = "") -> list[FieldError]:
    """Return the faults that the domain finds in fields which the schema lets pass, in structs within it too."""
    found: list[FieldError] = []
    for name, attribute, parsers in _parsed_fields(type(body)):
        value = getattr(body, attribute)
        where = _join(path, name)
        if isinstance(value, str):
            found += _parser_faults(value, parsers, where)
        elif isinstance(value, msgspec.Struct):
            found += _value_faults(value, where)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, msgspec.Struct):
                    found += _value_faults(item, _join(where, str(index)))
    return found


_looked: dict[type[msgspec.Struct], list[tuple[str, str, Sequence[Parsed]]]] = {}


def _parsed_fields(schema: type[msgspec.Struct]) -> list[tuple[str, str, Sequence[Parsed]]]:
    """Return the fields whose values the domain may find faults in: name on the wire, attribute, parsers."""
    if schema not in _looked:
        _looked[schema] = [
            (name, attribute, parsers)
            for name, (attribute, type_) in _fields_of(schema).items()
            if (parsers := _parsers(type_)) or _may_nest(type_)
        ]
    return _looked[schema]


def _may_nest(type_: Any) -> bool:
    """Tell whether a struct may be found in values of a type."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return True
    return any(_may_nest(part) for part in get_args(type_))


def _join(path: str, name: str) -> str:
    """Go one step down; `~` and `/` in a name are escaped (RFC 6901, section 3)."""
    step = name[:200].replace("~", "~0").replace("/", "~1")
    return f"{path}/{step}" if path else step


def _field_error(path: str, error: msgspec.ValidationError, type_: Any = None) -> FieldError:
    code, message = worded(str(error).partition(" - at `")[0], type_)
    return FieldError(path, code, message)


def _located(error: msgspec.ValidationError) -> FieldError:
    """Return the fault that msgspec found in decoding, where it found it: at `$.items[0].quantity`."""
    message, at, place = str(error).rpartition(" - at `$")
    if not at:
        message, place = str(error), ""
    steps = place.removesuffix("`").replace("[", ".").replace("]", "").split(".")
    path = "/".join(steps[1:])
    missing = _MISSING.search(message)
    if missing is not None:
        return FieldError(_join(path, missing[1]), "required", "is missing")
    unknown = _UNKNOWN.search(message)
    if unknown is not None:
        return FieldError(_join(path, unknown[1]), "unknown", "is not a field of this")
    return _field_error(path, error)


_MISSING: Final = re.compile("missing required field `([^`]+)`")
_UNKNOWN: Final = re.compile("contains unknown field `([^`]+)`")
