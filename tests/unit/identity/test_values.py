"""Value objects of identity: valid, or not there."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.identity.values import (
    Device,
    EmailAddress,
    Password,
    PersonName,
    PhoneNumber,
    RefreshTokenHash,
    Username,
)
from domain.shared.errors import Invalid

anything = st.text(max_size=60)
word = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)


def faults(parse: Callable[[str], object], raw: str) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        parse(raw)
    return [(error.field, error.code) for error in caught.value.errors]


class TestEmailAddress:
    def test_it_keeps_the_spelling_and_compares_by_the_key(self) -> None:
        address = EmailAddress.parse("  Alice+Straße@Example.ORG ")

        assert (address.value, address.key) == ("Alice+Straße@Example.ORG", "alice+strasse@example.org")

    def test_it_is_kept_in_composed_form(self) -> None:
        assert EmailAddress.parse("e\u0301@example.org").value == "é@example.org"

    @pytest.mark.parametrize(
        "raw",
        ["", "   ", "alice", "@example.org", "alice@", "a\x00b@example.org", "a\nb@example.org", "\ud800@example.org"],
    )
    def test_what_is_no_address_is_refused(self, raw: str) -> None:
        assert faults(EmailAddress.parse, raw) == [("email", "format")]

    def test_254_characters_are_the_limit(self) -> None:
        host = ".".join(["h" * 63] * 3)[: 254 - len("a" * 64 + "@")]
        longest = f"{'a' * 64}@{host}"

        assert len(longest) == 254
        assert EmailAddress.parse(longest).value == longest
        assert faults(EmailAddress.parse, f"{longest}h") == [("email", "format")]

    @pytest.mark.parametrize(
        ("local", "is_fit"), [("a" * 64, True), ("a" * 65, False), ("é" * 32, True), ("é" * 33, False)]
    )
    def test_64_bytes_before_the_at_are_the_limit(self, local: str, is_fit: bool) -> None:
        if is_fit:
            assert EmailAddress.parse(f"{local}@example.org").value == f"{local}@example.org"
        else:
            assert faults(EmailAddress.parse, f"{local}@example.org") == [("email", "format")]

    @pytest.mark.parametrize(("label", "is_fit"), [("h" * 63, True), ("h" * 64, False)])
    def test_63_bytes_between_two_dots_are_the_limit(self, label: str, is_fit: bool) -> None:
        if is_fit:
            assert EmailAddress.parse(f"a@{label}.org").value == f"a@{label}.org"
        else:
            assert faults(EmailAddress.parse, f"a@{label}.org") == [("email", "format")]

    def test_an_address_whose_key_explodes_is_refused(self) -> None:
        assert len(EmailAddress.parse("\ufdfa" * 10 + "@example.org").key) > 180
        assert faults(EmailAddress.parse, "\ufdfa" * 30 + "@example.org") == [("email", "format")]

    @given(word, word)
    def test_parsing_again_changes_nothing(self, local: str, host: str) -> None:
        try:
            once = EmailAddress.parse(f"{local}@{host}")
        except Invalid:
            assume(False)

        assert EmailAddress.parse(once.value) == once
        assert EmailAddress.parse(once.key).key == once.key


class TestUsername:
    @pytest.mark.parametrize("raw", ["abc", "a.b", "a_b-c.d", "42x", "Straße", "日本語", "имя", "a" * 32])
    def test_letters_digits_and_three_marks_make_one(self, raw: str) -> None:
        assert Username.parse(raw).value == raw

    def test_it_is_trimmed_and_kept_in_compatible_form(self) -> None:
        assert Username.parse("  \uff21lice ") == Username("Alice", "alice")

    @pytest.mark.parametrize("raw", ["", "ab", "  ab  ", "a" * 33])
    def test_3_to_32_characters_are_the_limits(self, raw: str) -> None:
        assert faults(Username.parse, raw) == [("username", "length")]

    def test_the_key_is_bounded_too(self) -> None:
        # U+0390 folds to three characters, which normalisation puts together again; U+1E96 does not come back.
        assert len(Username.parse("ẖ" * 32).key) <= 64

    @pytest.mark.parametrize(
        "raw", [".abc", "abc-", "_ab", "...", "a b", "a@b", "a/b", "a\x00b", "a\u200bb", "😀😀😀", "a\nb", "\ud800ab"]
    )
    def test_anything_else_is_refused(self, raw: str) -> None:
        assert faults(Username.parse, raw) == [("username", "format")]

    @given(anything)
    def test_parsing_again_changes_nothing(self, raw: str) -> None:
        try:
            once = Username.parse(raw)
        except Invalid:
            return

        assert Username.parse(once.value) == once

    @given(word)
    def test_every_spelling_of_one_name_has_one_key(self, raw: str) -> None:
        try:
            name = Username.parse(raw)
            other = Username.parse(unicodedata.normalize("NFD", raw.casefold()))
        except Invalid:
            return

        assert other.key == name.key


class TestPersonName:
    def test_it_is_trimmed_and_composed(self) -> None:
        assert PersonName.parse("  Zoe\u0308 Ångström 😀 ").value == "Zoë Ångström 😀"

    @pytest.mark.parametrize("raw", ["", " \t\u3000", "a" * 101])
    def test_1_to_100_characters_are_the_limits(self, raw: str) -> None:
        assert faults(PersonName.parse, raw) == [("name", "length")]

    def test_100_characters_are_taken(self) -> None:
        assert PersonName.parse("n" * 100).value == "n" * 100

    @pytest.mark.parametrize("raw", ["a\x00b", "a\nb", "a\x7fb", "a\ud800b"])
    def test_control_characters_are_refused(self, raw: str) -> None:
        assert faults(PersonName.parse, raw) == [("name", "format")]

    @given(anything)
    def test_parsing_again_changes_nothing(self, raw: str) -> None:
        try:
            once = PersonName.parse(raw)
        except Invalid:
            return

        assert PersonName.parse(once.value) == once


class TestPhoneNumber:
    @pytest.mark.parametrize("raw", ["+4915112345678", "+1234567", "+123456789012345"])
    def test_e164_is_taken(self, raw: str) -> None:
        assert PhoneNumber.parse(raw).value == raw

    @pytest.mark.parametrize(
        "raw",
        [
            "",
            "4915112345678",
            "+0915112345678",
            "+123456",
            "+1234567890123456",
            "+49 151 123",
            "+49151１２",
            "+1234567\n",
        ],
    )
    def test_anything_else_is_refused(self, raw: str) -> None:
        assert faults(PhoneNumber.parse, raw) == [("phone", "format")]


class TestPassword:
    @pytest.mark.parametrize("raw", ["a" * 12, "a" * 256, " " * 12, "пароль пароль", "😀" * 12, "with\x00nul inside"])
    def test_any_12_to_256_characters_make_one(self, raw: str) -> None:
        assert Password.new(raw).value == raw

    @pytest.mark.parametrize("raw", ["", "a" * 11, "a" * 257, "\uff41\u0301" * 5])
    def test_fewer_or_more_are_refused(self, raw: str) -> None:
        assert faults(Password.new, raw) == [("password", "length")]

    def test_the_field_can_be_named(self) -> None:
        assert faults(lambda raw: Password.new(raw, field_name="new_password"), "short") == [("new_password", "length")]

    def test_two_ways_to_type_it_are_one_password(self) -> None:
        assert Password.new("e\u0301\uff41" + "x" * 10) == Password.new("éa" + "x" * 10)

    @given(st.text(max_size=300))
    def test_whatever_could_be_chosen_can_be_attempted(self, raw: str) -> None:
        try:
            chosen = Password.new(raw)
        except Invalid:
            return

        assert Password.attempt(raw) == chosen

    def test_an_attempt_is_bounded_and_never_matches_by_its_beginning(self) -> None:
        longest = "a" * 256

        assert Password.attempt(longest + "b" * 100_000) != Password.new(longest)
        assert len(Password.attempt("b" * 100_000).value) == 257

    def test_it_is_never_printed(self) -> None:
        assert "secret" not in repr(Password.new("my secret password"))


class TestDevice:
    def test_it_is_cut_to_what_storage_holds(self) -> None:
        device = Device.of("x" * 300, "y" * 300)

        assert (len(device.user_agent), len(device.address)) == (255, 45)

    def test_what_cannot_be_printed_is_left_out(self) -> None:
        assert Device.of("curl\x00/8\n.9\ud800", "192.0.2.7").user_agent == "curl/8.9"


class TestRefreshTokenHash:
    @pytest.mark.parametrize("size", [0, 31, 33])
    def test_it_is_a_sha256_digest(self, size: int) -> None:
        with pytest.raises(ValueError, match="32 bytes"):
            RefreshTokenHash(b"x" * size)

    def test_it_is_never_printed(self) -> None:
        assert "xxx" not in repr(RefreshTokenHash(b"x" * 32))
