"""Identifiers: UUIDv7 (RFC 9562), so that sorting by id is sorting by time of creation.

The application's id generator writes the microsecond into the id (RFC 9562, section 6.2, method 3);
keyset pages rely on it: newest first is `id` descending, and a time bound is an id bound.
"""

from datetime import UTC, datetime, timedelta
from typing import NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)
PostId = NewType("PostId", UUID)
OrderId = NewType("OrderId", UUID)
WebhookId = NewType("WebhookId", UUID)
DeliveryId = NewType("DeliveryId", UUID)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)
_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62


def smallest_id_at(at: datetime) -> UUID:
    """Return the least UUIDv7 of this moment, for time bounds: an id is not below it just if it is not older.

    `since` is `id >= smallest_id_at(since)`, and `until`, exclusive, is `id < smallest_id_at(until)`. 48 bits are Unix
    milliseconds, then come the microseconds within the millisecond as a fraction of 4096 in `rand_a` (section 6.2,
    method 3). A microsecond is 4.096 such units, so different microseconds make different ids, in their order.
    """
    return UUID(int=smallest_number_at(at))


def timestamp_of(id: UUID) -> datetime:
    """Return the microsecond that the application's id generator wrote into an id."""
    number = id.int
    # A fraction that is not of ours may be anything up to 4095/4096.
    microseconds = min(((number >> 64 & 0xFFF) * 1000 + 4095) // 4096, 999)
    return _EPOCH + (number >> 80) * _MILLISECOND + microseconds * _MICROSECOND


def smallest_number_at(at: datetime) -> int:
    """Return `smallest_id_at` as a number."""
    milliseconds, microseconds = divmod((at - _EPOCH) // _MICROSECOND, 1000)
    return milliseconds << 80 | _VERSION | (microseconds * 4096 // 1000) << 64 | _VARIANT
