"""Statements that are sent together: all or nothing, in their order, and failing as each by itself would."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam, delete, insert, select, update

from adapters.sql.database import Database
from adapters.sql.tables import AuditRow, CacheFenceRow, OutboxRow, RevocationRow, table_of
from adapters.sql.transaction import Transaction
from adapters.sql.types import Id
from application.shared.errors import TransientFailure
from tests.builders import NOW, an_id
from tests.integration.sql.conftest import OpenDatabase, connections_out, on_servers

_REVOCATIONS, _ENTRIES, _FENCES = table_of(RevocationRow), table_of(AuditRow), table_of(CacheFenceRow)
_OUTBOX = table_of(OutboxRow)
_TELL = insert(_OUTBOX).inline()
_REVOKE, _ENTER, _FENCE = insert(_REVOCATIONS), insert(_ENTRIES), insert(_FENCES)
_AT = bindparam("at_id", type_=Id)
_MOVE = update(_REVOCATIONS).where(_REVOCATIONS.c.id == _AT)
_MOVE_FENCE = update(_FENCES).where(_FENCES.c.process_id == _AT)
_LOWER = delete(_FENCES).where(_FENCES.c.process_id == _AT)
_GENERATION = select(_REVOCATIONS.c.generation).where(_REVOCATIONS.c.id == _AT)
# `IN` has no text of its own, so SQLAlchemy runs it.
_MOVE_SOME = update(_REVOCATIONS).where(_REVOCATIONS.c.id.in_(bindparam("ids", expanding=True, type_=Id)))


class RevokedTwice(Exception):
    pass


class EnteredTwice(Exception):
    pass


ENTERED_TWICE = {"pk_audit_entries": EnteredTwice}
REVOKED_TWICE = {"pk_revocations": RevokedTwice}


def a_revocation(id: UUID, generation: int = 0) -> dict[str, Any]:
    return {"id": id, "session_id": id, "generation": generation, "created_at": NOW}


def an_entry(id: UUID, details: str = "{}") -> dict[str, Any]:
    nobody = {"actor_id": None, "subject_id": None, "address": "", "user_agent": "", "request_id": ""}
    return {"id": id, "at": NOW, "event": "x", "details": details, **nobody}


def a_fence(id: UUID) -> dict[str, Any]:
    return {"process_id": id, "expires_at": NOW}


def an_event(id: UUID) -> dict[str, Any]:
    about = {"subject": id, "shard": 0, "owner_id": None, "public": False}
    return {"event_id": id, "type": "x", "version": 1, "time": NOW, "data": b"{}", **about}


@pytest.fixture
def database(open_with: OpenDatabase) -> Database:
    """One connection for writing, so that the next unit of work gets the one that the last one left."""
    return open_with(pool_size=2, max_overflow=0)


async def stored(database: Database) -> tuple[list[int], int, int]:
    """Return the generations that are revoked, and how many entries and fences there are."""
    return (
        sorted(row[0] for row in await database.fetch_all(select(_REVOCATIONS.c.generation), {})),
        len(await database.fetch_all(select(_ENTRIES.c.id), {})),
        len(await database.fetch_all(select(_FENCES.c.process_id), {})),
    )


async def works(database: Database) -> None:
    """Write by a batch as if nothing had been wrong with the connection."""
    id = an_id()
    async with Transaction(database) as begun:
        await begun.enqueue(_FENCE, a_fence(id))
        await begun.enqueue(_LOWER, {"at_id": id})
        await begun.commit()
    assert connections_out(database) == 0


async def test_what_was_put_is_stored_by_the_commit_and_not_without(database: Database) -> None:
    async with Transaction(database) as begun:
        await begun.enqueue(_REVOKE, a_revocation(an_id(), 1))
        await begun.enqueue(_ENTER, an_entry(an_id()))
    assert await stored(database) == ([], 0, 0)

    async with Transaction(database) as begun:
        await begun.enqueue(_REVOKE, a_revocation(an_id(), 2))
        await begun.enqueue(_ENTER, an_entry(an_id()))
        await begun.commit()
    assert await stored(database) == ([2], 1, 0)


async def test_what_was_put_happens_in_order_and_before_what_is_asked(database: Database) -> None:
    id = an_id()
    async with Transaction(database) as begun:
        await begun.enqueue(_REVOKE, a_revocation(id, 1))
        await begun.enqueue(_MOVE, {"at_id": id, "generation": 2})
        await begun.enqueue(_ENTER, an_entry(an_id()))
        asked = (await begun.run(_GENERATION, {"at_id": id})).one_or_none()
        assert asked is not None
        assert asked.generation == 2
        await begun.enqueue(_MOVE, {"at_id": id, "generation": 3})
        assert (await begun.run(_GENERATION, {"at_id": id})).scalar() == 3
        await begun.enqueue(_MOVE, {"at_id": id, "generation": 4})
        await begun.enqueue(_MOVE_SOME, {"ids": [id], "generation": 5})
        await begun.enqueue(_ENTER, an_entry(an_id()))
        await begun.commit()

    assert await stored(database) == ([5], 2, 0)


async def test_each_of_several_rows_is_counted_for_the_statement_that_matched_it(database: Database) -> None:
    ids = [an_id() for _ in range(3)]
    async with Transaction(database) as begun:
        await begun.enqueue(_ENTER, an_entry(an_id()))
        for id in ids:
            await begun.enqueue(_REVOKE, a_revocation(id))
        moved = await begun.run(_MOVE_SOME, {"ids": ids[:2], "generation": 1})
        assert moved.count == 2
        await begun.enqueue(_ENTER, an_entry(an_id()))
        assert (await begun.run(_MOVE, {"at_id": an_id(), "generation": 2})).count == 0
        await begun.enqueue(_ENTER, an_entry(an_id()))
        assert (await begun.run(_MOVE, {"at_id": ids[2], "generation": 2})).count == 1


@pytest.mark.parametrize("begin_first", [False, True])
async def test_nothing_is_stored_when_one_of_them_fails_and_which_one_is_told(
    database: Database, *, begin_first: bool
) -> None:
    """The commit stands behind the statement that fails, in one text, or is the statement itself."""
    entered, revoked = an_id(), an_id()
    async with Transaction(database) as begun:
        await begun.enqueue(_ENTER, an_entry(entered))
        await begun.enqueue(_REVOKE, a_revocation(revoked))
        await begun.commit()

    for entry, revocation, error in ((entered, an_id(), EnteredTwice), (an_id(), revoked, RevokedTwice)):
        with pytest.raises(error):
            async with Transaction(database) as begun:
                if begin_first:
                    await begun.run(_GENERATION, {"at_id": revoked})
                await begun.enqueue(_FENCE, a_fence(an_id()))
                await begun.enqueue(_ENTER, an_entry(entry), ENTERED_TWICE)
                await begun.enqueue(_REVOKE, a_revocation(revocation), REVOKED_TWICE)
                await begun.commit()

        assert await stored(database) == ([0], 1, 0)
        await works(database)


@pytest.mark.parametrize("rows", [2, 5, 20])
async def test_rows_of_one_table_are_stored_together_or_not_at_all(database: Database, rows: int) -> None:
    entered = [an_id() for _ in range(rows)]
    async with Transaction(database) as begun:
        await begun.enqueue(_REVOKE, a_revocation(an_id()))
        for id in entered:
            await begun.enqueue(_ENTER, an_entry(id), ENTERED_TWICE)
        await begun.commit()
    assert await stored(database) == ([0], rows, 0)

    with pytest.raises(EnteredTwice):
        async with Transaction(database) as begun:
            for id in (an_id(), entered[-1], an_id()):
                await begun.enqueue(_ENTER, an_entry(id), ENTERED_TWICE)
            await begun.enqueue(_FENCE, a_fence(an_id()))
            await begun.commit()

    assert await stored(database) == ([0], rows, 0)
    await works(database)


@on_servers
async def test_rows_of_one_table_are_numbered_in_the_order_in_which_they_were_put(database: Database) -> None:
    """What is relayed to others goes by these numbers."""
    ids = [an_id() for _ in range(6)]
    random.shuffle(ids)
    async with Transaction(database) as begun:
        for id in ids:
            await begun.enqueue(_TELL, an_event(id))
        await begun.commit()

    numbered = await database.fetch_all(select(_OUTBOX.c.event_id).order_by(_OUTBOX.c.id), {})

    assert [row.event_id for row in numbered] == ids


async def test_what_fails_behind_what_was_put_fails_by_its_own_name(database: Database) -> None:
    revoked = an_id()
    async with Transaction(database) as begun:
        await begun.enqueue(_REVOKE, a_revocation(revoked))
        await begun.commit()

    async with Transaction(database) as begun:
        await begun.enqueue(_ENTER, an_entry(an_id()), ENTERED_TWICE)
        with pytest.raises(RevokedTwice):
            await begun.run(_REVOKE, a_revocation(revoked), REVOKED_TWICE)

    assert await stored(database) == ([0], 0, 0)
    await works(database)


@on_servers
async def test_after_a_failure_there_is_no_commit_of_what_is_left(database: Database) -> None:
    revoked = an_id()
    async with Transaction(database) as begun:
        await begun.enqueue(_REVOKE, a_revocation(revoked))
        await begun.commit()

    async with Transaction(database) as begun:
        await begun.enqueue(_REVOKE, a_revocation(revoked), REVOKED_TWICE)
        await begun.enqueue(_ENTER, an_entry(an_id()))
        with pytest.raises(RevokedTwice):
            await begun.run(_GENERATION, {"at_id": an_id()})
        with pytest.raises(RuntimeError, match="never sent"):
            await begun.commit()

    assert await stored(database) == ([0], 0, 0)


@pytest.mark.parametrize("begin_first", [False, True])
@pytest.mark.parametrize("flushed", [False, True])
async def test_nothing_is_stored_when_what_must_match_does_not(
    database: Database, *, begin_first: bool, flushed: bool
) -> None:
    there, fence = an_id(), an_id()
    async with Transaction(database) as begun:
        await begun.enqueue(_REVOKE, a_revocation(there))
        await begun.enqueue(_FENCE, a_fence(fence))
        await begun.commit()

    async def move(at: UUID) -> None:
        async with Transaction(database) as begun:
            if begin_first:
                await begun.run(_GENERATION, {"at_id": there})
            await begun.enqueue(_MOVE, {"at_id": at, "generation": 1}, on_no_match=TransientFailure)
            await begun.enqueue(_ENTER, an_entry(an_id()))
            await begun.enqueue(_LOWER, {"at_id": fence})
            if flushed:
                await begun.run(_GENERATION, {"at_id": an_id()})
            await begun.commit()

    with pytest.raises(TransientFailure):
        await move(an_id())
    assert await stored(database) == ([0], 0, 1)
    await works(database)

    await move(there)
    assert await stored(database) == ([1], 1, 0)


async def test_what_must_match_may_stand_behind_others(database: Database) -> None:
    with pytest.raises(TransientFailure):
        async with Transaction(database) as begun:
            await begun.enqueue(_ENTER, an_entry(an_id()))
            await begun.enqueue(_MOVE, {"at_id": an_id(), "generation": 1}, on_no_match=TransientFailure)
            await begun.commit()

    assert await stored(database) == ([], 0, 0)
    await works(database)


async def test_a_change_of_nothing_keeps_nobody_behind_it_from_happening(database: Database) -> None:
    async with Transaction(database) as begun:
        await begun.enqueue(_LOWER, {"at_id": an_id()})
        await begun.enqueue(_MOVE, {"at_id": an_id(), "generation": 1})
        await begun.enqueue(_ENTER, an_entry(an_id()))
        await begun.commit()

    assert await stored(database) == ([], 1, 0)


async def test_what_reads_another_table_sees_what_was_put_there_before(database: Database) -> None:
    id = an_id()
    revoked = select(_REVOCATIONS.c.id).where(_REVOCATIONS.c.id == _FENCES.c.process_id).exists()
    async with Transaction(database) as begun:
        await begun.run(_FENCE, a_fence(id))
        await begun.enqueue(_REVOKE, a_revocation(id))
        await begun.enqueue(delete(_FENCES).where(revoked), {})
        await begun.enqueue(_ENTER, an_entry(an_id()))
        await begun.commit()

    assert await stored(database) == ([0], 1, 0)


async def test_text_stays_text_whatever_it_says(database: Database) -> None:
    """Quotes, what ends a statement, and what stands for values in the drivers' own texts."""
    said = "'; DROP TABLE posts; -- \\ \\' \" ` % %s %(a)s $1 $2 :id ? \x1a \n é 🦊 /* */ VALUES (1) WHERE RETURNING"
    id = an_id()
    async with Transaction(database) as begun:
        await begun.enqueue(_REVOKE, a_revocation(an_id()))
        await begun.enqueue(_ENTER, an_entry(id, said))
        await begun.enqueue(_FENCE, a_fence(an_id()))
        await begun.commit()

    row = await database.fetch_one(select(_ENTRIES.c.details).where(_ENTRIES.c.id == _AT), {"at_id": id})
    assert row is not None
    assert row.details == said
    assert await stored(database) == ([0], 1, 1)


async def test_long_texts_are_stored_as_a_whole(database: Database) -> None:
    """Together they are longer than what is sent at once, each of its quotes being escaped."""
    text = "'" * 60_000
    async with Transaction(database) as begun:
        for _ in range(12):
            await begun.enqueue(_ENTER, an_entry(an_id(), text))
        asked = await begun.run(select(_ENTRIES.c.details), {})
        assert {row.details for row in asked.rows} == {text}
        for _ in range(12):
            await begun.enqueue(_ENTER, an_entry(an_id(), text))
        await begun.enqueue(_REVOKE, a_revocation(an_id(), 7))
        await begun.commit()

    assert await stored(database) == ([7], 24, 0)
