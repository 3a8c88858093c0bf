"""Identifiers: UUIDv7 (RFC 9562), so that sorting by id is sorting by time of creation.

The application's id generator writes the microsecond into the id (RFC 9562, section 6.2, method 3);
keyset pages rely on it: newest first is `id` descending, and a time bound is an id bound.
"""

from typing import NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)
PostId = NewType("PostId", UUID)
