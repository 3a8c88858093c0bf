"""Unicode rules that every context shares: the only module that normalises.

Normalisation is quadratic in a run of combining marks, and one character can become eighteen. So text is looked at
before it is normalised: its length first, then the length of its runs (UAX #15, section 13, Stream-Safe Text Format).
"""

import re
import unicodedata
from functools import cache
from typing import Final, Literal

from domain.shared.errors import FieldError, Invalid

Form = Literal["NFC", "NFKC"]

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
_TAKEN_APART: Final = "\u0f73\u0f75\u0f81\uff9e\uff9f"
"""Starters by themselves that come to nothing but non-starters."""


def parse_normal_form(raw: str, form: Form, *, field: str, shortest: int = 1, longest: int) -> str:
    """Return `raw` in normal form, which then has `shortest` to `longest` characters.

    Raises `Invalid`, naming `field`. What cannot come to `longest` characters, and what has more than
    `NON_STARTERS_MAX` combining marks in a row, is refused before it is normalised.
    """
    if len(raw) <= longest * EXPANSION:
        demand_stream_safe(raw, field=field)
        value = unicodedata.normalize(form, raw)
        if shortest <= len(value) <= longest:
            return value
    raise Invalid([FieldError(field, "length", f"takes {shortest} to {longest} characters")])


def demand_stream_safe(text: str, *, field: str) -> None:
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
    some, too_many = _runs()
    if some.search(text) is None:
        return True
    # Without a run that is too long as it stands, taking it apart is fast.
    return too_many.search(text) is None and too_many.search(unicodedata.normalize("NFKD", text)) is None


def normal_form(text: str, form: Form) -> str:
    """Return `text` in normal form, in linear time: runs of combining marks that are too long are divided by joiners.

    For text that was stored under other rules, or that somebody claims to know; what is new is parsed, see above.
    """
    return unicodedata.normalize(form, text if is_stream_safe(text) else _divided(text))


@cache
def _runs() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return patterns of a run that may be too long when taken apart, and of one that is too long as it stands."""
    marks = [c for codes in _WITH_NON_STARTERS for c in map(chr, codes) if unicodedata.combining(c)]
    one = f"[{_TAKEN_APART}{''.join(marks)}]"
    # 3 by the letter and 2 by each mark at the most.
    return re.compile(f"{one}{{{(NON_STARTERS_MAX - 3) // 2}}}"), re.compile(f"{one}{{{NON_STARTERS_MAX + 1}}}")


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
