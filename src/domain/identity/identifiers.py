"""What a name may be made of: identifiers of UAX #31 under the rules of UTS #39, and what looks like what.

Letters and digits of any living script, and the marks that belong to them: without those there is no Hindi, Thai or
pointed Hebrew. What UTS #39 warns of is left out: invisible characters, letters of dead scripts, a Cyrillic letter
among Latin ones, digits of two kinds, marks upon marks.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from domain.identity.identifier_tables import JOINING, LOOKALIKES, SCRIPTS, VOWELS
from domain.shared.text import identifier_key, is_ignorable, normal_form

_SEPARATORS: Final = frozenset("_.-")
_BETWEEN: Final = _SEPARATORS | frozenset("\u00b7\u05f3\u05f4\u0f0b\u30fb")
"""Only between letters or digits: besides ours, what words hold in Catalan, Hebrew, Tibetan and Japanese."""
_NON_JOINER, _JOINER = "\u200c", "\u200d"
_LINKED, _LETTER = re.compile("LM*VM*$"), re.compile("M*L")
"""A letter with a virama, before a joiner, and a letter after it, in the letters of `_kinds`."""
_VIRAMA: Final = 9
"""The combining class of signs that take a consonant's vowel away."""
_MARKS_MAX: Final = 4
"""Non-spacing marks in a row (UTS #39, section 5.4)."""
_ANY_SCRIPT: Final = frozenset({"Zyyy", "Zinh"})
_WRITTEN_TOGETHER: Final = {
    "Hani": ("Hanb", "Jpan", "Kore"),
    "Hira": ("Jpan",),
    "Kana": ("Jpan",),
    "Hang": ("Kore",),
    "Bopo": ("Hanb",),
}
"""Chinese with Bopomofo, Japanese and Korean are each written in several scripts (UTS #39, section 5.1)."""
_BESIDE_LATIN: Final = ("Hanb", "Jpan", "Kore")
"""What may stand beside Latin letters: the level Highly Restrictive (UTS #39, section 5.2)."""

A_NAME: Final = (
    "takes letters and digits with the marks that belong to them, '_', '.' and '-', and begins and ends with a letter "
    "or a digit"
)


def fault_of(name: str) -> tuple[str, str] | None:
    """Return why a name in NFKC is none, as a code and a message; None when it is one."""
    for at, character in enumerate(name):
        if not _fits(name, at, character):
            return "format", A_NAME
    if name[-1] in _BETWEEN:
        return "format", A_NAME
    if _has_odd_marks(name):
        return "format", "takes at most 4 marks on one letter, and each of them once"
    if len({unicodedata.decimal(c) - ord(c) for c in name if c.isdecimal()}) > 1:
        return "mixed-digits", "takes digits of one script"
    if not _is_single_script(name):
        return "mixed-scripts", "takes letters of one script, or of Latin beside Chinese, Japanese or Korean"
    return None


def skeletons(name: str) -> frozenset[str]:
    """Return what a name looks like (UTS #39, section 4), as it stands and in lower case.

    Names that share one look alike. Separators and what cannot be seen make no difference. Both, because `nuII` looks
    like `null`, and `ADMIN` reads like `admin`.
    """
    return frozenset(_skeleton(form) for form in (name, identifier_key(name)))


def _skeleton(name: str) -> str:
    seen = (c for c in normal_form(name, "NFD") if not (c in _BETWEEN or is_ignorable(c)))
    alike = _lookalikes()
    return normal_form("".join(alike.get(c, c) for c in seen), "NFD").casefold()


def _fits(name: str, at: int, character: str) -> bool:
    """Tell whether a character may stand where it does."""
    if character in {_NON_JOINER, _JOINER}:
        return _may_join(name, at)
    if not _scripts(character):
        return False
    before = name[at - 1] if at else ""
    if character in _BETWEEN:
        return bool(before)
    is_mark = unicodedata.category(character)[0] == "M"
    return not is_mark or (bool(before) and before not in _BETWEEN and before not in {_NON_JOINER, _JOINER})


def _may_join(name: str, at: int) -> bool:
    """Tell whether a joiner makes a difference where it stands (UAX #31, section 2.3, A1, A2 and B)."""
    before, after = _kinds(name[:at]), _kinds(name[at + 1 :])
    is_linked = _LINKED.search(before) is not None
    if name[at] == _JOINER:
        return is_linked and name[at + 1 : at + 2] not in _vowels()
    left = next((kind for kind in map(_joining, reversed(name[:at])) if kind != "T"), "")
    right = next((kind for kind in map(_joining, name[at + 1 :]) if kind != "T"), "")
    return (left in {"D", "L"} and right in {"D", "R"}) or (is_linked and _LETTER.match(after) is not None)


def _kinds(text: str) -> str:
    """Return a letter for each character: L a letter, V a virama, M another non-spacing mark, N anything else."""
    return "".join(map(_kind, text))


def _kind(character: str) -> str:
    if unicodedata.combining(character) == _VIRAMA:
        return "V"
    category = unicodedata.category(character)
    if category[0] == "L":
        return "L"
    return "M" if category == "Mn" else "N"


def _has_odd_marks(name: str) -> bool:
    run: list[str] = []
    for character in normal_form(name, "NFD"):
        if unicodedata.category(character) in {"Mn", "Me"}:
            if character in run or len(run) == _MARKS_MAX:
                return True
            run.append(character)
        else:
            run = []
    return False


def _is_single_script(name: str) -> bool:
    """Tell whether one script, or one that goes with Latin, covers a whole name (UTS #39, section 5.1)."""
    sets = [_augmented(scripts) for c in name if not (scripts := _scripts(c)) & _ANY_SCRIPT and scripts]
    if not sets or frozenset.intersection(*sets):
        return True
    return any(all("Latn" in scripts or other in scripts for scripts in sets) for other in _BESIDE_LATIN)


@cache
def _augmented(scripts: frozenset[str]) -> frozenset[str]:
    return scripts.union(*(_WRITTEN_TOGETHER.get(script, ()) for script in scripts))


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    for piece in text.split():
        first, _, last = piece.partition("-")
        yield int(first, 16), int(last or first, 16)


@cache
def _script_table() -> tuple[list[int], list[tuple[int, frozenset[str]]]]:
    """Return where ranges of characters begin, in order, and where each ends with the scripts that it is of."""
    rows = sorted(
        (first, last, frozenset(names.split())) for names, text in SCRIPTS.items() for first, last in _ranges(text)
    )
    return [first for first, _, _ in rows], [(last, scripts) for _, last, scripts in rows]


def _scripts(character: str) -> frozenset[str]:
    """Return the scripts that a character is of; none for one that no name may hold."""
    begins, rows = _script_table()
    at = bisect_right(begins, ord(character)) - 1
    if at < 0 or ord(character) > rows[at][0]:
        return frozenset()
    return rows[at][1]


def _members(text: str) -> Iterable[str]:
    return (chr(code) for first, last in _ranges(text) for code in range(first, last + 1))


@cache
def _vowels() -> frozenset[str]:
    return frozenset(_members(VOWELS["Vowel_Dependent"]))


@cache
def _joining_table() -> dict[str, str]:
    return {character: kind for kind, text in JOINING.items() for character in _members(text)}


def _joining(character: str) -> str:
    return _joining_table().get(character, "U")


@cache
def _lookalikes() -> dict[str, str]:
    return {
        character: "".join(chr(int(code, 16)) for code in prototype.split())
        for prototype, text in LOOKALIKES.items()
        for character in _members(text)
    }
