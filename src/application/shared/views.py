"""What reading use cases answer with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec

V = TypeVar("V")

Timestamp = Annotated[
    str,
    msgspec.Meta(
        description="RFC 3339, UTC, with microseconds.",
        examples=["2026-11-21T09:30:00.000000Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Id = Annotated[
    str,
    msgspec.Meta(
        description="UUIDv7 (RFC 9562).",
        examples=["019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"],
        extra_json_schema={"format": "uuid"},
    ),
]


def timestamp(time: datetime) -> str:
    """Format an aware UTC datetime as the contract has it: always six digits of microseconds, and `Z`.

    msgspec drops the fraction of a full second, which breaks clients that compare or slice the text.
    """
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@dataclass(frozen=True, slots=True)
class Versioned(Generic[V]):
    """A view, and the version of the aggregate it shows: what `If-Match` guards."""

    view: V
    version: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class EncodedPage:
    """A page ready for the wire: its JSON, a strong validator of just those bytes, and where it goes on.

    Each is equal to itself alone: what sends it keeps what it makes of it for as long as there is the page.
    """

    body: bytes
    etag: str
    next_cursor: str | None
