"""Answers that are kept to be given again, encrypted at rest."""

import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.security.keys import DerivedKeys
from application.shared.idempotency import IdempotencyKey, ResponseCipher, ResponseUnreadable
from domain.shared.ids import UserId

_KEY_ID_BYTES: Final = 6
_NONCE_BYTES: Final = 12


class AesGcmResponseCipher(ResponseCipher):
    """AES-256-GCM under a key of each owner's own: the key's name, the nonce, then answer and tag.

    Nonces are random, which is safe for 2**32 messages a key (NIST SP 800-38D, section 8.3). Answers are many, so
    each owner's are sealed under a key derived from the installation's. The idempotency key is authenticated with
    them: a row that was copied to another owner or key opens nothing.
    """

    def __init__(self, *, keys: DerivedKeys) -> None:
        self._current = bytes.fromhex(keys.stored_responses[0].id)
        self._secrets = {bytes.fromhex(key.id): key.secret for key in keys.stored_responses}

    def seal(self, answer: bytes, *, owner: UserId, key: IdempotencyKey) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = _cipher(self._secrets[self._current], owner)
        return self._current + nonce + cipher.encrypt(nonce, answer, key.value.encode())

    def open(self, sealed: bytes, *, owner: UserId, key: IdempotencyKey) -> bytes:
        secret = self._secrets.get(sealed[:_KEY_ID_BYTES])
        if secret is None:
            raise ResponseUnreadable("it was sealed with a key that is neither current nor accepted")
        nonce, text = sealed[_KEY_ID_BYTES:][:_NONCE_BYTES], sealed[_KEY_ID_BYTES + _NONCE_BYTES :]
        try:
            return _cipher(secret, owner).decrypt(nonce, text, key.value.encode())
        except (InvalidTag, ValueError):
            raise ResponseUnreadable("it was altered, or belongs to another key or owner") from None


def _cipher(secret: bytes, owner: UserId) -> AESGCM:
    # One block of HKDF-Expand (RFC 5869, section 2.3), as `secret` is itself uniformly random.
    return AESGCM(hmac.digest(secret, owner.bytes + b"\x01", "sha256"))
