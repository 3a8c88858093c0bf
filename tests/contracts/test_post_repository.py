"""What every `PostRepository` promises."""

from datetime import timedelta

import pytest

from application.shared.errors import VersionConflict
from domain.posts.errors import AuthorGone, PostNotFound
from domain.posts.values import TEXT_MAX_BYTES, PostText
from domain.shared.ids import PostId
from entrypoints.storage import Storage
from tests.aggregates import fields_of
from tests.builders import NOW, a_post, a_user, an_actor, an_id
from tests.contracts.scenarios import given, load_post

LATER = NOW + timedelta(minutes=5, microseconds=7)

TEXTS = [
    pytest.param("a" * TEXT_MAX_BYTES, id="1 MiB of ASCII"),
    pytest.param("😀" * (TEXT_MAX_BYTES // 4), id="1 MiB of 4-byte emoji"),
    pytest.param(
        "é\u0301e\u0301 \ufeff\u200b\u2028 \U0010ffff \r\n\t\\'\"%s :name {} \x01\x7f x", id="awkward characters"
    ),
    pytest.param("trailing blanks are trimmed, \u3000inner ones   not", id="inner blanks"),
]


async def test_every_field_of_a_post_survives_the_round_trip(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice, "Grüße, 世界 😀", updated_at=LATER)
    await given(storage, alice, post)

    assert fields_of(await load_post(storage, post.id)) == fields_of(post)


@pytest.mark.parametrize("text", TEXTS)
async def test_a_text_is_kept_byte_for_byte(storage: Storage, text: str) -> None:
    alice = a_user()
    post = a_post(alice, text)
    await given(storage, alice, post)

    # Not one assertion on the texts themselves: a failure would print megabytes.
    loaded = await load_post(storage, post.id)
    view = await storage.posts.get(post.id, viewer=None)
    assert view is not None
    assert (loaded.text.value == text, view.text == text) == (True, True)


@pytest.mark.parametrize("text", TEXTS)
async def test_a_text_is_kept_byte_for_byte_when_it_is_saved(storage: Storage, text: str) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.edit(by=an_actor(alice), text=PostText.parse(text), at=LATER)
        await uow.posts.save(loaded, owner=alice.id)
        await uow.commit()

    assert ((await load_post(storage, post.id)).text.value == text) is True


async def test_an_edit_is_saved_under_the_next_version(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.edit(by=an_actor(alice), text=PostText("second thoughts"), at=LATER)
        await uow.posts.save(loaded, owner=alice.id)
        await uow.commit()

    stored = await load_post(storage, post.id)
    assert fields_of(stored) == fields_of(loaded)
    assert (stored.text.value, stored.updated_at, stored.version) == ("second thoughts", LATER, 2)


async def test_a_post_that_is_not_there_is_not_found(storage: Storage) -> None:
    async with storage.posts_units() as uow:
        with pytest.raises(PostNotFound):
            await uow.posts.get(PostId(an_id()))


async def test_a_post_of_an_account_that_is_gone_is_refused(storage: Storage) -> None:
    async with storage.posts_units() as uow:
        with pytest.raises(AuthorGone):
            await uow.posts.add(a_post(by=a_user()))
            await uow.commit()


async def test_a_post_is_not_saved_for_somebody_else(storage: Storage) -> None:
    alice, mallory = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, mallory, post)

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.edit(by=an_actor(alice), text=PostText("words in a mouth"), at=LATER)
        with pytest.raises(VersionConflict):
            await uow.posts.save(loaded, owner=mallory.id)

    assert fields_of(await load_post(storage, post.id)) == fields_of(post)


async def test_a_post_is_not_removed_for_somebody_else(storage: Storage) -> None:
    alice, mallory = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, mallory, post)

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        with pytest.raises(VersionConflict):
            await uow.posts.remove(loaded, owner=mallory.id)

    assert fields_of(await load_post(storage, post.id)) == fields_of(post)


async def test_a_post_is_removed_for_its_owner(storage: Storage) -> None:
    alice = a_user()
    going, staying = a_post(alice), a_post(alice)
    await given(storage, alice, going, staying)

    async with storage.posts_units() as uow:
        await uow.posts.remove(await uow.posts.get(going.id), owner=alice.id)
        await uow.commit()

    assert await storage.posts.get(going.id, viewer=None) is None
    assert await storage.posts.get(staying.id, viewer=None) is not None


async def test_a_post_is_removed_for_whoever_may_remove_any(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)

    async with storage.posts_units() as uow:
        await uow.posts.remove(await uow.posts.get(post.id), owner=None)
        await uow.commit()

    async with storage.posts_units() as uow:
        with pytest.raises(PostNotFound):
            await uow.posts.get(post.id)


async def test_a_removed_post_is_gone_for_the_unit_of_work_itself(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)

    async with storage.posts_units() as uow:
        await uow.posts.remove(await uow.posts.get(post.id), owner=None)
        with pytest.raises(PostNotFound):
            await uow.posts.get(post.id)


async def test_a_post_kept_from_an_earlier_unit_of_work_is_neither_saved_nor_removed(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)
    kept = await load_post(storage, post.id)
    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        loaded.edit(by=an_actor(alice), text=PostText("theirs"), at=LATER)
        await uow.posts.save(loaded, owner=alice.id)
        await uow.commit()

    async with storage.posts_units() as uow:
        with pytest.raises(VersionConflict):
            await uow.posts.save(kept, owner=alice.id)
    async with storage.posts_units() as uow:
        with pytest.raises(VersionConflict):
            await uow.posts.remove(kept, owner=alice.id)

    assert fields_of(await load_post(storage, post.id)) == fields_of(loaded)


async def test_a_post_that_was_removed_meanwhile_is_neither_saved_nor_removed(storage: Storage) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)
    kept = await load_post(storage, post.id)
    async with storage.posts_units() as uow:
        await uow.posts.remove(await uow.posts.get(post.id), owner=alice.id)
        await uow.commit()

    async with storage.posts_units() as uow:
        with pytest.raises(VersionConflict):
            await uow.posts.save(kept, owner=alice.id)
    async with storage.posts_units() as uow:
        with pytest.raises(VersionConflict):
            await uow.posts.remove(kept, owner=None)
