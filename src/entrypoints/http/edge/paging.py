"""The query string: strict, with every fault told at once, and the link to the next page."""

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

from application.shared.paging import DEFAULT_LIMIT, MAX_LIMIT, InvalidCursor, PageRequest
from domain.shared.errors import FieldError, Invalid
from domain.shared.text import is_stream_safe, too_many_marks
from entrypoints.http.edge.timestamps import parse_timestamp

T = TypeVar("T")

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_LIMIT = re.compile(r"[0-9]{1,3}", re.ASCII)
PARAMETERS_MAX: Final = 50
NAME_MAX: Final = 200
"""Characters of an unknown name that are told, as of a member of a body."""
CURSOR_MAX_LENGTH: Final = 512
"""Characters; more than any codec writes."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULT_PAGE = PageRequest()
_NO_ID = UUID(int=0)


def _fault(parameter: str, code: str, message: str) -> FieldError:
    return FieldError(f"?{parameter}", code, message)


class Query:
    """Reads the parameters of a query string; `check` raises one `Invalid` that lists all that is wrong."""

    __slots__ = ("_faults", "_raw", "_values")

    def __init__(self, raw: bytes, known: AbstractSet[str]) -> None:
        self._raw = raw
        self._faults: list[FieldError] = []
        self._values: dict[str, str] = {}
        if raw:
            self._read(raw, known)

    def _read(self, raw: bytes, known: AbstractSet[str]) -> None:
        if raw.count(b"&") >= PARAMETERS_MAX:
            raise Invalid([_fault("", "length", f"takes at most {PARAMETERS_MAX} parameters")])
        try:
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
        except ValueError:  # Bytes that are not ASCII, or percent-encoded ones that are not UTF-8.
            raise Invalid([_fault("", "encoding", "is not percent-encoded UTF-8")]) from None
        for name, value in pairs:
            if name not in known:
                self._faults.append(_fault(name[:NAME_MAX], "unknown", "is not a parameter of this path"))
            elif name in self._values:
                self._faults.append(_fault(name, "repeated", "is given more than once"))
            else:
                self._values[name] = value

    def page(self) -> PageRequest:
        """Read `limit` (1 to 100, 20 without) and `cursor`."""
        if not self._raw:
            return _DEFAULT_PAGE
        limit = DEFAULT_LIMIT
        raw = self._values.get("limit")
        if raw is not None:
            if not _LIMIT.fullmatch(raw):
                self._faults.append(_fault("limit", "type", f"is a whole number from 1 to {MAX_LIMIT}"))
            elif not 1 <= int(raw) <= MAX_LIMIT:
                self._faults.append(_fault("limit", "range", f"is a whole number from 1 to {MAX_LIMIT}"))
            else:
                limit = int(raw)
        cursor = self._values.get("cursor")
        if cursor is not None and len(cursor) > CURSOR_MAX_LENGTH:
            raise InvalidCursor
        return PageRequest(limit, cursor)

    def id(self, name: str) -> UUID | None:
        raw = self._values.get(name)
        if raw is None:
            return None
        if not _UUID.fullmatch(raw):
            self._faults.append(_fault(name, "format", "is a UUID"))
            return None
        return UUID(raw)

    def text(self, name: str, *, max_length: int) -> str | None:
        """Read a text of 1 to `max_length` characters."""
        raw = self._values.get(name)
        if raw is not None and not 1 <= len(raw) <= max_length:
            self._faults.append(_fault(name, "length", f"takes 1 to {max_length} characters"))
            return None
        if raw is not None and not is_stream_safe(raw):
            self._faults.append(too_many_marks(f"?{name}"))
            return None
        return raw

    def choice(self, name: str, choices: AbstractSet[str]) -> str | None:
        raw = self._values.get(name)
        if raw is None or raw in choices:
            return raw
        self._faults.append(_fault(name, "choice", f"is one of {', '.join(sorted(choices))}"))
        return None

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Read what `parse` makes of a parameter; the faults that it raises as `Invalid` belong with the others."""
        raw = self._values.get(name)
        if raw is None:
            return None
        try:
            return parse(raw)
        except Invalid as invalid:
            self._faults += invalid.errors
            return None

    def excludes(self, name: str, other: str, *, default: str) -> None:
        """Refuse `other` next to `name`, unless it says what holds without it: generated clients send defaults."""
        if name in self._values and self._values.get(other, default) != default:
            self._faults.append(_fault(other, "conflict", f"does not go with `{name}`"))

    def timestamp(self, name: str) -> datetime | None:
        """Read a time with its offset (RFC 3339), from 1970 on, as UTC."""
        raw = self._values.get(name)
        if raw is None:
            return None
        try:
            found = parse_timestamp(raw)
        except ValueError:
            # A bare plus is a blank in a query, and so the commonest fault there is.
            hint = "; a + in a query is written %2B" if " " in raw else ""
            self._faults.append(_fault(name, "format", f"is a time with its offset, as in RFC 3339{hint}"))
            return None
        if found < _EPOCH:
            self._faults.append(_fault(name, "range", "is no earlier than 1970"))
        return found

    def path_id(self, params: Mapping[str, str], name: str) -> UUID:
        """Read an id from the path, whose faults belong with those of the query."""
        raw = params[name]
        if _UUID.fullmatch(raw):
            return UUID(raw)
        self._faults.append(_fault(name, "format", "is a UUID"))
        return _NO_ID

    def check(self) -> None:
        if self._faults:
            raise Invalid(self._faults)

    def next_page(self, path: str) -> "NextPage":
        """Return what links to the next page of this very query at `path`."""
        values = {**self._values, "cursor": ""}
        position = list(values).index("cursor")
        pairs = list(values.items())
        before = "".join(f"{urlencode([pair])}&" for pair in pairs[:position])
        after = "".join(f"&{urlencode([pair])}" for pair in pairs[position + 1 :])
        return NextPage(f"<{quote(path)}?{before}cursor=", f'{after}>; rel="next"')

    def next_link(self, path: str, next_cursor: str | None) -> tuple[tuple[bytes, bytes], ...]:
        """Return the `Link` (RFC 8288) to the next page of this very query; none on the last page."""
        return self.next_page(path).link(next_cursor)


@dataclass(frozen=True, slots=True)
class NextPage:
    """The `Link` to the next page (RFC 8288) but for the cursor, which every codec writes in URL-safe characters."""

    before: str
    after: str

    def link(self, cursor: str | None) -> tuple[tuple[bytes, bytes], ...]:
        """Return the header; none on the last page."""
        return () if cursor is None else ((b"link", f"{self.before}{cursor}{self.after}".encode()),)


NO_PARAMETERS: frozenset[str] = frozenset()


def refuse_parameters(raw: bytes) -> None:
    """Raise `Invalid` when a path that takes no parameters is given some: a typo must not pass in silence."""
    if raw:
        Query(raw, NO_PARAMETERS).check()


def path_id(params: Mapping[str, str], name: str) -> UUID:
    """Return an id from the path. Raises `Invalid` when it cannot be one."""
    query = Query(b"", NO_PARAMETERS)
    found = query.path_id(params, name)
    query.check()
    return found
