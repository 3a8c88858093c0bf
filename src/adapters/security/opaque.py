"""Opaque secrets that are stored as hashes: mailed tokens, recovery codes, API keys.

A plain SHA-256 is enough for each: they are random, of 80 bits at the least, so there is nothing to guess.
"""

import re
import secrets
from hashlib import sha256
from typing import Final
from zlib import crc32

from adapters.security import base64url
from application.identity.credentials import ApiKeys, NewApiKey, OneTimeTokens, RecoveryCodes
from domain.identity.api_key import ApiKeyHash
from domain.identity.errors import InvalidToken
from domain.identity.one_time_token import OneTimeTokenHash
from domain.identity.second_factor import RecoveryCodeHash
from domain.shared.ids import UserId

_TOKEN_BYTES: Final = 32

_CODE_LETTERS: Final = "abcdefghjkmnpqrstvwxyz0123456789"
"""32 characters after Crockford: without `i`, `l`, `o`, `u`, which are misread."""
_CODE_LENGTH: Final = 16
_MISREAD: Final = str.maketrans({"i": "1", "l": "1", "o": "0", "-": None, " ": None})

API_KEY_PREFIX: Final = "pk_"
"""Makes a leaked key recognisable to secret scanners and to people, and tells it from an access token at a glance."""
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 43
"""Characters of base62 for 256 bits."""
_CHECKSUM_LENGTH: Final = 6
"""Characters of base62 for 32 bits."""
_API_KEY: Final = re.compile(rf"pk_([0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})", re.ASCII)
_HINT_LENGTH: Final = 4


class RandomOneTimeTokens(OneTimeTokens):
    def new(self) -> str:
        return base64url.encode(secrets.token_bytes(_TOKEN_BYTES))

    def hash(self, token: str) -> OneTimeTokenHash:
        return OneTimeTokenHash(sha256(token.encode("utf-8", "surrogatepass")).digest())


class RandomRecoveryCodes(RecoveryCodes):
    """Codes such as `k3vd-0x9m-trqa-77fe`: 16 characters of 5 bits each.

    The owner's id goes into the hash, so that a stolen table is not searched for all accounts at once.
    """

    def new(self, count: int) -> list[str]:
        return [self._one() for _ in range(count)]

    def hash(self, code: str, *, owner: UserId) -> RecoveryCodeHash:
        plain = code[:64].lower().translate(_MISREAD)
        return RecoveryCodeHash(sha256(b"recovery" + owner.bytes + plain.encode("utf-8", "surrogatepass")).digest())

    @staticmethod
    def _one() -> str:
        letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))
        return "-".join(letters[at : at + 4] for at in range(0, _CODE_LENGTH, 4))


class ChecksummedApiKeys(ApiKeys):
    """`pk_`, 256 random bits, and a CRC-32 of them, both in base62: a typing error costs no look-up."""

    def new(self) -> NewApiKey:
        secret = _base62(secrets.randbits(256), _SECRET_LENGTH)
        text = API_KEY_PREFIX + secret + _checksum(secret)
        return NewApiKey(text, text[-_HINT_LENGTH:])

    def hash(self, text: str) -> ApiKeyHash:
        match = _API_KEY.fullmatch(text)
        if match is None or _checksum(match[1]) != match[2]:
            raise InvalidToken
        return ApiKeyHash(sha256(text.encode("ascii")).digest())


def _checksum(secret: str) -> str:
    return _base62(crc32(secret.encode("ascii")), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
