"""What every `MyPostsReader` promises, over every storage and its revisions."""

import asyncio
from collections.abc import Callable
from dataclasses import astuple

import msgspec
import pytest

from adapters.cache.my_posts import CachedMyPosts
from application.posts.list_my_posts import StoredMyPosts
from application.posts.ports import MyPostsReader
from application.posts.views import PostPageView
from application.shared.paging import InvalidCursor, PageRequest
from application.shared.pending import settled
from domain.identity.user import User
from domain.identity.values import PersonName
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.ids import PostId
from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_user, an_actor, an_id
from tests.contracts.scenarios import given
from tests.fakes import PlainCursorCodec

Read = Callable[[Storage], MyPostsReader]


def stored(storage: Storage) -> MyPostsReader:
    return StoredMyPosts(reader=storage.posts, cursors=PlainCursorCodec())


def cached(storage: Storage) -> MyPostsReader:
    return CachedMyPosts(stored(storage), revisions=storage.revisions, ttl_seconds=300, max_bytes=10_000_000)


@pytest.fixture(params=[stored, cached])
def reader(request: pytest.FixtureRequest, storage: Storage) -> MyPostsReader:
    read: Read = request.param
    return read(storage)


async def texts(reader: MyPostsReader, owner: User, *, limit: int = 20, cursor: str | None = None) -> list[str]:
    page = await settled(reader.page(owner.id, PageRequest(limit, cursor)))
    return [post.text or "" for post in msgspec.json.decode(page.body, type=PostPageView).items]


async def publish(storage: Storage, by: User, text: str) -> Post:
    post = Post.publish(id=PostId(an_id()), by=an_actor(by), text=PostText(text), at=NOW)
    await given(storage, post)
    return post


async def test_every_kind_of_write_is_in_the_next_read(reader: MyPostsReader, storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    assert await texts(reader, alice) == []

    post = await publish(storage, alice, "one")
    assert await texts(reader, alice) == ["one"]

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.edit(by=an_actor(alice), text=PostText("edited"), at=NOW)
        await uow.posts.save(loaded, owner=alice.id)
        await uow.commit()
    assert await texts(reader, alice) == ["edited"]

    async with storage.identity_units() as identity:
        user = await identity.users.get(alice.id)
        user.change_profile(name=PersonName.parse("Alice Liddell"), at=NOW)
        await identity.users.save(user)
        await identity.commit()
    assert b"Alice Liddell" in (await settled(reader.page(alice.id, PageRequest()))).body

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.delete(by=an_actor(alice), at=NOW)
        await uow.posts.remove(loaded, owner=alice.id)
        await uow.commit()
    assert await texts(reader, alice) == []


async def test_nobody_reads_the_posts_of_another(reader: MyPostsReader, storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    await given(storage, alice, bob, a_post(alice, "of alice"), a_post(bob, "of bob"))

    for _ in range(2):
        assert await texts(reader, alice) == ["of alice"]
        assert await texts(reader, bob) == ["of bob"]


async def test_a_cursor_goes_on_where_the_page_ended(reader: MyPostsReader, storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice, *(a_post(alice, f"{n}") for n in range(5)))
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = await settled(reader.page(alice.id, PageRequest(2, cursor)))
        seen += await texts(reader, alice, limit=2, cursor=cursor)
        cursor = page.next_cursor

    assert seen == ["4", "3", "2", "1", "0"]
    assert cursor is None


async def test_equal_pages_have_equal_bytes_and_tags(reader: MyPostsReader, storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice, a_post(alice))

    first = await settled(reader.page(alice.id, PageRequest()))
    assert astuple(await settled(reader.page(alice.id, PageRequest()))) == astuple(first)

    await publish(storage, alice, "another")
    assert (await settled(reader.page(alice.id, PageRequest()))).etag != first.etag


async def test_the_cursor_of_another_is_invalid_each_time(reader: MyPostsReader, storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    await given(storage, alice, bob, a_post(alice), a_post(alice))
    cursor = (await settled(reader.page(alice.id, PageRequest(limit=1)))).next_cursor

    for _ in range(2):
        with pytest.raises(InvalidCursor):
            await settled(reader.page(bob.id, PageRequest(limit=1, cursor=cursor)))


async def test_reads_that_begin_after_a_write_was_acknowledged_show_it_under_load(
    reader: MyPostsReader, storage: Storage
) -> None:
    alice = a_user()
    await given(storage, alice, a_post(alice, "0"))
    acknowledged = 0
    done = False

    async def write() -> None:
        nonlocal acknowledged, done
        for n in range(1, 31):
            await publish(storage, alice, f"{n}")
            acknowledged = n
        done = True

    async def read() -> None:
        while not done:
            expected = acknowledged
            assert int((await texts(reader, alice, limit=1))[0]) >= expected
            await asyncio.sleep(0)

    await asyncio.gather(write(), *(read() for _ in range(4)))

    assert await texts(reader, alice, limit=1) == ["30"]
