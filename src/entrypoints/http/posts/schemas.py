"""What the routes of posts read."""

from typing import Annotated
from uuid import UUID

import msgspec

from application.posts.cast_vote import CastVoteCommand
from application.posts.edit_post import EditPostCommand
from application.posts.publish_post import PublishPostCommand
from application.posts.views import PostView
from application.shared.idempotency import IdempotencyClaim
from domain.posts.values import TEXT_MAX_BYTES, PostText
from domain.posts.vote import Direction
from domain.shared.actor import Actor
from domain.shared.ids import PostId
from entrypoints.http.edge.json_body import Parsed

Text = Annotated[
    str,
    msgspec.Meta(
        description="Trimmed, not blank, at most 1 MiB of UTF-8, without U+0000.",
        examples=["Hello, world."],
        min_length=1,
        max_length=TEXT_MAX_BYTES,
    ),
    Parsed(PostText.parse),
]


ReplyTo = Annotated[
    str,
    msgspec.Meta(
        description="The post that this one answers.",
        examples=["019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"],
        pattern="^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        max_length=36,
        extra_json_schema={"format": "uuid"},
    ),
]


class PublishPostBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A new post."""

    text: Text
    reply_to: ReplyTo | None = None

    def command(
        self, actor: Actor, idempotency: IdempotencyClaim[PostView] | None, text: PostText | None = None
    ) -> PublishPostCommand:
        """Make the command; `text` is the parsed one, where there is one already."""
        reply_to = None if self.reply_to is None else PostId(UUID(self.reply_to))
        return PublishPostCommand(
            actor=actor, text=text or PostText.parse(self.text), reply_to=reply_to, idempotency=idempotency
        )


class EditPostBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The new text of a post."""

    text: Text

    def command(
        self, actor: Actor, post_id: PostId, if_version: int | None, text: PostText | None = None
    ) -> EditPostCommand:
        return EditPostCommand(actor, post_id, text or PostText.parse(self.text), if_version)


class CastVoteBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The caller's vote on a post."""

    dir: Annotated[int, msgspec.Meta(description="1 for it, -1 against it, 0 for no vote.", examples=[1], ge=-1, le=1)]

    def command(self, actor: Actor, post_id: PostId, if_version: int | None) -> CastVoteCommand:
        return CastVoteCommand(actor=actor, post_id=post_id, direction=Direction(self.dir), if_version=if_version)
