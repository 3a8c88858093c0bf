"""Publishing a post."""

from dataclasses import dataclass

from application.posts.ports import AuthorDirectory, PostsUnits
from application.posts.views import PostView, new_post_view
from application.shared.clock import Clock
from application.shared.group_commit import SharesCommit
from application.shared.idempotency import IdempotencyClaim
from application.shared.ids import IdGenerator
from domain.posts.errors import AuthorGone
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.actor import Actor
from domain.shared.ids import PostId


@dataclass(frozen=True, slots=True)
class PublishPostCommand:
    actor: Actor
    text: PostText
    reply_to: PostId | None = None
    """The post to be answered."""
    idempotency: IdempotencyClaim[PostView] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPost(SharesCommit):
    """Publish a post. Its text is trimmed, must say something, and takes at most 1 MiB of UTF-8.

    With `reply_to` it answers another post: it then stands in that one's thread and not in the feed.
    """

    uow: PostsUnits
    authors: AuthorDirectory
    ids: IdGenerator
    clock: Clock

    async def execute(self, command: PublishPostCommand) -> PostView:
        author = await self.authors.find(command.actor.user_id)
        if author is None:
            raise AuthorGone
        now = self.clock.now()
        post = Post.publish(
            id=PostId(self.ids.new(now)), by=command.actor, text=command.text, at=now, reply_to=command.reply_to
        )
        view = new_post_view(post, author)
        async with self.uow() as uow:
            await uow.idempotency.claim(command.idempotency, view)
            await uow.posts.add(post)
            await uow.commit()
        return view
