"""What every `ExactFeed` promises, over every storage: a page holds what was acknowledged before."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from adapters.cache.feed import CheckedFeed
from application.posts.list_feed import ListFeed, ListFeedQuery
from application.posts.read_feed import ExactFeed, StoredExactFeed
from application.posts.views import PostPageView, PostView
from application.shared.paging import PageRequest
from application.shared.pending import settled
from domain.identity.user import User
from domain.identity.values import PersonName
from domain.posts.post import Post
from domain.posts.ranking import Sort
from domain.posts.values import PostText
from domain.posts.vote import Direction
from domain.shared.ids import PostId
from entrypoints.storage import Storage
from tests.builders import NOW, a_user, an_actor, an_id
from tests.contracts.scenarios import given
from tests.fakes import PlainCursorCodec, SettableClock


def stored(storage: Storage) -> ExactFeed:
    return StoredExactFeed(list_feed=ListFeed(reader=storage.posts, cursors=PlainCursorCodec(), clock=SettableClock()))


def checked(storage: Storage) -> ExactFeed:
    if storage.commits is None:
        pytest.skip("nothing tells cheaply there what was committed")
    return CheckedFeed(stored(storage), commits=storage.commits, ttl_seconds=60)


@pytest.fixture(params=[stored, checked])
def feed(request: pytest.FixtureRequest, storage: Storage) -> ExactFeed:
    make: Callable[[Storage], ExactFeed] = request.param
    return make(storage)


Seen = Callable[[User], Awaitable[list[PostView]]]


@pytest.fixture(params=list(Sort))
def seen(request: pytest.FixtureRequest, feed: ExactFeed) -> Seen:
    sort: Sort = request.param

    async def see(viewer: User) -> list[PostView]:
        page = await settled(feed.page(ListFeedQuery(PageRequest(), viewer.id, sort=sort)))
        return msgspec.json.decode(page.body, type=PostPageView).items

    return see


async def publish(storage: Storage, by: User) -> Post:
    post = Post.publish(id=PostId(an_id()), by=an_actor(by), text=PostText("news"), at=NOW)
    await given(storage, post)
    return post


async def test_every_kind_of_write_is_in_the_next_read(seen: Seen, storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    await given(storage, alice, bob)
    assert await seen(alice) == []

    post = await publish(storage, alice)
    for viewer in (alice, bob):
        (shown,) = await seen(viewer)
        assert (shown.id, shown.my_vote) == (str(post.id), 0)

    async with storage.posts_units() as uow:
        ballot = await uow.ballots.get(post.id, bob.id)
        ballot.cast(Direction.UP, at=NOW)
        await uow.ballots.save(ballot, at=NOW)
        await uow.commit()
    (to_bob,), (to_alice,) = await seen(bob), await seen(alice)
    assert (to_bob.my_vote, to_bob.score) == (1, 1)
    assert (to_alice.my_vote, to_alice.score) == (0, 1)

    async with storage.identity_units() as identity:
        user = await identity.users.get(alice.id)
        user.change_profile(name=PersonName.parse("Alice Liddell"), at=NOW)
        await identity.users.save(user)
        await identity.commit()
    (shown,) = await seen(bob)
    assert shown.author is not None
    assert shown.author.name == "Alice Liddell"

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.delete(by=an_actor(alice), at=NOW)
        await uow.posts.remove(loaded, owner=alice.id)
        await uow.commit()
    assert await seen(alice) == await seen(bob) == []


async def test_what_was_rolled_back_is_not_in_it(seen: Seen, storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    assert await seen(alice) == []
    async with storage.posts_units() as uow:
        await uow.posts.add(Post.publish(id=PostId(an_id()), by=an_actor(alice), text=PostText("no"), at=NOW))
    assert await seen(alice) == []
