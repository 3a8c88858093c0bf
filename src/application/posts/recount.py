"""Comparing counters with what they count."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from application.posts.ports import CounterAudit
from domain.shared.ids import PostId


@dataclass(frozen=True, slots=True)
class RecountCommand:
    batch: int = 500
    """Posts looked at in one statement."""
    repair: bool = True
    after: PostId | None = None
    """Where to go on."""


@dataclass(frozen=True, slots=True)
class RecountProgress:
    """What one batch came to."""

    checked: int
    wrong: list[PostId] = field(default_factory=list)
    repaired: int = 0
    last: PostId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """Count the votes and answers of every post anew, and put right what is not.

    It runs beside everything else: a batch is looked at in one statement, which sees one moment and locks nothing.
    What looks wrong is locked, one post at a time, counted again, and repaired. Without a defect in the program or a
    hand in the database there is nothing to find.
    """

    audit: CounterAudit

    async def execute(self, command: RecountCommand) -> AsyncIterator[RecountProgress]:
        after = command.after
        while True:
            found = await self.audit.check(after=after, limit=command.batch)
            repaired = 0
            if command.repair:
                for post_id in found.wrong:
                    repaired += await self.audit.repair(post_id)
            yield RecountProgress(found.count, found.wrong, repaired, found.last)
            if found.last is None:
                return
            after = found.last
