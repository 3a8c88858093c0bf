"""The names of other libraries that this engine uses although they are private, and whether they are still there.

Nothing public does what they do. `tools.private_names` keeps them out of every other module, and `pyproject.toml` has
an upper bound for each of these libraries.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from sqlalchemy import Connection, Insert
from sqlalchemy.engine import RootTransaction

USED: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "sqlalchemy": {
        "connection": frozenset({"_transaction"}),
        "transaction": frozenset({"_deactivate_from_connection"}),
        "statement": frozenset({"_returning"}),
    },
    "asyncmy": {
        "driver": frozenset({"_read_timeout", "_result", "_transport"}),
        "adapter": frozenset({"_handle_exception"}),
    },
    "asyncpg": {"adapter": frozenset({"_handle_exception", "_start_transaction", "_transaction"})},
}
"""By library, and by what they are names of: `adapter` is SQLAlchemy's view of the driver's connection, `driver`."""


def require_private_names(connection: Connection) -> None:
    """Raise `RuntimeError`, which names what is gone, unless the installed libraries have all.

    `connection` is one that is open.
    """
    adapter: Any = connection.connection.dbapi_connection
    owners = {
        "connection": connection,
        "transaction": RootTransaction,
        "statement": Insert,
        "adapter": adapter,
        "driver": adapter.driver_connection,
    }
    for library in ("sqlalchemy", connection.dialect.driver):
        if gone := missing(library, owners):
            names = ", ".join(gone)
            raise RuntimeError(f"{library} {version(library)} has no {names}: set DATABASE_ENGINE=plain, and report it")


def missing(library: str, owners: Mapping[str, object]) -> list[str]:
    """Return which names of a library their owners do not have."""
    return sorted(
        f"{owner}.{name}"
        for owner, names in USED[library].items()
        for name in names
        if not hasattr(owners[owner], name)
    )
