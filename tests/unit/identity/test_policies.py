"""Which passwords must not be chosen."""

import pytest

from domain.identity.policies import require_acceptable_password
from domain.identity.values import EmailAddress, Password, Username
from domain.shared.errors import Invalid

EMAIL = EmailAddress.parse("Alice.Wonder.Land@Example.org")
USERNAME = Username.parse("Alice_In_Wonderland")


def codes(password: str, *, username: Username | None = USERNAME) -> list[tuple[str, str]]:
    common = {"password1234", "пароль123456"}
    try:
        require_acceptable_password(
            Password.new(password), email=EMAIL, username=username, is_common=common.__contains__
        )
    except Invalid as refused:
        return [(fault.field, fault.code) for fault in refused.errors]
    return []


@pytest.mark.parametrize(
    "password",
    [
        "alice.wonder.land@example.org",
        "ALICE.WONDER.LAND@EXAMPLE.ORG",
        "alice.wonder.land",
        "  Alice.Wonder.Land ",
        "alice_in_wonderland",
        "ALICE_IN_WONDERLAND",
        "\uff21lice_in_wonderland",
    ],
)
def test_ones_own_address_or_username_is_no_password(password: str) -> None:
    assert codes(password) == [("password", "personal")]


@pytest.mark.parametrize("password", ["password1234", "PASSWORD1234", "Пароль123456", " password1234 "])
def test_what_everybody_tries_first_is_no_password(password: str) -> None:
    assert codes(password) == [("password", "common")]


@pytest.mark.parametrize(
    "password", ["correct horse battery", "aaaaaaaaaaaa", "alice.wonder.land!", "日本語のパスワードです。"]
)
def test_anything_else_will_do(password: str) -> None:
    assert codes(password) == []


def test_without_a_username_there_is_none_to_compare_with() -> None:
    assert codes("alice_in_wonderland", username=None) == []


def test_the_fault_names_the_field_that_was_sent() -> None:
    with pytest.raises(Invalid) as refused:
        require_acceptable_password(
            Password.new("password1234"), email=EMAIL, username=None, is_common=lambda _: True, field="new_password"
        )

    assert [fault.field for fault in refused.value.errors] == ["new_password"]
