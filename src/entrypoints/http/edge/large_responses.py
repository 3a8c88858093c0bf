"""Large answers as they go out: in pieces, so that what nobody takes is not kept twice, and within bounds.

Granian keeps an answer that it is given whole until its client has taken it. Given in pieces, it takes the next one
only when there is room (four pieces and 64 KiB, besides what the kernel keeps), so that the rest is counted here: a
client who does not read holds what it has asked for, and an address only so much of that.

Who takes nothing is ended by its connection; see `adapters.system.connection_guard`.
"""

from functools import partial
from typing import Final

from application.shared.errors import Overloaded
from application.shared.rate_limit import client_network
from domain.shared.errors import PosternError
from entrypoints.http.edge.exchange import Exchange, Message, Send
from entrypoints.http.edge.request_bodies import TransferLimits
from entrypoints.http.problems.errors import TooManyTransfers

WHOLE_BYTES: Final = 65_536
"""Answers up to here are sent in one piece."""
PIECE_BYTES: Final = 16_384
STREAM_BYTES: Final = 4 * 1_048_576
"""What one of no known length counts for as long as it lasts: a page of texts is read, and kept while it is sent."""


class LargeResponses:
    """All large answers that this process is sending."""

    def __init__(self, limits: TransferLimits | None = None) -> None:
        self._limits = limits or TransferLimits()
        self._number = 0
        self._bytes = 0
        self._of: dict[str, tuple[int, int]] = {}
        """How many there are by address, and the bytes of them that nobody has taken."""

    def refusal(self, exchange: Exchange, size: int) -> PosternError | None:
        """Return why an answer of this size is not sent; None: it may be.

        Who reads is refused, and may come again; what was written is done, and whoever did it is told.
        """
        limits = self._limits
        number, held = self._of.get(client_network(exchange.address), (0, 0))
        if number and (number >= limits.per_address or held + size > limits.bytes_per_address):
            return TooManyTransfers()
        if self._number and (self._number >= limits.in_all or self._bytes + size > limits.bytes_in_all):
            return Overloaded()
        return None

    def hold(self, exchange: Exchange) -> None:
        """Count an answer of no known length until `exchange.let_go` is called."""
        network = client_network(exchange.address)
        self._count(network, 1, STREAM_BYTES)
        exchange.release = partial(self._count, network, -1, -STREAM_BYTES)

    async def send(
        self, exchange: Exchange, send: Send, body: bytes, *, start: Message | None = None, more_body: bool = False
    ) -> None:
        """Send a large piece of content as fast as it is taken; it is counted before `start` is sent, or with all."""
        network = client_network(exchange.address)
        left = len(body)
        is_counted = exchange.release is None
        if is_counted:
            self._count(network, 1, left)
        try:
            if start is not None:
                await send(start)
            for position in range(0, len(body), PIECE_BYTES):
                piece = body[position : position + PIECE_BYTES]
                is_last = position + PIECE_BYTES >= len(body)
                await send({"type": "http.response.body", "body": piece, "more_body": more_body or not is_last})
                if is_counted:
                    left -= len(piece)
                    self._count(network, 0, -len(piece))
        finally:
            if is_counted:
                self._count(network, -1, -left)

    def _count(self, network: str, number: int, size: int) -> None:
        self._number += number
        self._bytes += size
        numbers, sizes = self._of.get(network, (0, 0))
        if numbers + number:
            self._of[network] = numbers + number, sizes + size
        else:
            self._of.pop(network, None)
