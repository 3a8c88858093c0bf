"""The canonical key: two spellings count as one, on every database, because Python says so."""

import re
import sys
import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.shared.errors import Invalid
from domain.shared.text import (
    EXPANSION,
    NON_STARTERS_MAX,
    _runs,
    canonical_key,
    has_control_characters,
    has_visible_character,
    identifier_key,
    is_ignorable,
    is_stream_safe,
    normal_form,
    parse_normal_form,
)

ROOT = Path(__file__).parents[3]

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


MARKS = "\u0315\u0300\u05ae\u0300"
"""Of different classes, so that sorting them is work."""


def longest_run(text: str) -> int:
    """Count as UAX #15 defines it: in NFKD."""
    runs = "".join("x" if unicodedata.combining(c) else " " for c in unicodedata.normalize("NFKD", text)).split()
    return max(map(len, runs), default=0)


@given(st.text(st.sampled_from("aé\u1f82ṩ" + MARKS + "\u0344\u0f73\uff9eﾊ か\u034f"), max_size=60))
@example("a" + "\u0301" * 30)
@example("a" + "\u0301" * 31)
@example("é" + "\u0301" * 30)
@example("\u1f82" + "\u0344" * 14)
@example("\u1f82" + "\u0f73" * 13 + "\u0301")
@example("\u1f82" + "\u0f73" * 13 + "\u0301\u0301")
def test_text_is_stream_safe_as_uax_15_has_it(text: str) -> None:
    assert is_stream_safe(text) is (longest_run(text) <= NON_STARTERS_MAX)


@given(st.lists(st.sampled_from(["a", "\u1f82", "\ufdfa", "\U0001d15e", "\U0001d165"]).flatmap(
    lambda before: st.integers(0, 31).map(lambda count: before + "\u0344" * (count // 4) + "\u0301" * count)
), max_size=8).map("".join))  # fmt: skip
def test_each_of_many_runs_is_looked_at(text: str) -> None:
    assert is_stream_safe(text) is (longest_run(text) <= NON_STARTERS_MAX)


@pytest.mark.parametrize("rest", ["\ufdfa" * 300_000, "\U0001d15e" * 250_000, "\u1f82" * 300_000])
def test_a_run_of_marks_has_nothing_but_itself_normalised(rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads wait for as long as one call of C takes: for a megabyte that expands, half a second."""
    lengths: list[int] = []
    normalize = unicodedata.normalize

    def counted(form: Literal["NFKD"], text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", counted)
    assert is_stream_safe(rest + "a" + "\u0301" * 20 + rest)
    assert lengths == [21]
    lengths.clear()
    assert is_stream_safe(("a" + "\u0301" * 13) * 20_000)
    assert len(lengths) > 1
    assert max(lengths) <= 31_000


@given(st.text(st.sampled_from("aé\u1f82" + MARKS + "\u0344\uff9e"), min_size=30, max_size=200))
def test_what_is_normalised_is_stream_safe_whatever_it_was(text: str) -> None:
    assert is_stream_safe(normal_form(text, "NFKC"))
    assert is_stream_safe(canonical_key(text))
    if is_stream_safe(text):
        assert normal_form(text, "NFC") == unicodedata.normalize("NFC", text)


@pytest.mark.untraced
@pytest.mark.slow
def test_every_non_starter_that_unicode_has_is_known() -> None:
    some, long = _runs()
    for character in map(chr, range(sys.maxunicode + 1)):
        parts = unicodedata.normalize("NFKD", character)
        is_mark = all(map(unicodedata.combining, parts))
        assert (long.fullmatch(character * 31) is not None) is is_mark
        assert not is_mark or some.fullmatch(character * 13) is not None
        if not is_mark:  # What the limits are reckoned from.
            assert all(map(unicodedata.combining, parts[-3:])) <= (len(parts) == 4)
        assert len(unicodedata.normalize("NFD", character)) <= EXPANSION


def test_a_text_that_composes_to_the_longest_is_taken_however_it_is_written() -> None:
    decomposed = unicodedata.normalize("NFD", "\u1f82" * 10)
    assert parse_normal_form(decomposed, "NFC", field="name", longest=10) == "\u1f82" * 10


@pytest.mark.parametrize(
    ("text", "code"),
    [("a" * 11, "length"), ("a" * 1_000_000, "length"), ("", "length"), ("\ufdfa", "length"),
     ("a" + "\u0301" * 31, "combining-marks"), (("a" + MARKS * 8_000), "length")],
)  # fmt: skip
def test_what_is_too_long_or_no_text_is_a_fault_of_its_field(text: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_normal_form(text, "NFKC", field="name", longest=10)
    assert [(error.field, error.code) for error in refused.value.errors] == [("name", code)]


def test_nothing_else_normalises() -> None:
    """Normalising takes quadratic time of a text that was not looked at before."""
    own = Path("domain/shared/text.py")
    for file in (ROOT / "src").rglob("*.py"):
        calls = re.findall(r"\bnormalize\(|import normalize", file.read_text(encoding="utf-8"))
        assert not calls or file.relative_to(ROOT / "src") == own, file
    assert "normalize(" in (ROOT / "src" / own).read_text(encoding="utf-8")


UNSEEN = [
    "",
    *" \u00a0\u3000\t\n\x00\x7f",
    *"\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u200b\u200c\u200d\u200e\u2028\u202e\u2060\u2064",
    *"\u206f\u2800\u3164\ufe00\ufe0f\ufeff\uffa0\ufff0\ufff9\ufffc\uffff\ufdd0\u0301\u20e3\u0903\u05b0\ud800",
    *"\U0001d159\U0001d173\U00013441\U000e0001\U000e0041\U000e007f\U000e0100\U000e0fff",
]


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_what_shows_nothing_is_not_seen_however_often_it_is_there(text: str) -> None:
    assert not has_visible_character(text)
    assert not has_visible_character(text * 5_000)
    assert not has_visible_character(f" \u200b{text}\u3164")


@given(st.text(st.sampled_from([text for text in UNSEEN if text]), max_size=60))
def test_no_mixture_of_it_is_seen(text: str) -> None:
    assert not has_visible_character(text)


@pytest.mark.parametrize(
    "text",
    [
        *"aé.न0ด漢가😀🏽⠁€",
        *"\u0600\ufffd\ue000",
        *("\u200ba", " .", "\u3164x", "e\u0301", "שָׁ", "👨\u200d👩\u200d👧", "❤\ufe0f", "🇩🇪", "1\ufe0f\u20e3"),
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\U0001fae9",  # an emoji of Unicode 16, which an older Python does not know
    ],
    ids=ascii,
)
def test_letters_signs_and_emoji_are_seen(text: str) -> None:
    assert has_visible_character(text)
    assert has_visible_character("\u200b" * 9_000 + text)


def test_nobody_reads_on_after_ten_thousand_characters_of_nothing() -> None:
    assert has_visible_character("\u200b" * 9_999 + "a")
    assert not has_visible_character("\u200b" * 10_000 + "a")


@given(texts)
def test_what_is_ignorable_makes_no_other_name(text: str) -> None:
    hidden = "\u200d".join(text)
    assert identifier_key(hidden) == identifier_key(text) == identifier_key(identifier_key(text))
    assert not any(map(is_ignorable, identifier_key(text)))
