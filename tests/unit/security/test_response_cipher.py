"""Kept answers open for their owner and key, and for nobody else."""

import pytest

from adapters.security.keys import DerivedKeys
from adapters.security.response_cipher import AesGcmResponseCipher
from application.shared.idempotency import IdempotencyKey, ResponseUnreadable
from domain.shared.ids import UserId
from tests.builders import an_id

KEY = IdempotencyKey("a-key")
ALICE, BOB = UserId(an_id()), UserId(an_id())


def vault(secret: str = "a secret", *also: str) -> AesGcmResponseCipher:
    return AesGcmResponseCipher(keys=DerivedKeys(secret, also))


@pytest.mark.parametrize("answer", [b"", bytes(range(256)) * 4400])
def test_what_was_sealed_is_opened_to_the_byte(answer: bytes) -> None:
    assert vault().open(vault().seal(answer, owner=ALICE, key=KEY), owner=ALICE, key=KEY) == answer


def test_the_same_answer_never_looks_the_same() -> None:
    sealed = {vault().seal(b"an answer", owner=ALICE, key=KEY) for _ in range(10)}
    assert len(sealed) == 10
    assert not any(b"answer" in one for one in sealed)


@pytest.mark.parametrize(
    ("owner", "key"), [(BOB, KEY), (ALICE, IdempotencyKey("another"))], ids=["another owner", "another key"]
)
def test_a_row_that_was_moved_opens_nothing(owner: UserId, key: IdempotencyKey) -> None:
    with pytest.raises(ResponseUnreadable):
        vault().open(vault().seal(b"an answer", owner=ALICE, key=KEY), owner=owner, key=key)


@pytest.mark.parametrize("at", [0, 6, 18, -1])
def test_an_altered_byte_is_noticed(at: int) -> None:
    sealed = bytearray(vault().seal(b"an answer", owner=ALICE, key=KEY))
    sealed[at] ^= 1
    with pytest.raises(ResponseUnreadable):
        vault().open(bytes(sealed), owner=ALICE, key=KEY)


@pytest.mark.parametrize("sealed", [b"", b"short", b"\0" * 40])
def test_what_was_never_sealed_is_unreadable(sealed: bytes) -> None:
    with pytest.raises(ResponseUnreadable):
        vault().open(sealed, owner=ALICE, key=KEY)


def test_a_previous_secret_still_opens_and_a_forgotten_one_does_not() -> None:
    sealed = vault("old").seal(b"an answer", owner=ALICE, key=KEY)
    assert vault("new", "old").open(sealed, owner=ALICE, key=KEY) == b"an answer"
    with pytest.raises(ResponseUnreadable):
        vault("new").open(sealed, owner=ALICE, key=KEY)
