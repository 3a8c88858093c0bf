"""Redis: author revisions that every worker and instance agrees on, and pages that they share.

The promise
    A caller's own acknowledged writes are visible to the very next read, through any worker and any instance.

Revisions
    `rev:{author}` and `epoch` hold random tokens. A revision is a digest of both and of the `run_id` of the server
    process that gave them. Whatever is missing is set anew, at random, by whoever misses it; nothing ever counts up
    or starts again at a known value. So a revision, once gone, does not come back: not when a key expires or is
    evicted, not when the memory is lost, and not when a restart brings an older snapshot back, because then the
    `run_id` is another one. (A counter, with "missing" for zero, would meet its old values again within the lifetime
    of pages kept under them.)

While Redis answers
    The writer commits, sets a new token, and only then acknowledges. A later read gets the new token from the same
    server, so it finds no page kept under the old one, and a page kept under the new one was loaded after the commit.

When a write's token does not arrive
    Pages kept under the old token must not be served any more by anybody, and those who hold them may still reach
    Redis. The writer raises the fence in the database, which it has just reached, for longer than any page lives; it
    then waits for LEASE and acknowledges. Everybody looks at the fence in the background, and trusts Redis for LEASE
    after the *beginning* of a look that found it down. A read that begins after the acknowledgement begins more than
    LEASE after the fence was raised; so either its process has looked since and found the fence up, or it has not
    looked for LEASE; either way it goes to storage. While the fence is up nothing is kept. Pages from before it die
    before it lapses. A load that began before it counts its page's life from when it read the revision.

    If the fence can't be raised either, the error goes to the caller: the write happened and is not acknowledged.

When Redis is back
    The writer sets a new epoch, which makes every page from before unreachable, and lowers its fence after that; both
    under the lock under which a failing writer makes sure of the fence, so that a write that failed meanwhile
    either precedes the new epoch or finds the fence down and raises it again. A writer that dies leaves its fence to
    lapse.

What is assumed
    All processes use one Redis server and one primary database. (Behind a fail-over, an old and a new Redis that
    accept writes at the same time would break the first.) Clocks need not agree: durations are measured, each by one
    clock, and only the *rates* of the clocks, the database's among them, must agree within LEASE_MARGIN and
    FENCE_MARGIN. Where the system offers one, the clock goes on while the machine is suspended.
"""

import asyncio
import contextlib
import logging
import math
import secrets
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from adapters.cache.my_posts import PageKey, SharedPages, StoredPage
from adapters.cache.pages import boot_time
from adapters.shared.redis import Command, RedisConnection
from adapters.shared.supervision import supervise
from adapters.shared.tasks import end
from application.events.changed_authors import changed_author
from application.posts.ports import AuthorRevisions
from application.shared.errors import StorageUnavailable, TransientFailure, Unavailable
from application.shared.fence import CacheFence
from application.shared.unit_of_work import CommitListener
from application.shared.views import EncodedPage
from domain.shared.events import DomainEvent
from domain.shared.ids import UserId

_WATCH: Final = "the watch over the cache's fence"
_log = logging.getLogger(__name__)

KEY_PREFIX: Final = "postern:"
REVISION_TTL_SECONDS: Final = 3600
"""How long an unused revision takes memory. Its expiry costs one load; any value is safe."""
MAX_PAGE_BYTES: Final = 512 * 1024
"""Larger pages are not shared: they would hold up the others on the connection for milliseconds."""

LEASE_SECONDS: Final = 1.0
"""How long a look at the fence is trusted; also how long the first write after Redis failed waits."""
LEASE_MARGIN: Final = 0.05
"""By how much of the lease a writer waits longer than it: clocks may differ in rate by 5 %."""
LOOKS_A_LEASE: Final = 4
FENCE_MARGIN_SECONDS: Final = 60.0
"""How much longer than a page lives the fence stays up; half of it may be used up before the fence is renewed."""


class RedisPageStore(SharedPages):
    """Encoded pages under keys that hold the revision: a write makes them unreachable, and time removes them."""

    def __init__(self, connection: RedisConnection, *, prefix: str = KEY_PREFIX) -> None:
        self._connection = connection
        self._prefix = f"{prefix}page:"

    async def get(self, key: PageKey, revision: int) -> StoredPage | None:
        name = self._name(key, revision)
        try:
            answer = await self._connection.ask_bulk(("GET", name), ("PTTL", name))
        except Unavailable:
            return None
        raw, milliseconds = answer.replies
        # The two are no transaction: the page may have expired between them, and then it has no time left.
        if not isinstance(raw, bytes) or not isinstance(milliseconds, int) or milliseconds <= 0:
            return None
        header, _, body = raw.partition(b"\n")
        try:
            etag, next_cursor = _decode_header(header)
        except msgspec.DecodeError:
            return None
        return StoredPage(EncodedPage(body, etag, next_cursor), milliseconds / 1000)

    async def put(self, key: PageKey, revision: int, page: EncodedPage, *, ttl_seconds: float) -> None:
        milliseconds = math.floor(ttl_seconds * 1000)
        if len(page.body) > MAX_PAGE_BYTES or milliseconds <= 0:
            return
        # JSON has no line break outside of strings, and inside of them it is escaped.
        value = msgspec.json.encode((page.etag, page.next_cursor)) + b"\n" + page.body
        with contextlib.suppress(Unavailable):
            await self._connection.ask_bulk(("SET", self._name(key, revision), value, "PX", milliseconds))

    def _name(self, key: PageKey, revision: int) -> str:
        return f"{self._prefix}{key.owner.hex}:{revision:x}:{key.limit}:{key.cursor or ''}"


_header_decoder = msgspec.json.Decoder(tuple[str, str | None])


def _decode_header(header: bytes) -> tuple[str, str | None]:
    return _header_decoder.decode(header)


class RedisAuthorRevisions(AuthorRevisions, CommitListener):
    """Author revisions in Redis, with the fence for when it fails; the protocol is at the top of this module.

    `start` begins to look at the fence in the background; without it, `current` knows nothing and every read goes to
    storage, while writes are announced all the same.
    """

    def __init__(
        self,
        connection: RedisConnection,
        fence: CacheFence,
        *,
        page_ttl_seconds: float = 300.0,
        lease_seconds: float = LEASE_SECONDS,
        prefix: str = KEY_PREFIX,
        timer: Callable[[], float] = boot_time,
    ) -> None:
        """`page_ttl_seconds`: the longest that any process keeps a page; the fence must outlast it."""
        self._connection = connection
        self._fence = fence
        self._page_ttl = page_ttl_seconds
        self._lease = lease_seconds
        self._epoch_key = f"{prefix}epoch"
        self._revision_prefix = f"{prefix}rev:"
        self._timer = timer
        self._trusted_until = -math.inf
        self._raised_at = -math.inf
        self._up_until = -math.inf
        self._must_lower = False
        self._lock = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._announcements: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Look at the fence once, and then every quarter of a lease in the background. Twice is once."""
        if self._watcher is None:
            await self._poll()
            # Without it `current` knows nothing, which is slow and safe.
            self._watcher = asyncio.create_task(supervise(_WATCH, self._watch), name=_WATCH)

    async def stop(self) -> None:
        """Stop looking, finish the announcements under way, and lower the fence if Redis allows."""
        watcher, self._watcher = self._watcher, None
        self._trusted_until = -math.inf
        if watcher is not None:
            await end([watcher])  # It may have ended before, by a failure that was logged then.
        if self._announcements:
            await asyncio.wait(self._announcements)
        await self._recover()

    async def close(self) -> None:
        await self.stop()

    async def current(self, author_id: UserId) -> int | None:
        if self._timer() >= self._trusted_until or not self._connection.is_usable:
            return None
        key = self._revision_prefix + author_id.hex
        read: Command = ("MGET", self._epoch_key, key)
        try:
            server, (tokens,) = await self._connection.ask(read)
            if not isinstance(tokens, list) or None in tokens:
                server, (_, _, tokens) = await self._connection.ask(
                    ("SET", self._epoch_key, secrets.token_bytes(16), "NX"),
                    ("SET", key, secrets.token_bytes(16), "NX", "EX", REVISION_TTL_SECONDS),
                    read,
                )
        except Unavailable:
            return None
        match tokens:
            case [bytes(epoch), bytes(token)]:
                seen = b"\0".join((server, epoch, token))
                return int.from_bytes(blake2b(seen, digest_size=16).digest())
            case _:
                return None  # Evicted at once: a Redis without memory to spare.

    async def committed(self, events: Sequence[DomainEvent]) -> None:
        authors = {author for event in events if (author := changed_author(event)) is not None}
        if not authors:
            return
        # The write is committed: whoever stops waiting for it must not keep the others from hearing of it.
        announcement = asyncio.create_task(self._announce(authors), name="an announcement")
        self._announcements.add(announcement)
        announcement.add_done_callback(self._announcements.discard)
        announcement.add_done_callback(_log_failure)
        await asyncio.shield(announcement)

    async def _announce(self, authors: set[UserId]) -> None:
        commands: list[Command] = [
            ("SET", self._revision_prefix + author.hex, secrets.token_bytes(16), "EX", REVISION_TTL_SECONDS)
            for author in authors
        ]
        try:
            await self._connection.ask(*commands)
        except Unavailable:
            await self._fence_off()

    async def _fence_off(self) -> None:
        """Return when every process must have seen our fence, and it outlasts every page there is."""
        async with self._lock:
            self._trusted_until = -math.inf
            now = self._timer()
            if self._up_until - now < self._page_ttl + FENCE_MARGIN_SECONDS / 2:
                await self._raise(now)
            seen_by_all = self._raised_at + self._lease * (1 + LEASE_MARGIN)
        wait = seen_by_all - self._timer()
        if wait > 0:
            await asyncio.sleep(wait)

    async def _raise(self, now: float) -> None:
        seconds = self._page_ttl + FENCE_MARGIN_SECONDS
        self._must_lower = True  # Also if the next line fails: it may have taken effect all the same.
        try:
            await self._fence.raise_for(seconds)
        except TransientFailure as error:
            # It must not be taken for a reason to run the use case again, which has committed.
            raise StorageUnavailable("The write was stored, but may not show yet.") from error
        if self._timer() >= self._up_until:  # It was down, or lapsed just before it was renewed.
            self._raised_at = self._timer()
        self._up_until = now + seconds

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._lease / LOOKS_A_LEASE)
            await self._recover()
            await self._poll()

    async def _poll(self) -> None:
        began = self._timer()
        try:
            up = await self._fence.is_up()
        except Unavailable:
            return  # What was seen last is trusted for as long as it is, and no longer.
        self._trusted_until = -math.inf if up else began + self._lease

    async def _recover(self) -> None:
        """Lower our fence, if it is up and Redis answers: everything from before is invalidated first."""
        if not self._must_lower or not self._connection.is_usable:
            return
        async with self._lock:
            try:
                await self._connection.ask(("SET", self._epoch_key, secrets.token_bytes(16)))
                # Whether or not the next line is heard to succeed, the fence can't be relied on from here.
                self._up_until = -math.inf
                await self._fence.lower()
            except Unavailable as error:
                _log.warning("the cache fence stays up: %s", error)
                return
            self._must_lower = False


def _log_failure(task: asyncio.Task[None]) -> None:
    # The caller of an announcement may have gone.
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s of the cache's revisions failed", task.get_name(), exc_info=error)
