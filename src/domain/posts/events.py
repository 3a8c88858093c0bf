"""What happened to posts."""

from dataclasses import dataclass

from domain.shared.events import DomainEvent
from domain.shared.ids import PostId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class PostEvent(DomainEvent):
    post_id: PostId
    author_id: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class PostPublished(PostEvent):
    name = "post.published"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostEdited(PostEvent):
    name = "post.edited"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostDeleted(PostEvent):
    name = "post.deleted"
    deleted_by: UserId
