"""What every `PostReader`, `AuthorDirectory` and their pages promise."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from application.posts.views import AuthorView, PostView
from domain.identity.user import User
from domain.identity.values import Username
from domain.posts.post import Post
from domain.posts.values import TEXT_MAX_BYTES, PostText
from domain.shared.ids import PostId, UserId
from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_user, an_actor, an_id
from tests.contracts.scenarios import given


def ids(items: list[PostView]) -> list[str]:
    return [item.id for item in items]


def posts_of(author: User, count: int, *, start: datetime = NOW) -> list[Post]:
    """Return `count` posts of `author`, oldest first, a microsecond apart."""
    return [a_post(author, f"post {n}", created_at=start + timedelta(microseconds=n)) for n in range(count)]


async def test_a_post_shows_its_author_and_its_counters(storage: Storage) -> None:
    alice = a_user("Alice", name="Alice Ängström")
    post = a_post(
        alice,
        "Grüße 😀",
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        updated_at=datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC),
    )
    await given(storage, alice, post)

    view = await storage.posts.get(post.id, viewer=None)

    assert view == PostView(
        id=str(post.id),
        author=AuthorView(str(alice.id), "Alice", "Alice Ängström"),
        text="Grüße 😀",
        score=0,
        upvotes=0,
        downvotes=0,
        my_vote=msgspec.UNSET,
        created_at="2026-01-02T03:04:05.000000Z",
        updated_at="2026-01-02T03:04:05.000060Z",
        version=1,
    )


async def test_my_vote_is_shown_to_somebody_signed_in_and_to_nobody_else(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)

    for viewer in (alice.id, bob.id):
        one = await storage.posts.get(post.id, viewer=viewer)
        feed = await storage.posts.newest(limit=1, before=None, viewer=viewer)
        own = await storage.posts.by_author(alice.id, limit=1, before=None, viewer=viewer)
        assert [view.my_vote for view in (one, *feed.items, *own.items) if view] == [0, 0, 0]
    feed = await storage.posts.newest(limit=1, before=None, viewer=None)
    own = await storage.posts.by_author(alice.id, limit=1, before=None, viewer=None)
    assert [view.my_vote for view in (*feed.items, *own.items)] == [msgspec.UNSET, msgspec.UNSET]


async def test_a_post_reads_the_same_alone_and_in_either_list(storage: Storage) -> None:
    alice = a_user(name="Alice")
    post = a_post(alice)
    await given(storage, alice, post)

    alone = await storage.posts.get(post.id, viewer=alice.id)

    assert (await storage.posts.newest(limit=1, before=None, viewer=alice.id)).items == [alone]
    assert (await storage.posts.by_author(alice.id, limit=1, before=None, viewer=alice.id)).items == [alone]


async def test_a_post_that_is_not_there_reads_as_none(storage: Storage) -> None:
    assert await storage.posts.get(PostId(an_id()), viewer=None) is None


async def test_the_feed_shows_everybody_newest_first(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    first, second, third = a_post(alice), a_post(bob), a_post(alice)
    await given(storage, alice, bob, second, third, first)

    feed = await storage.posts.newest(limit=10, before=None, viewer=None)

    assert ids(feed.items) == [str(third.id), str(second.id), str(first.id)]
    assert feed.more is False


async def test_an_authors_list_shows_that_author_alone_newest_first(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    first, foreign, third = a_post(alice), a_post(bob), a_post(alice)
    await given(storage, alice, bob, third, foreign, first)

    found = await storage.posts.by_author(alice.id, limit=10, before=None, viewer=None)

    assert ids(found.items) == [str(third.id), str(first.id)]
    assert {item.author.id for item in found.items if item.author} == {str(alice.id)}


async def test_an_author_without_posts_has_an_empty_list(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)

    for author in (alice.id, UserId(an_id())):
        found = await storage.posts.by_author(author, limit=10, before=None, viewer=None)
        assert (found.items, found.more) == ([], False)


@pytest.mark.parametrize(("limit", "shown", "more"), [(1, 1, True), (3, 3, True), (4, 4, False), (100, 4, False)])
async def test_a_list_says_whether_it_goes_on(storage: Storage, limit: int, shown: int, more: bool) -> None:
    alice = a_user()
    await given(storage, alice, *posts_of(alice, 4))

    feed = await storage.posts.newest(limit=limit, before=None, viewer=None)
    own = await storage.posts.by_author(alice.id, limit=limit, before=None, viewer=None)

    assert (len(feed.items), feed.more) == (shown, more)
    assert (len(own.items), own.more) == (shown, more)


async def test_paging_skips_and_repeats_nothing_while_posts_are_published_and_deleted(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    there_before = posts_of(alice, 10)
    await given(storage, alice, bob, *there_before)
    expected = [str(post.id) for post in reversed(there_before)]
    read_feed: list[str] = []
    read_own: list[str] = []
    feed_before = own_before = None

    for page in range(4):
        feed = await storage.posts.newest(limit=3, before=feed_before, viewer=None)
        own = await storage.posts.by_author(alice.id, limit=3, before=own_before, viewer=alice.id)
        read_feed += ids(feed.items)
        read_own += ids(own.items)
        assert (feed.more, own.more) == (page < 3, page < 3)
        feed_before, own_before = (PostId(UUID(s.items[-1].id)) for s in (feed, own))
        # Newer ones come in at the front, and the very post that the next page counts from goes away.
        newer = NOW + timedelta(seconds=page + 1)
        await given(storage, *posts_of(bob, 2, start=newer), *posts_of(alice, 2, start=newer))
        async with storage.posts_units() as uow:
            await uow.posts.remove(await uow.posts.get(feed_before), owner=alice.id)
            await uow.commit()

    assert read_feed == expected
    assert read_own == expected


@pytest.mark.parametrize(
    "text", [pytest.param("a" * TEXT_MAX_BYTES, id="ASCII"), pytest.param("😀" * (TEXT_MAX_BYTES // 4), id="emoji")]
)
async def test_a_page_closes_before_its_texts_exceed_four_mebibytes(storage: Storage, text: str) -> None:
    alice = a_user()
    big = [a_post(alice, text) for _ in range(5)]
    await given(storage, alice, *big)

    for read_feed in (True, False):
        first = (
            await storage.posts.newest(limit=100, before=None, viewer=None)
            if read_feed
            else await storage.posts.by_author(alice.id, limit=100, before=None, viewer=None)
        )
        assert (ids(first.items), first.more) == ([str(post.id) for post in big[:0:-1]], True)
        rest = (
            await storage.posts.newest(limit=100, before=big[1].id, viewer=None)
            if read_feed
            else await storage.posts.by_author(alice.id, limit=100, before=big[1].id, viewer=None)
        )
        assert (ids(rest.items), rest.more) == ([str(big[0].id)], False)


async def test_a_page_that_is_full_by_a_byte_closes_there(storage: Storage) -> None:
    """Four texts fill the budget exactly; one character more in the oldest, and it has to wait for the next page."""
    alice = a_user()
    tiny = a_post(alice, "é")
    big = [a_post(alice, "a" * TEXT_MAX_BYTES) for _ in range(4)]
    await given(storage, alice, tiny, *big)

    page = await storage.posts.by_author(alice.id, limit=5, before=None, viewer=None)

    assert (len(page.items), page.more) == (4, True)


async def test_an_edit_changes_neither_place_nor_time_of_publication(storage: Storage) -> None:
    alice = a_user()
    older, newer = posts_of(alice, 2)
    await given(storage, alice, older, newer)

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(older.id)
        loaded.edit(by=an_actor(alice), text=PostText("edited"), at=NOW + timedelta(days=1))
        await uow.posts.save(loaded, owner=alice.id)
        await uow.commit()

    feed = await storage.posts.newest(limit=10, before=None, viewer=None)
    assert ids(feed.items) == [str(newer.id), str(older.id)]
    edited = feed.items[1]
    assert (edited.text, edited.version) == ("edited", 2)
    assert edited.created_at < edited.updated_at


async def test_the_directory_shows_an_author(storage: Storage) -> None:
    alice, bob = a_user("Alice", name="Alice Ängström"), a_user("bob")
    await given(storage, alice, bob)

    assert await storage.authors.find(alice.id) == AuthorView(str(alice.id), "Alice", "Alice Ängström")
    assert await storage.authors.find(bob.id) == AuthorView(str(bob.id), "bob", None)


async def test_the_directory_knows_nobody_who_is_not_there(storage: Storage) -> None:
    assert await storage.authors.find(UserId(an_id())) is None


async def test_a_new_username_is_shown_at_once_everywhere(storage: Storage) -> None:
    alice = a_user("alice")
    post = a_post(alice)
    await given(storage, alice, post)
    await storage.posts.get(post.id, viewer=None)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(alice.id)
        loaded.change_profile(username=Username.parse("alicia"), at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    shown = AuthorView(str(alice.id), "alicia", None)
    view = await storage.posts.get(post.id, viewer=None)
    feed = await storage.posts.newest(limit=1, before=None, viewer=None)
    assert await storage.authors.find(alice.id) == shown
    assert [seen.author for seen in (view, *feed.items) if seen] == [shown, shown]
