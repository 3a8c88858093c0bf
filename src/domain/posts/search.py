"""What searching means, apart from any database: which words a text has, which posts a query finds, how they rank.

Databases differ in what a word is: in stop words, the least and greatest length, stemming, collations, scripts without
spaces. So words are made here, for texts and queries alike, and storage only has to find them. They are encoded in
ASCII letters and digits, which every full-text engine takes as they are, and in which no query operator can hide.
"""

import re
import unicodedata
from base64 import b32encode
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from html import escape
from itertools import islice
from math import inf
from typing import NamedTuple, Self

from domain.shared.errors import FieldError, Invalid
from domain.shared.text import EXPANSION, canonical_key, require_stream_safe

INDEXED_WORDS = 20_000
"""Words of one post that can be found, from its beginning: forty printed pages.

A `tsvector` of PostgreSQL takes 1 MiB of words.
"""
INDEXED_LENGTH = 400_000
"""Characters of one post that are looked at for words, so that a text without any is left alone, too."""
QUERY_MAX_LENGTH = 200
"""Characters."""
QUERY_MAX_PHRASES = 16
QUERY_MAX_WORDS = 400
"""Of all phrases together: as many as a query of 200 Han characters has; U+FDFA is four of them by itself."""
EXCERPT_LENGTH = 200
"""Characters of the post's text, about; markup and entities come on top."""

EXCERPT_WORDS = 5_000
"""Words that are looked at for a better excerpt than the one there is."""

_LEAD = 40
"""Characters before the first highlighted word."""
_REACH = EXCERPT_LENGTH - _LEAD
_BLOCK_LENGTH = 200
"""Characters, about, that are folded in one go to see whether they may hold a word of the query."""

# ASCII letters and digits, and whatever is not ASCII: most texts are words of this, with nothing to look at in them.
_CHUNK = re.compile(r"[0-9A-Za-z\u0080-\U0010ffff]+")
_QUOTED = re.compile(r'"([^"]*)"?')
_BLANK = re.compile(r"\s+")
_BREAK = re.compile(r"[\s,.;:!?\u0964\u0965\u104a\u104b\u17d4\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f]")
"""What no word goes on behind, in any script."""

_ZERO_WIDTH_SPACE = "\u200b"
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)
_VOICE_MARKS = "\uff9e\uff9f"
"""Letters by category, but marks by use: they follow half-width Katakana."""

_UNSPACED = (
    range(0x0E00, 0x0F00),  # Thai, Lao
    range(0x1000, 0x10A0),  # Myanmar
    range(0x1780, 0x1800),  # Khmer
    range(0x3005, 0x3008),  # ideographic iteration and closing marks, zero
    range(0x3040, 0x3100),  # Hiragana, Katakana
    range(0x31F0, 0x3200),  # Katakana extensions
    range(0x3400, 0x4DC0),  # Han
    range(0x4E00, 0xA000),
    range(0xF900, 0xFB00),
    range(0xFF66, 0xFFA0),  # half-width Katakana
    range(0x1B000, 0x1B170),  # historic Kana
    range(0x20000, 0x323B0),
)
"""Scripts that are written without spaces between words."""

_EDGES = [edge for script in _UNSPACED for edge in (script.start, script.stop)]
"""An odd number of them lies at or below a character of these scripts."""

_PLAIN_LENGTH = 32
"""Characters of a word that is its own code, but for the prefix."""
_LONGEST_WORD = QUERY_MAX_LENGTH * EXPANSION
"""Characters. No query has a longer word however it is written, so that there is no use in folding it."""
_ASCII_LETTERS = {
    code: character.lower() if character.isalnum() else " " for code in range(128) for character in [chr(code)]
}
"""What each ASCII character is in a word; a blank for those that are in none."""

Phrase = tuple[str, ...]
"""Encoded words that stand one after the other."""


class _Word(NamedTuple):
    code: str
    start: int
    end: int
    """Where it stands in the text."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What a post must hold to be found: every one of `phrases`."""

    phrases: tuple[Phrase, ...]
    signs: tuple[str, ...] = field(compare=False, repr=False)
    """The longest word of each, folded: a text that does not hold it, folded, does not hold the phrase."""

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Read what somebody typed: words, and `"words in this order"` in double quotes. Nothing else has a meaning.

        A run of a script without spaces is a phrase by itself. Raises `Invalid`.
        """
        if len(raw) > QUERY_MAX_LENGTH:
            raise Invalid([FieldError("?q", "length", f"takes 1 to {QUERY_MAX_LENGTH} characters")])
        require_stream_safe(raw, field="?q")
        found: dict[Phrase, str] = {}
        at = 0
        for quoted in _QUOTED.finditer(raw):
            found |= _unquoted_phrases(raw[at : quoted.start()])
            found |= _phrase(quoted[1], list(_words(quoted[1])))
            at = quoted.end()
        found |= _unquoted_phrases(raw[at:])
        if not found:
            raise Invalid([FieldError("?q", "words", "must hold a letter, a digit or a symbol to look for")])
        if len(found) > QUERY_MAX_PHRASES:
            raise Invalid([FieldError("?q", "words", f"takes at most {QUERY_MAX_PHRASES} different words or phrases")])
        if sum(map(len, found)) > QUERY_MAX_WORDS:
            raise Invalid([FieldError("?q", "words", f"takes at most {QUERY_MAX_WORDS} words in all phrases together")])
        return cls(tuple(found), tuple(found.values()))

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of every phrase, each once."""
        return tuple(dict.fromkeys(word for phrase in self.phrases for word in phrase))

    @property
    def key(self) -> str:
        """The query as text: equal for queries that find the same."""
        return "+".join("_".join(phrase) for phrase in self.phrases)


@dataclass(frozen=True, slots=True)
class SearchableText:
    """The words of a text, in order, each with a blank on either side: ` wwhello  wwworld `.

    So a phrase is found, and its occurrences are counted, by plain comparison of text.
    """

    words: str
    count: int

    @classmethod
    def of(cls, text: str) -> Self:
        # Where a word stands is for excerpts alone, and is left out here: every post passes this.
        text = text[:INDEXED_LENGTH]
        codes = _ascii_codes(text) if text.isascii() else list(islice(_codes_in(text), INDEXED_WORDS))
        return cls(as_run(codes), len(codes))

    def score(self, query: SearchQuery) -> int:
        """Return how well the text answers `query`, from 0 (it does not: a phrase is missing) upwards.

        Each phrase adds `1000 - 1000·k / (n + k)` for `n` occurrences, where `k = 1 + words / 100` and each division
        is of whole numbers: the frequency part of Okapi BM25 (Robertson and Zaragoza, 2009), `n / (n + k)`, with fixed
        constants. How rare a word is elsewhere is left out: so a post's score depends on that post alone, and a page
        goes on where the last one ended whatever is published in between. Storage computes the same in SQL.
        """
        counts = [self.words.count(as_run(phrase)) for phrase in query.phrases]
        if not all(counts):
            return 0
        k = 1 + self.count // 100
        return sum(1000 - 1000 * k // (n + k) for n in counts)


def as_run(codes: Sequence[str]) -> str:
    """Return words as they stand in a `SearchableText` one after the other."""
    return f" {'  '.join(codes)} " if codes else ""


def excerpt(text: str, query: SearchQuery, *, words: int = INDEXED_WORDS) -> str:
    """Return the part of `text` that shows most of `query`, as HTML: escaped, with `<mark>` around what was found.

    About `EXCERPT_LENGTH` characters, blanks and line ends as single blanks, `…` where text was left out. No more than
    so many `words` are looked at one by one, from where the query may be found first.
    """
    marks = _marks(text, query, words)
    start = _word_start(text, best.start - _LEAD, best.start) if (best := _best(marks)) is not None else 0
    limit = start + EXCERPT_LENGTH
    end = len(text) if limit >= len(text) else _word_end(text, limit, floor=start + EXCERPT_LENGTH // 2)
    parts = ["…"] if start > 0 else []
    at = start
    for mark in marks:
        if at <= mark.start < end:
            parts += [_html(text[at : mark.start]), f"<mark>{_html(text[mark.start : min(mark.end, end)])}</mark>"]
            at = min(mark.end, end)
    parts += [_html(text[at:end])]
    parts += ["…"] if end < len(text) else []
    return "".join(parts).strip()


class _Mark(NamedTuple):
    start: int
    end: int
    phrase: Phrase


def _best(marks: Sequence[_Mark]) -> _Mark | None:
    """Return the first of the places from which most different phrases are in reach, in one pass."""
    inside: Counter[Phrase] = Counter()
    best, most, last = None, 0, 0
    for mark in marks:
        while last < len(marks) and marks[last].start < mark.start + _REACH:
            inside[marks[last].phrase] += 1
            last += 1
        if len(inside) > most:
            best, most = mark, len(inside)
        inside[mark.phrase] -= 1
        if not inside[mark.phrase]:
            del inside[mark.phrase]
    return best


def _marks(text: str, query: SearchQuery, limit: int) -> list[_Mark]:
    """Return where the phrases stand, in order, without those that begin inside another.

    As far as an excerpt needs them: to the first place from which all phrases are in reach, else to the `limit` of
    words; to `EXCERPT_WORDS` when any was found by then.
    """
    by_last: dict[str, list[Phrase]] = {}
    for phrase in query.phrases:
        by_last.setdefault(phrase[-1], []).append(phrase)
    codes: list[str] = []
    starts: list[int] = []
    marks: list[_Mark] = []
    seen: dict[Phrase, int] = {}  # where each was seen last,
    enough: float = inf  # and where that is all there is to see
    for word in islice(_words_near(text, query), limit):
        if word.start > enough or (marks and len(codes) >= EXCERPT_WORDS):
            break
        codes.append(word.code)
        starts.append(word.start)
        for phrase in by_last.get(word.code, ()):
            first = len(codes) - len(phrase)
            if first >= 0 and (len(phrase) == 1 or tuple(codes[first:]) == phrase):
                marks.append(_Mark(starts[first], word.end, phrase))
                seen[phrase] = starts[first]
                if enough == inf and len(seen) == len(query.phrases):
                    oldest = min(seen.values())
                    enough = oldest + 2 * EXCERPT_LENGTH if starts[first] - oldest < _REACH else inf
    apart: list[_Mark] = []
    for mark in sorted(marks, key=lambda mark: (mark.start, -mark.end)):
        if not apart or mark.start >= apart[-1].end:
            apart.append(mark)
    return apart


def _words_near(text: str, query: SearchQuery) -> Iterator[_Word]:
    """Return the words around each place where one of the query may be; one without a code where others are left out.

    To make words takes much longer than to fold a text as a whole, which tells where none of them can be.
    """
    end = 0
    for block in _blocks_near(text, query):
        if block.start > end:
            yield _Word("", end, end)
        yield from _words(text, block.start, block.stop)
        end = block.stop


def _blocks_near(text: str, query: SearchQuery) -> Iterator[range]:
    """Return the blocks that may hold a word of the query, with their neighbours where a phrase may go on."""
    goes_on = any(len(phrase) > 1 for phrase in query.phrases)
    follows, before = False, None
    for block in _blocks(text):
        holds = _may_hold(text[block.start : block.stop], query)
        if holds and before is not None:
            yield before
        if holds or follows:
            yield block
        before = block if goes_on and not (holds or follows) else None
        follows = holds and goes_on


def _blocks(text: str) -> Iterator[range]:
    """Divide what is looked at for words where none goes on, if there is such a place."""
    start, end = 0, min(len(text), INDEXED_LENGTH)
    while start < end:
        found = _BREAK.search(text, start + _BLOCK_LENGTH, end)
        yield range(start, end if found is None else found.end())
        start = end if found is None else found.end()


def _may_hold(text: str, query: SearchQuery) -> bool:
    folded = text.lower() if text.isascii() else _folded(text)
    return any(sign in folded for sign in query.signs)


def _word_start(text: str, at: int, latest: int) -> int:
    """Return the beginning of a word at or after `at`, `latest` when there is none before; 0 for what is before 0."""
    if at <= 0:
        return 0
    blank = _BLANK.search(text, at - 1, latest)
    return latest if blank is None else blank.end()


def _word_end(text: str, at: int, *, floor: int) -> int:
    """Return the end of a word at or before `at`, but after `floor`; else a place that tears no character apart."""
    while at > floor and not text[at].isspace():
        at -= 1
    if at > floor:
        return at
    at = floor + (EXCERPT_LENGTH - EXCERPT_LENGTH // 2)
    while at > floor and (unicodedata.category(text[at]) in {"Mn", "Mc", "Me", "Cf", "Sk"} or text[at - 1] == "\u200d"):
        at -= 1
    return at


def _html(text: str) -> str:
    return escape(_BLANK.sub(" ", text))


def _unquoted_phrases(raw: str) -> dict[Phrase, str]:
    """Return what stands outside of quotes: each word by itself, each run of an unspaced script as a phrase."""
    found: dict[Phrase, str] = {}
    run: list[_Word] = []
    for word in _words(raw):
        # The words of a run overlap: 東, 東京, 京.
        if run and (word.start < run[-1].end):
            run.append(word)
            continue
        found |= _phrase(raw, run)
        run = [word]
    return found | _phrase(raw, run)


def _phrase(raw: str, words: Sequence[_Word]) -> dict[Phrase, str]:
    """Return a phrase of these words of `raw`, with the longest of them; nothing of none."""
    if not words:
        return {}
    # One piece may come to several words, in the same place: U+FDFA to four.
    pieces = dict.fromkeys(raw[word.start : word.end] for word in words)
    plain = (part for piece in pieces for part in _plain(_folded(piece)))
    return {tuple(word.code for word in words): max(plain, key=len)}


def _ascii_codes(text: str) -> list[str]:
    """Return the codes of the first `INDEXED_WORDS` words of an ASCII text: as `_words` finds them, sooner.

    The rest stays in one piece, so that a megabyte is not split for its first few pages.
    """
    words = text.translate(_ASCII_LETTERS).split(None, INDEXED_WORDS)[:INDEXED_WORDS]
    if words and len(max(words, key=len)) > _PLAIN_LENGTH:
        return [_encode(word) for word in words]
    return [f"ww{word}" for word in words]


def _codes_in(text: str) -> Iterator[str]:
    """Return the codes of the words of `text` in order, as `_words` does."""
    for found in _CHUNK.finditer(text):
        chunk = found[0]
        if chunk.isascii():
            yield _encode(chunk.lower())
        else:
            for word in _unicode_words(chunk, 0):
                yield word.code


def _words(text: str, start: int = 0, end: int = INDEXED_LENGTH) -> Iterator[_Word]:
    """Return the words of a part of `text` in order."""
    for found in _CHUNK.finditer(text, start, end):
        chunk = found[0]
        if chunk.isascii():
            code = f"ww{chunk.lower()}" if len(chunk) <= _PLAIN_LENGTH else _encode(chunk.lower())
            yield _Word(code, found.start(), found.end())
        else:
            yield from _unicode_words(chunk, found.start())


def _unicode_words(chunk: str, offset: int) -> Iterator[_Word]:
    """Split what holds more than ASCII: letters, digits and their marks are words; a symbol (an emoji) is one itself.

    A mark, and what has no width, belongs to the word that it follows. In a script without spaces each character is a
    word, and so is each pair of neighbours: 東, 東京, 京, 京都, 都. So one character is found as well as several, and
    what is part of a run is part of its words, without a gap.
    """
    begin: int | None = None  # of the word that is open,
    unspaced = False  # its kind,
    before: int | None = None  # and the beginning of its neighbour of the same kind
    for at, character in enumerate(chunk):
        if character.isalnum() and character not in _VOICE_MARKS:
            is_unspaced = _is_unspaced(character)
            if begin is None:
                begin, unspaced, before = at, is_unspaced, None
            elif unspaced or is_unspaced:
                yield from _close(chunk, begin, at, offset, before=before)
                before = begin if unspaced and is_unspaced else None
                begin, unspaced = at, is_unspaced
            continue
        category = unicodedata.category(character)
        if category[0] == "M" or character in _VOICE_MARKS or (category == "Cf" and character != _ZERO_WIDTH_SPACE):
            continue  # Part of what is open, or of nothing.
        if begin is not None:
            yield from _close(chunk, begin, at, offset, before=before)
            begin = None
        if category == "So":
            yield from _close(chunk, at, at + 1, offset, before=None)
    if begin is not None:
        yield from _close(chunk, begin, len(chunk), offset, before=before)


def _close(chunk: str, begin: int, end: int, offset: int, *, before: int | None) -> Iterator[_Word]:
    if before is not None:
        yield _Word(_pair(chunk[before:end]), offset + before, offset + end)
    for code in _codes(chunk[begin:end]):
        yield _Word(code, offset + begin, offset + end)


@lru_cache(maxsize=16_384)
def _pair(piece: str) -> str:
    return _encode(_folded(piece))


def _codes(piece: str) -> tuple[str, ...]:
    """Return the words that a piece comes to: one, unless folding brings in what is no letter (½)."""
    if len(piece) <= _PLAIN_LENGTH:
        return _short_codes(piece)
    if len(piece) <= _LONGEST_WORD:
        return _folded_codes(piece)
    return (_hashed(piece.encode()),)


@lru_cache(maxsize=16_384)
def _short_codes(piece: str) -> tuple[str, ...]:
    return _folded_codes(piece)


def _folded_codes(piece: str) -> tuple[str, ...]:
    return tuple(map(_encode, _plain(_folded(piece))))


def _plain(folded: str) -> Sequence[str]:
    if folded.isalnum():
        return (folded,)
    letters = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in folded)
    return letters.split() or (folded,)


def _folded(piece: str) -> str:
    if not piece.isalnum():
        ignored = _ignored(piece)
        piece = "".join(c for c in piece if c not in ignored) if ignored else piece
    return canonical_key(piece)


def _ignored(text: str) -> Collection[str]:
    """Return the characters of a text that make no difference to a word."""
    return {
        c
        for c in set(text)
        if not c.isalnum() and (unicodedata.category(c) in {"Cf", "Me"} or ord(c) in _VARIATION_SELECTORS)
    }


def _encode(word: str) -> str:
    """Return `word` in lower-case ASCII letters and digits: 3 to 34, of which no stop word is one."""
    if word.isascii() and word.isalnum() and len(word) <= _PLAIN_LENGTH:
        return f"ww{word}"
    octets = word.encode()
    if len(octets) <= 20:
        return f"wu{b32encode(octets).decode().rstrip('=').lower()}"
    return _hashed(octets)


def _hashed(octets: bytes) -> str:
    return f"wh{blake2b(octets, digest_size=16).hexdigest()}"


def _is_unspaced(character: str) -> bool:
    return bisect_right(_EDGES, ord(character)) % 2 == 1
