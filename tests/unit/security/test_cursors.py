"""Sealed cursors."""

from uuid import UUID

import pytest

from adapters.security.cursors import HmacCursorCodec
from adapters.security.keys import DerivedKeys
from application.shared.paging import InvalidCursor
from tests.builders import an_id

CODEC = HmacCursorCodec(keys=DerivedKeys("a secret for the tests"))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def refused(cursor: str, codec: HmacCursorCodec = CODEC, scope: str = "feed") -> bool:
    with pytest.raises(InvalidCursor):
        codec.decode(scope, cursor)
    return True


def test_a_cursor_has_43_characters() -> None:
    assert {len(CODEC.encode("feed", UUID(int=n))) for n in (0, 1, 2**128 - 1)} == {43}


def test_a_cursor_has_one_spelling() -> None:
    cursor = CODEC.encode("feed", an_id())
    same_bits = ALPHABET[ALPHABET.index(cursor[-1]) ^ 1]

    assert refused(cursor[:-1] + same_bits)
    assert refused(cursor[:-1] + "=")
    assert refused(cursor + "=")
    assert refused(cursor[:10] + "!" + cursor[11:])
    assert refused(cursor[:10] + "!" + cursor[10:])
    assert refused(" " + cursor[:-1])


def test_a_cursor_of_another_installation_is_refused() -> None:
    elsewhere = HmacCursorCodec(keys=DerivedKeys("another secret"))

    assert refused(elsewhere.encode("feed", an_id()))


def test_a_cursor_outlives_a_rotation_of_the_key() -> None:
    rotated = HmacCursorCodec(keys=DerivedKeys("a new secret", ["a secret for the tests"]))
    position = an_id()

    assert rotated.decode("feed", CODEC.encode("feed", position)) == position
    assert rotated.encode("feed", position) != CODEC.encode("feed", position)
    assert refused(CODEC.encode("feed", position), rotated, "other")


def test_a_scope_does_not_run_into_the_place() -> None:
    """The bytes that are sealed are scope and place on end; a shifted border must not make the same."""
    position = UUID(bytes=b"A" * 16)
    cursor = CODEC.encode("feedA", position)

    assert refused(cursor, scope="feed")
    assert refused(cursor, scope="feedAA")
