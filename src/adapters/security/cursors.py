"""Sealed cursors."""

import hmac
from typing import Final
from uuid import UUID

from adapters.security import base64url
from adapters.security.keys import DerivedKeys
from application.shared.paging import CursorCodec, InvalidCursor

_POSITION_BYTES: Final = 16
_SEAL_BYTES: Final = 16
_LENGTH: Final = 43
"""Characters of base64url, without padding, for 32 bytes."""


class HmacCursorCodec(CursorCodec):
    """base64url of the position's 16 bytes and 16 bytes of HMAC-SHA256 over scope and position.

    The seal binds a cursor to its list, and keeps positions that nobody gave out away from the database. 128 bits of
    it are as many as RFC 2104, section 5 asks for. Equal places make equal cursors.
    """

    def __init__(self, *, keys: DerivedKeys) -> None:
        self._keys = tuple(key.secret for key in keys.cursors)

    def encode(self, scope: str, position: UUID) -> str:
        place = position.bytes
        return base64url.encode(place + _seal(self._keys[0], scope, place))

    def decode(self, scope: str, cursor: str) -> UUID:
        if len(cursor) != _LENGTH:
            raise InvalidCursor
        try:
            octets = base64url.decode(cursor)
        except ValueError:
            raise InvalidCursor from None
        place, seal = octets[:_POSITION_BYTES], octets[_POSITION_BYTES:]
        if not any(hmac.compare_digest(seal, _seal(key, scope, place)) for key in self._keys):
            raise InvalidCursor
        return UUID(bytes=place)


def _seal(key: bytes, scope: str, place: bytes) -> bytes:
    # The place has a fixed length, so no two pairs of scope and place run together to the same text.
    return hmac.digest(key, scope.encode() + place, "sha256")[:_SEAL_BYTES]
