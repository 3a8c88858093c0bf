"""What every storage promises of threads: answers are counted exactly, and no answer is ever left hanging."""

from uuid import UUID

import pytest

from application.posts.delete_post import DeletePost, DeletePostCommand
from application.posts.publish_post import PublishPost, PublishPostCommand
from application.posts.views import PostView
from domain.identity.user import User
from domain.posts.errors import PostNotFound, ReplyTargetGone
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.errors import PosternError
from domain.shared.ids import PostId
from entrypoints.storage import Storage
from tests.builders import a_post, a_user, an_actor
from tests.contracts.scenarios import given, load_post, race, retried
from tests.contracts.test_votes import drift, vote
from tests.fakes import CountedIds, SettableClock


async def delete(storage: Storage, post: Post, by: User, clock: SettableClock) -> None:
    await retried(DeletePost(uow=storage.posts_units, clock=clock)).execute(DeletePostCommand(an_actor(by), post.id))


async def look(storage: Storage, post: Post) -> PostView | None:
    return await storage.posts.get(post.id, viewer=None)


async def replies(storage: Storage, post: Post) -> list[str]:
    return [item.id for item in (await storage.posts.replies(post.id, limit=100, after=None, viewer=None)).items]


async def test_an_answer_stands_in_its_thread_and_not_in_the_feed(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    first, second = a_post(bob, reply_to=post), a_post(alice, reply_to=post)
    deeper = a_post(alice, reply_to=first)
    await given(storage, alice, bob, post, first, second, deeper)

    assert await replies(storage, post) == [str(first.id), str(second.id)]
    assert await replies(storage, first) == [str(deeper.id)]
    feed = await storage.posts.newest(limit=10, before=None, viewer=None)
    assert [(item.id, item.replies, item.reply_to) for item in feed.items] == [(str(post.id), 2, None)]
    own = await storage.posts.by_author(bob.id, limit=10, before=None, viewer=None)
    assert [(item.id, item.replies, item.reply_to) for item in own.items] == [(str(first.id), 1, str(post.id))]
    assert await drift(storage) == []


async def test_an_answer_is_stored_with_all_that_belongs_to_it(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    answer = a_post(alice, reply_to=post)
    await given(storage, alice, post, answer)

    loaded = await load_post(storage, answer.id)
    assert (loaded.reply_to, loaded.replies) == (post.id, 0)
    assert (await load_post(storage, post.id)).replies == 1


async def test_what_is_not_there_cannot_be_answered(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)

    with pytest.raises(ReplyTargetGone):
        await given(storage, a_post(alice, reply_to=a_post(alice)))

    assert (await storage.posts.by_author(alice.id, limit=5, before=None, viewer=None)).items == []


async def test_a_thread_is_paged_from_its_beginning(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    answers = [a_post(alice, reply_to=post) for _ in range(7)]
    await given(storage, alice, post, *answers)

    read: list[str] = []
    after: PostId | None = None
    more = True
    while more:
        found = await storage.posts.replies(post.id, limit=3, after=after, viewer=None)
        read += [item.id for item in found.items]
        after, more = PostId(UUID(found.items[-1].id)), found.more

    assert read == [str(answer.id) for answer in answers]


async def test_a_deleted_post_with_answers_leaves_a_tombstone(storage: Storage, clock: SettableClock) -> None:
    alice, bob = a_user(), a_user()
    post = a_post(alice, "what nobody shall read again")
    answer = a_post(bob, reply_to=post)
    await given(storage, alice, bob, post, answer)
    await vote(storage, clock, bob, post, 1)

    await delete(storage, post, alice, clock)

    tombstone = await look(storage, post)
    assert tombstone is not None
    assert (tombstone.deleted, tombstone.author, tombstone.text) == (True, None, None)
    assert (tombstone.replies, tombstone.score, tombstone.upvotes, tombstone.version) == (1, 0, 0, 2)
    assert await replies(storage, post) == [str(answer.id)]
    assert (await storage.posts.newest(limit=5, before=None, viewer=None)).items == []
    assert (await storage.posts.by_author(alice.id, limit=5, before=None, viewer=None)).items == []
    assert await drift(storage) == []
    for refused in (
        delete(storage, post, alice, clock),
        vote(storage, clock, bob, post, 1),
        load_post(storage, post.id),
    ):
        with pytest.raises(PostNotFound):
            await refused
    with pytest.raises(ReplyTargetGone):
        await given(storage, a_post(bob, reply_to=post))


async def test_a_deleted_answer_without_answers_is_gone_and_counted_no_longer(
    storage: Storage, clock: SettableClock
) -> None:
    alice = a_user()
    post = a_post(alice)
    answer = a_post(alice, reply_to=post)
    await given(storage, alice, post, answer)

    await delete(storage, answer, alice, clock)

    assert await look(storage, answer) is None
    found = await look(storage, post)
    assert found is not None
    assert found.replies == 0
    assert await replies(storage, post) == []


async def test_tombstones_go_with_their_last_answer(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    root = a_post(alice)
    middle = a_post(alice, reply_to=root)
    last = a_post(alice, reply_to=middle)
    await given(storage, alice, root, middle, last)

    await delete(storage, middle, alice, clock)
    await delete(storage, root, alice, clock)
    assert [view.deleted for view in (await look(storage, root), await look(storage, middle)) if view] == [True, True]
    assert await replies(storage, root) == [str(middle.id)]
    await delete(storage, last, alice, clock)

    assert [await look(storage, post) for post in (root, middle, last)] == [None, None, None]


async def test_answering_and_deleting_at_once_leaves_a_sound_thread(storage: Storage, clock: SettableClock) -> None:
    alice, bob = a_user(), a_user()
    await given(storage, alice, bob)
    answering = retried(
        storage.group_commit(
            PublishPost(uow=storage.posts_units, authors=storage.authors, ids=CountedIds(), clock=clock)
        )
    )

    for _ in range(10):
        post = a_post(alice)
        await given(storage, post)

        async def scenario(number: int, post: Post = post) -> None:
            if number == 3:
                await delete(storage, post, alice, clock)
            else:
                await answering.execute(PublishPostCommand(an_actor(bob), PostText(f"answer {number}"), post.id))

        _, failures = await race(8, scenario)

        assert {type(failure) for failure in failures} <= {ReplyTargetGone}
        stored, there = await look(storage, post), await replies(storage, post)
        assert len(there) == 7 - len(failures)
        assert (stored is None) == (there == [])
        assert stored is None or (stored.deleted, stored.replies) == (True, len(there))
    assert await drift(storage) == []


async def test_deleting_all_answers_at_once_leaves_none_counted(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    post = a_post(alice)
    answers = [a_post(alice, reply_to=post) for _ in range(20)]
    await given(storage, alice, post, *answers)

    _, failures = await race(20, lambda n: delete(storage, answers[n], alice, clock))

    found = await look(storage, post)
    assert failures == []
    assert found is not None
    assert found.replies == 0


async def test_an_account_that_goes_leaves_threads_sound(storage: Storage, clock: SettableClock) -> None:
    alice, bob = a_user(), a_user()
    alone = a_post(alice)
    answered = a_post(alice)
    by_bob = a_post(bob, reply_to=answered)
    under_bob = a_post(alice, reply_to=by_bob)
    own_thread = a_post(alice)
    own_answer = a_post(alice, reply_to=own_thread)
    of_bob = a_post(bob)
    on_bobs = [a_post(alice, reply_to=of_bob) for _ in range(2)]
    await given(storage, alice, bob, alone, answered, by_bob, under_bob, own_thread, own_answer, of_bob, *on_bobs)

    async with storage.identity_units() as uow:
        await uow.users.remove(await uow.users.get(alice.id), at=clock.now())
        await uow.commit()

    for gone in (alone, under_bob, own_thread, own_answer, *on_bobs):
        assert await look(storage, gone) is None
    tombstone, kept, bobs = await look(storage, answered), await look(storage, by_bob), await look(storage, of_bob)
    assert tombstone is not None
    assert kept is not None
    assert bobs is not None
    assert (tombstone.deleted, tombstone.replies, kept.replies, bobs.replies) == (True, 1, 0, 0)
    assert await drift(storage) == []


async def test_a_post_answered_after_it_was_loaded_is_not_deleted_as_if_it_were_not(
    storage: Storage, clock: SettableClock
) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post, a_post(alice, reply_to=post))

    with pytest.raises(PosternError) as refused:
        async with storage.posts_units() as uow:
            await uow.posts.remove(a_post(alice, id=post.id), owner=None)
            await uow.commit()

    assert refused.value.slug == "contention"
    assert await look(storage, post) is not None
