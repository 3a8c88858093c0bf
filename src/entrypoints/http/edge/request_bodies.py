"""Request bodies as they come in: within a size, a time and a rate, and within bounds for one address and for all.

A body that is there costs two accesses to a dictionary. Everything else is looked after by `check`, a few times a
second: it ends what takes too long, and what is one too many. The task that waits for such a body is cancelled where it
waits, and gets a problem to raise instead.

What a caller sends that is not wanted is read and dropped after the answer, for a while (RFC 9112, section 9.6). A
server that closed instead would reset the connection under a client that sends before it reads, and the answer with it.
"""

import asyncio
import re
import time
from asyncio import current_task
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from adapters.system.periodic import Periodic
from application.shared.errors import Overloaded
from application.shared.rate_limit import client_network
from entrypoints.http.edge.exchange import Exchange, Message, Receive
from entrypoints.http.problems.errors import (
    BadRequest,
    BodyTooLarge,
    BodyTooSlow,
    TooManyTransfers,
    UnsupportedTransferCoding,
)

BODY_LIMIT: Final = 1_048_576
"""Bytes of a request body: 1 MiB."""
LOOK_SECONDS: Final = 0.25
GRACE_SECONDS: Final = 5.0
"""How long a body may take before its rate counts."""
DISCARD_BYTES: Final = 16 * 1_048_576
DISCARD_SECONDS: Final = 5.0
KEPT_BYTES: Final = 65_536
"""As much that is still to come does not end a connection: it is there in a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLimits:
    """What may be unfinished at once: of the bodies of requests, and as much of the answers.

    One address is an IPv4 address, or the /64 of one of IPv6.
    """

    body_seconds: float = 30.0
    body_rate: int = 240
    """Bytes a second, on average, once the first seconds are over."""
    per_address: int = 32
    in_all: int = 256
    bytes_per_address: int = 16 * 1_048_576
    bytes_in_all: int = 64 * 1_048_576


class RequestBody:
    """One request body. `receive` stands in for the server's: what it raises is to be answered."""

    # Defaults of the class, as an exchange has them: most bodies are whole with their first piece.
    received: int = 0
    """Bytes so far."""
    held: int = 0
    """Those that are counted as kept, since there is more to come."""
    is_over: bool = False
    """Nothing more comes."""
    since: float | None = None
    """When it was first seen to be waited for."""
    until: float | None = None
    """When dropping what is left of it ends; None while it is wanted."""
    refusal: type[Exception] | None = None
    """What `receive` raises once its task is cancelled."""

    def __init__(self, bodies: "RequestBodies", receive: Receive, exchange: Exchange) -> None:
        self._bodies = bodies
        self._receive = receive
        self.address = exchange.address
        self.length = exchange.length
        """In bytes; None where that is not told before."""

    async def receive(self) -> Message:
        waiting = self._bodies.waiting
        waiting[self] = task = current_task()
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if self.refusal is None or task is None:
                raise
            task.uncancel()
            # Not as an attribute nor by a name: either would make a circle with the frames that it goes through.
            raise self.refusal() from None
        finally:
            del waiting[self]
        if message["type"] != "http.request":
            self.is_over = True
            return message
        size = len(message["body"])
        received = self.received = self.received + size
        if received > BODY_LIMIT and self.until is None:
            raise BodyTooLarge
        if not message["more_body"]:
            self.is_over = True
        elif received == self.length:
            # Granian tells of the end by a message of its own, which need not be waited for.
            self.is_over = True
            return {"type": "http.request", "body": message["body"], "more_body": False}
        elif self.until is None:
            self._bodies.hold(self, size)
        return message

    @property
    def network(self) -> str:
        return client_network(self.address)

    @property
    def rate(self) -> float:
        """Bytes a second since it was first waited for; to be asked only then."""
        return self.received / max(time.monotonic() - (self.since or 0.0), 0.001)


class RequestBodies:
    """All bodies that this process receives."""

    def __init__(self, limits: TransferLimits | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or TransferLimits()
        self._now = now
        self.waiting: dict[RequestBody, asyncio.Task[Any] | None] = {}
        """Those whose next piece is waited for, and by whom."""
        self._held = 0
        self._held_of: dict[str, int] = {}
        """Bytes that are kept of bodies that are not whole, in all and by address."""
        self._dropping: set[RequestBody] = set()

    def begin(self, exchange: Exchange, receive: Receive) -> RequestBody:
        """Take care of the body of a request, which has one."""
        body = exchange.body = RequestBody(self, receive, exchange)
        return body

    def is_waited_for(self, exchange: Exchange) -> bool:
        """Tell whether more of the body of an exchange is waited for."""
        return exchange.body in self.waiting

    def hold(self, body: RequestBody, size: int) -> None:
        """Count bytes that are kept until there are more. Raises when they are too many."""
        network, limits = body.network, self._limits
        body.held += size
        self._held += size
        held = self._held_of[network] = self._held_of.get(network, 0) + size
        if held > limits.bytes_per_address:
            raise TooManyTransfers
        if self._held > limits.bytes_in_all:
            raise Overloaded

    def release(self, exchange: Exchange) -> None:
        """Count nothing of what an exchange has sent any more. Twice is once."""
        body: RequestBody | None = exchange.body
        if body is None or not body.held:
            return
        network = body.network
        self._held -= body.held
        self._held_of[network] -= body.held
        if not self._held_of[network]:
            del self._held_of[network]
        body.held = 0

    async def discard(self, exchange: Exchange, receive: Receive) -> None:
        """Read what is left of a body that has been answered, and drop it, within bounds."""
        body: RequestBody = exchange.body or self.begin(exchange, receive)
        self.release(exchange)
        # An error refers to the frames it came through, and they to the exchange and what receives its body: a circle,
        # in which the server would wait for the garbage collector to close the connection.
        if exchange.failure is not None:
            exchange.failure.__traceback__ = None
        exchange.failure = exchange.caller = exchange.body = None
        if body.is_over or not self._may_discard(body):
            return
        body.refusal = None
        body.until = self._now() + DISCARD_SECONDS
        most = body.received + DISCARD_BYTES
        self._dropping.add(body)
        try:
            while body.received < most and (await body.receive()).get("more_body"):
                pass
        except _StopDiscarding:
            pass
        finally:
            self._dropping.discard(body)

    def _may_discard(self, body: RequestBody) -> bool:
        if len(self._dropping) >= self._limits.in_all:
            return False
        network = body.network
        return sum(other.network == network for other in self._dropping) < self._limits.per_address

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Look after them while the application runs."""

        async def look() -> None:
            self.check()

        periodic = Periodic("looking after request bodies", look, seconds=LOOK_SECONDS)
        await periodic.start()
        try:
            yield
        finally:
            await periodic.close()

    def check(self) -> None:
        """End what takes too long, and what is one too many; to be called every `LOOK_SECONDS`."""
        now = self._now()
        wanted: list[RequestBody] = []
        for body in list(self.waiting):
            if body.since is None:
                body.since = now
            elif body.until is not None:
                if now >= body.until:
                    self._end(body, _StopDiscarding)
            elif self._is_too_slow(body, now - body.since):
                self._end(body, BodyTooSlow)
            else:
                wanted.append(body)
        if len(wanted) > self._limits.per_address:
            self._end_the_slowest(wanted)

    def _is_too_slow(self, body: RequestBody, seconds: float) -> bool:
        limits = self._limits
        return seconds >= limits.body_seconds or (
            seconds > GRACE_SECONDS and body.received < limits.body_rate * (seconds - GRACE_SECONDS)
        )

    def _end_the_slowest(self, bodies: Iterable[RequestBody]) -> None:
        by_place = defaultdict(list)
        for body in sorted(bodies, key=lambda body: body.rate, reverse=True):
            by_place[body.network].append(body)
        kept: list[RequestBody] = []
        for of_one in by_place.values():
            kept += of_one[: self._limits.per_address]
            for body in of_one[self._limits.per_address :]:
                self._end(body, TooManyTransfers)
        kept.sort(key=lambda body: body.rate, reverse=True)
        for body in kept[self._limits.in_all :]:
            self._end(body, Overloaded)

    def _end(self, body: RequestBody, refusal: type[Exception]) -> None:
        task = self.waiting.get(body)
        if task is not None and body.refusal is None:
            body.refusal = refusal
            task.cancel()


class _StopDiscarding(Exception):
    """Nothing more is read of a body that is dropped."""


def has_body(exchange: Exchange) -> bool:
    """Tell whether a request says that it has a body."""
    fields = exchange.fields
    return b"transfer-encoding" in fields or fields.get(b"content-length", b"0").strip(b"0") != b""


def ends_connection(exchange: Exchange) -> bool:
    """Tell whether so much of the body is still to come that the connection is not kept for it."""
    body: RequestBody | None = exchange.body
    if body is not None and (body.is_over or body.refusal is not None):
        return not body.is_over
    received = 0 if body is None else body.received
    return exchange.length is None or exchange.length - received > KEPT_BYTES


_LENGTH: Final = re.compile(rb"[0-9]{1,19}")


def guard_body(exchange: Exchange, length: bytes | None) -> bool:
    """Raise for a body without a certain end, or too large by what its length says; tell whether there is one."""
    coding = exchange.fields.get(b"transfer-encoding")
    if coding is None:
        if length is None or not _LENGTH.fullmatch(length):
            raise BadRequest("Content-Length is not one number.")
        exchange.length = number = int(length)
        if number > BODY_LIMIT:
            raise BodyTooLarge
        exchange.has_body = number > 0
        exchange.has_large_body = number > KEPT_BYTES
        return number > 0
    if length is not None:
        # Two lengths are how requests are smuggled past a proxy (RFC 9112, section 6.3).
        raise BadRequest("Content-Length and Transfer-Encoding exclude each other.")
    if coding.strip(b" \t").lower() != b"chunked":
        raise UnsupportedTransferCoding
    exchange.has_body = exchange.has_large_body = True
    return True
