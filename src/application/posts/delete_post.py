"""Deleting a post."""

from dataclasses import dataclass

from application.posts.ports import PostsUnits
from application.shared.clock import Clock
from domain.posts.errors import PostChanged
from domain.shared.actor import Actor, Permission
from domain.shared.ids import PostId


@dataclass(frozen=True, slots=True)
class DeletePostCommand:
    actor: Actor
    post_id: PostId
    if_version: int | None = None
    """The version that the caller saw; None deletes whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePost:
    """Take a post away. Its author may, and so may moderators.

    One that has been answered leaves a tombstone in its thread: without author, text and votes, but with its answers.
    """

    uow: PostsUnits
    clock: Clock

    async def execute(self, command: DeletePostCommand) -> None:
        actor = command.actor
        async with self.uow() as uow:
            post = await uow.posts.get(command.post_id)
            post.delete(by=actor, at=self.clock.now())
            if command.if_version not in (None, post.version):
                raise PostChanged
            await uow.posts.remove(post, owner=None if actor.may(Permission.DELETE_ANY_POST) else actor.user_id)
            await uow.commit()
