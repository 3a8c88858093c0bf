"""What differs between the databases, one module each; nothing outside of here asks which one it is.

Each is imported when it is first asked for, and with it SQLAlchemy's own dialect: two that nobody needs would be a
tenth of a start.
"""

from functools import cache

from sqlalchemy import URL

from adapters.sql.dialects.base import Dialect

_DRIVERS = ("mysql+asyncmy", "postgresql+asyncpg", "sqlite+aiosqlite")


def dialect_of(url: URL) -> Dialect:
    """Return the dialect of a database URL. Raises `ValueError` for a driver that we do not know."""
    return _dialect(url.drivername)


@cache
def _dialect(driver: str) -> Dialect:
    match driver:
        case "mysql+asyncmy":
            from adapters.sql.dialects.mysql import MysqlDialect  # noqa: PLC0415 # see above

            return MysqlDialect()
        case "postgresql+asyncpg":
            from adapters.sql.dialects.postgresql import PostgresqlDialect  # noqa: PLC0415 # see above

            return PostgresqlDialect()
        case "sqlite+aiosqlite":
            from adapters.sql.dialects.sqlite import SqliteDialect  # noqa: PLC0415 # see above

            return SqliteDialect()
        case _:
            raise ValueError(f"unknown database driver {driver!r}: expected one of {', '.join(_DRIVERS)}")
