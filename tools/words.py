"""Wording: `python -m tools.words`, which holds every text of the project against docs/words.md.

The page has two tables of phrases; this reads the first, whose left column holds phrases that are wrong wherever they
stand. They are looked for in whole files, in names too: an underscore counts as a space. What needs judgement is in the
second table, which is for readers.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

PAGE: Final = Path("docs/words.md")
SECTION: Final = "### Checked"
_FOLDERS: Final = ("src", "tests", "tools", "bench", "migrations", "docs")
_FILES: Final = ("README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", ".env.example")
_SUFFIXES: Final = frozenset({".html", ".md", ".py", ".txt"})
_EXCLUDED: Final = (PAGE.as_posix(), "bench/results/")
"""The page itself, and reports that are records of their day."""
_BETWEEN: Final = r"[\s#]+"
"""Between two words of a phrase: it may go on in the next line, of a comment too."""


def phrases(page: str) -> dict[str, str]:
    """Return the phrases of the first table, in lower case, and what to write instead. Raises when there are none."""
    section = page.partition(f"\n{SECTION}")[2].partition("\n#")[0]
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("|")][2:]
    found = {phrase.strip().lower(): instead.strip() for left, instead in rows for phrase in left.split(",")}
    if not found:
        raise LookupError(f"{PAGE} has no table below {SECTION!r}")
    return found


def faults(text: str, instead: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Find phrases in a text: the line of each, and what is wrong."""
    words = "|".join(_BETWEEN.join(map(re.escape, phrase.split())) for phrase in sorted(instead, key=len, reverse=True))
    plain = text.replace("_", " ")
    for match in re.finditer(rf"\b(?:{words})\b", plain, re.IGNORECASE):  # regexes: phrases of our own
        phrase = " ".join(match[0].replace("#", " ").split()).lower()
        yield plain.count("\n", 0, match.start()) + 1, f"{phrase}: write {instead[phrase]}"


def files(root: Path) -> Iterator[Path]:
    """Find what is checked, by name relative to `root`."""
    found = [file for folder in _FOLDERS for file in (root / folder).rglob("*") if file.suffix in _SUFFIXES]
    for file in [*sorted(found), *(root / name for name in _FILES)]:
        name = file.relative_to(root)
        hidden = any(part.startswith(".") for part in name.parts[:-1])
        if file.is_file() and not hidden and not name.as_posix().startswith(_EXCLUDED):
            yield name


def check(root: Path) -> list[str]:
    """Return what is wrong in the texts below `root`, one line each."""
    instead = phrases((root / PAGE).read_text())
    return [
        f"{file}:{line}: {fault}" for file in files(root) for line, fault in faults((root / file).read_text(), instead)
    ]


def main() -> int:
    found = check(Path.cwd())
    print(*found, sep="\n", end="\n" if found else "")  # noqa: T201 - the report
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
