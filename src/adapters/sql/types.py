"""Column types that mean the same on every database.

Identifiers and times come twice: as the value that an aggregate holds (`UUID`, `datetime`), and as the text that a
view shows. A read coerces the column to the second, so that a row goes to the wire with one conversion, or with none
where the database stores that very text (times on SQLite).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import BINARY, DateTime, Dialect, LargeBinary, String, Text
from sqlalchemy.dialects import mysql, postgresql
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
def _uuid_text(stored: bytes | None) -> str | None:
    if stored is None:
        return None
    # Half the time of str(UUID(bytes=…)), which a page of 100 posts takes 200 times.
    digits = stored.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _uuid(stored: bytes) -> UUID:
    return UUID(bytes=stored)


def _uuid_bytes(value: UUID) -> bytes:
    return value.bytes


class _BinaryUuid(BINARY):
    """A UUID in 16 bytes, in network order: its order as bytes is its order as a number."""

    def bind_processor(self, dialect: Dialect) -> Process:
        del dialect
        return _if_present(_uuid_bytes)

    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del dialect, coltype
        return _if_present(_uuid)


class _BlobUuid(LargeBinary):
    def bind_processor(self, dialect: Dialect) -> Process:
        del dialect
        return _if_present(_uuid_bytes)

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
            return dialect.type_descriptor(postgresql.UUID(as_uuid=True))
        return _BinaryUuid(16) if dialect.name == "mysql" else _BlobUuid(16)


class IdText(TypeDecorator[str]):
    """An `Id` column, read as the text that views show."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(postgresql.UUID(as_uuid=False)) if dialect.name == "postgresql" else _UuidText()


def _utc_naive(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is no moment")
    return moment.astimezone(UTC).replace(tzinfo=None)


def _as_utc(stored: datetime) -> datetime:
    return stored.replace(tzinfo=UTC)


def _iso(stored: datetime) -> str:
    # asyncpg returns UTC for every `timestamptz`, and `timestamp` drops the zone without looking at it.
    return timestamp(stored)


def _iso_utc(moment: datetime) -> str:
    return timestamp(_utc_naive(moment))


class _MysqlMoment(mysql.DATETIME):
    """DATETIME(6) in UTC. The driver drops an offset without a word, so it is converted here."""

    def bind_processor(self, dialect: Dialect) -> Process:
        del dialect
        return _if_present(_utc_naive)

    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del dialect, coltype
        return _if_present(_as_utc)


class _TextMoment(String):
    """RFC 3339 in UTC with six digits and `Z`: of fixed width, so that text order is time order."""

    def bind_processor(self, dialect: Dialect) -> Process:
        del dialect
        return _if_present(_iso_utc)

    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del dialect, coltype
        return _if_present(datetime.fromisoformat)


class _MomentText(TypeEngine[str]):
    # Not a DateTime: dialects exchange the types they know for their own, which would lose this processor.
    def result_processor(self, dialect: Dialect, coltype: object) -> Process:
        del dialect, coltype
        return _if_present(_iso)


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC, to the microsecond: DATETIME(6), `timestamptz`, or text of 27 characters on SQLite."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return _MysqlMoment(fsp=6) if dialect.name == "mysql" else _TextMoment(27)


class MomentText(TypeDecorator[str]):
    """A `Moment` column, read as the text that views show."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text() if dialect.name == "sqlite" else _MomentText()


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
            return dialect.type_descriptor(postgresql.BYTEA())
        binary = mysql.VARBINARY(self.length) if dialect.name == "mysql" else LargeBinary(self.length)
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
            return dialect.type_descriptor(postgresql.BYTEA())
        binary = mysql.VARBINARY(self.length) if dialect.name == "mysql" else LargeBinary(self.length)
        return dialect.type_descriptor(binary)


class Digest(TypeDecorator[bytes]):
    """A SHA-256 digest: BINARY(32), `bytea` or a BLOB."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.BYTEA())
        return BINARY(32) if dialect.name == "mysql" else dialect.type_descriptor(LargeBinary(32))


LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
"""Up to 1 MiB of UTF-8: MEDIUMTEXT, because MySQL's TEXT ends at 64 KiB."""

ASCII_TEXT = Text().with_variant(mysql.MEDIUMTEXT(charset="ascii", collation="ascii_bin"), "mysql")
"""Up to 16 MB of ASCII, compared byte by byte."""

LONG_BYTES = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")
"""Up to 16 MB: MEDIUMBLOB, because MySQL's BLOB ends at 64 KiB."""
