"""What deleting posts does to the threads they stand in.

Rows are locked from an answer towards the beginning of its thread, which is to say by descending id, as everybody does
who locks more than one post.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, null, select, update

from adapters.sql.posts.words import remove_words
from adapters.sql.tables import PostRow, VoteRow, table_of
from adapters.sql.transaction import Transaction
from domain.shared.ids import UserId

_POSTS = table_of(PostRow)
_VOTES = table_of(VoteRow)

TOMBSTONE: dict[str, Any] = {
    "author_id": null(),
    "text": "",
    "text_bytes": 0,
    "listed": False,
    "score": 0,
    "upvotes": 0,
    "downvotes": 0,
}
"""What is stored of a post that was deleted when it had answers."""

DELETE_VOTES = delete(_VOTES).where(_VOTES.c.post_id == bindparam("at_id"))
_LOCK_ANSWERED = (
    select(_POSTS.c.author_id, _POSTS.c.reply_to, _POSTS.c.replies)
    .where(_POSTS.c.id == bindparam("at_id"))
    .with_for_update()
)
_UNCOUNT_ANSWER = (
    update(_POSTS).where(_POSTS.c.id == bindparam("at_id")).values(replies=_POSTS.c.replies - bindparam("gone"))
)
_DELETE_TOMBSTONE = delete(_POSTS).where(_POSTS.c.id == bindparam("at_id"), _POSTS.c.author_id.is_(None))

_OF_AUTHOR = (
    select(_POSTS.c.id, _POSTS.c.reply_to, _POSTS.c.replies)
    .where(_POSTS.c.author_id == bindparam("of_author"))
    .order_by(_POSTS.c.id.desc())
    .with_for_update()
)
_DELETE_ONE = delete(_POSTS).where(_POSTS.c.id == bindparam("at_id"))
_MAKE_ONE_TOMBSTONE = update(_POSTS).where(_POSTS.c.id == bindparam("at_id")).values(TOMBSTONE)


async def decrement_reply_counts(transaction: Transaction, answered: UUID | None, gone: int) -> None:
    """Note where `gone` answers were given that they are no more; a tombstone that has lost its last one goes too."""
    while answered is not None:
        row = (await transaction.run(_LOCK_ANSWERED, {"at_id": answered})).one_or_none()
        if row is None:
            return
        if row.author_id is not None or row.replies > gone:
            await transaction.run(_UNCOUNT_ANSWER, {"at_id": answered, "gone": gone})
            return
        await transaction.run(_DELETE_TOMBSTONE, {"at_id": answered})
        answered, gone = row.reply_to, 1


async def delete_posts_of(transaction: Transaction, user_id: UserId, *, at: datetime) -> None:
    """Delete the posts of an account that is about to go, as far as they stand in threads; the others go with it.

    What others have answered leaves a tombstone, and answers are counted no longer where they were given.
    """
    del at
    gone: dict[UUID, int] = {}
    deleted: list[dict[str, Any]] = []
    tombstones: list[dict[str, Any]] = []
    # Answers come before what they answer, so that a thread of one's own folds up from its end.
    for row in (await transaction.run(_OF_AUTHOR, {"of_author": user_id})).rows:
        left = row.replies - gone.pop(row.id, 0)
        if left:
            tombstones.append({"at_id": row.id, "replies": left})
            continue
        if row.reply_to is not None:
            gone[row.reply_to] = gone.get(row.reply_to, 0) + 1
        if row.reply_to is not None or row.replies:
            deleted.append({"at_id": row.id})
    await transaction.run_many(_DELETE_ONE, deleted)
    await transaction.run_many(_MAKE_ONE_TOMBSTONE, tombstones)
    for tombstone in tombstones:
        await transaction.run(DELETE_VOTES, {"at_id": tombstone["at_id"]})
        await remove_words(transaction, tombstone["at_id"])
    for answered in sorted(gone, reverse=True):
        await decrement_reply_counts(transaction, answered, gone[answered])
