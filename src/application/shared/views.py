"""What reading use cases answer with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

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


def timestamp(moment: datetime) -> str:
    """Format an aware UTC datetime as the contract has it: always six digits of microseconds, and `Z`.

    msgspec drops the fraction of a full second, which breaks clients that compare or slice the text.
    """
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@dataclass(frozen=True, slots=True)
class Versioned(Generic[V]):
    """A view, and the version of the aggregate it shows: what `If-Match` guards."""

    view: V
    version: int


class Prepared:
    """Room for what was made of a page to send it, for as long as the page is kept, in the cache that holds it.

    That is one thing, which must be small beside the page's body, and for whom it was made; what is put there replaces
    what was. And it is the compressed body, which the cache counts.
    """

    __slots__ = ("by", "coded", "grown", "what")

    def __init__(self) -> None:
        self.by: object = None
        self.what: Any = None
        self.coded: bytes | None = None
        self.grown: Callable[[Prepared], None] | None = None
        """Called after `coded` has come, by a cache that bounds what it holds. It must not refer to the page."""

    def keep_coded(self, coded: bytes) -> None:
        if self.coded is None:
            self.coded = coded
            if self.grown is not None:
                self.grown(self)


@dataclass(frozen=True, slots=True)
class EncodedPage:
    """A page ready for the wire: its JSON, a strong validator of just those bytes, and where it goes on."""

    body: bytes
    etag: str
    next_cursor: str | None
    prepared: Prepared = field(default_factory=Prepared, compare=False, repr=False)
    """For who sends the page, so that what goes with it is put together once and not for each who asks."""
