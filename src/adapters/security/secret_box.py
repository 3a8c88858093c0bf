"""Secrets that are read again, encrypted at rest."""

import secrets
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.security.keys import DerivedKeys
from application.identity.credentials import SecretBox, SecretUnreadable

_KEY_ID_BYTES: Final = 6
_NONCE_BYTES: Final = 12
"""Random, which is safe for 2**32 messages a key (NIST SP 800-38D, section 8.3)."""


class AesGcmSecretBox(SecretBox):
    """AES-256-GCM under a key derived from `SECRET_KEY`: the key's name, the nonce, then text and tag.

    The id of its owner (an account, a webhook) is authenticated with it, so that a row copied to another opens nothing.
    """

    def __init__(self, *, keys: DerivedKeys) -> None:
        self._current = bytes.fromhex(keys.secret_boxes[0].id)
        self._ciphers = {bytes.fromhex(key.id): AESGCM(key.secret) for key in keys.secret_boxes}

    def seal(self, secret: str, *, owner: UUID) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self._current + nonce + self._ciphers[self._current].encrypt(nonce, secret.encode(), owner.bytes)

    def open(self, sealed: bytes, *, owner: UUID) -> str:
        cipher = self._ciphers.get(sealed[:_KEY_ID_BYTES])
        if cipher is None:
            raise SecretUnreadable("it was sealed with a key that is neither current nor accepted")
        nonce, text = sealed[_KEY_ID_BYTES:][:_NONCE_BYTES], sealed[_KEY_ID_BYTES + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, text, owner.bytes).decode()
        except (InvalidTag, ValueError):
            raise SecretUnreadable("it was altered, or belongs to somebody else") from None

    def is_outdated(self, sealed: bytes) -> bool:
        return sealed[:_KEY_ID_BYTES] != self._current
