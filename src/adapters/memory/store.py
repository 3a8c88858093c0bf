"""The tables of the memory storage, and the transaction that changes them.

Writers take turns, as they do on SQLite: a unit of work holds the one write lock from the first thing it locks or
changes until it ends, so there is never a second lock to wait for and no deadlock. What it changes stays in its own
overlay until the commit, which applies everything without yielding to the event loop: readers see all of it or
nothing. Locks per row were rejected: they bring deadlocks, and with them everything that breaks deadlocks.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Any, Generic, TypeVar
from uuid import UUID

from application.events.catalogue import logged
from application.events.changed_authors import changed_author
from application.events.ports import RetryEntry
from application.identity.audit import AuditRecord, Recorder
from application.identity.revocations import Revocation, revocation_of
from application.shared.errors import TransientFailure
from application.shared.event_log import LoggedEvent
from application.shared.idempotency import StoredResponse
from domain.identity.api_key import ApiKey
from domain.identity.one_time_token import OneTimeToken
from domain.identity.second_factor import SecondFactor
from domain.identity.session import Session
from domain.identity.user import User
from domain.orders.order import Order
from domain.posts.post import Post
from domain.posts.ranking import hot_rank, microseconds
from domain.posts.vote import NO_VOTES, Direction, Tally
from domain.shared.events import Aggregate, DomainEvent
from domain.shared.ids import ApiKeyId, DeliveryId, OrderId, PostId, SessionId, UserId, WebhookId
from domain.webhooks.delivery import Delivery
from domain.webhooks.endpoint import WebhookEndpoint

A = TypeVar("A", bound=Aggregate)
K = TypeVar("K")
V = TypeVar("V")

_RANKS_KEPT = 3_600_000_000
"""Microseconds; see `RANKS_KEPT` of the ports."""
LOCK_WAIT_SECONDS = 5.0
"""How long a unit of work waits for the one before it: as long as SQLite's busy time-out does here."""


def copy_of(aggregate: A) -> A:
    """Return a copy of every field, without the events: storage and its callers keep one each.

    The fields hold values, which nothing changes, so the copies may share them.
    """
    return replace(aggregate)


@dataclass(frozen=True, slots=True)
class RankHistoryEntry:
    """A score that a post had from one moment until another (microseconds since 1970)."""

    valid_from: int
    valid_until: int
    score: int


@dataclass(frozen=True, slots=True)
class PostRecord:
    """A stored post: the aggregate, and what storage keeps beside it."""

    post: Post
    text_bytes: int
    """UTF-8; kept so that a page's budget costs no encoding."""
    tally: Tally = NO_VOTES
    ranked_at: int = 0
    """When votes last moved its rank; 0: never."""
    past: tuple[RankHistoryEntry, ...] = ()
    deleted: bool = False
    """Whether it is a tombstone: then it has no author and no text."""

    @property
    def is_listed(self) -> bool:
        return not self.deleted and self.post.reply_to is None

    def hot(self, score: int) -> int:
        return hot_rank(score, self.post.created_at)

    def with_tally(self, tally: Tally, *, at: datetime) -> "PostRecord":
        """Return the record with its votes moved, and with the score it had until now."""
        until = max(microseconds(at), self.ranked_at + 1)
        horizon = until - 2 * _RANKS_KEPT
        past = tuple(rank for rank in self.past if rank.valid_until >= horizon)
        past = (*past, RankHistoryEntry(self.ranked_at, until, self.tally.score))
        return replace(self, tally=tally, ranked_at=until, past=past)

    def score_at(self, timestamp: int) -> int | None:
        """Return the score as of a moment; None when that is not known."""
        if self.ranked_at <= timestamp:
            return self.tally.score
        return next((rank.score for rank in self.past if rank.valid_from <= timestamp < rank.valid_until), None)


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """A stored vote: which way, since when, and when it last turned."""

    direction: Direction
    created_at: datetime
    updated_at: datetime


class SortedIds:
    """Post ids in ascending order. A page is one binary search and a walk, however deep it lies."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: list[PostId] = []

    def add(self, post_id: PostId) -> None:
        insort(self._ids, post_id)

    def discard(self, post_id: PostId) -> None:
        at = bisect_left(self._ids, post_id)
        if at < len(self._ids) and self._ids[at] == post_id:
            del self._ids[at]

    def newest_first(self, before: PostId | None) -> Iterator[PostId]:
        """Walk down from the newest, or from the one before `before`, whether or not that is still there."""
        end = len(self._ids) if before is None else bisect_left(self._ids, before)
        for at in range(end - 1, -1, -1):
            yield self._ids[at]

    def oldest_first(self, after: PostId | None) -> Iterator[PostId]:
        """Walk up from the oldest, or from the one after `after`, whether or not that is still there."""
        for at in range(0 if after is None else bisect_right(self._ids, after), len(self._ids)):
            yield self._ids[at]


class MemoryStore:
    """What is committed. Only a `Transaction` changes it; the aggregates in it are never handed out."""

    def __init__(self, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
        self.lock_wait_seconds = lock_wait_seconds
        self.write_lock = asyncio.Lock()
        self.relaying = asyncio.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything that was committed."""
        self.users: dict[UserId, User] = {}
        self.emails: dict[str, UserId] = {}
        self.usernames: dict[str, UserId] = {}
        self.sessions: dict[SessionId, Session] = {}
        self.one_time_tokens: dict[bytes, OneTimeToken] = {}
        self.second_factors: dict[UserId, SecondFactor] = {}
        self.api_keys: dict[ApiKeyId, ApiKey] = {}
        self.posts: dict[PostId, PostRecord] = {}
        self.votes: dict[tuple[UserId, PostId], VoteRecord] = {}
        self.orders: dict[OrderId, Order] = {}
        self.stored_responses: dict[tuple[UserId, str], StoredResponse] = {}
        """By whose and which idempotency key."""
        self.webhooks: dict[WebhookId, WebhookEndpoint] = {}
        self.deliveries: dict[DeliveryId, Delivery] = {}
        self.handed_out = {0: 0}
        """How far the event log has been handed out to webhooks, under a key that means nothing."""
        self.feed = SortedIds()
        self.threads: dict[PostId, SortedIds] = {}
        self.feeds: dict[UserId, SortedIds] = {}
        self.revisions: dict[UserId, int] = {}
        self.fences: dict[UUID, float] = {}
        self.events: list[LoggedEvent] = []
        """In the order of their positions."""
        self.handled_to = 0
        """Up to which position a relay has dealt with them."""
        self.retries: dict[int, RetryEntry] = {}
        """Those that were refused, or wait, by position."""
        self.audit: list[AuditRecord] = []
        """In the order of their ids."""
        self.revocations: list[tuple[float, Revocation]] = []
        """With when each was committed, in seconds of a clock that never runs backwards."""


class Overlay(Generic[K, V]):
    """One unit of work's changes to a table: it alone sees them until they are applied."""

    __slots__ = ("_base", "changes")

    def __init__(self, base: dict[K, V]) -> None:
        self._base = base
        self.changes: dict[K, V | None] = {}
        """`None` marks what was removed."""

    def get(self, key: K) -> V | None:
        return self.changes[key] if key in self.changes else self._base.get(key)

    def put(self, key: K, value: V) -> None:
        self.changes[key] = value

    def remove(self, key: K) -> None:
        self.changes[key] = None

    def items(self) -> Iterator[tuple[K, V]]:
        for key, value in self._base.items():
            if key not in self.changes:
                yield key, value
        for key, changed in self.changes.items():
            if changed is not None:
                yield key, changed

    def remove_where(self, matches: Callable[[K, V], bool]) -> None:
        for key in [key for key, value in self.items() if matches(key, value)]:
            self.remove(key)

    def values(self) -> Iterator[V]:
        return (value for _, value in self.items())

    def apply(self) -> None:
        for key, value in self.changes.items():
            if value is None:
                self._base.pop(key, None)
            else:
                self._base[key] = value


class Transaction:
    """What one unit of work has locked, changed and tracked so far."""

    def __init__(self, store: MemoryStore, recorder: Recorder) -> None:
        self._store = store
        self._recorder = recorder
        self._records: list[AuditRecord] = []
        self._locked = False
        self._ended = False
        self._tracked: list[Aggregate] = []
        self._overlays: list[Overlay[Any, Any]] = []
        self.users = self._over(store.users)
        self.emails = self._over(store.emails)
        self.usernames = self._over(store.usernames)
        self.sessions = self._over(store.sessions)
        self.one_time_tokens = self._over(store.one_time_tokens)
        self.second_factors = self._over(store.second_factors)
        self.api_keys = self._over(store.api_keys)
        self.posts = self._over(store.posts)
        self.votes = self._over(store.votes)
        self.orders = self._over(store.orders)
        self.webhooks = self._over(store.webhooks)
        self.deliveries = self._over(store.deliveries)
        self.handed_out = self._over(store.handed_out)
        self.stored_responses = self._over(store.stored_responses)

    def _over(self, table: dict[K, V]) -> Overlay[K, V]:
        overlay = Overlay(table)
        self._overlays.append(overlay)
        return overlay

    async def lock(self) -> None:
        """Wait for the unit of work that is ahead. Raises `TransientFailure` after `lock_wait_seconds`."""
        if self._ended:
            raise RuntimeError("the unit of work has ended")
        if self._locked:
            return
        try:
            async with asyncio.timeout(self._store.lock_wait_seconds):
                await self._store.write_lock.acquire()
                # Noted before anything else can be awaited: a cancellation from here on finds the lock to release.
                self._locked = True
        except TimeoutError:
            raise TransientFailure from None

    def track(self, aggregate: Aggregate) -> None:
        """Remember whose events belong to this commit."""
        if not any(known is aggregate for known in self._tracked):
            self._tracked.append(aggregate)

    def record(self, record: AuditRecord) -> None:
        """Add to the audit trail with the commit."""
        self._records.append(record)

    def commit(self) -> Sequence[DomainEvent]:
        """Apply everything at once and end; return the events that were committed with it, in order of tracking."""
        if self._ended:
            raise RuntimeError("the unit of work has ended")
        store = self._store
        events = [event for aggregate in self._tracked for event in aggregate.pull_events()]
        self._index_posts()
        for overlay in self._overlays:
            overlay.apply()
        for author_id in {changed_author(event) for event in events}:
            if author_id is not None:
                store.revisions[author_id] = store.revisions.get(author_id, 0) + 1
        for record in (*self._records, *self._recorder.records_of(events)):
            insort(store.audit, record, key=lambda kept: kept.id)
        for event in events:
            position = store.events[-1].position + 1 if store.events else 1
            if (told := logged(event, id=self._recorder.new_id(event.at), position=position)) is not None:
                store.events.append(told)
        store.revocations += [(monotonic(), found) for event in events if (found := revocation_of(event)) is not None]
        self.end()
        return events

    def end(self) -> None:
        """Give the lock back; what was not committed is gone. Ending twice is ending once."""
        self._ended = True
        if self._locked:
            self._locked = False
            self._store.write_lock.release()

    def _index_posts(self) -> None:
        store = self._store
        for post_id, record in self.posts.changes.items():
            known = store.posts.get(post_id)
            if known is None and record is not None:
                if record.is_listed:
                    store.feed.add(post_id)
                store.feeds.setdefault(record.post.author_id, SortedIds()).add(post_id)
                if record.post.reply_to is not None:
                    store.threads.setdefault(record.post.reply_to, SortedIds()).add(post_id)
            elif known is not None and (record is None or record.deleted):
                if not known.deleted:
                    store.feed.discard(post_id)
                    store.feeds[known.post.author_id].discard(post_id)
                if record is None and known.post.reply_to is not None:
                    store.threads[known.post.reply_to].discard(post_id)
