"""What every audit trail promises: entries come with what they tell of, newest first, and are never lost or made up."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from adapters.shared.request import current
from application.identity.audit import AuditEntry, AuditOnlyEvent, entry_of
from application.identity.views import AuditEntryView
from application.shared.views import timestamp
from domain.identity import events
from domain.identity.events import UserEvent
from domain.identity.session import RevocationReason
from domain.identity.user import User
from domain.shared.actor import Role
from domain.shared.ids import UserId
from entrypoints.storage import Storage
from tests.builders import NOW, a_session, a_user, an_actor, an_id
from tests.contracts.scenarios import given
from tests.fakes import ARequest


async def trail(storage: Storage, involving: User | None = None) -> list[AuditEntryView]:
    found = await storage.audit.newest(limit=100, before=None, involving=None if involving is None else involving.id)
    assert not found.more
    return found.items


async def test_an_event_is_in_the_trail_with_its_commit(storage: Storage) -> None:
    admin, user = a_user(role=Role.ADMIN), a_user()
    await given(storage, admin, user)
    current.set(ARequest(address="2001:db8::1", fields={b"user-agent": b"curl/8.9"}, request_id="request-7"))

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.suspend(by=an_actor(admin), reason="Späm \U0001f600", at=NOW)
        await uow.users.save(loaded)
        assert await trail(storage) == []
        await uow.commit()

    (entry,) = await trail(storage)
    assert (entry.event, entry.at, entry.actor, entry.subject) == (
        "user.suspended",
        timestamp(NOW),
        str(admin.id),
        str(user.id),
    )
    assert (entry.address, entry.user_agent, entry.request_id) == ("2001:db8::1", "curl/8.9", "request-7")
    assert entry.details == {"reason": "Späm \U0001f600"}


async def test_a_rollback_leaves_no_entry(storage: Storage) -> None:
    admin, user = a_user(role=Role.ADMIN), a_user()
    await given(storage, admin, user)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.suspend(by=an_actor(admin), reason=None, at=NOW)
        await uow.users.save(loaded)
    with pytest.raises(ZeroDivisionError):
        async with storage.identity_units() as uow:
            await uow.audit.record(AuditEntry(event=AuditOnlyEvent.LOG_IN_FAILED, at=NOW, actor=None, subject=user.id))
            raise ZeroDivisionError

    assert await trail(storage) == []


async def test_what_has_no_event_is_recorded_by_itself(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        await uow.audit.record(AuditEntry(event=AuditOnlyEvent.LOG_IN_FAILED, at=NOW, actor=None, subject=None))
        await uow.commit()

    (entry,) = await trail(storage)
    assert (entry.event, entry.actor, entry.subject, entry.details) == ("login.failed", None, None, {})


async def test_pages_follow_each_other_newest_first(storage: Storage) -> None:
    for minute in range(5):
        async with storage.identity_units() as uow:
            at = NOW + timedelta(minutes=minute)
            await uow.audit.record(AuditEntry(event=f"test.{minute}", at=at, actor=None, subject=None))
            await uow.commit()

    seen: list[str] = []
    page = await storage.audit.newest(limit=2, before=None, involving=None)
    seen += [item.event for item in page.items]
    while page.more:
        page = await storage.audit.newest(limit=2, before=UserId(_uuid(page.items[-1].id)), involving=None)
        seen += [item.event for item in page.items]

    assert seen == ["test.4", "test.3", "test.2", "test.1", "test.0"]


async def test_what_somebody_did_and_had_done_to_them_is_found_each_once(storage: Storage) -> None:
    alice, bob, carol = (UserId(an_id()) for _ in range(3))
    async with storage.identity_units() as uow:
        for minute, (actor, subject) in enumerate([(alice, bob), (bob, alice), (alice, alice), (bob, carol)]):
            at = NOW + timedelta(minutes=minute)
            await uow.audit.record(AuditEntry(event=f"test.{minute}", at=at, actor=actor, subject=subject))
        await uow.commit()

    everything = await storage.audit.newest(limit=10, before=None, involving=alice)
    assert ([item.event for item in everything.items], everything.more) == (["test.2", "test.1", "test.0"], False)
    first = await storage.audit.newest(limit=2, before=None, involving=alice)
    assert ([item.event for item in first.items], first.more) == (["test.2", "test.1"], True)
    rest = await storage.audit.newest(limit=2, before=_uuid(first.items[-1].id), involving=alice)
    assert ([item.event for item in rest.items], rest.more) == (["test.0"], False)


async def test_the_trail_outlives_the_account(storage: Storage) -> None:
    admin, user = a_user(role=Role.ADMIN), a_user()
    session = a_session(user)
    await given(storage, admin, user, session)

    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.delete(by=an_actor(admin), at=NOW)
        live = await uow.sessions.get(session.id)
        live.revoke(RevocationReason.ACCOUNT_DELETED, at=NOW, by=admin.id)
        await uow.sessions.save(live)
        await uow.users.remove(loaded, at=NOW)
        await uow.commit()

    assert {entry.event for entry in await trail(storage, user)} == {"user.deleted", "session.revoked"}


NOT_AUDITED = {events.ProfileChanged, events.AccessWithdrawn}
"""A public profile is no secret, and a withdrawal follows from an event that is in the trail."""


def test_every_event_of_identity_is_in_the_trail_or_says_why_not() -> None:
    known: dict[str, Any] = {
        "at": NOW,
        "user_id": UserId(an_id()),
        "session_id": an_id(),
        "by": UserId(an_id()),
        "generation": 1,
        "left": 3,
        "username": "alice",
        "role": Role.USER,
        "before": Role.USER,
        "after": Role.ADMIN,
        "reason": "x",
    }
    concrete = [
        found
        for found in vars(events).values()
        if isinstance(found, type) and issubclass(found, UserEvent) and "name" in vars(found)
    ]
    assert len(concrete) > len(NOT_AUDITED)
    for event in concrete:
        fields = [field.name for field in dataclasses.fields(event)]
        made = cast("Callable[..., UserEvent]", event)(**{name: known.get(name, "x") for name in fields})
        assert (entry_of(made) is None) == (event in NOT_AUDITED), f"{event.name}: audit it, or say why not"


def _uuid(text: str) -> UserId:
    return UserId(UUID(text))
