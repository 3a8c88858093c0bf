"""What every reader of accounts and sessions promises, as they are listed."""

from datetime import timedelta
from uuid import UUID

from application.identity.views import SessionView, UserView
from application.shared.views import timestamp
from domain.identity.values import UserStatus
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId
from entrypoints.storage import Storage
from tests.builders import NOW, a_session, a_user, an_id
from tests.contracts.scenarios import given


async def found(storage: Storage, prefix: str | None, *, full: bool = True) -> list[str]:
    page = await storage.users.newest(limit=100, before=None, prefix=prefix, full=full)
    return sorted(item.username for item in page.items)


async def test_an_account_is_shown_in_full_or_in_public(storage: Storage) -> None:
    user = a_user(
        "Alice",
        email="Alice@Example.org",
        name="Alice Liddell",
        phone="+4915112345678",
        email_verified=True,
        role=Role.MODERATOR,
        status=UserStatus.SUSPENDED,
        updated_at=NOW + timedelta(microseconds=5),
        version=4,
    )
    await given(storage, user)

    full = await storage.users.find(user.id, full=True)
    public = await storage.users.find(user.id, full=False)

    assert full is not None
    assert public is not None
    assert (full.version, public.version) == (4, 4)
    assert full.view == UserView(
        id=str(user.id),
        email="Alice@Example.org",
        email_verified=True,
        username="Alice",
        name="Alice Liddell",
        phone="+4915112345678",
        role=Role.MODERATOR,
        status=UserStatus.SUSPENDED,
        created_at=timestamp(NOW),
        updated_at=timestamp(NOW + timedelta(microseconds=5)),
    )
    assert public.view == UserView(id=str(user.id), username="Alice", name="Alice Liddell", created_at=timestamp(NOW))


async def test_an_account_that_is_not_there_is_none(storage: Storage) -> None:
    assert await storage.users.find(UserId(an_id()), full=True) is None


async def test_accounts_are_listed_newest_first_page_by_page(storage: Storage) -> None:
    users = [a_user(f"user-nr-{number}", created_at=NOW + timedelta(seconds=number)) for number in range(5)]
    await given(storage, *users)

    seen: list[str] = []
    before: UserId | None = None
    while True:
        page = await storage.users.newest(limit=2, before=before, prefix=None, full=False)
        seen += [item.username for item in page.items]
        if not page.more:
            break
        before = UserId(UUID(page.items[-1].id))

    assert seen == [f"user-nr-{number}" for number in reversed(range(5))]


async def test_a_prefix_matches_username_name_and_address_without_regard_to_case(storage: Storage) -> None:
    await given(
        storage,
        a_user("walrus", email="one@example.org"),
        a_user("second", email="WALter@example.org"),
        a_user("third", email="three@example.org", name="Walburga Straße"),
        a_user("fourth", email="four@example.org", name="Not a wal"),
        a_user("fifth", email="five@example.org"),
    )

    assert await found(storage, "wal") == ["second", "third", "walrus"]
    assert await found(storage, "walburga strass") == ["third"]
    assert await found(storage, "w%") == []
    assert await found(storage, "_") == []


async def test_addresses_are_not_searched_for_the_public(storage: Storage) -> None:
    await given(storage, a_user("second", email="walter@example.org"))

    assert await found(storage, "walter@", full=False) == []
    assert await found(storage, "walter@") == ["second"]


async def test_a_page_of_matches_goes_on_where_it_ended(storage: Storage) -> None:
    users = [a_user(f"match-{number}", created_at=NOW + timedelta(seconds=number)) for number in range(4)]
    await given(storage, *users, a_user("other"))

    first = await storage.users.newest(limit=3, before=None, prefix="match-", full=True)
    rest = await storage.users.newest(limit=3, before=UserId(UUID(first.items[-1].id)), prefix="match-", full=True)

    assert ([item.username for item in first.items], first.more) == (["match-3", "match-2", "match-1"], True)
    assert ([item.username for item in rest.items], rest.more) == (["match-0"], False)


async def test_a_changed_name_is_found_by_its_new_key(storage: Storage) -> None:
    user = a_user("alice", name="Before")
    await given(storage, user)
    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        loaded.change_profile(name=None, at=NOW)
        await uow.users.save(loaded)
        await uow.commit()

    assert await found(storage, "before") == []


async def test_live_sessions_are_listed_newest_first_and_the_present_one_is_marked(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    old = a_session(alice, created_at=NOW, user_agent="Mözilla", address="2001:db8::7")
    new = a_session(alice, created_at=NOW + timedelta(seconds=1), last_used_at=NOW + timedelta(seconds=9))
    closed = a_session(alice, created_at=NOW + timedelta(seconds=2), revoked_at=NOW)
    expired = a_session(alice, created_at=NOW + timedelta(seconds=3), expires_at=NOW + timedelta(minutes=1))
    await given(storage, alice, bob, old, new, closed, expired, a_session(bob))

    page = await storage.sessions.live(alice.id, at=NOW + timedelta(minutes=1), current=old.id, limit=10, before=None)

    assert [(item.id, item.current) for item in page.items] == [(str(new.id), False), (str(old.id), True)]
    assert not page.more
    assert page.items[1] == SessionView(
        id=str(old.id),
        created_at=timestamp(NOW),
        last_used_at=timestamp(NOW),
        expires_at=timestamp(NOW + timedelta(days=30)),
        user_agent="Mözilla",
        address="2001:db8::7",
        current=True,
    )


async def test_sessions_are_paged(storage: Storage) -> None:
    alice = a_user()
    sessions = [a_session(alice, created_at=NOW + timedelta(seconds=number)) for number in range(3)]
    await given(storage, alice, *sessions)

    page = await storage.sessions.live(alice.id, at=NOW, current=sessions[0].id, limit=2, before=None)
    rest = await storage.sessions.live(
        alice.id, at=NOW, current=sessions[0].id, limit=2, before=SessionId(UUID(page.items[-1].id))
    )

    assert [item.id for item in page.items] == [str(sessions[2].id), str(sessions[1].id)]
    assert page.more
    assert ([item.id for item in rest.items], rest.more) == ([str(sessions[0].id)], False)


async def test_all_stored_sessions_tell_when_they_were_closed(storage: Storage) -> None:
    alice = a_user()
    live = a_session(alice, created_at=NOW)
    closed = a_session(alice, created_at=NOW + timedelta(seconds=1), revoked_at=NOW + timedelta(seconds=2))
    await given(storage, alice, live, closed)

    page = await storage.sessions.stored(alice.id, limit=10, before=None)

    assert [(item.id, item.revoked_at) for item in page.items] == [
        (str(closed.id), timestamp(NOW + timedelta(seconds=2))),
        (str(live.id), None),
    ]


async def test_a_prefix_with_a_joiner_finds_usernames_that_are_kept_without(storage: Storage) -> None:
    async with storage.identity_units() as uow:
        await uow.users.add(a_user("می\u200cخواهم", email="persian@example.org"))
        await uow.users.add(a_user("alice"))
        await uow.commit()

    assert await found(storage, "می\u200cخ") == await found(storage, "میخ") == ["می\u200cخواهم"]
    assert await found(storage, "\u200d") == []
