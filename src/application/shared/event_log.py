"""The event log, as everybody reads it: what happened, in one order that never changes behind a reader.

What was committed gets its `position` afterwards, from one sequencer at a time. Numbers that are drawn before the
commit (an AUTO_INCREMENT, a sequence) become visible out of order: who has read number 7 never learns of the 6 whose
transaction took longer. With positions, whoever has read up to N has missed nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event that others may learn of. It is thin: ids, versions, states and counts, never what somebody wrote."""

    position: int
    """From 1 on. Positions grow, with gaps perhaps; those of one subject are in the order of its changes."""
    id: UUID
    """Of the event itself: a consumer who has seen it once knows a repetition by it."""
    type: str
    """`post.published`."""
    version: int
    """Of the schema that `data` follows, from 1 on."""
    subject: UUID
    """The aggregate that changed: the post, the order, the account. A vote is a change to its post."""
    owner_id: UserId | None
    """Whom it concerns: a post's author, an order's customer, the account itself, the voter; None: nobody any more."""
    public: bool
    """Whether anybody may see it live, apart from what its schema names private (who voted)."""
    time: datetime
    """When it happened; UTC."""
    data: bytes
    """A JSON object in UTF-8."""


class EventLog(Protocol):
    """Raises `StorageUnavailable` where the storage is gone, and `TransientFailure` where a lock took too long."""

    async def assign_positions(self, *, limit: int = 1000) -> int:
        """Give positions to what has been committed since, `limit` at the most; return how many got one.

        Any number of processes may do it at once. Where positions are given by the commit itself, there is nothing to
        do, and the answer is 0.
        """
        ...

    async def read(self, *, after: int, limit: int) -> list[LoggedEvent]:
        """Return events with positions above `after`, ascending, `limit` at the most; only those with a position."""
        ...

    async def head(self) -> int:
        """Return the last position given; 0: none was yet."""
        ...

    async def position_before_oldest(self) -> int:
        """Return the position before the oldest event that is still kept: who has read less has missed some."""
        ...
