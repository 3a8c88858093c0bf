"""What the use cases of posts need from outside."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from application.posts.views import AuthorView, PostView
from application.shared.paging import PageRequest
from application.shared.unit_of_work import UnitOfWork
from application.shared.views import EncodedPage
from domain.posts.post import Post
from domain.shared.ids import PostId, UserId


class PostRepository(Protocol):
    async def add(self, post: Post) -> None:
        """Store a new post. Raises `AuthorGone` when its author's account no longer exists."""
        ...

    async def get(self, post_id: PostId) -> Post:
        """Load and lock. Raises `PostNotFound`."""
        ...

    async def save(self, post: Post, *, owner: UserId) -> None:
        """Store the changes of a post of `owner`, which the statement itself demands. Raises `VersionConflict`."""
        ...

    async def remove(self, post: Post, *, owner: UserId | None) -> None:
        """Take the post away; with an `owner`, only theirs, which the statement itself demands.

        Raises `VersionConflict` when it is no longer there as loaded.
        """
        ...


class PostsUnitOfWork(UnitOfWork, Protocol):
    @property
    def posts(self) -> PostRepository: ...


PostsUnits = Callable[[], PostsUnitOfWork]


@dataclass(frozen=True, slots=True)
class PostSlice:
    """Some posts in the order of the list, and whether the list goes on after the last of them."""

    items: list[PostView]
    more: bool


class PostReader(Protocol):
    """Reads posts as views, newest first (`id` descending). `viewer` fills `my_vote`; None leaves it out.

    A slice closes early when its texts would exceed `PAGE_TEXT_BUDGET` bytes, with one item at the least.
    """

    async def get(self, post_id: PostId, *, viewer: UserId | None) -> PostView | None: ...

    async def newest(self, *, limit: int, before: PostId | None, viewer: UserId | None) -> PostSlice:
        """Read the feed of everybody's posts, from the one before `before` on."""
        ...

    async def by_author(
        self, author_id: UserId, *, limit: int, before: PostId | None, viewer: UserId | None
    ) -> PostSlice:
        """Read one author's posts, from the one before `before` on."""
        ...


class AuthorDirectory(Protocol):
    async def find(self, author_id: UserId) -> AuthorView | None:
        """Return how an author is shown next to their posts; None when there is no such account."""
        ...


class MyPostsReader(Protocol):
    """Reads a page of somebody's own posts as bytes ready for the wire; the port that the post cache stands behind.

    Whoever implements it keeps the promise that the owner's acknowledged writes are in it.
    """

    async def page(self, owner: UserId, request: PageRequest) -> EncodedPage:
        """Raises `InvalidCursor`."""
        ...


class AuthorRevisions(Protocol):
    """A number per author that changes with every committed write to what the author's own list shows.

    It makes a cached page provably current: kept under the revision read before it was loaded, it may be served as
    long as the revision is still the same.
    """

    async def current(self, author_id: UserId) -> int | None:
        """Return the revision as of now, over all workers and instances; None when nobody can say just now."""
        ...
