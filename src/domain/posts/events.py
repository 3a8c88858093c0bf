"""What happened to posts."""

from dataclasses import dataclass

from domain.shared.events import DomainEvent
from domain.shared.ids import PostId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class PostEvent(DomainEvent):
    post_id: PostId
    author_id: UserId
    version: int
    """Of the post, as it is from then on; of a deleted one, the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostPublished(PostEvent):
    name = "post.published"
    reply_to: PostId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostEdited(PostEvent):
    name = "post.edited"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostDeleted(PostEvent):
    name = "post.deleted"
    deleted_by: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteCast(DomainEvent):
    """Somebody set their vote on a post; 0 takes it back. It is no event of the post, which stays as it is."""

    name = "vote.cast"
    post_id: PostId
    author_id: UserId
    voter_id: UserId
    direction: int
    upvotes: int
    """Of the post, with this one."""
    downvotes: int

    @property
    def is_own(self) -> bool:
        """Whether an author voted on a post of their own."""
        return self.voter_id == self.author_id
