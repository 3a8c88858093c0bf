"""Events to standard output: to look at them, or to pipe them on."""

import asyncio
import sys
from collections.abc import Sequence
from typing import BinaryIO

from application.events.ports import EventPublisher, Message
from application.shared.errors import Unavailable
from application.shared.health import Probe


class StdoutPublisher(EventPublisher, Probe):
    """Writes each event as one line of JSON (JSON Lines), flushed before it counts."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        lines = b"".join(message.body + b"\n" for message in messages)
        # In a thread: whoever reads the pipe may take their time.
        await asyncio.to_thread(self._write, lines)
        return [None] * len(messages)

    async def check(self) -> None:
        """Return: there is always somewhere to write to."""

    async def close(self) -> None: ...

    def _write(self, lines: bytes) -> None:
        stream = self._stream or sys.stdout.buffer
        try:
            stream.write(lines)
            stream.flush()
        except (OSError, ValueError) as error:
            raise Unavailable("standard output is closed") from error
