"""Carrying out a creating command once, however often it is sent (`Idempotency-Key`).

How a use case that creates takes part:

1. Its command has a field `once: Once[TheView] | None = None`.
2. It makes its view first, and in its unit of work says `await uow.idempotency.claim(command.once, view)` before it
   writes anything. That does nothing for None. What it locks to write to it later (the caller's own account, say) it
   locks before the claim: the key refers to the account, and of two who share a lock and both want more of it, one is
   a deadlock's victim.
3. Its route has `idempotent=True` in its `Operation` and answers through `IdempotentCreation.answer`
   (entrypoints/http).

Tests walk all routes that answer 201, and demand the third.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, Self, TypeVar

from application.shared.clock import Clock
from domain.shared.errors import Conflict, FieldError, Invalid, PosternError, Unauthenticated
from domain.shared.ids import UserId

V = TypeVar("V")
V_contra = TypeVar("V_contra", contravariant=True)

IDEMPOTENCY_KEY_MAX_LENGTH = 255
"""Characters, each one byte."""
KEPT_FOR = timedelta(hours=24)
KEYS_PER_USER: Final = 10_000
"""In 24 hours: each keeps an answer of up to a megabyte."""
COUNTED_FROM: Final = 100
"""So many requests with a key of one account pass a process before it asks storage how many are kept."""
_COUNT_AGAIN = timedelta(minutes=1)
_COUNTED_OWNERS: Final = 10_000
_PURGE_BATCH = 500
_ATTEMPTS = 3
_PATIENCE = timedelta(seconds=1)


class IdempotencyKeyReused(PosternError):
    slug = "idempotency-key-reused"
    title = "The idempotency key was used for another request"


class IdempotencyInFlight(Conflict):
    """A request with this key is still being carried out: here, or in another process."""

    slug = "idempotency-in-flight"
    title = "A request with this idempotency key is still being carried out"

    retry_after_seconds: int = 1


class IdempotentResponseLost(Conflict):
    """It was done, and how it was answered can no longer be read: the installation has another secret key by now."""

    slug = "idempotent-answer-lost"
    title = "The request was carried out before, and its answer can no longer be read"


class TooManyIdempotencyKeys(PosternError):
    """The caller has used as many keys in 24 hours as are kept for one account."""

    slug = "too-many-idempotency-keys"
    title = "Too many idempotency keys within 24 hours"

    retry_after_seconds: int = 300


class CallerGone(Unauthenticated):
    """The caller's account was deleted a moment ago."""

    slug = "caller-gone"
    title = "Your account no longer exists"


class KeyTaken(Exception):
    """To claim it found the key claimed, by a request that was carried out. Only `Idempotency` hears of it."""


class KeyContended(Exception):
    """The claim lost a race, or waited too long for another's. Only `Idempotency` hears of it.

    Not a `TransientFailure`, which would be tried again with a connection in hand, lock wait after lock wait.
    """


class ResponseUnreadable(Exception):
    """A kept answer was sealed under a key that is not known any more, or altered."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's name for one request: 1 to 255 visible ASCII characters, compared byte by byte."""

    value: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Raise `Invalid` for anything else."""
        if not 1 <= len(raw) <= IDEMPOTENCY_KEY_MAX_LENGTH or not all("\x21" <= letter <= "\x7e" for letter in raw):
            message = f"is 1 to {IDEMPOTENCY_KEY_MAX_LENGTH} visible ASCII characters, without blanks"
            raise Invalid([FieldError("?Idempotency-Key", "format", message)])
        return cls(raw)


@dataclass(frozen=True, slots=True)
class IdempotencyClaim(Generic[V_contra]):
    """Goes with a command that is to be carried out once: whose and which key, and how its answer is kept."""

    owner: UserId
    key: IdempotencyKey
    at: datetime
    seal: Callable[[V_contra], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A committed answer, sealed."""

    sealed: bytes = field(repr=False)
    at: datetime
    """When it was asked for."""


class IdempotencyKeys(Protocol):
    """The keys, within a unit of work: they are committed with what they stand for, or not at all."""

    async def claim(self, idempotency: IdempotencyClaim[V] | None, view: V) -> None:
        """Take the key, and store under it what will be answered; for None do nothing.

        Raises `KeyTaken` when somebody has committed it, `KeyContended` when somebody is about to and it takes too
        long to see, `CallerGone` without the account, and `TransientFailure` as every statement does: here, or from
        what is done in the unit of work after it, at the latest from the commit.
        """
        ...


class StoredResponses(Protocol):
    """What was committed, outside of any unit of work. Each method raises `StorageUnavailable`."""

    async def find(self, owner: UserId, key: IdempotencyKey) -> StoredResponse | None: ...

    async def forget(self, owner: UserId, key: IdempotencyKey, *, until: datetime) -> None:
        """Free a key that was claimed at `until` or before; do nothing when it was claimed anew since."""
        ...

    async def count(self, owner: UserId, *, limit: int) -> int:
        """Count an account's keys, `limit` at the most."""
        ...

    async def purge(self, *, until: datetime, limit: int) -> int:
        """Free keys that were claimed at `until` or before, the oldest first, `limit` at the most; return how many."""
        ...


class ResponseCipher(Protocol):
    """Encrypts answers at rest: they hold what is shown once (API keys), addresses, and texts deleted since."""

    def seal(self, answer: bytes, *, owner: UserId, key: IdempotencyKey) -> bytes: ...

    def open(self, sealed: bytes, *, owner: UserId, key: IdempotencyKey) -> bytes:
        """Return the answer. Raises `ResponseUnreadable` for what was sealed otherwise, or for another key or owner."""
        ...


@dataclass(frozen=True, slots=True)
class IdempotentResponse:
    """What to answer, and whether it is the answer of an earlier time."""

    answer: bytes
    replayed: bool


@dataclass(slots=True)
class _Count:
    """What this process knows of an account's keys."""

    seen: int = 0
    kept: int = 0
    at: datetime | None = None
    """When they were counted."""


_DIGEST_BYTES: Final = 32


class Idempotency:
    """Carries a command out once a key, and answers all others with the same key as it was answered then.

    The key is claimed by the transaction of the write, before it writes, and with the answer: a process that dies in
    between leaves neither, and so does a command that fails, whose key may be used again. Two processes that are sent
    one key at once meet at the unique index, where the second waits for the first. Within one process they do not: the
    second is told at once, so that no connection is held for waiting. Keys are free again after 24 hours.

    What was asked is compared by its digest, which is kept in the seal with the answer. Beside it, it would let whoever
    reads the database try out guesses at what the body holds (a password), at the price of one SHA-256 each.
    """

    def __init__(
        self, *, kept: StoredResponses, vault: ResponseCipher, clock: Clock, max_keys: int = KEYS_PER_USER
    ) -> None:
        self._kept = kept
        self._max_keys = max_keys
        self._counts: dict[UserId, _Count] = {}
        self._vault = vault
        self._clock = clock
        self._in_flight: set[tuple[UserId, str]] = set()

    async def run_once(
        self,
        create: Callable[[IdempotencyClaim[V]], Awaitable[V]],
        *,
        owner: UserId,
        key: IdempotencyKey,
        digest: bytes,
        render: Callable[[V], bytes],
    ) -> IdempotentResponse:
        """Carry `create` out, unless that was done under this key; `digest` (SHA-256) tells what is asked.

        Raises `IdempotencyKeyReused` when the key stands for another digest, `IdempotencyInFlight` while it is being
        carried out elsewhere, `IdempotentResponseLost`, `TooManyIdempotencyKeys`, and whatever `create` raises.
        """
        if len(digest) != _DIGEST_BYTES:
            raise ValueError("not a SHA-256 digest")
        place = owner, key.value
        if place in self._in_flight:
            raise IdempotencyInFlight
        self._in_flight.add(place)
        try:
            await self._require_free_key(owner, key)
            return await self._run_once(create, owner, key, digest, render)
        finally:
            self._in_flight.discard(place)

    async def _run_once(
        self,
        create: Callable[[IdempotencyClaim[V]], Awaitable[V]],
        owner: UserId,
        key: IdempotencyKey,
        digest: bytes,
        render: Callable[[V], bytes],
    ) -> IdempotentResponse:
        began = self._clock.now()

        def seal(view: V) -> bytes:
            return self._vault.seal(digest + render(view), owner=owner, key=key)

        for _ in range(_ATTEMPTS):
            try:
                view = await create(IdempotencyClaim(owner, key, self._clock.now(), seal))
            except KeyTaken:
                kept = await self._kept.find(owner, key)
                if kept is None:
                    continue  # Freed in between.
                horizon = self._clock.now() - KEPT_FOR
                if kept.at > horizon:
                    return self._replay(kept, owner, key, digest)
                await self._kept.forget(owner, key, until=horizon)
            except KeyContended:
                # A deadlock shows at once, and once it is over the other's answer may be there. A wait that was given
                # up is not begun again: it holds a connection.
                if self._clock.now() - began >= _PATIENCE:
                    raise IdempotencyInFlight from None
            else:
                return IdempotentResponse(render(view), replayed=False)
        raise IdempotencyInFlight

    async def _require_free_key(self, owner: UserId, key: IdempotencyKey) -> None:
        """Raise `TooManyIdempotencyKeys` for one key more than an account may have; what is kept is replayed.

        Most accounts are never counted. One that is, is counted once a minute, and by this process in between; so
        several processes together may let pass what they create within a minute.
        """
        count = self._counts.get(owner)
        if count is None:
            if len(self._counts) >= _COUNTED_OWNERS:
                del self._counts[next(iter(self._counts))]
            count = self._counts[owner] = _Count()
        count.seen += 1
        if count.seen <= min(COUNTED_FROM, self._max_keys):
            return
        now = self._clock.now()
        if count.at is None or now - count.at >= _COUNT_AGAIN:
            count.kept, count.at = await self._kept.count(owner, limit=self._max_keys), now
        if count.kept >= self._max_keys:
            kept = await self._kept.find(owner, key)
            if kept is None or kept.at <= now - KEPT_FOR:
                raise TooManyIdempotencyKeys
        else:
            count.kept += 1

    def _replay(self, kept: StoredResponse, owner: UserId, key: IdempotencyKey, digest: bytes) -> IdempotentResponse:
        try:
            opened = self._vault.open(kept.sealed, owner=owner, key=key)
        except ResponseUnreadable:
            raise IdempotentResponseLost from None
        if opened[:_DIGEST_BYTES] != digest:
            raise IdempotencyKeyReused
        return IdempotentResponse(opened[_DIGEST_BYTES:], replayed=True)

    async def purge(self) -> None:
        """Free all keys that are older than 24 hours, a bounded number a transaction."""
        horizon = self._clock.now() - KEPT_FOR
        while await self._kept.purge(until=horizon, limit=_PURGE_BATCH) == _PURGE_BATCH:
            pass
