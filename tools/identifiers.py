"""Build `src/domain/identity/identifier_tables.py` from Unicode's data, as ICU has it.

    pip install pyicu && python -m tools.identifiers

PyICU needs ICU 75 or later, which knows Identifier_Status; it is not among the project's dependencies. Unicode and ICU
are under the Unicode License v3 (https://www.unicode.org/license.txt), whose notice goes into the file.

Kept are the characters that a username may hold, of every Unicode version up to `AGE`: that is what the oldest Python
that Postern runs on can normalise, so that every Python gives the same verdicts and the same keys.
"""

import importlib
import textwrap
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).resolve().parent.parent / "src/domain/identity/identifier_tables.py"

AGE = "14.0"
_UNFIT = ("Technical", "Obsolete", "Exclusion", "Not_XID", "Not_NFKC", "Default_Ignorable", "Deprecated")
_RARE = "[[:Identifier_Type=Limited_Use:][:Identifier_Type=Uncommon_Use:]" + "".join(
    f"-[:Identifier_Type={unfit}:]" for unfit in _UNFIT
)
_SIGNS = "_\\-.\\u00B7\\u05F3\\u05F4\\u0F0B\\u30FB"
CHARACTERS = f"[[:Age={AGE}:]&[[[:XIDC:]&[[:L:][:M:][:N:]]]{_SIGNS}]&[[:Identifier_Status=Allowed:]{_RARE}]]]"
"""Letters, marks and digits of UAX #31, and the signs that stand between them.

Of these, what UTS #39 allows; and what it leaves to each profile: living scripts that few people write (Limited_Use:
Cherokee, N'Ko) and rare characters (Uncommon_Use), since Hebrew's vowel points and the ideographs of some family names
are among them.
"""

HEAD = '''"""Made by `tools/identifiers.py` of Unicode {unicode} (ICU {icu}), as far as {age} has it. Not for editing.

Copyright © 1991-2026 Unicode, Inc. Unicode data files are under the Unicode License v3, which permits copies with this
notice: https://www.unicode.org/license.txt
"""

from typing import Final
'''


def ranges(characters: Iterable[str]) -> str:
    """Return characters as code points in hexadecimal: `61-7a e0`."""
    found: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return " ".join(f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in found)


def table(name: str, about: str, rows: dict[str, str]) -> str:
    lines = [f"{name}: Final = {{"]
    for key, value in sorted(rows.items()):
        pieces = textwrap.wrap(value, 100, break_on_hyphens=False)
        if len(pieces) == 1:
            lines.append(f'    "{key}": "{value}",')
        else:
            lines += [
                f'    "{key}": (',
                *(f'        "{piece} "' for piece in pieces[:-1]),
                f'        "{pieces[-1]}"',
                "    ),",
            ]
    return "\n".join([*lines, "}", f'"""{about}"""', ""])


def scripts_of(icu: Any, characters: list[str]) -> dict[str, str]:
    """Return the characters of each set of scripts (Script_Extensions)."""
    of: dict[str, set[str]] = defaultdict(set)
    for code in range(icu.Char.getIntPropertyMaxValue(icu.UProperty.SCRIPT) + 1):
        name = icu.Char.getPropertyValueName(icu.UProperty.SCRIPT, code, icu.UPropertyNameChoice.SHORT_PROPERTY_NAME)
        for character in icu.UnicodeSet(f"[[:scx={name}:]&{CHARACTERS}]"):
            of[character].add(name)
    grouped: dict[str, list[str]] = defaultdict(list)
    for character in characters:
        grouped[" ".join(sorted(of[character]))].append(character)
    return {names: ranges(members) for names, members in grouped.items()}


def confusables_of(icu: Any, characters: list[str]) -> dict[str, str]:
    """Return what looks alike (UTS #39, section 4): what a character comes to → the characters that do."""
    checker = icu.SpoofChecker()
    grouped: dict[str, set[str]] = defaultdict(set)
    for character in characters:
        for part in unicodedata.normalize("NFD", character.casefold()) + unicodedata.normalize("NFD", character):
            skeleton = checker.getSkeleton(0, part)
            if skeleton != part:
                grouped[" ".join(f"{ord(c):x}" for c in skeleton)].add(part)
    return {skeleton: ranges(members) for skeleton, members in grouped.items()}


def main() -> None:
    icu = importlib.import_module("icu")
    characters = list(icu.UnicodeSet(CHARACTERS))

    def those(condition: str) -> str:
        return ranges(icu.UnicodeSet(f"[{condition}&{CHARACTERS}]"))

    joining = {name: those(f"[:jt={name}:]") for name in ("D", "L", "R", "T")}
    parts = [
        HEAD.format(unicode=icu.UNICODE_VERSION, icu=icu.ICU_VERSION, age=AGE),
        table("SCRIPTS", "Script_Extensions → the characters of just those scripts.", scripts_of(icu, characters)),
        table("JOINING", "Joining_Type → its characters.", joining),
        table("VOWELS", "Indic_Syllabic_Category.", {"Vowel_Dependent": those("[:InSC=Vowel_Dependent:]")}),
        table("LOOKALIKES", "A prototype → the characters that look like it.", confusables_of(icu, characters)),
    ]
    OUTPUT.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
