"""Unicode rules that every context shares: the only module that normalises.

Normalisation is quadratic in a run of combining marks, and one character can become eighteen. So text is looked at
before it is normalised: its length first, then the length of its runs (UAX #15, section 13, Stream-Safe Text Format).
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Final, Literal

from domain.shared.errors import FieldError, Invalid

Form = Literal["NFC", "NFD", "NFKC"]

NON_STARTERS_MAX: Final = 30
"""Combining marks in a row; no language needs as many (UAX #15, section 13.1)."""
EXPANSION: Final = 4
"""Characters that normalisation makes one of, at the most: ᾂ may be written as a letter and three marks."""

_JOINER: Final = "\u034f"
"""COMBINING GRAPHEME JOINER: invisible, and no mark that a run could go on with (UAX #15, section 13.2)."""
_WITH_NON_STARTERS: Final = (
    range(0x300, 0x3100),
    range(0xA600, 0xAC00),
    range(0xFB00, 0xFF00),
    range(0x10000, 0x20000),
)
"""Where Unicode has, or may yet put, characters that combine; the rest are ideographs, Hangul and private use."""
_LAST_OF_PLANE_0: Final = "\uffff"
_TOGETHER: Final = 1_000
"""Runs, of 31 characters at the most, that are normalised by one call."""
_TAKEN_APART: Final = "\u0f73\u0f75\u0f81\uff9e\uff9f"
"""Starters by themselves that come to nothing but non-starters."""


def parse_normal_form(raw: str, form: Form, *, field: str, shortest: int = 1, longest: int) -> str:
    """Return `raw` in normal form, which then has `shortest` to `longest` characters.

    Raises `Invalid`, naming `field`. What cannot come to `longest` characters, and what has more than
    `NON_STARTERS_MAX` combining marks in a row, is refused before it is normalised.
    """
    if len(raw) <= longest * EXPANSION:
        require_stream_safe(raw, field=field)
        value = unicodedata.normalize(form, raw)
        if shortest <= len(value) <= longest:
            return value
    raise Invalid([FieldError(field, "length", f"takes {shortest} to {longest} characters")])


def require_stream_safe(text: str, *, field: str) -> None:
    """Raise `Invalid` when `text` has more than `NON_STARTERS_MAX` combining marks in a row."""
    if not is_stream_safe(text):
        raise Invalid([too_many_marks(field)])


def too_many_marks(field: str) -> FieldError:
    return FieldError(field, "combining-marks", f"takes at most {NON_STARTERS_MAX} combining marks in a row")


def is_stream_safe(text: str) -> bool:
    """Tell whether normalising `text` meets no run of non-starters that is longer than `NON_STARTERS_MAX`, in one pass.

    The format is defined by the NFKD form, in which a letter can bring up to three marks along, and a mark be two.
    """
    if text.isascii():
        return True
    some, long = _runs()
    around: list[str] = []
    # From one place to the next, each a call by itself: one call for a megabyte keeps all other threads waiting.
    for place in some.finditer(text):
        for run in long.finditer(text, *place.span()):
            if run.end() - run.start() > NON_STARTERS_MAX:
                return False
            # Only such a run can become too long, together with the marks that the letter before it brings along.
            around.append(text[max(run.start() - 1, 0) : run.end()])
    return all(_is_safe("".join(around[at : at + _TOGETHER]), long) for at in range(0, len(around), _TOGETHER))


def _is_safe(pieces: str, long: re.Pattern[str]) -> bool:
    runs = long.finditer(unicodedata.normalize("NFKD", pieces))
    return all(run.end() - run.start() <= NON_STARTERS_MAX for run in runs)


def normal_form(text: str, form: Form) -> str:
    """Return `text` in normal form, in linear time: runs of combining marks that are too long are divided by joiners.

    For text that was stored under other rules, or that somebody claims to know; what is new is parsed, see above.
    """
    return unicodedata.normalize(form, text if is_stream_safe(text) else _divided(text))


@cache
def _runs() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return patterns of a run that may be too long when taken apart: one that is found fast, and an exact one."""
    marks = [c for codes in _WITH_NON_STARTERS for c in map(chr, codes) if unicodedata.combining(c)]
    # `re` looks up any number of characters up to U+FFFF at once, but goes through what lies above one by one.
    low = _TAKEN_APART + "".join(mark for mark in marks if mark <= _LAST_OF_PLANE_0)
    high = [mark for mark in marks if mark > _LAST_OF_PLANE_0]
    # 3 by the letter and 2 by each mark at the most.
    long = (NON_STARTERS_MAX - 3) // 2
    some = re.compile(f"[{low}{high[0]}-{high[-1]}]{{{long},}}")  # regexes: a class that only itself follows
    return some, re.compile(f"[{low}{''.join(_ranges(high))}]{{{long},}}")  # regexes: a class that only itself follows


def _ranges(characters: Sequence[str]) -> Iterator[str]:
    """Write sorted characters as ranges of a pattern."""
    for _, group in groupby(enumerate(characters), lambda entry: ord(entry[1]) - entry[0]):
        neighbours = [character for _, character in group]
        yield f"{neighbours[0]}-{neighbours[-1]}"


def _divided(text: str) -> str:
    """Return `text` with a joiner wherever a run of non-starters would become too long (UAX #15, section 13.2)."""
    parts: list[str] = []
    run = 0
    for character in text:
        classes = list(map(unicodedata.combining, unicodedata.normalize("NFKD", character)))
        if all(classes):
            if run + len(classes) > NON_STARTERS_MAX:
                parts.append(_JOINER)
                run = 0
            run += len(classes)
        else:
            run = next(at for at, each in enumerate(reversed(classes)) if not each)
        parts.append(character)
    return "".join(parts)


def canonical_key(text: str) -> str:
    """Return the form under which two spellings count as one: NFKC, case-folded, trimmed.

    This is Unicode's caseless matching (The Unicode Standard, section 3.13, toNFKC_Casefold, without the removal of
    ignorables). It is computed here, never by a database: collations disagree about `ß`, accents and trailing
    spaces, so storage compares the result byte by byte.
    """
    folded = normal_form(text, "NFKC").casefold()
    # Folding can undo the composition (and the other way round), so it is brought to its fixed point.
    return normal_form(folded, "NFKC").casefold().strip()


def has_control_characters(text: str) -> bool:
    """Tell whether `text` holds a control, surrogate or unassigned-format character (categories Cc and Cs)."""
    return any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


def has_visible_character(text: str) -> bool:
    """Tell whether something of `text` shows: a letter, a digit, a sign, an emoji.

    Blanks, control and format characters, default ignorables and marks without anything to stand on do not. What this
    version of Unicode does not know yet does: it may be next year's emoji. A text that shows nothing for 10,000
    characters shows nothing: nobody reads on, and looking through a megabyte of them takes 50 ms.
    """
    if "!" <= text[:1] <= "~":
        return True
    # Nearly every text shows something at once. In the others each character is looked at once.
    return any(map(_shows, text[:_GLANCE])) or any(map(_shows, set(text[_GLANCE:_NOTHING])))


def require_visible(text: str, *, field: str) -> None:
    """Raise `Invalid`, naming `field`, when nothing of `text` can be seen."""
    if not has_visible_character(text):
        raise Invalid([FieldError(field, "blank", "must hold something that can be seen")])


_GLANCE, _NOTHING = 16, 10_000
_UNSEEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Mc", "Me", "Mn", "Zl", "Zp", "Zs"})
_UNSEEN: Final = frozenset(
    "\u115f\u1160\u3164\uffa0"  # Hangul fillers: letters by category
    "\u2800"  # the braille pattern without a dot
    "\ufffc"  # stands for an object that plain text has not
    "\U0001d159"  # a note without a head
    "\U00013441\U00013442"  # blanks among hieroglyphs
)
_SIGNS: Final = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Format characters that show: they are drawn around the digits or letters after them."""
_IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point of Unicode 17, which hardly ever changes: unassigned ones are set aside in it."""


def _shows(character: str) -> bool:
    if character in _UNSEEN:
        return False
    category = unicodedata.category(character)
    if category == "Cn":
        return (
            (ord(character) & 0xFFFE) != 0xFFFE
            and not "\ufdd0" <= character <= "\ufdef"
            and not is_ignorable(character)
        )
    return category not in _UNSEEN_CATEGORIES or character in _SIGNS


def is_ignorable(character: str) -> bool:
    """Tell whether a character shows nothing where it is not understood: joiners, selectors, fillers, tags."""
    return _IGNORABLE.match(character) is not None


def identifier_key(text: str) -> str:
    """Return the form under which two names count as one: the canonical key without what nobody sees of it.

    That is Unicode's toNFKC_Casefold, trimmed.
    """
    return canonical_key(_IGNORABLE.sub("", text))
