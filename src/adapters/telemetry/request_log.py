"""The request log: one line of JSON a request, written in batches by a thread of its own.

What a line never has: bodies, header fields, tokens, the query, the path as it was sent. The route's template, the
caller's id and the request id are there to find the rest; a failure of ours is logged with its path where it is
caught.

Requests only add to a list. A few times a second the loop encodes what is there, and a thread writes it, so that
nobody waits for a slow terminal or a full pipe. What cannot be written in time is bounded and then dropped, which the
log says itself. A crash (SIGKILL) loses what was not flushed: FLUSH_SECONDS of it.
"""

import asyncio
import contextlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Final

import msgspec

from adapters.shared.supervision import Failures

_log = logging.getLogger("postern.requests")

FLUSH_SECONDS: Final = 0.05
WAITING_LINES: Final = 20_000
"""Lines that may wait to be written, some 6 MiB; about a second of a worker's utmost."""
CLOSE_SECONDS: Final = 1.0
"""How long the end of the process waits for what is still to be written."""
_ATOMIC_BYTES: Final = 4096
"""What a pipe takes in one piece (PIPE_BUF of Linux), so that lines of several workers do not run into each other. A
regular file takes any number of bytes so: workers share its descriptor, and a write holds its position (POSIX)."""


class RequestLine(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One request. Its fields are documented in `docs/operations.md`."""

    time: datetime
    """When it was answered."""
    level: str
    """`info`, or `error` for a status of 500 and above."""
    method: str
    route: str
    """The template, such as `/api/v1/posts/{post_id}`; `unmatched` where no route took it."""
    status: int
    """As it was sent; 499 when the client was gone before there was one."""
    duration_ms: float
    bytes: int
    """Of the content."""
    request_id: str
    client: str
    user_id: str = ""
    """Whose credentials were good; absent without."""


class _LostLines(msgspec.Struct, frozen=True, tag="lost_lines", tag_field="event"):
    time: datetime
    level: str
    lost: int


Render = Callable[[list[RequestLine]], bytes]

_encoder = msgspec.json.Encoder()


def as_json(lines: list[RequestLine]) -> bytes:
    return _encoder.encode_lines(lines)


def as_text(lines: list[RequestLine]) -> bytes:
    """Render for the terminal of somebody who develops."""
    text = [
        f"{line.time.astimezone():%H:%M:%S} {line.status} {line.method} {line.route} {line.duration_ms:.1f} ms\n"
        for line in lines
    ]
    return "".join(text).encode()


class RequestLog:
    """Collects lines and has them written to `descriptor`, which stays open: it is standard error."""

    def __init__(self, descriptor: int, *, render: Render = as_json, waiting_lines: int = WAITING_LINES) -> None:
        self._descriptor = descriptor
        self._render = render
        self._most = waiting_lines
        self._lines: list[RequestLine] = []
        self._timer: asyncio.TimerHandle | None = None
        self._handed_over = 0
        self._written = 0
        """Counted by the thread alone, as the one above is by the loop alone: neither needs a lock."""
        self._lost = 0
        self._lost_untold = 0
        self._queue: SimpleQueue[tuple[int, bytes] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._unforeseen = Failures("writing the request log")

    @property
    def lost(self) -> int:
        """How many lines were dropped since the start."""
        return self._lost

    def add(self, line: RequestLine) -> None:
        self._lines.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Hand over what was collected; as much of it as there is room for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        room = self._most - (self._handed_over - self._written)
        if len(lines) > room:
            self._lose(len(lines) - max(room, 0))
            del lines[max(room, 0) :]
        if lines:
            self._hand_over(len(lines), self._tell_lost() + self._render(lines))

    async def close(self) -> None:
        """Write what is there, for CLOSE_SECONDS at the most."""
        self.flush()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join, CLOSE_SECONDS)

    def _lose(self, lines: int) -> None:
        if not self._lost_untold:
            _log.warning("the request log cannot be written as fast as it grows: lines are dropped")
        self._lost += lines
        self._lost_untold += lines

    def _tell_lost(self) -> bytes:
        """Return a line that tells how many are missing before the next one, if any are."""
        lost, self._lost_untold = self._lost_untold, 0
        return _encoder.encode(_LostLines(datetime.now(UTC), "warning", lost)) + b"\n" if lost else b""

    def _hand_over(self, lines: int, data: bytes) -> None:
        self._handed_over += lines
        if self._thread is None or not self._thread.is_alive():
            # A daemon: a pipe that nobody empties must not keep the process from ending.
            self._thread = threading.Thread(target=self._write_on, name="request-log", daemon=True)
            self._thread.start()
        self._queue.put((lines, data))

    def _write_on(self) -> None:
        try:
            self._write()
        except Exception as error:  # noqa: BLE001 - it is begun again with the next line
            self._unforeseen.note(error)

    def _write(self) -> None:
        in_pieces = not _is_regular_file(self._descriptor)
        while (batch := self._queue.get()) is not None:
            lines, data = batch
            try:
                with contextlib.suppress(OSError):  # Whoever read it is gone, and there is nobody to tell.
                    for piece in _pieces(data) if in_pieces else (data,):
                        _write_all(self._descriptor, piece)
            finally:
                self._written += lines


def _is_regular_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:  # It is gone.
        return False


def _pieces(data: bytes) -> Iterator[bytes]:
    """Yield whole lines, as many at a time as a pipe takes in one piece; a longer line comes alone."""
    begin, end = 0, len(data)
    while begin < end:
        stop = data.rfind(b"\n", begin, begin + _ATOMIC_BYTES) + 1
        if stop == 0:
            stop = data.find(b"\n", begin) + 1 or end
        yield data[begin:stop]
        begin = stop


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
