"""What the use cases of posts answer with: straight to the wire."""

from hashlib import blake2b
from operator import attrgetter
from typing import Annotated

import msgspec

from application.shared.threads import LARGE_TEXT, Threads
from application.shared.views import EncodedPage, Id, Timestamp, timestamp
from domain.posts.post import Post


class AuthorView(msgspec.Struct, frozen=True):
    id: Id
    username: str
    name: str | None


Excerpt = Annotated[
    str,
    msgspec.Meta(
        description="Only in what a search finds: the part of the text that shows why, about 200 characters of it, as "
        "HTML: escaped, with `<mark>` around what was found.",
        examples=["Hello, <mark>world</mark>."],
    ),
]


class PostView(msgspec.Struct, frozen=True, kw_only=True):
    """A post with its author. `my_vote` (-1, 0 or 1) is there only for a signed-in caller.

    A post that was deleted while it had answers stays in its thread with `deleted` set, without author and text.
    """

    id: Id
    author: AuthorView | None
    text: str | None
    score: int
    upvotes: int
    downvotes: int
    my_vote: int | msgspec.UnsetType = msgspec.UNSET
    created_at: Timestamp
    updated_at: Timestamp
    version: int
    excerpt: Excerpt | msgspec.UnsetType = msgspec.UNSET
    reply_to: Id | None = None
    """The post that this one answers."""
    replies: int = 0
    """How many posts answer this one."""
    deleted: bool = False


class CastVoteView(msgspec.Struct, frozen=True):
    """A vote by itself: on which post, which way (-1 or 1), since when, and when it last turned."""

    post_id: Id
    dir: int
    created_at: Timestamp
    updated_at: Timestamp


class VoteView(msgspec.Struct, frozen=True):
    """The caller's vote (-1, 0 or 1), and what all votes on the post come to with it."""

    post_id: Id
    dir: int
    score: int
    upvotes: int
    downvotes: int


class PostPageView(msgspec.Struct, frozen=True):
    items: list[PostView]
    next_cursor: str | None


_encoder = msgspec.json.Encoder()


_text = attrgetter("text")


def is_small(page: PostPageView) -> bool:
    """Tell whether encoding the page takes no time worth mentioning; else `encode_page` is for a thread."""
    # No loop of ours, which would cost every page.
    return sum(map(len, filter(None, map(_text, page.items)))) <= LARGE_TEXT


async def encoded_page(page: PostPageView, threads: Threads) -> EncodedPage:
    """Encode a page of any size."""
    return encode_page(page) if is_small(page) else await threads.run(lambda: encode_page(page))


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
        reply_to=None if post.reply_to is None else str(post.reply_to),
    )


def with_excerpt(post: PostView, excerpt: str) -> PostView:
    return msgspec.structs.replace(post, excerpt=excerpt)
