"""What the use cases of posts need from outside."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from application.posts.views import AuthorView, CastVoteView, PostView
from application.shared.paging import PageRequest
from application.shared.pending import Pending
from application.shared.unit_of_work import UnitOfWork
from application.shared.views import EncodedPage
from domain.posts.post import Post
from domain.posts.ranking import Sort
from domain.posts.vote import Ballot
from domain.shared.ids import PostId, UserId


class PostRepository(Protocol):
    async def add(self, post: Post) -> None:
        """Store a new post; an answer is counted where it is given.

        Raises `AuthorGone` when its author's account no longer exists, here or in the commit, and `ReplyTargetGone`
        when what it answers doesn't.
        """
        ...

    async def get(self, post_id: PostId) -> Post:
        """Load and lock. Raises `PostNotFound`, for a tombstone too."""
        ...

    async def save(self, post: Post, *, owner: UserId) -> None:
        """Store the changes of a post of `owner`, which the statement itself demands. Raises `VersionConflict`."""
        ...

    async def remove(self, post: Post, *, owner: UserId | None) -> None:
        """Take the post away; with an `owner`, only theirs, which the statement itself demands.

        With answers it leaves a tombstone: text, author and votes are gone, its place in the thread is not. Without,
        it is gone, is counted no longer where it answered, and so is a tombstone that has lost its last answer.
        Raises `VersionConflict` when it is no longer there as loaded, answered or not.
        """
        ...


class VoteReader(Protocol):
    async def of_voter(self, voter: UserId, *, limit: int, after: PostId | None) -> list[CastVoteView]:
        """Read somebody's votes in the order of the posts' ids, from after the post `after` on."""
        ...


class BallotRepository(Protocol):
    """Votes, and the counters and ranks that they move: both in one transaction, by what changed."""

    async def get(self, post_id: PostId, voter: UserId) -> Ballot:
        """Load what the voter said of a post, and the post's tally. Raises `PostNotFound`.

        Either is locked, or the commit raises `TransientFailure` when it is no longer as it was loaded.
        """
        ...

    async def save(self, ballot: Ballot, *, at: datetime) -> None:
        """Store a vote that has changed.

        Raises `AuthorGone` when the voter's account no longer exists, here or in the commit.
        """
        ...


class PostsUnitOfWork(UnitOfWork, Protocol):
    @property
    def posts(self) -> PostRepository: ...

    @property
    def ballots(self) -> BallotRepository: ...


PostsUnits = Callable[[], PostsUnitOfWork]

RANKS_KEPT = timedelta(hours=1)
"""For how long it is known which rank a post had before a vote."""


@dataclass(frozen=True, slots=True)
class PostSlice:
    """Some posts in the order of the list, and whether the list goes on after the last of them."""

    items: list[PostView]
    more: bool


@dataclass(frozen=True, slots=True)
class Period:
    """When posts were published: from `since` on, and before `until`; None is no bound."""

    since: datetime | None = None
    until: datetime | None = None


ALWAYS = Period()


@dataclass(frozen=True, slots=True)
class RankedPosition:
    """A place in a ranked list: just after this post, at this rank (a score, or a `hot_rank`)."""

    rank: int
    post_id: PostId


@dataclass(frozen=True, slots=True)
class RankedSlice:
    items: list[PostView]
    more: bool
    last: RankedPosition | None
    """Where the last item stood; None without items."""


class PostReader(Protocol):
    """Reads posts as views. `viewer` fills `my_vote`; None leaves it out.

    A slice closes early when its texts would exceed `PAGE_TEXT_BUDGET` bytes, with one item at the least.
    """

    async def get(self, post_id: PostId, *, viewer: UserId | None) -> PostView | None:
        """Read a post, or the tombstone of one."""
        ...

    async def newest(
        self, *, limit: int, before: PostId | None, viewer: UserId | None, period: Period = ALWAYS
    ) -> PostSlice:
        """Read the feed, newest first (`id` descending): posts that answer no other, from before `before` on."""
        ...

    async def by_author(
        self, author_id: UserId, *, limit: int, before: PostId | None, viewer: UserId | None, period: Period = ALWAYS
    ) -> PostSlice:
        """Read one author's posts, answers included, newest first, from before `before` on."""
        ...

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
        """Read the feed, or with an author their posts, by the rank that each had at `as_of`, from `after` on.

        Read with one and the same `as_of`, pages neither skip nor repeat a post whatever is voted meanwhile, for
        `RANKS_KEPT` from then on; for an `as_of` that lies further back, ranks are those of now. What a post shows
        besides, its score included, is always as of now. `sort` is one of those that votes move.
        """
        ...

    async def replies(self, post_id: PostId, *, limit: int, after: PostId | None, viewer: UserId | None) -> PostSlice:
        """Read the direct answers to a post, tombstones among them, oldest first (`id` ascending), from `after` on."""
        ...


@dataclass(frozen=True, slots=True)
class CheckedPosts:
    """The outcome for some posts: how many, which of them were wrong, and the last one; None: there are no more."""

    count: int
    wrong: list[PostId]
    last: PostId | None


class CounterAudit(Protocol):
    """Compares the stored counters and ranks of posts with what they count, while everything goes on."""

    async def check(self, *, after: PostId | None, limit: int) -> CheckedPosts:
        """Look at the next `limit` posts in the order of their ids."""
        ...

    async def repair(self, post_id: PostId) -> bool:
        """Count one post's votes and answers anew, with the post locked. Tells whether anything was wrong."""
        ...


class AuthorDirectory(Protocol):
    async def find(self, author_id: UserId) -> AuthorView | None:
        """Return how an author is shown next to their posts; None when there is no such account."""
        ...


class MyPostsReader(Protocol):
    """Reads a page of somebody's own posts as bytes ready for the wire; the port that the post cache stands behind.

    Whoever implements it keeps the promise that the owner's acknowledged writes are in it.
    """

    def page(self, owner: UserId, request: PageRequest) -> Pending[EncodedPage]:
        """Raises `InvalidCursor`."""
        ...


class AuthorRevisions(Protocol):
    """A number per author that changes with every committed write to what the author's own list shows.

    It makes a cached page provably current: kept under the revision read before it was loaded, it may be served as
    long as the revision is still the same.
    """

    def current(self, author_id: UserId) -> Pending[int | None]:
        """Return the revision as of now, over all workers and instances; None when nobody can say just now."""
        ...
