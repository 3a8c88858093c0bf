"""Publishing, reading, editing, deleting and listing posts."""

from dataclasses import astuple
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from adapters.memory.posts import MemoryPostReader
from adapters.memory.store import MemoryStore
from application.posts.delete_post import DeletePost, DeletePostCommand
from application.posts.edit_post import EditPost, EditPostCommand
from application.posts.get_post import GetPostQuery
from application.posts.list_author_posts import ListAuthorPostsQuery
from application.posts.list_feed import ListFeedQuery
from application.posts.list_my_posts import ListMyPostsQuery
from application.posts.publish_post import PublishPostCommand
from application.posts.views import PostPageView, PostView
from application.shared.paging import InvalidCursor, PageRequest
from application.shared.pending import settled
from application.shared.views import timestamp
from domain.posts.errors import AuthorGone, AuthorNotFound, NotYourPost, PostChanged, PostNotFound
from domain.posts.values import PostText
from domain.shared.actor import Actor, Role
from domain.shared.ids import PostId, UserId
from tests.builders import a_user, an_actor, an_id
from tests.unit.world import World


async def published(world: World, actor: Actor, text: str = "news") -> PostView:
    world.clock.advance(timedelta(microseconds=1))
    return await world.posts.publish_post.execute(PublishPostCommand(actor, PostText.parse(text)))


def id_of(view: PostView) -> PostId:
    return PostId(UUID(view.id))


@pytest.fixture
async def alice(world: World) -> Actor:
    return world.actor(await world.signed_up("alice"))


@pytest.fixture
async def bob(world: World) -> Actor:
    return world.actor(await world.signed_up("bob"))


class TestPublishing:
    async def test_a_published_post_reads_as_it_was_answered(self, world: World, alice: Actor) -> None:
        view = await published(world, alice)

        assert view.author is not None
        assert (view.author.username, view.text, view.version) == ("alice", "news", 1)
        assert (view.score, view.upvotes, view.downvotes, view.my_vote) == (0, 0, 0, 0)
        assert view.created_at == view.updated_at == timestamp(world.clock.now())
        assert await world.posts.get_post.execute(GetPostQuery(id_of(view), alice.user_id)) == view

    async def test_an_account_that_is_gone_publishes_nothing(self, world: World) -> None:
        with pytest.raises(AuthorGone):
            await published(world, an_actor(a_user()))


class TestReading:
    async def test_anybody_reads_a_post_without_a_vote(self, world: World, alice: Actor) -> None:
        view = await published(world, alice)

        seen = await world.posts.get_post.execute(GetPostQuery(id_of(view), None))

        assert seen.my_vote is msgspec.UNSET
        assert b"my_vote" not in msgspec.json.encode(seen)

    async def test_a_post_that_is_not_there_is_not_found(self, world: World) -> None:
        with pytest.raises(PostNotFound):
            await world.posts.get_post.execute(GetPostQuery(PostId(an_id()), None))


class TestEditing:
    async def test_its_author_edits_a_post(self, world: World, alice: Actor) -> None:
        view = await published(world, alice)
        world.clock.advance(timedelta(minutes=1))

        edited = await world.posts.edit_post.execute(EditPostCommand(alice, id_of(view), PostText("better")))

        assert (edited.text, edited.version, edited.created_at) == ("better", 2, view.created_at)
        assert edited.updated_at == timestamp(world.clock.now())
        assert await world.posts.get_post.execute(GetPostQuery(id_of(view), alice.user_id)) == edited

    @pytest.mark.parametrize("role", Role)
    async def test_nobody_else_does(self, world: World, alice: Actor, bob: Actor, role: Role) -> None:
        view = await published(world, alice)
        intruder = Actor(user_id=bob.user_id, role=role, session_id=bob.session_id)

        with pytest.raises(NotYourPost):
            await world.posts.edit_post.execute(EditPostCommand(intruder, id_of(view), PostText("mine"), if_version=1))

        assert await world.posts.get_post.execute(GetPostQuery(id_of(view), alice.user_id)) == view

    async def test_whoever_saw_an_earlier_version_overwrites_nothing(self, world: World, alice: Actor) -> None:
        post_id = id_of(await published(world, alice))
        first = await world.posts.edit_post.execute(EditPostCommand(alice, post_id, PostText("first"), if_version=1))

        with pytest.raises(PostChanged):
            await world.posts.edit_post.execute(EditPostCommand(alice, post_id, PostText("second"), if_version=1))

        assert await world.posts.get_post.execute(GetPostQuery(post_id, alice.user_id)) == first

    async def test_a_post_that_is_not_there_is_not_found(self, world: World, alice: Actor) -> None:
        with pytest.raises(PostNotFound):
            await world.posts.edit_post.execute(EditPostCommand(alice, PostId(an_id()), PostText("x")))

    async def test_a_post_deleted_right_after_the_edit_is_not_found(self, world: World, alice: Actor) -> None:
        view = await published(world, alice)

        class Blind(MemoryPostReader):
            async def get(self, post_id: PostId, *, viewer: UserId | None) -> PostView | None:
                return None

        edit_post = EditPost(uow=world.storage.posts_units, reader=Blind(MemoryStore()), clock=world.clock)
        with pytest.raises(PostNotFound):
            await edit_post.execute(EditPostCommand(alice, id_of(view), PostText("too late")))


class TestDeleting:
    async def test_its_author_deletes_a_post(self, world: World, alice: Actor) -> None:
        post_id = id_of(await published(world, alice))

        await world.posts.delete_post.execute(DeletePostCommand(alice, post_id))

        with pytest.raises(PostNotFound):
            await world.posts.get_post.execute(GetPostQuery(post_id, None))

    @pytest.mark.parametrize("role", [Role.MODERATOR, Role.ADMIN])
    async def test_a_moderator_deletes_any_post(self, world: World, alice: Actor, bob: Actor, role: Role) -> None:
        post_id = id_of(await published(world, alice))
        moderator = Actor(user_id=bob.user_id, role=role, session_id=bob.session_id)

        await world.posts.delete_post.execute(DeletePostCommand(moderator, post_id, if_version=1))

        with pytest.raises(PostNotFound):
            await world.posts.get_post.execute(GetPostQuery(post_id, None))

    async def test_no_other_user_does(self, world: World, alice: Actor, bob: Actor) -> None:
        view = await published(world, alice)

        with pytest.raises(NotYourPost):
            await world.posts.delete_post.execute(DeletePostCommand(bob, id_of(view)))

        assert await world.posts.get_post.execute(GetPostQuery(id_of(view), alice.user_id)) == view

    async def test_whoever_saw_an_earlier_version_deletes_nothing(self, world: World, alice: Actor) -> None:
        post_id = id_of(await published(world, alice))
        await world.posts.edit_post.execute(EditPostCommand(alice, post_id, PostText("better")))

        with pytest.raises(PostChanged):
            await world.posts.delete_post.execute(DeletePostCommand(alice, post_id, if_version=1))

        assert (await world.posts.get_post.execute(GetPostQuery(post_id, None))).text == "better"

    async def test_deleting_twice_finds_nothing_the_second_time(self, world: World, alice: Actor) -> None:
        post_id = id_of(await published(world, alice))
        delete_post = DeletePost(uow=world.storage.posts_units, clock=world.clock)
        await delete_post.execute(DeletePostCommand(alice, post_id))

        with pytest.raises(PostNotFound):
            await delete_post.execute(DeletePostCommand(alice, post_id))


class TestListing:
    async def test_the_feed_goes_through_everybodys_posts_newest_first(
        self, world: World, alice: Actor, bob: Actor
    ) -> None:
        posts = [await published(world, actor) for actor in (alice, bob, alice, bob, alice)]

        pages: list[PostPageView] = []
        cursor = None
        while not pages or cursor is not None:
            pages.append(await world.list_feed.execute(ListFeedQuery(PageRequest(2, cursor), alice.user_id)))
            cursor = pages[-1].next_cursor

        assert [item for page in pages for item in page.items] == posts[::-1]
        assert [len(page.items) for page in pages] == [2, 2, 1]

    async def test_a_page_that_ends_with_the_list_has_no_cursor(self, world: World, alice: Actor) -> None:
        for _ in range(2):
            await published(world, alice)

        assert (await world.list_feed.execute(ListFeedQuery(PageRequest(2), None))).next_cursor is None

    async def test_the_feed_of_one_author_is_theirs_alone(self, world: World, alice: Actor, bob: Actor) -> None:
        await published(world, bob)
        mine = await published(world, alice)

        page = await world.list_feed.execute(ListFeedQuery(PageRequest(), alice.user_id, author=alice.user_id))

        assert page.items == [mine]

    async def test_the_feed_of_an_unknown_author_is_empty(self, world: World) -> None:
        page = await world.list_feed.execute(ListFeedQuery(PageRequest(), None, author=UserId(an_id())))

        assert page == PostPageView([], None)

    async def test_an_authors_list_goes_on_where_it_ended(self, world: World, alice: Actor) -> None:
        posts = [await published(world, alice) for _ in range(3)]

        first = await world.posts.list_author_posts.execute(
            ListAuthorPostsQuery(alice.user_id, PageRequest(2), alice.user_id)
        )
        second = await world.posts.list_author_posts.execute(
            ListAuthorPostsQuery(alice.user_id, PageRequest(2, first.next_cursor), alice.user_id)
        )

        assert first.items + second.items == posts[::-1]

    async def test_an_author_without_posts_has_an_empty_list(self, world: World, alice: Actor) -> None:
        query = ListAuthorPostsQuery(alice.user_id, PageRequest(), None)

        assert await world.posts.list_author_posts.execute(query) == PostPageView([], None)

    async def test_a_list_of_nobody_is_not_found(self, world: World) -> None:
        with pytest.raises(AuthorNotFound):
            await world.posts.list_author_posts.execute(ListAuthorPostsQuery(UserId(an_id()), PageRequest(), None))

    async def test_my_posts_are_the_page_as_bytes(self, world: World, alice: Actor, bob: Actor) -> None:
        await published(world, bob)
        posts = [await published(world, alice) for _ in range(3)]

        encoded = await settled(world.posts.list_my_posts.execute(ListMyPostsQuery(alice, PageRequest(2))))

        page = msgspec.json.decode(encoded.body, type=PostPageView)
        assert page == PostPageView(posts[:0:-1], encoded.next_cursor)
        rest = await settled(
            world.posts.list_my_posts.execute(ListMyPostsQuery(alice, PageRequest(2, encoded.next_cursor)))
        )
        assert msgspec.json.decode(rest.body, type=PostPageView) == PostPageView(posts[:1], None)

    async def test_the_validator_follows_the_bytes(self, world: World, alice: Actor) -> None:
        query = ListMyPostsQuery(alice, PageRequest())
        post_id = id_of(await published(world, alice))
        before = await settled(world.posts.list_my_posts.execute(query))
        again = await settled(world.posts.list_my_posts.execute(query))
        await world.posts.edit_post.execute(EditPostCommand(alice, post_id, PostText("better")))
        after = await settled(world.posts.list_my_posts.execute(query))

        assert astuple(before) == astuple(again)
        assert before.etag != after.etag

    @pytest.mark.parametrize("cursor", ["", "nonsense", "0" * 48])
    async def test_a_cursor_that_nobody_gave_out_is_refused(self, world: World, alice: Actor, cursor: str) -> None:
        request = PageRequest(2, cursor)

        with pytest.raises(InvalidCursor):
            await world.list_feed.execute(ListFeedQuery(request, None))
        with pytest.raises(InvalidCursor):
            await settled(world.posts.list_my_posts.execute(ListMyPostsQuery(alice, request)))
        with pytest.raises(InvalidCursor):
            await world.posts.list_author_posts.execute(ListAuthorPostsQuery(alice.user_id, request, None))

    async def test_a_cursor_fits_the_list_it_came_from_alone(self, world: World, alice: Actor, bob: Actor) -> None:
        for actor in (alice, alice, bob, bob):
            await published(world, actor)
        feed = await world.list_feed.execute(ListFeedQuery(PageRequest(1), None))
        mine = await settled(world.posts.list_my_posts.execute(ListMyPostsQuery(alice, PageRequest(1))))

        with pytest.raises(InvalidCursor):
            await settled(world.posts.list_my_posts.execute(ListMyPostsQuery(alice, PageRequest(1, feed.next_cursor))))
        with pytest.raises(InvalidCursor):
            await settled(world.posts.list_my_posts.execute(ListMyPostsQuery(bob, PageRequest(1, mine.next_cursor))))
        with pytest.raises(InvalidCursor):
            await world.list_feed.execute(ListFeedQuery(PageRequest(1, feed.next_cursor), None, author=alice.user_id))
