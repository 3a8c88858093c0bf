"""What the routes of posts read."""

from typing import Annotated

import msgspec

from application.posts.edit_post import EditPostCommand
from application.posts.publish_post import PublishPostCommand
from domain.posts.values import TEXT_MAX_BYTES, PostText
from domain.shared.actor import Actor
from domain.shared.ids import PostId
from entrypoints.http.body import Parsed

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


class PublishPostBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A new post."""

    text: Text

    def command(self, actor: Actor) -> PublishPostCommand:
        return PublishPostCommand(actor=actor, text=PostText.parse(self.text))


class EditPostBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The new text of a post."""

    text: Text

    def command(self, actor: Actor, post_id: PostId, if_version: int | None) -> EditPostCommand:
        return EditPostCommand(actor=actor, post_id=post_id, text=PostText.parse(self.text), if_version=if_version)
