"""Editing a post."""

from dataclasses import dataclass

from application.posts.ports import PostReader, PostsUnits
from application.posts.views import PostView
from application.shared.clock import Clock
from application.shared.group_commit import SharesCommit
from domain.posts.errors import PostChanged, PostNotFound
from domain.posts.values import PostText
from domain.shared.actor import Actor
from domain.shared.ids import PostId


@dataclass(frozen=True, slots=True)
class EditPostCommand:
    actor: Actor
    post_id: PostId
    text: PostText
    if_version: int | None = None
    """The version that the caller saw; None edits whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditPost(SharesCommit):
    """Change the text of one's own post. Whoever says which version they saw never overwrites a later one."""

    uow: PostsUnits
    reader: PostReader
    clock: Clock

    async def execute(self, command: EditPostCommand) -> PostView:
        async with self.uow() as uow:
            post = await uow.posts.get(command.post_id)
            post.edit(by=command.actor, text=command.text, at=self.clock.now())
            if command.if_version not in (None, post.version):
                raise PostChanged
            await uow.posts.save(post, owner=command.actor.user_id)
            await uow.commit()
        view = await self.reader.get(command.post_id, viewer=command.actor.user_id)
        if view is None:
            raise PostNotFound  # Deleted by somebody between the commit and this read.
        return view
