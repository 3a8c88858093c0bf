"""Which names people may have: UAX #31 under UTS #39, and what is taken for something else."""

import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.system.ids import RandomUsernames
from domain.identity.identifier_tables import SCRIPTS
from domain.identity.identifiers import skeletons
from domain.identity.reserved import RESERVED, ReservedUsernames
from domain.identity.values import Username
from domain.shared.errors import Invalid
from domain.shared.text import has_visible_character, is_ignorable

NAMES = {
    "Hindi": "राहुल",
    "Marathi": "ज्ञानेश्वरी",
    "Thai": "หนูน้อย",
    "Lao": "ສະບາຍດີ",
    "Tamil": "தமிழ்",
    "Bengali": "বাংলা",
    "Burmese": "မြန်မာ",
    "Khmer": "ខ្មែរ",
    "Kannada": "ಕನ್ನಡ",
    "Telugu": "తెలుగు",
    "Malayalam": "മലയാളം",
    "Malayalam, with a joiner at its end": "അവന്\u200d",
    "Gujarati": "ગુજરાતી",
    "Punjabi": "ਪੰਜਾਬੀ",
    "Odia": "ଓଡ଼ିଆ",
    "Sinhala, with a joiner": "ශ්\u200dරී_ලංකා",
    "Tibetan": "བོད་ཡིག",
    "pointed Hebrew": "שָׁלוֹם",
    "Hebrew, an abbreviation": "צה״ל",
    "vowelled Arabic": "مُحَمَّد",
    "Persian, with a non-joiner": "می\u200cخواهم",
    "Uyghur": "ئۇيغۇر",
    "Divehi": "ދިވެހި",
    "Amharic": "አበበ",
    "Georgian": "მარიამ",
    "Armenian": "Արամ",
    "Greek": "Ελένη",
    "Russian": "Лёша",
    "Turkish": "Yılmaz",
    "Vietnamese": "nguyễn_văn",
    "Catalan": "paral·lel",
    "Icelandic": "Þór",
    "Japanese": "ユーザー名です",
    "Japanese beside Latin": "山田taro",
    "Chinese beside Latin": "小明abc",
    "Korean": "김민수",
    "Korean beside Latin": "민수kim",
    "Cherokee": "ᏣᎳᎩ",
    "N'Ko": "ߒߞߏ",
    "Fula": "𞤀𞤣𞤤𞤢𞤥",
    "an ideograph of a family name": "𡱖先生",
    "digits of the same script": "राहुल९९",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_people_of_every_script_have_names(name: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        written = unicodedata.normalize(form, name)
        assert Username.parse(written).value == unicodedata.normalize("NFKC", name)


@pytest.mark.parametrize("name", ["राहुल", "หนู", "שלו", "имя", "日本", "abc"])
@pytest.mark.parametrize("more", ["1", "_9", "-2", ".3"])
def test_digits_and_separators_go_with_every_script(name: str, more: str) -> None:
    assert Username.parse(f"{name}{more}").value == f"{name}{more}"


INVISIBLE = [
    "\u3164" * 3, "\u200b" * 3, "\u1160" * 4, "\uffa0" * 3, "\u2800" * 3, "\ufe0f" * 3, "\u00ad" * 3, "\U000e0061" * 3,
    "\u0301" * 3, "\u034f" * 3, "\u2060" * 3, "\u180e" * 3, "\ufeff" * 3, "\u00a0" * 3,
]  # fmt: skip


@pytest.mark.parametrize("name", INVISIBLE, ids=ascii)
def test_what_cannot_be_seen_is_no_name(name: str) -> None:
    with pytest.raises(Invalid):
        Username.parse(name)


@pytest.mark.parametrize(
    "hidden", sorted({character for name in INVISIBLE for character in name} - {"\u0301"}), ids=ascii
)
def test_nothing_hides_in_a_name(hidden: str) -> None:
    for name in (f"alice{hidden}", f"al{hidden}ice", f"{hidden}alice"):
        found: object = None
        with suppress(Invalid):
            found = Username.parse(name)
        assert found in {None, Username("alice", "alice")}  # a blank around it is trimmed


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("\u0430dmin", "mixed-scripts"),  # of Cyrillic
        ("p\u0430ypal", "mixed-scripts"),
        ("p\u0585stern", "mixed-scripts"),  # of Armenian
        ("\u13aalice", "mixed-scripts"),  # of Cherokee
        ("Ωmega", "mixed-scripts"),
        ("raहुल", "mixed-scripts"),
        ("日本имя", "mixed-scripts"),
        ("ab٣٤", "mixed-scripts"),
        ("abc٣4", "mixed-digits"),
        ("९٣٣", "mixed-digits"),
        ("e\u0301\u0302\u0303\u0304\u0306xy", "format"),
        ("xya\u0331\u0331", "format"),
        ("\u0301abc", "format"),
        ("a_\u0301bc", "format"),
        ("a\u200dbc", "format"),
        ("a\u200cbc", "format"),
        ("राम\u200d", "format"),  # a joiner that joins nothing
        ("می\u200c", "format"),
        ("क्\u200dाा", "format"),  # before a vowel sign
        ("·abc", "format"),
        ("abc·", "format"),
        ("\u0f0bབོད", "format"),
        ("𐌰𐌱𐌲", "format"),  # Gothic
        ("😀😀😀", "format"),
        ("a'bc", "format"),
    ],
)
def test_what_misleads_is_refused_by_name(name: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        Username.parse(name)
    assert [(error.field, error.code) for error in caught.value.errors] == [("username", code)]


@pytest.mark.parametrize(("one", "other"), [("می\u200cخواهم", "میخواهم"), ("ශ්\u200dරී", "ශ්රී"), ("അവന്\u200d", "അവന്")])
def test_a_joiner_makes_no_other_name(one: str, other: str) -> None:
    assert Username.parse(one).key == Username.parse(other).key


def hides_nothing(raw: str) -> None:
    """Demand of a name that is taken that it shows, and that its key holds nothing unseen."""
    try:
        name = Username.parse(raw)
    except Invalid:
        return
    assert has_visible_character(name.value)
    assert not any(map(is_ignorable, name.key))
    assert Username.parse(name.value) == name


@pytest.mark.untraced
@given(st.text(min_size=3, max_size=12))
def test_a_name_shows_and_its_key_hides_nothing(raw: str) -> None:
    hides_nothing(raw)


@given(
    st.text(st.sampled_from("aя日क्षि\u200d\u200c्\u0301_-.·٣4९ßﬀİ\u3164\u1160\u200b😀\ufe0f"), min_size=3, max_size=10)
)
def test_no_mixture_of_troublesome_characters_breaks_that(raw: str) -> None:
    hides_nothing(raw)


def test_this_python_knows_every_character_of_the_tables() -> None:
    """So a name has one form and one key on every Python that Postern runs on."""
    allowed = [
        chr(code)
        for text in SCRIPTS.values()
        for first, _, last in (piece.partition("-") for piece in text.split())
        for code in range(int(first, 16), int(last or first, 16) + 1)
    ]
    assert len(allowed) == len(set(allowed)) > 100_000
    for character in allowed:
        assert unicodedata.category(character)[0] in "LMN" or character in "-._·׳״་・", ascii(character)
        assert unicodedata.is_normalized("NFKC", character), ascii(character)
        assert not is_ignorable(character), ascii(character)


class TestReserved:
    NAMES = ReservedUsernames(["Walrus-King", "админ"])

    @pytest.mark.parametrize("name", [name for name in RESERVED if len(name) > 2])
    def test_every_reserved_name_is_a_valid_name(self, name: str) -> None:
        assert Username.parse(name) in self.NAMES

    @pytest.mark.parametrize(
        "name",
        [
            "Admin", "ADMIN", "ad.min", "ad-min", "a_d_m_i_n", "ａｄｍｉｎ", "adrnin", "r00t", "nuII", "nu11",
            "p0stern", "n0-reply", "\u0430\u0440\u0456",  # all of it Cyrillic
            "walrusking", "WALRUS_KING", "wa1rus-king", "Админ",
        ],
    )  # fmt: skip
    def test_what_looks_like_one_is_one(self, name: str) -> None:
        assert Username.parse(name) in self.NAMES

    @pytest.mark.parametrize("name", ["alice", "adminna", "rooty", "supporter", "user_k7tq3mzd9x", "nullius", "Root2"])
    def test_what_only_resembles_one_is_free(self, name: str) -> None:
        assert Username.parse(name) not in self.NAMES

    def test_generated_names_are_free(self) -> None:
        generator = RandomUsernames()
        assert not any(Username.parse(generator.suggest()) in self.NAMES for _ in range(1_000))

    def test_a_skeleton_is_that_of_uts_39(self) -> None:
        assert skeletons("\u0430\u0440\u0456") & skeletons("api")
        assert skeletons("rn") == skeletons("m")
        assert skeletons("alice").isdisjoint(skeletons("alise"))
