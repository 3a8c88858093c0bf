"""What every `CursorCodec` promises."""

from collections.abc import Callable

import pytest

from adapters.security.cursors import HmacCursorCodec
from adapters.security.keys import DerivedKeys
from application.shared.paging import CursorCodec, InvalidCursor
from tests.builders import an_id
from tests.fakes import PlainCursorCodec


def sealed() -> CursorCodec:
    return HmacCursorCodec(keys=DerivedKeys("a secret for the tests"))


@pytest.fixture(params=[PlainCursorCodec, sealed], ids=["fake", "hmac"])
def codec(request: pytest.FixtureRequest) -> CursorCodec:
    make: Callable[[], CursorCodec] = request.param
    return make()


def test_a_cursor_names_its_place(codec: CursorCodec) -> None:
    position = an_id()

    assert codec.decode("feed", codec.encode("feed", position)) == position


def test_a_cursor_does_not_fit_another_list(codec: CursorCodec) -> None:
    cursor = codec.encode("feed", an_id())

    for scope in ("feed&author=a", "fee", ""):
        with pytest.raises(InvalidCursor):
            codec.decode(scope, cursor)


def test_a_cursor_can_stand_in_a_url_as_it_is(codec: CursorCodec) -> None:
    for _ in range(50):
        assert codec.encode("feed", an_id()).replace("-", "").replace("_", "").isalnum()


def test_equal_places_make_equal_cursors(codec: CursorCodec) -> None:
    position = an_id()

    assert codec.encode("feed", position) == codec.encode("feed", position)


@pytest.mark.parametrize("position", [0, 20, -1])
def test_a_changed_character_makes_it_invalid(codec: CursorCodec, position: int) -> None:
    cursor = codec.encode("feed", an_id())
    other = "a" if cursor[position] != "a" else "b"
    place = position % len(cursor)

    with pytest.raises(InvalidCursor):
        codec.decode("feed", cursor[:place] + other + cursor[place + 1 :])


@pytest.mark.parametrize("text", ["", "x", "0", "ä" * 43, "A" * 43, "=" * 43, "A" * 42 + "\n", "z" * 1_000_000])
def test_what_is_no_cursor_is_invalid(codec: CursorCodec, text: str) -> None:
    with pytest.raises(InvalidCursor):
        codec.decode("feed", text)
