"""Which words are stored for a post, so that it can be found: written in the transaction that writes the post."""

from typing import Any

from sqlalchemy import bindparam, delete, insert

from adapters.sql.tables import PostWordsRow, table_of
from adapters.sql.transaction import Transaction
from adapters.sql.types import Id
from domain.posts.post import Post
from domain.posts.search import SearchableText
from domain.shared.ids import PostId

_WORDS = table_of(PostWordsRow)

_INSERT = insert(_WORDS).inline()
_DELETE = delete(_WORDS).where(_WORDS.c.post_id == bindparam("of_post", type_=Id))


async def add_words(transaction: Transaction, post: Post) -> None:
    """Make a new post findable, with the commit of its transaction."""
    await transaction.enqueue(_INSERT, {"post_id": post.id, **_values(post)})


async def change_words(transaction: Transaction, post: Post) -> None:
    """Make a post findable by what it says now, and no longer by what it said."""
    # A new row, not the old one changed: the latest rows are those with the highest numbers, which MySQL relies on.
    await remove_words(transaction, post.id)
    await add_words(transaction, post)


async def remove_words(transaction: Transaction, post_id: PostId) -> None:
    """Make a post that stays without its text unfindable. What is deleted is so by its foreign key."""
    await transaction.enqueue(_DELETE, {"of_post": post_id})


def _values(post: Post) -> dict[str, Any]:
    searchable = post.text.words or SearchableText.of(post.text.value)
    return {"words": searchable.words, "word_count": searchable.count}
