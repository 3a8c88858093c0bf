"""What a word is, what a query means, how posts rank, and what an excerpt shows."""

import random
import re
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from html import unescape
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.posts import search
from domain.posts.search import (
    EXCERPT_LENGTH,
    INDEXED_LENGTH,
    INDEXED_WORDS,
    QUERY_MAX_LENGTH,
    QUERY_MAX_WORDS,
    SearchableText,
    SearchQuery,
    _words,
    as_run,
    excerpt,
)
from domain.posts.values import TEXT_MAX_BYTES
from domain.shared.errors import Invalid
from tests.growth import grows_too_fast, instructions


def score(text: str, q: str) -> int:
    return SearchableText.of(text).score(SearchQuery.parse(q))


def words(text: str) -> list[str]:
    return SearchableText.of(text).words.split()


def fault(q: str) -> tuple[str, str]:
    with pytest.raises(Invalid) as caught:
        SearchQuery.parse(q)
    [error] = caught.value.errors
    return error.field, error.code


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HELLO", "hello"),
        ("Straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("ﬁne", "fine"),
        ("１２３", "123"),
        ("co\u00adop", "coop"),
        ("ΣΊΣΥΦΟΣ", "Σίσυφος"),
        ("❤️", "❤"),
        ("ﾃｽﾄ", "テスト"),
        ("ﾊﾞﾅﾅ", "バナナ"),
    ],
)
def test_two_ways_to_write_it_are_one_word(one: str, other: str) -> None:
    assert words(one) == words(other) != []


@pytest.mark.parametrize(("one", "other"), [("café", "cafe"), ("a", "b"), ("1", "2"), ("für", "fur"), ("🎉", "🎈")])
def test_other_letters_are_other_words(one: str, other: str) -> None:
    assert words(one) != words(other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", ["wwhello", "wwworld"]),
        ("don't", ["wwdon", "wwt"]),
        ("a_b", ["wwa", "wwb"]),
        ("naïve—really", [*words("naïve"), "wwreally"]),
        ("½", ["ww1", "ww2"]),
        ("!? … —", []),
        ("\u0301", []),
        ("東京都", [*words("東")[:1], *words("東京")[1:2], *words("京"), *words("京都")[1:2], *words("都")]),
    ],
)
def test_words_are_letters_and_digits(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(max_size=200))
def test_words_are_what_every_engine_takes_as_they_are(text: str) -> None:
    found = SearchableText.of(text)

    assert all(re.fullmatch(r"w[wuh][0-9a-z]{1,32}", word) for word in found.words.split())
    assert found.words == as_run(found.words.split())
    assert found.count == len(found.words.split())


def words_one_by_one(text: str) -> tuple[str, int]:
    """The words of a text as excerpts find them, with their places."""
    codes = [word.code for word in islice(_words(text), INDEXED_WORDS)]
    return "".join(f" {code} " for code in codes), len(codes)


# Whole planes of letters, symbols and marks, and every 16th character of those that hold one kind, or nothing.
@pytest.mark.untraced
@pytest.mark.parametrize(
    ("plane", "step"),
    [
        *(pytest.param(n, 1, marks=pytest.mark.slow) for n in (0, 1, 14)),
        *((n, 64) for n in (0, 1, 14)),
        *(pytest.param(n, 16, marks=pytest.mark.slow) for n in (2, 3, 4, 13, 15, 16)),
    ],
)
def test_the_short_way_to_the_words_finds_the_same_of_every_character(plane: int, step: int) -> None:
    characters = (chr(code) for code in range(plane << 16, (plane + 1) << 16, step) if not 0xD800 <= code < 0xE000)
    while some := list(islice(characters, 256)):
        text = " ".join(f"{c} a{c}b{c}\u4eac" for c in some)
        found = SearchableText.of(text)
        assert (found.words, found.count) == words_one_by_one(text)


@given(
    st.one_of(
        st.text(max_size=300),
        st.text(st.characters(max_codepoint=127), max_size=300),
        st.text("aZ09 _-\n\té\u0301京東🎉\u200b\uff9e", max_size=300),
        st.lists(st.text("abcXYZ019", min_size=25, max_size=40)).map(" ".join),
    )
)
def test_the_short_way_to_the_words_finds_the_same_of_every_text(text: str) -> None:
    found = SearchableText.of(text)
    assert (found.words, found.count) == words_one_by_one(text)


@pytest.mark.untraced
@pytest.mark.parametrize("word", ["word ", "w\u00f6rter ", "x\n", "\u4eac "])
@pytest.mark.parametrize(
    "more", [pytest.param(-1, marks=pytest.mark.slow), 0, 1, pytest.param(2, marks=pytest.mark.slow)]
)
def test_the_short_way_to_the_words_ends_where_the_long_one_does(word: str, more: int) -> None:
    text = word * (INDEXED_WORDS + more)
    found = SearchableText.of(text)
    assert (found.words, found.count) == words_one_by_one(text)
    assert found.count == min(INDEXED_WORDS, INDEXED_WORDS + more)


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_text_is_found_by_any_of_its_lines(line: str, other: str) -> None:
    if words(line) and len(set(words(line))) <= 16:
        assert score(f"{other}\n{line}\n{other}", line) > 0


@given(st.text(max_size=QUERY_MAX_LENGTH))
def test_whatever_is_typed_is_a_query_or_refused_by_name(raw: str) -> None:
    try:
        query = SearchQuery.parse(raw)
    except Invalid:
        return
    assert query.phrases
    assert SearchQuery.parse(raw).key == query.key


def test_quotes_make_a_phrase() -> None:
    assert score("one two three", '"one two"')
    assert not score("one two three", '"two one"')
    assert score("one two three", "two one")
    assert score("one two three", '"one two') > 0, "an open quote closes at the end"


def test_a_run_without_spaces_is_a_phrase() -> None:
    assert score("大東京都", "東京")
    assert not score("京東", "東京")
    assert not score("東 京", "東京")


def test_the_score_is_the_documented_formula() -> None:
    assert score("a", "a") == 1000 - 1000 // 2
    assert score("a a a b", "a") == 1000 - 1000 // 4
    assert score("a " + "b " * 199, "a") == 1000 - 3000 // 4
    assert score("a b", "a b") == 1000
    assert score("a b", "a c") == 0


@pytest.mark.parametrize("q", ["", " ", "+-*", '""', '"', "()", "\u0301", "…"])
def test_a_query_without_a_word_is_refused(q: str) -> None:
    assert fault(q) == ("?q", "words")


def test_a_query_has_bounds() -> None:
    assert fault("x" * (QUERY_MAX_LENGTH + 1)) == ("?q", "length")
    assert fault(" ".join("abcdefghijklmnopq")) == ("?q", "words")
    assert len(SearchQuery.parse(" ".join("abcdefghijklmnop")).phrases) == 16
    assert SearchQuery.parse("a A a").phrases == (("wwa",),)


@pytest.mark.untraced
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("wort " * (TEXT_MAX_BYTES // 5), id="ASCII"),
        pytest.param("ж" * (TEXT_MAX_BYTES // 2), id="one word"),
        pytest.param("東" * (TEXT_MAX_BYTES // 3), id="Han"),
        pytest.param("é́" * (TEXT_MAX_BYTES // 4), id="marks"),
        pytest.param("🎉\u200d" * (TEXT_MAX_BYTES // 7), id="emoji"),
    ],
)
def test_the_largest_text_takes_little_time_and_room(text: str) -> None:
    began = time.thread_time()
    found = SearchableText.of(text)

    assert found.count <= INDEXED_WORDS
    assert len(found.words) <= INDEXED_WORDS * 36
    assert time.thread_time() - began < 5, "a quadratic step takes minutes here"


def shown(text: str, q: str) -> str:
    return excerpt(text, SearchQuery.parse(q))


def plain(html: str) -> str:
    return unescape(html.replace("<mark>", "").replace("</mark>", ""))


def test_what_was_found_is_marked() -> None:
    assert shown("Hello, World!", "world") == "Hello, <mark>World</mark>!"
    assert shown("東京都に住む", "京都") == "東<mark>京都</mark>に住む"
    assert shown("one two, one", '"one two"') == "<mark>one two</mark>, one"


def test_html_in_a_post_stays_text() -> None:
    assert shown("<script>alert('x')</script> & <mark>", "alert mark") == (
        "&lt;script&gt;<mark>alert</mark>(&#x27;x&#x27;)&lt;/script&gt; &amp; &lt;<mark>mark</mark>&gt;"
    )


def test_an_excerpt_begins_near_the_words_and_shows_where_text_was_left_out() -> None:
    text = "lorem ipsum " * 100 + "the needle\nis  here " + "dolor sit " * 100

    found = shown(text, "needle")

    assert found.startswith("…")
    assert found.endswith("…")
    assert "the <mark>needle</mark> is here dolor" in found
    assert len(plain(found)) <= EXCERPT_LENGTH + 2


def test_an_excerpt_shows_the_place_with_most_of_the_query() -> None:
    text = "alpha " + "x " * 300 + "alpha beta gamma " + "x " * 300

    assert "<mark>alpha</mark> <mark>beta</mark> <mark>gamma</mark>" in shown(text, "gamma beta alpha")


def test_a_text_that_says_it_no_longer_is_shown_from_its_beginning() -> None:
    assert shown("short and sweet", "gone") == "short and sweet"
    assert shown("y" * 1000, "gone") == "y" * EXCERPT_LENGTH + "…"


@given(
    st.text(alphabet="ab <>&\"'東京é\u0301🎉\u200d\n", min_size=1, max_size=700), st.sampled_from(["a", "東京", "b a"])
)
def test_an_excerpt_is_always_short_and_safe(text: str, q: str) -> None:
    found = shown(text, q)

    assert len(plain(found)) <= EXCERPT_LENGTH + 2
    assert found.count("<mark>") == found.count("</mark>")
    assert not re.search(r"[<>]", found.replace("<mark>", "").replace("</mark>", ""))
    if found.startswith("…"):
        assert not found[1:].startswith("\u0301"), "a mark is torn off its letter"


SHAPES = {
    "equal words": "word ",
    "equal words of no query": "else ",
    "one word": "a",
    "ligatures": "\ufdfa",
    "words of a ligature": "\ufdfa ",
    "squared words": "\u3316",
    "Han": "東京",
    "marks": "a" + "\u0315\u0300\u05ae\u0300" * 7,
    "marks without end": "\u0315\u0300\u05ae\u0300",
    "nothing to see": "\u200b",
    "full stops": "。",
    "fractions": "½ ",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "Thai": "กำ",
    "markup": '<&">',
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_words_and_excerpts_take_linear_time(shape: str) -> None:
    assert grows_too_fast(lambda size: lambda: SearchableText.of(shape * size), 500) is None
    for q in ("word dawn", "word a \ufdfa 東", '"word word word"'):
        assert grows_too_fast(partial(_excerpt_of, shape, SearchQuery.parse(q)), 500) is None


def _excerpt_of(shape: str, query: SearchQuery, size: int) -> Callable[[], str]:
    return lambda: excerpt(shape * size, query)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("quote", ["", '"'], ids=["loose", "quoted"])
def test_a_query_takes_linear_time_be_it_taken_or_refused(shape: str, quote: str) -> None:
    def parsed(size: int) -> Callable[[], None]:
        def parse() -> None:
            with suppress(Invalid):
                SearchQuery.parse(quote + (shape * size)[:size])

        return parse

    half = QUERY_MAX_LENGTH // 2 - 1
    assert grows_too_fast(parsed, half) is None
    assert instructions(parsed(2 * half)) < 1_000_000


def test_a_thousand_hits_cost_no_more_than_one() -> None:
    text = "we came to the harbour when it was dawn, and then " * 1_000
    one, query = text[:1_000], SearchQuery.parse("harbour dawn")
    assert instructions(lambda: excerpt(text, query)) < 1.1 * instructions(lambda: excerpt(one, query))


_PIECES = (
    "a",
    "A\u0301",
    "é",
    "\ufb01ne",
    "fine",
    "½",
    "東京",
    "東",
    "京都",
    "ｶﾞ",
    "ガ",
    "co\u00adop",
    "coop",
    "กำ",
    "🎉",
    "Straße",
)


@pytest.mark.untraced
@given(
    st.lists(st.sampled_from([*_PIECES, "lorem", "ипсум"]), min_size=200, max_size=600),
    st.lists(st.sampled_from([" ", "。", ", ", "", "\u200b", "-"]), min_size=7, max_size=7),
    st.sampled_from([*_PIECES, '"é 東京"', '"fine coop"', "a 京", "ΣΤΡΑΣΣΕ strasse"]),
)
def test_an_excerpt_leaves_out_no_place_that_a_look_at_each_word_would_find(
    pieces: list[str], between: list[str], q: str
) -> None:
    text = "".join(piece + between[at % 7] for at, piece in enumerate(pieces))
    found = shown(text, q)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search, "_BLOCK_LENGTH", INDEXED_LENGTH)
        assert shown(text, q) == found


@pytest.mark.parametrize("q", ["needle", '"one needle"', "針", "игла", "सुईयोंकीदुकान"])
@pytest.mark.parametrize("filler", ["東京都に住む。", "lorem ipsum ", "где же она, ", "हिन्दी में ", "กำลังรอ "])
def test_a_few_words_are_enough_to_find_one_far_inside(q: str, filler: str) -> None:
    plain = q.strip('"')
    assert f"<mark>{plain}</mark>" in excerpt(
        f"{filler * 2_000} {plain} {filler * 2_000}", SearchQuery.parse(q), words=1_000
    )


@pytest.mark.untraced
def test_a_page_of_long_texts_in_any_script_costs_a_bounded_number_of_words() -> None:
    # Random Han without a full stop: there is nowhere to divide it, and each pair of characters is a new word.
    one = "".join(map(chr, random.Random(1).choices(range(0x4E00, 0x9FFF), k=6_000)))
    query = SearchQuery.parse("needle")
    assert instructions(lambda: excerpt(f"{one}needle", query, words=500)) < 400_000
    assert instructions(lambda: excerpt(f"{one}needle", query)) > 1_000_000


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_no_text_has_more_work_in_it_than_is_indexed(shape: str) -> None:
    # Counting is slow, so it is done for part of the largest text: Han takes 160 instructions a character.
    part = (shape * 1_000)[:1_000]
    assert instructions(lambda: SearchableText.of(part)) < 250 * len(part)
    assert len(SearchableText.of(shape * INDEXED_LENGTH).words) <= INDEXED_WORDS * 36


def test_what_lies_behind_the_indexed_length_is_not_looked_at() -> None:
    assert words("\u3002" * INDEXED_LENGTH + "東") == []
    assert words("\u3002" * (INDEXED_LENGTH - 1) + "東") == words("東")


def test_a_word_that_no_query_can_have_is_not_folded_and_one_word_all_the_same() -> None:
    longest = QUERY_MAX_LENGTH * 4
    assert words("é" * longest) == words("É" * longest)
    assert len(words("é" * (longest + 1))) == len(words("\ufdfa" * (longest + 1))) == 1


@pytest.mark.untraced
def test_a_query_has_no_more_words_than_may_be_typed_one_by_one() -> None:
    assert fault("\ufdfa" * QUERY_MAX_LENGTH) == ("?q", "words")
    assert len(SearchQuery.parse("東" * QUERY_MAX_LENGTH).words) <= QUERY_MAX_WORDS
    assert fault("a" + "\u0301" * 31) == ("?q", "combining-marks")
