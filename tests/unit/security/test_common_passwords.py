"""The packaged list of common passwords, and the tool that makes it."""

import gzip
import random
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from adapters.security.common_passwords import DIGEST_BYTES, PackagedCommonPasswords, digest, is_pattern
from domain.identity.policies import require_acceptable_password
from domain.identity.values import EmailAddress, Password
from domain.shared.errors import Invalid
from tools import common_passwords as tool

COMMON = PackagedCommonPasswords()


@pytest.mark.parametrize(
    "password",
    [
        "123qweasdzxc",
        "1qaz2wsx3edc",
        "sonyericsson",
        "motherfucker",
        "unbelievable",
        "finalfantasy",
        "leavemealone",
        "administrator",
        "qwerty123456",
        "passwordpassword",
        "passwordpasswordpassword",
        "password1234",
        "1234password",
        "iloveyou2024",
        "dragon123456!",
        "letmein123456",
        "aaaaaaaaaaaa",
        "            ",
        "abcabcabcabcabc",
        "12121212121212",
        "123456789012",
        "987654321098",
        "abcdefghijkl",
        "zyxwvutsrqpo",
        "qwertyuiopas",
        "qwertyuiopqwertyuiop",
        "0" * 256,
    ],
)
def test_a_password_that_is_tried_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        require_acceptable_password(
            Password.new(password),
            email=EmailAddress.parse("alice@example.org"),
            username=None,
            is_common=COMMON.__contains__,
        )

    assert [fault.code for fault in refused.value.errors] == ["common"]


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "tr0ub4dor & friends",
        "seventeen herons waltz",
        "пароль для проверки",
        "vK3!xR9@qLm2",
        "\ud800 lone surrogates",
    ],
)
def test_a_password_of_ones_own_is_not(password: str) -> None:
    assert password not in COMMON


def test_random_passwords_are_not_common() -> None:
    source = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"

    assert not any("".join(source.choices(letters, k=12)) in COMMON for _ in range(5000))


def test_the_data_is_sorted_digests_of_equal_length() -> None:
    data = files("adapters.security").joinpath("common_passwords.bin").read_bytes()
    digests = [data[n : n + DIGEST_BYTES] for n in range(0, len(data), DIGEST_BYTES)]

    assert len(data) % DIGEST_BYTES == 0
    assert len(digests) > 50_000
    assert digests == sorted(set(digests))


def test_every_digest_is_found_the_first_and_the_last_too() -> None:
    data = files("adapters.security").joinpath("common_passwords.bin").read_bytes()
    places = [0, 1, len(data) // DIGEST_BYTES // 2, len(data) // DIGEST_BYTES - 1]

    assert all(COMMON._holds(data[n * DIGEST_BYTES : (n + 1) * DIGEST_BYTES]) for n in places)
    assert not COMMON._holds(b"\x00" * DIGEST_BYTES)
    assert not COMMON._holds(b"\xff" * DIGEST_BYTES)


def test_the_data_is_read_on_first_use_and_once() -> None:
    common = PackagedCommonPasswords()
    assert "_digests" not in vars(common)

    assert "password1234" in common

    assert common._digests is common._digests


@pytest.mark.parametrize("key", ["abcdabcdabcd", "abcabcabcabca", "121212121212", "111111111111"])
def test_one_short_unit_over_and_over_is_a_pattern(key: str) -> None:
    assert is_pattern(key)


@pytest.mark.parametrize("key", ["abcdeabcdeabcde", "abcabcabcabd", "qwertyuiopxx", "12345678901a"])
def test_what_breaks_the_pattern_is_none(key: str) -> None:
    assert not is_pattern(key)


def test_the_tool_builds_what_the_adapter_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_bytes("Dragonfly\nLong Enough One\nstraße straße\nshort\n".encode())
    packed = tmp_path / "packed.txt.gz"
    packed.write_bytes(gzip.compress("caf\xe9 latin one\n".encode("latin-1")))
    array = tmp_path / "array.json"
    array.write_text('["from an array", "aaaaaaaaaaaa"]')
    output = tmp_path / "out.bin"
    monkeypatch.setattr(tool, "OUTPUT", output)
    monkeypatch.setattr(sys, "argv", ["common_passwords", str(plain), str(packed), str(array)])

    tool.main()

    data = output.read_bytes()
    built = {data[n : n + DIGEST_BYTES] for n in range(0, len(data), DIGEST_BYTES)}
    kept = [
        "long enough one",
        "strasse strasse",
        "café latin one",
        "from an array",
        "dragonflydragonfly",
        "dragonfly1234",
    ]
    assert all(digest(key) in built for key in kept)
    assert digest("short") not in built
    assert digest("aaaaaaaaaaaa") not in built, "patterns need no entry"
