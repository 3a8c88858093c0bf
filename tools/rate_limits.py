"""Write the rows of `entrypoints.settings.rate_limits` into the documents, where a test holds them.

python -m tools.rate_limits
"""

import re
import sys
from pathlib import Path
from typing import Final

from entrypoints.settings.rate_limits import RATE_LIMITS, rate_limit_infos

ROOT: Final = Path(__file__).parent.parent
_ROW: Final = {
    "docs/operations.md": re.compile(r"\| `[a-z-]+` \| `RATE_LIMIT_"),
    "README.md": re.compile(r"\| `RATE_LIMIT_(?!ENABLED)"),
    ".env.example": re.compile(r"#RATE_LIMIT_(?!ENABLED)"),
}


def documents() -> dict[Path, str]:
    """Return the text of each document as it has to be, by its path."""
    infos = rate_limit_infos()
    limits = [
        f"| `{limit.name}` | `{limit.setting}` | {limit.key} | "
        f"{', '.join(f'`{request}`' if '/' in request else request for request in limit.requests)} | {limit.about} |"
        for limit in RATE_LIMITS.values()
    ]
    settings = [f"| `{name}` | {info.default} | {info.about} |" for name, info in infos.items()]
    example = [f"#{name}={info.default}" for name, info in infos.items()]
    return {
        ROOT / name: _with(lines, (ROOT / name).read_text(), _ROW[name])
        for name, lines in (("docs/operations.md", limits), ("README.md", settings), (".env.example", example))
    }


def _with(lines: list[str], text: str, row: re.Pattern[str]) -> str:
    """Return a document with `lines` in place of its rows of limits, which follow one another."""
    others = [line for line in text.splitlines() if not row.match(line)]
    first = next(number for number, line in enumerate(text.splitlines()) if row.match(line))
    return "\n".join([*others[:first], *lines, *others[first:], ""])


def main() -> int:
    for path, text in documents().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
