"""Live events: one reader of the event log a process, and any number of streams that it fills.

What it costs
    While anybody listens, a process asks the event log POLL_SECONDS after it last did, and at once after a commit of
    its own; while nobody does, never. An event is encoded once, and what several streams have in common is joined
    once: they share the bytes. The more streams there are, the longer events are gathered before they are handed out
    (GATHER_SECONDS for each), so that a thousand streams at fifty events a second are a few thousand writes a second
    and not fifty thousand.

What is bounded
    How many streams there are, together and for one caller; and what waits for one, see `stream`.

No gap, no repetition
    A stream that resumes reads pages of the log until it has come to where the hub is, and joins it in the same turn
    of the event loop in which it finds that so. From then on it is given what lies after its own position. Positions
    are given after the commit (see `application.shared.event_log`), so nothing can appear behind one's back.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.live.commit_signal import CommitSignal
from adapters.live.stream import SWEEP_SECONDS, Chunk, LiveStream
from adapters.shared.supervision import Failures
from adapters.shared.tasks import end
from application.events.live import Reader, TooManyStreams
from application.shared.errors import Overloaded, Unavailable
from application.shared.event_log import EventLog, LoggedEvent

_HANDING_OUT: Final = "handing out live events"
_SWEEPING: Final = "looking after live streams"
_log = logging.getLogger("postern.live")

POLL_SECONDS: Final = 0.2
GATHER_SECONDS: Final = 0.0002
GATHER_AT_LEAST_SECONDS: Final = 0.02
_SETTLED: Final = 1_000
"""Events that are given their positions at a time, before a stream begins."""
PAGE: Final = 200
"""Events read at a time."""
CATCH_UP_EVENTS: Final = 10_000
"""Who missed more than that is told so, instead of being sent all of it: reading anew what is shown is cheaper."""
CATCHING_UP: Final = 4
"""Streams of one process that read pages at a time: when all come back after a restart, others have work to do too."""


@dataclass(frozen=True, slots=True)
class EventFormat:
    """How things are said on the wire."""

    event: Callable[[LoggedEvent], bytes]
    heartbeat: Callable[[int], bytes]
    """A sign of life, with the position to resume from."""
    greeting: Callable[[int], bytes]
    """The first words of a stream, with the position that it begins after."""
    reset: Callable[[int], bytes]
    """Events were lost; the stream goes on after this position."""


class LiveHub:
    """Follows the event log while there are streams, and fills them; see the module."""

    def __init__(
        self,
        log: EventLog,
        commit_signal: CommitSignal,
        event_format: EventFormat,
        *,
        max_streams: int,
        max_streams_of_one: int,
        timer: Callable[[], float],
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """`timer` counts seconds and never runs backwards. The limits are this process's, not of all together."""
        self.now = timer
        self.position = 0
        """Up to where the log was handed out."""
        self._events = log
        self._commit_signal = commit_signal
        self._format = event_format
        self._max_streams = max_streams
        self._max_streams_of_one = max_streams_of_one
        self._poll_seconds = poll_seconds
        self._streams: dict[LiveStream, None] = {}
        self._joined: dict[LiveStream, None] = {}
        self._of_caller: dict[object, int] = {}
        self._handing_out: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._catching_up = asyncio.Semaphore(CATCHING_UP)
        self._is_closed = False
        self._is_stalled = False
        self._failures = {name: Failures(name) for name in (_HANDING_OUT, _SWEEPING)}

    def __len__(self) -> int:
        return len(self._streams)

    async def open(
        self,
        reader: Reader,
        caller: object,
        *,
        after: int | None = None,
        is_over: Callable[[], bool] = lambda: False,
        abort: Callable[[], bool] = lambda: False,
    ) -> LiveStream:
        """Open a stream of what happens from now on, or of what happened after a position and from then on.

        `caller` is whom the limit for one is counted for, `is_over` tells when the caller may no longer listen, and
        `abort` breaks the connection off if it can. Raises `TooManyStreams` for one caller, `Overloaded` for all, and
        `StorageUnavailable`. Whoever opened a stream closes it.
        """
        if self._is_closed:
            raise Overloaded("The server is about to stop.")
        if self._of_caller.get(caller, 0) >= self._max_streams_of_one:
            raise TooManyStreams(f"There may be {self._max_streams_of_one} at once.")
        if len(self._streams) >= self._max_streams:
            raise Overloaded("There are as many live streams as there may be.")
        stream = LiveStream(self, reader, caller, is_over=is_over, abort=abort)
        self._streams[stream] = None
        self._of_caller[caller] = self._of_caller.get(caller, 0) + 1
        try:
            await self._follow()
            if after is None:
                stream.begin(self.position, self._format.greeting(self.position))
            elif await self._is_lost(after):
                stream.begin(self.position, self._format.greeting(self.position) + self._format.reset(self.position))
            else:
                stream.begin(after, self._format.greeting(after))
        except BaseException:
            stream.close()
            raise
        return stream

    def join(self, stream: LiveStream) -> None:
        self._joined[stream] = None

    def leave(self, stream: LiveStream) -> None:
        self._joined.pop(stream, None)

    def forget(self, stream: LiveStream) -> None:
        if stream in self._streams:
            del self._streams[stream]
            self._of_caller[stream.caller] -= 1
            if not self._of_caller[stream.caller]:
                del self._of_caller[stream.caller]

    def hang_up(self) -> None:
        """End every stream and open no more, so that a server that is told to stop has nothing to wait for."""
        self._is_closed = True
        for stream in list(self._streams):
            stream.finish()

    async def close(self) -> None:
        self.hang_up()
        await end([task for task in (self._handing_out, self._sweeping) if task is not None])

    async def events_after(self, stream: LiveStream) -> Chunk:
        """Read a page of the log after the position of `stream`, as its reader sees it. Ends it when that fails."""
        try:
            async with self._catching_up:
                events = await self._events.read(after=stream.position, limit=PAGE)
        except Unavailable:
            stream.finish()  # It may come back when the storage has.
            return Chunk(b"", 0, stream.position)
        said = [self._format.event(seen) for event in events if (seen := stream.reader.view(event)) is not None]
        return Chunk(b"".join(said), len(said), events[-1].position if events else stream.position)

    async def _is_lost(self, after: int) -> bool:
        """Tell whether what came after a position is no longer kept, or is too much, or never was of this log."""
        if after > self.position:
            return after > await self._events.head()
        return self.position - after > CATCH_UP_EVENTS or after < await self._events.position_before_oldest()

    async def _follow(self) -> None:
        """Begin to follow the log, from its end, unless it is being followed."""
        async with self._starting:
            if self._handing_out is None or self._handing_out.done():
                # What nobody has looked at since has no position yet: it would be told as if it happened now.
                while await self._events.assign_positions(limit=_SETTLED) == _SETTLED:
                    pass
                self.position = await self._events.head()
                self._handing_out = self._started(self._broadcast(), _HANDING_OUT)
            if self._sweeping is None or self._sweeping.done():
                self._sweeping = self._started(self._sweep(), _SWEEPING)

    def _started(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._log_failure)
        return task

    def _log_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # Streams that nobody fills would be silent for ever. Their readers come back, and it is begun anew.
            self._failures[task.get_name()].note(error)
            for stream in list(self._streams):
                stream.finish()

    async def _broadcast(self) -> None:
        while self._streams:
            self._commit_signal.clear()
            settled = 0
            try:
                settled = await self._events.assign_positions()
                await self._read()
            except Unavailable as error:
                if not self._is_stalled:
                    _log.warning("live events cannot be read, and will be when that is possible again: %s", error)
                self._is_stalled = True
            else:
                self._is_stalled = False
            await asyncio.sleep(max(GATHER_AT_LEAST_SECONDS, GATHER_SECONDS * len(self._streams)))
            if settled == 0:
                await self._commit_signal.wait(self._poll_seconds)

    async def _read(self) -> None:
        while self._streams:
            events = await self._events.read(after=self.position, limit=PAGE)
            if events:
                self._dispatch(events)
            if len(events) < PAGE:
                return
            await asyncio.sleep(0)  # The streams get to write in between.

    def _dispatch(self, events: Sequence[LoggedEvent]) -> None:
        """Hand a page to every stream that has joined."""
        owners = {event.owner_id for event in events} - {None}
        worded: dict[tuple[int, bool], bytes] = {}
        shared: dict[frozenset[str] | None, Chunk] = {}

        def piece(reader: Reader, after: int) -> Chunk:
            said: list[bytes] = []
            for event in events:
                if event.position <= after or (seen := reader.view(event)) is None:
                    continue
                key = event.position, seen is event
                if key not in worded:
                    worded[key] = self._format.event(seen)
                said.append(worded[key])
            return Chunk(b"".join(said), len(said), events[-1].position)

        for stream in list(self._joined):
            reader = stream.reader
            if reader.user_id in owners or stream.position >= events[0].position:
                stream.enqueue(piece(reader, stream.position))
                continue
            if reader.types not in shared:
                shared[reader.types] = piece(reader, 0)
            stream.enqueue(shared[reader.types])
        self.position = events[-1].position

    async def _sweep(self) -> None:
        while self._streams:
            heartbeat = Chunk(self._format.heartbeat(self.position), 0, self.position)
            for stream in list(self._streams):
                stream.on_tick(heartbeat)
            await asyncio.sleep(SWEEP_SECONDS)
