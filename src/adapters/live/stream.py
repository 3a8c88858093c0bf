"""One live stream: what its caller is still to be sent, and when it ends.

What is bounded
    What waits for it: QUEUE_BYTES and QUEUE_EVENTS, and the time that one write may take. Who reads more slowly than
    that is cut, and may come back with the position of the last event seen: reading what was missed goes page by page,
    as fast as the caller takes it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from application.events.live import Reader

_log = logging.getLogger("postern.live")

PIECE_BYTES: Final = 64 * 1024
"""What is written at a time, or one event if that is more."""
QUEUE_BYTES: Final = 512 * 1024
QUEUE_EVENTS: Final = 2_000
BEAT_SECONDS: Final = 15.0
"""Silence after which a sign of life is sent; proxies end connections that are silent for 30 or 60 seconds."""
WRITE_SECONDS: Final = 10.0
"""How long one write may take before its reader is cut."""
SWEEP_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Chunk:
    data: bytes
    events: int
    position: int
    """Whoever was sent it has seen, or was not meant to see, everything up to here."""


class Hub(Protocol):
    """What a stream needs of whoever fills it."""

    @property
    def position(self) -> int:
        """Up to where the log was handed out."""
        ...

    def now(self) -> float:
        """Return seconds that never run backwards."""
        ...

    def join(self, stream: "LiveStream") -> None:
        """Fill it from now on."""
        ...

    def leave(self, stream: "LiveStream") -> None:
        """Fill it no more. Twice is once."""
        ...

    def forget(self, stream: "LiveStream") -> None:
        """Count it no more. Twice is once."""
        ...

    async def events_after(self, stream: "LiveStream") -> Chunk:
        """Read what comes next after its position, as its reader sees it. Ends it when that fails."""
        ...


class LiveStream:
    """One stream: what its caller is still to be sent, within bounds."""

    def __init__(
        self,
        hub: Hub,
        reader: Reader,
        caller: object,
        *,
        is_over: Callable[[], bool],
        abort: Callable[[], bool],
    ) -> None:
        self.reader = reader
        self.caller = caller
        self.position = 0
        """The last one that is queued, was sent, or was not meant for this reader."""
        self.was_cut = False
        self._hub = hub
        self._is_over = is_over
        self._abort = abort
        self._queue: deque[Chunk] = deque()
        self._bytes = 0
        self._events = 0
        self._woken = asyncio.Event()
        self._has_joined = False
        self._has_ended = False
        self._writing_since: float | None = None
        self._idle_since = hub.now()

    @property
    def waiting_bytes(self) -> int:
        return self._bytes

    def begin(self, position: int, words: bytes) -> None:
        """Set where it begins, and what is said before any event."""
        self.position = position
        self._put(Chunk(words, 0, position))
        self._join()

    async def next(self) -> bytes | None:
        """Return what to write next; None: the stream is over. Until it is asked again, that is being written."""
        self._writing_since = None
        while not self._has_ended:
            if self._queue:
                self._writing_since = self._idle_since = self._hub.now()
                return self._taken()
            if not self._has_joined:
                await self._catch_up()
            else:
                self._woken.clear()
                await self._woken.wait()
        return None

    def _taken(self) -> bytes:
        """Take as many pieces as make a write of a good size."""
        taken = [self._queue.popleft()]
        size = len(taken[0].data)
        while self._queue and size + len(self._queue[0].data) <= PIECE_BYTES:
            taken.append(self._queue.popleft())
            size += len(taken[-1].data)
        self._bytes -= size
        self._events -= sum(piece.events for piece in taken)
        return taken[0].data if len(taken) == 1 else b"".join([piece.data for piece in taken])

    async def _catch_up(self) -> None:
        """Queue one page of what was missed; or, when nothing was, join the hub in the same turn of the loop."""
        goal = self._hub.position
        if self._join():
            return
        missed = await self._hub.events_after(self)
        if self._has_ended:
            return
        if missed.data:
            self._put(missed)
        # Of what was not there to be read, the hub has told: it is no longer kept.
        self.position = missed.position if missed.position > self.position else goal

    def _join(self) -> bool:
        """Have the hub fill it from now on, if there is nothing between the two."""
        if self.position >= self._hub.position:
            self._has_joined = True
            self._hub.join(self)
        return self._has_joined

    def enqueue(self, piece: Chunk) -> None:
        """Give it a piece of what happens, or cut it when too much waits already."""
        if self._has_ended:
            return
        self.position = max(self.position, piece.position)
        if not piece.data:
            return
        if self._bytes + len(piece.data) > QUEUE_BYTES or self._events + piece.events > QUEUE_EVENTS:
            self.cut("its reader is further behind than is kept for it")
        else:
            self._put(piece)

    def _put(self, piece: Chunk) -> None:
        self._queue.append(piece)
        self._bytes += len(piece.data)
        self._events += piece.events
        self._woken.set()

    def on_tick(self, heartbeat: Chunk) -> None:
        """Do what time has made due: end it, cut it, or give a sign of life."""
        now = self._hub.now()
        writing = 0.0 if self._writing_since is None else now - self._writing_since
        if self._has_ended:
            # A write that began when the reader could still take it.
            if writing > SWEEP_SECONDS and not self.was_cut:
                self.cut("it has ended, and its reader does not take what is under way")
        elif self._is_over():
            self.finish()
        elif writing > WRITE_SECONDS:
            self.cut("its reader takes too long")
        elif self._writing_since is None and now - self._idle_since >= BEAT_SECONDS and self._has_joined:
            self._idle_since = now
            if heartbeat.position >= self.position:  # It resumed ahead of the hub: its position must not go back.
                self.enqueue(heartbeat)

    def finish(self) -> None:
        """End it in good order. What waits is dropped: who comes back asks for it."""
        self._has_ended = True
        self._hub.leave(self)
        self._queue.clear()
        self._bytes = self._events = 0
        self._woken.set()

    def cut(self, reason: str) -> None:
        """Break the connection off. Where that cannot be done it is emptied, and counts until its caller is gone."""
        _log.info("a live stream was cut: %s", reason)
        self.was_cut = True
        self.finish()
        self._abort()

    def close(self) -> None:
        """Forget it: nobody reads it any more. Twice is once."""
        self.finish()
        self._hub.forget(self)
