"""What every storage promises of the time that it tells."""

from datetime import UTC, datetime, timedelta

from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_user
from tests.contracts.scenarios import given


async def test_the_time_lies_between_asking_and_being_answered(storage: Storage) -> None:
    # The databases of these tests are on this machine, so that one clock is all of theirs.
    asked_at = datetime.now(UTC)
    reading = await storage.time.read()
    answered_at = datetime.now(UTC)

    assert asked_at <= reading.now + timedelta(seconds=reading.resolution_seconds)
    assert reading.now <= answered_at
    assert reading.now.utcoffset() == timedelta(0)


async def test_the_newest_id_comes_along(storage: Storage) -> None:
    assert (await storage.time.read()).newest is None
    alice = a_user()
    older, newer = a_post(alice), a_post(alice, created_at=NOW + timedelta(hours=1))

    await given(storage, alice, newer, older)

    assert (await storage.time.read()).newest == newer.id
