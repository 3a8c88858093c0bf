"""Where a database is, in a module of its own: the settings are read where nobody needs SQLAlchemy."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where the database is, and how much of it one process may take. Times are in seconds."""

    url: str = field(repr=False)
    """`sqlite+aiosqlite:///…`, `mysql+asyncmy://…` or `postgresql+asyncpg://…`; it may hold a password."""
    engine: str = "fast"
    """Which engine runs the statements: `fast`, or `plain`, which uses public names of SQLAlchemy alone."""
    pool_size: int = 20
    """Connections kept open, one half of them for units of work: writers share the server's group commit. Many more
    help nobody on few cores, and a hundred workers share a server's limit."""
    max_overflow: int = 0
    """Connections beyond those, opened under load and closed as soon as they are given back. With 10 and 10, 64 writers
    opened and closed them without end, which cost a fifth to a quarter of the throughput (MariaDB, one core)."""
    pool_timeout_seconds: float = 5.0
    """How long to wait for a connection. Longer than that, the caller has given up."""
    connect_timeout_seconds: float = 5.0
    statement_timeout_seconds: float = 10.0
    """A hundred times what the slowest of our statements takes."""
    lock_timeout_seconds: float = 5.0
    """How long to wait for somebody else's lock before the unit of work counts as having lost the race."""
    survives_power_loss: bool = True
    """SQLite: whether a commit waits for the disk (`synchronous = FULL`). Servers have settings of their own."""
    ping_after_idle_seconds: float = 1.0
    """A pooled connection that has lain idle for longer is checked before it is used.

    Checking each time would cost every statement a second round trip; never checking would answer the first requests
    after a fail-over or a firewall's time-out with 503. Under load connections do not lie idle, so nothing is paid.
    """
