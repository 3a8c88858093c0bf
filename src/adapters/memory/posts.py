"""Posts in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import takewhile
from uuid import UUID

from msgspec import UNSET

from adapters.memory.store import MemoryStore, PostRecord, SortedIds, Transaction, VoteRecord, copy_of
from application.posts.ports import (
    ALWAYS,
    AuthorDirectory,
    AuthorRevisions,
    BallotRepository,
    CheckedPosts,
    CounterAudit,
    Period,
    PostReader,
    PostRepository,
    PostSlice,
    RankedPosition,
    RankedSlice,
)
from application.posts.views import AuthorView, PostView
from application.shared.errors import VersionConflict
from application.shared.paging import PAGE_TEXT_BUDGET
from application.shared.views import timestamp
from domain.identity.user import User
from domain.posts.errors import AuthorGone, PostNotFound, ReplyTargetGone
from domain.posts.post import Post
from domain.posts.ranking import Sort, microseconds
from domain.posts.values import PostText
from domain.posts.vote import Ballot, Direction, Tally
from domain.shared.ids import PostId, UserId, smallest_id_at

_NO_AUTHOR = UserId(UUID(int=0))
"""The author of a tombstone."""


class MemoryPostRepository(PostRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, post: Post) -> None:
        await self._transaction.lock()
        if self._transaction.posts.get(post.id) is not None:
            raise ValueError(f"there is a post {post.id} already")
        answered = None if post.reply_to is None else self._transaction.posts.get(post.reply_to)
        if post.reply_to is not None and (answered is None or answered.deleted):
            raise ReplyTargetGone
        if self._transaction.users.get(post.author_id) is None:
            raise AuthorGone
        if answered is not None:
            _count_reply(self._transaction, answered, 1)
        self._transaction.posts.put(post.id, PostRecord(copy_of(post), len(post.text.value.encode())))
        self._transaction.track(post)

    async def get(self, post_id: PostId) -> Post:
        await self._transaction.lock()
        record = self._transaction.posts.get(post_id)
        if record is None or record.deleted:
            raise PostNotFound
        return copy_of(record.post)

    async def save(self, post: Post, *, owner: UserId) -> None:
        record = await self._as_loaded(post, owner)
        post.version += 1
        changed = replace(post, replies=record.post.replies)
        stored = replace(record, post=changed, text_bytes=len(post.text.value.encode()))
        self._transaction.posts.put(post.id, stored)
        self._transaction.track(post)

    async def remove(self, post: Post, *, owner: UserId | None) -> None:
        record = await self._as_loaded(post, owner)
        if record.post.has_replies is not post.has_replies:
            raise VersionConflict
        _delete_post(self._transaction, post.id)
        self._transaction.track(post)

    async def _as_loaded(self, post: Post, owner: UserId | None) -> PostRecord:
        """Return what is stored, if it still is what `post` was made from and belongs to `owner`."""
        await self._transaction.lock()
        record = self._transaction.posts.get(post.id)
        if record is None or record.deleted or record.post.version != post.version:
            raise VersionConflict
        if owner not in (None, record.post.author_id):
            raise VersionConflict
        return record


class MemoryBallotRepository(BallotRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def get(self, post_id: PostId, voter: UserId) -> Ballot:
        await self._transaction.lock()
        record = self._transaction.posts.get(post_id)
        if record is None or record.deleted:
            raise PostNotFound
        vote = self._transaction.votes.get((voter, post_id))
        return Ballot(
            post_id=post_id,
            author_id=record.post.author_id,
            post_version=record.post.version,
            published_at=record.post.created_at,
            voter_id=voter,
            direction=Direction.NONE if vote is None else vote.direction,
            tally=record.tally,
        )

    async def save(self, ballot: Ballot, *, at: datetime) -> None:
        await self._transaction.lock()
        key = (ballot.voter_id, ballot.post_id)
        if self._transaction.users.get(ballot.voter_id) is None:
            raise AuthorGone
        if ballot.direction is Direction.NONE:
            self._transaction.votes.remove(key)
        else:
            before = self._transaction.votes.get(key)
            since, until = (at, at) if before is None else (before.created_at, max(before.updated_at, at))
            self._transaction.votes.put(key, VoteRecord(ballot.direction, created_at=since, updated_at=until))
        record = self._transaction.posts.get(ballot.post_id)
        if record is None:
            raise PostNotFound
        self._transaction.posts.put(ballot.post_id, record.with_tally(ballot.tally, at=at))
        self._transaction.track(ballot)


def revert_votes(transaction: Transaction, user_id: UserId, *, at: datetime) -> None:
    """Take back every vote of an account that is about to go."""
    for key, vote in [(key, vote) for key, vote in transaction.votes.items() if key[0] == user_id]:
        transaction.votes.remove(key)
        record = transaction.posts.get(key[1])
        if record is not None:
            reverted = record.tally.moved(vote.direction, Direction.NONE)
            transaction.posts.put(key[1], record.with_tally(reverted, at=at))


def delete_posts_of(transaction: Transaction, user_id: UserId, *, at: datetime) -> None:
    """Delete the posts of an account that is about to go. Replies before what they reply to: a thread of the account's
    own goes from its end.
    """
    del at
    own = [r.post.id for r in transaction.posts.values() if r.post.author_id == user_id and not r.deleted]
    for post_id in sorted(own, reverse=True):
        _delete_post(transaction, post_id)


def _delete_post(transaction: Transaction, post_id: PostId) -> None:
    """Delete a post; one with replies leaves a tombstone, and a tombstone goes with its last reply."""
    record = transaction.posts.get(post_id)
    if record is None:
        return
    transaction.votes.remove_where(lambda key, _: key[1] == post_id)
    if record.post.replies:
        buried = replace(record.post, author_id=_NO_AUTHOR, text=PostText(""), version=record.post.version + 1)
        transaction.posts.put(post_id, PostRecord(buried, 0, ranked_at=record.ranked_at, deleted=True))
        return
    transaction.posts.remove(post_id)
    if record.post.reply_to is None or (answered := transaction.posts.get(record.post.reply_to)) is None:
        return
    _count_reply(transaction, answered, -1)
    if answered.deleted and answered.post.replies == 1:
        _delete_post(transaction, answered.post.id)


def _count_reply(transaction: Transaction, answered: PostRecord, change: int) -> None:
    post = replace(answered.post, replies=answered.post.replies + change)
    transaction.posts.put(post.id, replace(answered, post=post))


class MemoryCounterAudit(CounterAudit):
    """Compares what is stored, as the others do; here a unit of work is all there is to hold it off."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def check(self, *, after: PostId | None, limit: int) -> CheckedPosts:
        ids = sorted(post_id for post_id in self._store.posts if after is None or post_id > after)[:limit]
        wrong = [post_id for post_id in ids if self._counted(post_id) != self._store.posts[post_id]]
        return CheckedPosts(len(ids), wrong, ids[-1] if len(ids) == limit else None)

    async def repair(self, post_id: PostId) -> bool:
        async with self._store.write_lock:
            stored = self._store.posts.get(post_id)
            if stored is None or (counted := self._counted(post_id)) == stored:
                return False
            self._store.posts[post_id] = counted
            return True

    def _counted(self, post_id: PostId) -> PostRecord:
        record = self._store.posts[post_id]
        votes = [vote.direction for (_, of), vote in self._store.votes.items() if of == post_id]
        replies = sum(other.post.reply_to == post_id for other in self._store.posts.values())
        tally = Tally(votes.count(Direction.UP), votes.count(Direction.DOWN))
        if (record.tally, record.post.replies) == (tally, replies):
            return record
        return replace(record, post=replace(record.post, replies=replies), tally=tally)


class MemoryPostReader(PostReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def get(self, post_id: PostId, *, viewer: UserId | None) -> PostView | None:
        record = self._store.posts.get(post_id)
        return None if record is None else self._view(record, viewer)

    def by_ids(self, ids: Sequence[PostId], *, viewer: UserId | None) -> list[PostView]:
        """Read these posts, in the order given, without those that are gone."""
        records = (self._store.posts.get(post_id) for post_id in ids)
        return [self._view(record, viewer) for record in records if record is not None]

    async def newest(
        self, *, limit: int, before: PostId | None, viewer: UserId | None, period: Period = ALWAYS
    ) -> PostSlice:
        return self._slice(self._newest(self._store.feed, before, period), limit, viewer)

    async def by_author(
        self, author_id: UserId, *, limit: int, before: PostId | None, viewer: UserId | None, period: Period = ALWAYS
    ) -> PostSlice:
        posts = self._store.feeds.get(author_id, SortedIds())
        return self._slice(self._newest(posts, before, period), limit, viewer)

    async def replies(self, post_id: PostId, *, limit: int, after: PostId | None, viewer: UserId | None) -> PostSlice:
        return self._slice(self._store.threads.get(post_id, SortedIds()).oldest_first(after), limit, viewer)

    async def ranked(
        self,
        sort: Sort,
        *,
        limit: int,
        after: RankedPosition | None,
        as_of: datetime,
        viewer: UserId | None,
        author_id: UserId | None = None,
        period: Period = ALWAYS,
    ) -> RankedSlice:
        """Sort everything for each page: fit for a test or a trial, where nothing is kept anyway."""
        ids = self._store.feed if author_id is None else self._store.feeds.get(author_id, SortedIds())
        timestamp = microseconds(as_of)
        ranks: dict[PostId, int] = {}
        for post_id in self._newest(ids, None, period):
            record = self._store.posts[post_id]
            score = record.score_at(timestamp)
            if score is not None:
                ranks[post_id] = record.hot(score) if sort is Sort.HOT else score
        order = sorted(((rank, post_id) for post_id, rank in ranks.items()), reverse=True)
        if after is not None:
            order = [position for position in order if position < (after.rank, after.post_id)]
        found = self._slice((post_id for _, post_id in order), limit, viewer)
        if not found.items:
            return RankedSlice([], found.more, None)
        last = PostId(UUID(found.items[-1].id))
        return RankedSlice(found.items, found.more, RankedPosition(ranks[last], last))

    @staticmethod
    def _newest(ids: SortedIds, before: PostId | None, period: Period) -> Iterator[PostId]:
        if period.until is not None:
            bound = PostId(smallest_id_at(period.until))
            before = bound if before is None else min(before, bound)
        least = None if period.since is None else smallest_id_at(period.since)
        return takewhile(lambda post_id: least is None or post_id >= least, ids.newest_first(before))

    def _slice(self, ids: Iterator[PostId], limit: int, viewer: UserId | None) -> PostSlice:
        items: list[PostView] = []
        budget = PAGE_TEXT_BUDGET
        for post_id in ids:
            record = self._store.posts[post_id]
            budget -= record.text_bytes
            if len(items) == limit or (items and budget < 0):
                return PostSlice(items, more=True)
            items.append(self._view(record, viewer))
        return PostSlice(items, more=False)

    def _view(self, record: PostRecord, viewer: UserId | None) -> PostView:
        post = record.post
        return PostView(
            id=str(post.id),
            author=None if record.deleted else _author_view(self._store.users[post.author_id]),
            text=None if record.deleted else post.text.value,
            score=record.tally.score,
            upvotes=record.tally.upvotes,
            downvotes=record.tally.downvotes,
            my_vote=UNSET if viewer is None else self._direction_of(viewer, post.id).value,
            created_at=timestamp(post.created_at),
            updated_at=timestamp(post.updated_at),
            version=post.version,
            reply_to=None if post.reply_to is None else str(post.reply_to),
            replies=post.replies,
            deleted=record.deleted,
        )

    def _direction_of(self, viewer: UserId, post_id: PostId) -> Direction:
        vote = self._store.votes.get((viewer, post_id))
        return Direction.NONE if vote is None else vote.direction


class MemoryAuthorDirectory(AuthorDirectory):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def find(self, author_id: UserId) -> AuthorView | None:
        user = self._store.users.get(author_id)
        return None if user is None else _author_view(user)


class MemoryAuthorRevisions(AuthorRevisions):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def current(self, author_id: UserId) -> int | None:
        return self._store.revisions.get(author_id, 0)

    async def close(self) -> None:
        """Do nothing: there is nothing to give back. It is here because the other revisions hold connections."""


def _author_view(user: User) -> AuthorView:
    return AuthorView(str(user.id), user.username.value, user.name.value if user.name else None)
