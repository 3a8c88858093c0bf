"""The post aggregate."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from domain.posts.errors import NotYourPost
from domain.posts.events import PostDeleted, PostEdited, PostPublished
from domain.posts.values import PostText
from domain.shared.actor import Actor, Permission
from domain.shared.events import Aggregate
from domain.shared.ids import PostId, UserId


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Post(Aggregate):
    """`publish` makes a new post, `restore` brings a stored one back.

    Vote counters are not here: they move by delta in storage (`SET upvotes = upvotes + :d`), never through a loaded
    aggregate, which would lose votes. Nor is the number of answers written from here; it is known, and it holds as
    long as the post is locked, because deleting depends on it.
    """

    id: PostId
    author_id: UserId
    text: PostText
    created_at: datetime
    updated_at: datetime
    version: int
    reply_to: PostId | None
    replies: int

    @classmethod
    def publish(cls, *, id: PostId, by: Actor, text: PostText, at: datetime, reply_to: PostId | None = None) -> Self:
        """Make a new post; with `reply_to`, an answer to that one."""
        post = cls(
            id=id,
            author_id=by.user_id,
            text=text,
            created_at=at,
            updated_at=at,
            version=1,
            reply_to=reply_to,
            replies=0,
        )
        post._record(PostPublished(at=at, post_id=id, author_id=by.user_id, version=1, reply_to=reply_to))
        return post

    @property
    def has_replies(self) -> bool:
        """Whether it leaves a tombstone in its thread when it is deleted: without it, its answers would hang loose."""
        return self.replies > 0

    def edit(self, *, by: Actor, text: PostText, at: datetime) -> None:
        """Change the text; only the author may, a moderator not: putting words into a mouth is not moderation."""
        if by.user_id != self.author_id:
            raise NotYourPost
        self.text = text
        self.updated_at = max(self.updated_at, at)
        # Storing it is what moves the version on.
        self._record(PostEdited(at=at, post_id=self.id, author_id=self.author_id, version=self.version + 1))

    def delete(self, *, by: Actor, at: datetime) -> None:
        """Take the post away; its author may, and whoever may delete any post."""
        if by.user_id != self.author_id and not by.may(Permission.DELETE_ANY_POST):
            raise NotYourPost
        self._record(
            PostDeleted(at=at, post_id=self.id, author_id=self.author_id, version=self.version, deleted_by=by.user_id)
        )
