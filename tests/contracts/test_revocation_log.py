"""What every revocation log promises: what killed a token is in it with the commit, and by one clock."""

import asyncio

import pytest

from application.identity.revocations import EVERY_GENERATION, Revocation
from domain.identity.session import RevocationReason, Session
from entrypoints.storage import Storage
from tests.builders import NOW, a_hash, a_session, a_user
from tests.conftest import OpenStorage
from tests.contracts.scenarios import given


async def revoke(storage: Storage, session: Session) -> None:
    async with storage.identity_units() as uow:
        loaded = await uow.sessions.get(session.id)
        loaded.revoke(RevocationReason.LOGGED_OUT, at=NOW)
        await uow.sessions.save(loaded)
        await uow.commit()


async def given_session(storage: Storage, *, generation: int = 0) -> Session:
    user = a_user()
    session = a_session(user, generation=generation)
    await given(storage, user, session)
    return session


async def test_a_closed_session_is_in_the_log_for_every_generation(storage: Storage) -> None:
    session = await given_session(storage)
    assert list(await storage.revocations.since(60)) == []

    await revoke(storage, session)

    assert list(await storage.revocations.since(60)) == [Revocation(session.id, EVERY_GENERATION)]
    assert list(await storage.revocations.since(60)) == [Revocation(session.id, EVERY_GENERATION)]


async def test_withdrawn_access_is_in_the_log_up_to_the_present_generation(storage: Storage) -> None:
    session = await given_session(storage, generation=3)

    async with storage.identity_units() as uow:
        loaded = await uow.sessions.get(session.id)
        loaded.rotate(a_hash(), at=NOW)
        loaded.withdraw_access(at=NOW)
        await uow.sessions.save(loaded)
        await uow.commit()

    assert list(await storage.revocations.since(60)) == [Revocation(session.id, 4)]


async def test_another_process_sees_it_once_it_is_committed_and_not_before(open_storage: OpenStorage) -> None:
    here, there = open_storage(), open_storage()
    session = await given_session(here)
    assert list(await there.revocations.since(60)) == []

    async with here.identity_units() as uow:
        loaded = await uow.sessions.get(session.id)
        loaded.revoke(RevocationReason.LOGGED_OUT, at=NOW)
        await uow.sessions.save(loaded)
        assert list(await there.revocations.since(60)) == []
        await uow.commit()

    assert list(await there.revocations.since(60)) == [Revocation(session.id, EVERY_GENERATION)]


async def test_a_rollback_revokes_nothing(storage: Storage) -> None:
    session = await given_session(storage)

    with pytest.raises(ZeroDivisionError):
        async with storage.identity_units() as uow:
            loaded = await uow.sessions.get(session.id)
            loaded.revoke(RevocationReason.LOGGED_OUT, at=NOW)
            await uow.sessions.save(loaded)
            raise ZeroDivisionError

    assert list(await storage.revocations.since(60)) == []


async def test_what_is_older_than_asked_for_is_left_out(open_storage: OpenStorage) -> None:
    storage = open_storage()
    first, second = await given_session(storage), await given_session(storage)
    await revoke(storage, first)
    await asyncio.sleep(1.2)  # Nothing happens that could be waited for: the first is to be so much older.
    loop = asyncio.get_running_loop()
    between = loop.time()
    await revoke(storage, second)

    # A process of its own, which remembers nothing.
    other = open_storage()
    found = await other.revocations.since(loop.time() - between + 1)
    assert [revocation.session_id for revocation in found] == [second.id]
    assert {found.session_id for found in await open_storage().revocations.since(60)} == {first.id, second.id}


async def test_old_ones_are_purged_a_batch_at_a_time(open_storage: OpenStorage) -> None:
    storage = open_storage()
    for _ in range(3):
        await revoke(storage, await given_session(storage))
    await asyncio.sleep(0.3)
    fresh = await given_session(storage)
    assert await storage.revocations.purge(older_than_seconds=60, limit=10) == 0

    assert await storage.revocations.purge(older_than_seconds=0.1, limit=2) == 2
    await revoke(storage, fresh)
    assert await storage.revocations.purge(older_than_seconds=0.1, limit=2) == 1
    assert await storage.revocations.purge(older_than_seconds=0.2, limit=2) == 0

    assert [found.session_id for found in await storage.revocations.since(60)] == [fresh.id]


async def test_a_revocation_outlives_its_session(storage: Storage) -> None:
    session = await given_session(storage)
    await revoke(storage, session)

    async with storage.identity_units() as uow:
        user = await uow.users.get(session.user_id)
        await uow.users.remove(user, at=NOW)
        await uow.commit()

    assert [found.session_id for found in await storage.revocations.since(60)] == [session.id]
