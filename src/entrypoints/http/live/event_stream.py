"""The answer that goes on, for as long as somebody listens."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from adapters.live.stream import LiveStream
from adapters.shared.tasks import end
from domain.shared.errors import Invalid
from entrypoints.http.edge.exchange import Receive, Response, Send

_POSITION: Final = re.compile(rb"[0-9]{1,18}")

HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Authorization"),
    # nginx and what follows it would otherwise collect a stream before they pass it on.
    (b"x-accel-buffering", b"no"),
)


def position_of(last_event_id: bytes | None) -> int | None:
    """Read `Last-Event-ID`; None: there is none. Raises `Invalid` for what no stream of ours has said."""
    if last_event_id is None:
        return None
    if not _POSITION.fullmatch(last_event_id):
        raise Invalid(detail="Last-Event-ID is not the id of an event of this stream.")
    return int(last_event_id)


class EventStreamResponse(Response):
    """A response that lasts as long as its stream, or its connection.

    `may_listen` is asked before each write. The server tells by `send` how fast its reader is: it returns when there
    is room for more (Granian holds one message, and the kernel a few megabytes at the most).
    """

    is_streamed = True

    __slots__ = ("_may_listen", "_peer", "_peers", "_stream")

    def __init__(
        self,
        stream: LiveStream,
        may_listen: Callable[[], Awaitable[bool]],
        *,
        peer: tuple[str, int] | None,
        peers: set[tuple[str, int]],
    ) -> None:
        super().__init__(200, b"", HEADERS)
        self._stream = stream
        self._may_listen = may_listen
        self._peer = None if peer is None else (peer[0], int(peer[1]))
        self._peers = peers
        """Where it is told whose connection is a stream's, while it lasts."""

    async def __call__(self, _scope: Any, receive: Receive, send: Send) -> None:
        stream = self._stream
        gone = asyncio.create_task(self._wait_for_disconnect(receive), name="waiting for a live reader to go")
        if self._peer is not None:
            self._peers.add(self._peer)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            while (piece := await stream.next()) is not None and await self._may_listen():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            if self._peer is not None:
                self._peers.discard(self._peer)
            stream.close()
            await end([gone])
        if not stream.was_cut:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _wait_for_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._stream.close()
