"""What every `AuthorRevisions` promises: the number changes with each committed write, and with nothing less."""

from collections.abc import Awaitable, Callable

import pytest

from application.shared.pending import settled
from domain.identity.user import User
from domain.identity.values import PersonName, Username
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.ids import PostId, UserId
from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_user, an_actor, an_id
from tests.conftest import OpenStorage
from tests.contracts.scenarios import given


async def publish(storage: Storage, alice: User, _: Post) -> None:
    post = Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("news"), at=NOW)
    await given(storage, post)


async def edit(storage: Storage, alice: User, post: Post) -> None:
    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.edit(by=an_actor(alice), text=PostText("edited"), at=NOW)
        await uow.posts.save(loaded, owner=alice.id)
        await uow.commit()


async def delete(storage: Storage, alice: User, post: Post) -> None:
    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.delete(by=an_actor(alice), at=NOW)
        await uow.posts.remove(loaded, owner=None)
        await uow.commit()


async def rename(storage: Storage, alice: User, _: Post) -> None:
    async with storage.identity_units() as uow:
        loaded = await uow.users.get(alice.id)
        loaded.change_profile(username=Username.parse("renamed"), name=PersonName.parse("Renamed"), at=NOW)
        await uow.users.save(loaded)
        await uow.commit()


@pytest.mark.parametrize("write", [publish, edit, delete, rename])
async def test_a_committed_write_changes_the_revision(
    storage: Storage, write: Callable[[Storage, User, Post], Awaitable[None]]
) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)
    before = await settled(storage.revisions.current(alice.id))

    await write(storage, alice, post)

    assert before is not None
    assert await settled(storage.revisions.current(alice.id)) not in (None, before)


async def test_a_revision_never_comes_back(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)
    seen = [await settled(storage.revisions.current(alice.id))]

    for write in (publish, edit, publish, rename, edit, delete):
        await write(storage, alice, post)
        seen.append(await settled(storage.revisions.current(alice.id)))

    assert len(set(seen)) == 7


async def test_reading_does_not_change_the_revision(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice, a_post(alice))
    before = await settled(storage.revisions.current(alice.id))

    await storage.posts.by_author(alice.id, limit=10, before=None, viewer=alice.id)

    assert await settled(storage.revisions.current(alice.id)) == before


async def test_a_rollback_does_not_change_the_revision(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    before = await settled(storage.revisions.current(alice.id))

    async with storage.posts_units() as uow:
        await uow.posts.add(Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("no"), at=NOW))
    with pytest.raises(ZeroDivisionError):
        async with storage.posts_units() as uow:
            await uow.posts.add(Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("no"), at=NOW))
            raise ZeroDivisionError

    assert await settled(storage.revisions.current(alice.id)) == before


async def test_the_revision_changes_no_earlier_than_the_commit(storage: Storage) -> None:
    """A page loaded before the commit and kept under a revision that was raised early would be served for good."""
    alice = a_user()
    await given(storage, alice)
    before = await settled(storage.revisions.current(alice.id))

    async with storage.posts_units() as uow:
        await uow.posts.add(Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("news"), at=NOW))
        assert await settled(storage.revisions.current(alice.id)) == before
        await uow.commit()
        assert await settled(storage.revisions.current(alice.id)) != before


async def test_an_author_nobody_knows_has_a_revision_too(storage: Storage) -> None:
    unknown = UserId(an_id())

    assert await settled(storage.revisions.current(unknown)) == await settled(storage.revisions.current(unknown))


@pytest.mark.parametrize("write", [publish, edit, delete, rename])
async def test_a_write_of_another_process_changes_the_revision_here(
    open_storage: OpenStorage, write: Callable[[Storage, User, Post], Awaitable[None]]
) -> None:
    here, there = open_storage(), open_storage()
    alice = a_user()
    post = a_post(alice)
    await given(there, alice, post)
    before = await settled(here.revisions.current(alice.id))

    await write(there, alice, post)

    assert before is not None
    assert await settled(here.revisions.current(alice.id)) not in (None, before)


async def test_a_page_loaded_under_a_revision_is_as_new_as_the_revision(open_storage: OpenStorage) -> None:
    """What the cache relies on: revision first, page second, and no commit between them goes unseen."""
    here, there = open_storage(), open_storage()
    alice = a_user()
    await given(there, alice)

    for count in range(1, 6):
        await publish(there, alice, a_post(alice))
        revision = await settled(here.revisions.current(alice.id))
        page = await here.posts.by_author(alice.id, limit=10, before=None, viewer=alice.id)
        assert len(page.items) == count
        assert await settled(here.revisions.current(alice.id)) == revision
