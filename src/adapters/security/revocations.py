"""Revoked access tokens as one process knows them: held in memory, read from storage several times a second.

The promise
    A token that an event killed is refused by every worker of every instance within a second of the event's commit.

How it is kept
    The event's transaction writes a revocation. Each process reads those of the last WINDOW every POLL_SECONDS, and
    trusts what it knows for TRUST_SECONDS after the *beginning* of the last reading that succeeded: that reading saw
    whatever was committed before it began. So a check that passes is at most TRUST_SECONDS behind. When readings
    stall, a request waits for one that it shares with all others; when that fails too, nobody is let in by token.

    The window is constant, and much longer than a transaction lives between writing a revocation and committing it,
    so that what was written early and committed late is not missed. After a gap of half a window, and at the start,
    everything is read that can still concern a living token. The process that committed an event learns it at once.

What it costs
    A reading is one look-up of an index range, mostly empty, per process and POLL_SECONDS, whatever the number of
    requests; on SQLite it is mostly one pragma. A check is one look into a dictionary.

What is assumed
    All processes use one primary database. Times are the database's, durations are measured by one clock each.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from typing import Final

from adapters.shared.supervision import supervise
from adapters.shared.tasks import end
from application.identity.ports import RevocationLog, Revocations
from application.identity.revocations import Revocation, revocation_of
from application.shared.errors import Unavailable
from application.shared.unit_of_work import CommitListener
from domain.shared.events import DomainEvent
from domain.shared.ids import SessionId

_WATCH: Final = "the watch over revocations"
_log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.3
TRUST_SECONDS: Final = 0.9
WINDOW_SECONDS: Final = 60.0
"""Longer than any transaction lives: statements, locks and idling are all limited to less."""
LOCAL_WINDOW_SECONDS: Final = 360.0
"""The same where each process writes by a clock of its own (SQLite): they may differ by five minutes."""
MARGIN_SECONDS: Final = 300.0
"""By how much a revocation outlives the tokens it concerns: clocks of processes and database may differ by so much."""
CATCH_UP_SECONDS: Final = 2.0
"""How long a request waits for a reading before it is answered 503."""
PURGE_EVERY_SECONDS: Final = 60.0
PURGE_BATCH: Final = 1_000
PURGE_BATCHES: Final = 10
"""In one go at the most; what is left is for the next minute."""


class KnownRevocations(CommitListener):
    """What this process knows. Its own commits it hears of at once."""

    def __init__(self, *, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._known: dict[int, tuple[int, float]] = {}
        """By the number of the session's id, whose hash costs nothing: that of a UUID is computed in Python."""

    def __len__(self) -> int:
        return len(self._known)

    async def committed(self, events: Sequence[DomainEvent]) -> None:
        self.learn([found for event in events if (found := revocation_of(event)) is not None])

    def learn(self, revocations: Sequence[Revocation]) -> None:
        now = self._timer()
        for revocation in revocations:
            session = revocation.session_id.int
            known = self._known.get(session)
            generation = revocation.generation if known is None else max(known[0], revocation.generation)
            self._known[session] = generation, now

    def is_revoked(self, session_id: SessionId, generation: int) -> bool:
        known = self._known.get(session_id.int)
        return known is not None and generation <= known[0]

    def forget(self, *, older_than_seconds: float) -> None:
        oldest = self._timer() - older_than_seconds
        self._known = {session: known for session, known in self._known.items() if known[1] >= oldest}


class PolledRevocations(Revocations):
    """Keeps `known` up to date from `log`; see the module. Without `start`, requests do all the reading."""

    def __init__(
        self,
        log: RevocationLog,
        known: KnownRevocations,
        *,
        token_lifetime_seconds: float,
        timer: Callable[[], float],
        poll_seconds: float = POLL_SECONDS,
        trust_seconds: float = TRUST_SECONDS,
        window_seconds: float = WINDOW_SECONDS,
    ) -> None:
        """`timer` counts seconds, never runs backwards, and goes on while the machine is suspended."""
        self._revocations = log
        self._known = known
        self._timer = timer
        self._keep = token_lifetime_seconds + MARGIN_SECONDS
        self._poll_seconds = poll_seconds
        self._trust = trust_seconds
        self._window = window_seconds
        self._reads_all = True
        """Whether the next reading is of everything that can concern a living token."""
        self._up_to = -math.inf
        """When the last reading that succeeded began."""
        self._reading: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._is_stalled = False

    async def start(self) -> None:
        """Read everything once, if storage answers, and then what is new in the background. Twice is once."""
        if self._watcher is None:
            await self._read_and_report()
            # Without it every request reads by itself, which is slow and safe.
            self._watcher = asyncio.create_task(supervise(_WATCH, self._watch), name=_WATCH)

    async def close(self) -> None:
        watcher, self._watcher = self._watcher, None
        await end(task for task in (watcher, self._reading) if task is not None)

    def are_current(self) -> bool:
        return self._timer() - self._up_to <= self._trust

    def is_revoked(self, session_id: SessionId, generation: int) -> bool:
        return self._known.is_revoked(session_id, generation)

    async def refresh(self) -> None:
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                # The reading under way may have begun too long ago to settle it; the one after it has not.
                while not self.are_current():
                    await self._read()

    async def _watch(self) -> None:
        purged_at = self._timer()
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self._read_and_report()
            if self._timer() - purged_at >= PURGE_EVERY_SECONDS:
                purged_at = self._timer()
                await self._purge()

    async def _read_and_report(self) -> None:
        try:
            await self._read()
        except Unavailable as error:
            if not self._is_stalled:
                _log.warning("revocations cannot be read, requests will wait for them: %s", error)
            self._is_stalled = True
        else:
            if self._is_stalled:
                _log.warning("revocations can be read again")
            self._is_stalled = False

    async def _read(self) -> None:
        """Read what is new, together with everybody who asks while a reading is under way."""
        # One that has ended stays for a turn of the loop. Waiting for it takes no time, so whoever finds it too old and
        # comes back to it would do so for ever, and hold up the loop by it.
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_alone(), name="a reading of revocations")
            self._reading.add_done_callback(self._done)
        # One of those who wait may hang up; the others still wait.
        await asyncio.shield(self._reading)

    def _done(self, reading: asyncio.Task[None]) -> None:
        if self._reading is reading:
            self._reading = None
        if not reading.cancelled():
            reading.exception()  # Marked as seen: whoever waited for it may have gone.

    async def _read_alone(self) -> None:
        began = self._timer()
        # Said no sooner than it is done: a reading that fails, and a step in the middle of it, leave it to the next.
        reads_all = self._reads_all or began - self._up_to > WINDOW_SECONDS / 2
        if reads_all:
            self._reads_all = False
        try:
            self._known.learn(await self._revocations.since(self._keep if reads_all else self._window))
        except BaseException:
            self._reads_all = self._reads_all or reads_all
            raise
        self._up_to = began

    def invalidate(self) -> None:
        """Read everything the next time: storage's clock has stepped, so its last minute may be another one."""
        self._reads_all = True

    async def _purge(self) -> None:
        self._known.forget(older_than_seconds=self._keep)
        with contextlib.suppress(Unavailable):  # There is no hurry.
            for _ in range(PURGE_BATCHES):
                if await self._revocations.purge(older_than_seconds=self._keep, limit=PURGE_BATCH) < PURGE_BATCH:
                    break
