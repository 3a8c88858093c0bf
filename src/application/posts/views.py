"""What the use cases of posts answer with: straight to the wire."""

from hashlib import blake2b

import msgspec

from application.shared.views import EncodedPage, Id, Timestamp, timestamp
from domain.posts.post import Post


class AuthorView(msgspec.Struct, frozen=True):
    id: Id
    username: str
    name: str | None


class PostView(msgspec.Struct, frozen=True, kw_only=True):
    """A post with its author. `my_vote` (-1, 0 or 1) is there only for a signed-in caller."""

    id: Id
    author: AuthorView
    text: str
    score: int
    upvotes: int
    downvotes: int
    my_vote: int | msgspec.UnsetType = msgspec.UNSET
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class PostPageView(msgspec.Struct, frozen=True):
    items: list[PostView]
    next_cursor: str | None


_encoder = msgspec.json.Encoder()


def encode_page(page: PostPageView) -> EncodedPage:
    body = _encoder.encode(page)
    return EncodedPage(body, blake2b(body, digest_size=12).hexdigest(), page.next_cursor)


def new_post_view(post: Post, author: AuthorView) -> PostView:
    """Show a post that was published a moment ago: nobody has voted on it."""
    return PostView(
        id=str(post.id),
        author=author,
        text=post.text.value,
        score=0,
        upvotes=0,
        downvotes=0,
        my_vote=0,
        created_at=timestamp(post.created_at),
        updated_at=timestamp(post.updated_at),
        version=post.version,
    )
