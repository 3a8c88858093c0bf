"""The user aggregate."""

from datetime import timedelta

import pytest

from domain.identity.events import PasswordChanged, ProfileChanged, UserSignedUp
from domain.identity.user import User
from domain.identity.values import EmailAddress, PersonName, PhoneNumber, Username, UserStatus
from domain.shared.actor import Role
from domain.shared.ids import UserId
from tests.builders import NOW, a_user, an_id

LATER = NOW + timedelta(hours=1)


def test_signing_up_makes_an_active_unverified_user_and_says_so() -> None:
    user_id = UserId(an_id())

    user = User.sign_up(
        id=user_id,
        email=EmailAddress.parse("alice@example.org"),
        username=Username.parse("Alice"),
        name=PersonName.parse("Alice"),
        password_hash="hash",
        at=NOW,
    )

    assert (user.role, user.status, user.email_verified, user.phone) == (Role.USER, UserStatus.ACTIVE, False, None)
    assert (user.created_at, user.updated_at, user.version) == (NOW, NOW, 1)
    assert user.pull_events() == [UserSignedUp(at=NOW, user_id=user_id, username="Alice")]


def test_restoring_records_nothing() -> None:
    assert a_user().pull_events() == []


def test_events_are_pulled_once() -> None:
    user = a_user()
    user.change_password("another", at=LATER)

    assert user.pull_events() == [PasswordChanged(at=LATER, user_id=user.id)]
    assert user.pull_events() == []


def test_a_change_of_profile_touches_what_is_given_and_nothing_else() -> None:
    user = a_user("alice", name="Alice", phone="+4915112345678")

    user.change_profile(name=PersonName.parse("Alicia"), at=LATER)

    assert user.name == PersonName.parse("Alicia")
    assert (user.username, user.phone) == (Username.parse("alice"), PhoneNumber.parse("+4915112345678"))
    assert user.updated_at == LATER
    assert user.pull_events() == [ProfileChanged(at=LATER, user_id=user.id)]


def test_none_takes_a_name_and_a_phone_number_away() -> None:
    user = a_user(name="Alice", phone="+4915112345678")

    user.change_profile(name=None, phone=None, at=LATER)

    assert (user.name, user.phone) == (None, None)


def test_spelling_ones_username_anew_is_a_change() -> None:
    user = a_user("alice")

    user.change_profile(username=Username.parse("Alice"), at=LATER)

    assert user.username.value == "Alice"
    assert len(user.pull_events()) == 1


@pytest.mark.parametrize("same", [True, False])
def test_a_change_to_what_is_there_already_is_none(same: bool) -> None:
    user = a_user("alice", name="Alice")

    if same:
        user.change_profile(username=Username.parse("alice"), name=PersonName.parse("Alice"), phone=None, at=LATER)
    else:
        user.change_profile(at=LATER)

    assert user.updated_at == NOW
    assert user.pull_events() == []


def test_rehashing_the_same_password_is_nothing_anybody_would_call_a_change() -> None:
    user = a_user(password_hash="weak")

    user.rehash_password("strong")

    assert (user.password_hash, user.updated_at, user.pull_events()) == ("strong", NOW, [])


def test_a_suspended_user_is_not_active() -> None:
    assert a_user().is_active
    assert not a_user(status=UserStatus.SUSPENDED).is_active
