"""What differs between the databases, one module each; nothing outside of here asks which one it is."""

from sqlalchemy import URL

from adapters.sql.dialects.base import Dialect
from adapters.sql.dialects.mysql import MysqlDialect
from adapters.sql.dialects.postgresql import PostgresqlDialect
from adapters.sql.dialects.sqlite import SqliteDialect

_DIALECTS: dict[str, Dialect] = {
    "mysql+asyncmy": MysqlDialect(),
    "postgresql+asyncpg": PostgresqlDialect(),
    "sqlite+aiosqlite": SqliteDialect(),
}


def dialect_of(url: URL) -> Dialect:
    """Return the dialect of a database URL. Raises `ValueError` for a driver that we do not know."""
    dialect = _DIALECTS.get(url.drivername)
    if dialect is None:
        raise ValueError(f"unknown database driver {url.drivername!r}: expected one of {', '.join(_DIALECTS)}")
    return dialect
