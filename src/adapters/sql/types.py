"""Column types that mean the same on every database.

Identifiers and times come twice: as the value that an aggregate holds (`UUID`, `datetime`), and as the text that a
view shows. A read coerces the column to the second, so that a row goes to the wire with one conversion, or with none
where the database stores that very text (times on SQLite).

What only one database has is imported when that one is asked for: SQLAlchemy's dialects are a tenth of a start.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import BINARY, DATETIME, TIMESTAMP, VARBINARY, DateTime, Dialect, LargeBinary, String, Text
from sqlalchemy import types as sqltypes
from sqlalchemy.types import TypeDecorator, TypeEngine

from application.shared.views import timestamp


class Process(Protocol):
    """Converts one value, on its way to the driver or from it."""

    def __call__(self, value: Any) -> Any: ...


def _if_present(convert: Callable[[Any], Any]) -> Process:
    def process(value: Any) -> Any:
        return None if value is None else convert(value)

    return process


# Remembered, because authors repeat on a page, and hot posts from one read to the next; all of it in C.
@lru_cache(maxsize=4096)
def id_text(stored: bytes | UUID) -> str:
    """Return what a driver gives for a `StoredId` as the text that views show."""
    return str(stored) if isinstance(stored, UUID) else _dashed(stored.hex())


@lru_cache(maxsize=4096)
def _uuid_text(stored: bytes | None) -> str | None:
    return None if stored is None else _dashed(stored.hex())


def _dashed(digits: str) -> str:
    # Half the time of str(UUID(bytes=…)), which a page of 100 posts takes 200 times.
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _uuid(stored: bytes) -> UUID:
    return UUID(bytes=stored)


def _uuid_bytes(value: UUID | None) -> bytes | None:
    # As `UUID.bytes` does, which is a property that is written in Python.
    return None if value is None else value.int.to_bytes(16, "big")


class _BinaryUuid(BINARY):
    """A UUID in 16 bytes, in network order: its order as bytes is its order as a number."""

    def bind_processor(self, dialect: Dialect) -> Process:
        del dialect
        return _uuid_bytes

    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del dialect, coltype
        return _if_present(_uuid)


class _BlobUuid(LargeBinary):
    def bind_processor(self, dialect: Dialect) -> Process:
        del dialect
        return _uuid_bytes

    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del dialect, coltype
        return _if_present(_uuid)


class _UuidText(TypeEngine[str]):
    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del dialect, coltype
        return _uuid_text


class Id(TypeDecorator[UUID]):
    """A UUID: BINARY(16), `uuid` or a BLOB of 16 bytes. UUIDv7s sort by time in each (RFC 9562, section 6.11)."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sqltypes.UUID(as_uuid=True))
        return _BinaryUuid(16) if dialect.name == "mysql" else _BlobUuid(16)


class _NoConversion(TypeEngine[Any]):
    """Nothing is converted."""


class IdText(TypeDecorator[str]):
    """An `Id` column, read as the text that views show."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(sqltypes.UUID(as_uuid=False)) if dialect.name == "postgresql" else _UuidText()


class StoredId(TypeDecorator[bytes | UUID]):
    """An `Id` column as the driver gives it, for who makes its text by `id_text`: a page does so as it makes views."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        del dialect
        return _NoConversion()


def _number_in_bytes(value: bytes) -> int:
    return int.from_bytes(value)


def _number_of_uuid(value: UUID) -> int:
    return value.int


class _NumberOfUuid(TypeEngine[int]):
    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del coltype
        # asyncpg returns a UUID of its own, the others what is stored.
        return _number_of_uuid if dialect.name == "postgresql" else _number_in_bytes


class IdNumber(TypeDecorator[int]):
    """An `Id` column that is never NULL, read as its number: for look-ups in memory, where a UUID's hash is dear."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        del dialect
        return _NumberOfUuid()


def _utc_naive(timestamp: datetime) -> datetime:
    if timestamp.tzinfo is None:
        raise ValueError("a time without a zone is no moment")
    return timestamp.astimezone(UTC).replace(tzinfo=None)


def _as_utc(stored: datetime) -> datetime:
    return stored.replace(tzinfo=UTC)


# Remembered for the same reasons; and most posts were never edited, so that both of their times are one.
@lru_cache(maxsize=4096)
def _iso(stored: datetime | None) -> str | None:
    # asyncpg returns UTC for every `timestamptz`, and `timestamp` drops the zone without looking at it.
    return None if stored is None else timestamp(stored)


# Remembered, because a use case stores its one moment several times. Moments that are equal have one text, in any zone.
@lru_cache(maxsize=64)
def _iso_utc(value: datetime | None) -> str | None:
    if value is None:
        return None
    return timestamp(value if value.tzinfo is UTC else _utc_naive(value))


class _MysqlTimestamp(DATETIME):
    """DATETIME(6) in UTC. The driver drops an offset without a word, so it is converted here."""

    fsp = 6  # what the compiler asks `mysql.DATETIME` for

    def bind_processor(self, dialect: Dialect) -> Process:
        del dialect
        return _if_present(_utc_naive)

    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del dialect, coltype
        return _if_present(_as_utc)


class _TextTimestamp(String):
    """RFC 3339 in UTC with six digits and `Z`: of fixed width, so that text order is time order."""

    def bind_processor(self, dialect: Dialect) -> Process:
        del dialect
        return _iso_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del dialect, coltype
        return _if_present(datetime.fromisoformat)


class _TimestampText(TypeEngine[str]):
    # Not a DateTime: dialects exchange the types they know for their own, which would lose this processor.
    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del dialect, coltype
        return _iso


class Timestamp(TypeDecorator[datetime]):
    """An aware time in UTC, to the microsecond: DATETIME(6), `timestamptz`, or text of 27 characters on SQLite."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return _MysqlTimestamp() if dialect.name == "mysql" else _TextTimestamp(27)


class TimestampText(TypeDecorator[str]):
    """A `Timestamp` column, read as the text that views show."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text() if dialect.name == "sqlite" else _TimestampText()


class CanonicalKey(TypeDecorator[str]):
    """Text that is compared byte by byte, as UTF-8: collations disagree on case, accents and trailing spaces.

    `length` is in bytes.
    """

    impl = LargeBinary
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return _bytea(dialect)
        binary = VARBINARY(self.length) if dialect.name == "mysql" else LargeBinary(self.length)
        return dialect.type_descriptor(binary)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        del dialect
        return None if value is None else value.encode()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else value.decode()


class Octets(TypeDecorator[bytes]):
    """A few bytes, as many as `length` at the most: VARBINARY, `bytea` or a BLOB."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return _bytea(dialect)
        binary = VARBINARY(self.length) if dialect.name == "mysql" else LargeBinary(self.length)
        return dialect.type_descriptor(binary)


class Digest(TypeDecorator[bytes]):
    """A SHA-256 digest: BINARY(32), `bytea` or a BLOB."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return _bytea(dialect)
        return BINARY(32) if dialect.name == "mysql" else dialect.type_descriptor(LargeBinary(32))


class _LongText(TypeDecorator[str]):
    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "mysql":
            return Text()
        from sqlalchemy.dialects.mysql import MEDIUMTEXT  # noqa: PLC0415 # see above

        return MEDIUMTEXT()


class _AsciiText(TypeDecorator[str]):
    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "mysql":
            return Text()
        from sqlalchemy.dialects.mysql import MEDIUMTEXT  # noqa: PLC0415 # see above

        return MEDIUMTEXT(charset="ascii", collation="ascii_bin")


class _LongBytes(TypeDecorator[bytes]):
    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "mysql":
            return LargeBinary()
        from sqlalchemy.dialects.mysql import MEDIUMBLOB  # noqa: PLC0415 # see above

        return MEDIUMBLOB()


def _bytea(dialect: Dialect) -> TypeEngine[Any]:
    from sqlalchemy.dialects.postgresql import BYTEA  # noqa: PLC0415 # see above

    return dialect.type_descriptor(BYTEA())


LONG_TEXT = _LongText()
"""Up to 1 MiB of UTF-8: MEDIUMTEXT, because MySQL's TEXT ends at 64 KiB."""

ASCII_TEXT = _AsciiText()
"""Up to 16 MB of ASCII, compared byte by byte."""

LONG_BYTES = _LongBytes()
"""Up to 16 MB: MEDIUMBLOB, because MySQL's BLOB ends at 64 KiB."""
