"""The canonical key: two spellings count as one, on every database, because Python says so."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.shared.text import canonical_key, has_control_characters

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(texts)
def test_a_key_is_its_own_key(text: str) -> None:
    assert canonical_key(canonical_key(text)) == canonical_key(text)


@given(texts, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_every_normal_form_has_the_same_key(text: str, form: str) -> None:
    assert canonical_key(unicodedata.normalize(form, text)) == canonical_key(text)  # type: ignore[arg-type] # sampled


@given(texts)
def test_case_folding_and_blanks_around_do_not_change_the_key(text: str) -> None:
    assert canonical_key(f" \t{text.casefold()}\u3000 ") == canonical_key(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("straße", "STRASSE"),
        ("\u1e9e", "ss"),
        ("e\u0301", "É"),
        ("\uff21\uff22", "ab"),
        ("ﬀ", "FF"),
        ("Σ", "ς"),
        ("\u212b", "å"),
        ("K", "\u212a"),
        ("ᾴ", "α\u0345\u0301"),
    ],
)
def test_spellings_that_people_take_for_one_are_one(one: str, other: str) -> None:
    assert canonical_key(one) == canonical_key(other)


@pytest.mark.parametrize(("one", "other"), [("e", "é"), ("o", "ø"), ("i", "ı"), ("a", "а"), ("a b", "ab"), ("ü", "ue")])
def test_spellings_that_a_lenient_collation_takes_for_one_are_two(one: str, other: str) -> None:
    assert canonical_key(one) != canonical_key(other)


@pytest.mark.parametrize("text", ["\x00", "a\nb", "\x7f", "\x85", "\ud800"])
def test_control_characters_are_found(text: str) -> None:
    assert has_control_characters(text)


@pytest.mark.parametrize("text", ["", "plain", "Grüße 😀", "\u200d", "a b"])
def test_ordinary_text_has_none(text: str) -> None:
    assert not has_control_characters(text)
