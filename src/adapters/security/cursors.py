"""Sealed cursors."""

import hmac
from typing import Final
from uuid import UUID

from adapters.security import base64url
from adapters.security.keys import DerivedKeys
from application.shared.paging import CursorCodec, InvalidCursor

_POSITION_BYTES: Final = 16
_SEAL_BYTES: Final = 16
_PLACE_MAX_BYTES: Final = 64
_LENGTH_MAX: Final = 107
"""Characters of base64url, without padding, for the longest place and its seal."""


class HmacCursorCodec(CursorCodec):
    """base64url of the place's bytes (16 for a mere position) and 16 bytes of HMAC-SHA256 over scope and place.

    The seal binds a cursor to its list, and keeps positions that nobody gave out away from the database. 128 bits of
    it are as many as RFC 2104, section 5 asks for. Equal places make equal cursors.
    """

    def __init__(self, *, keys: DerivedKeys) -> None:
        self._keys = tuple(key.secret for key in keys.cursors)

    def encode(self, scope: str, position: UUID) -> str:
        return self.seal(scope, position.bytes)

    def decode(self, scope: str, cursor: str) -> UUID:
        position = self.unseal(scope, cursor)
        if len(position) != _POSITION_BYTES:
            raise InvalidCursor
        return UUID(bytes=position)

    def seal(self, scope: str, position: bytes) -> str:
        if len(position) > _PLACE_MAX_BYTES:
            raise ValueError(f"a place takes at most {_PLACE_MAX_BYTES} bytes")
        return base64url.encode(position + _seal(self._keys[0], scope, position))

    def unseal(self, scope: str, cursor: str) -> bytes:
        if len(cursor) > _LENGTH_MAX:
            raise InvalidCursor
        try:
            octets = base64url.decode(cursor)
        except ValueError:
            raise InvalidCursor from None
        position, seal = octets[:-_SEAL_BYTES], octets[-_SEAL_BYTES:]
        if not any(hmac.compare_digest(seal, _seal(key, scope, position)) for key in self._keys):
            raise InvalidCursor
        return position


def _seal(key: bytes, scope: str, position: bytes) -> bytes:
    # The length goes first, so no two pairs of scope and place run together to the same text.
    return hmac.digest(key, len(position).to_bytes(1, "big") + scope.encode() + position, "sha256")[:_SEAL_BYTES]
