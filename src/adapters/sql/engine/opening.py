"""The one place that chooses the engine. What it does not choose is not imported: it would be a tenth of a start."""

from sqlalchemy import URL

from adapters.sql.dialects.base import Dialect, Limits
from adapters.sql.engine.port import Engine
from adapters.sql.settings import DatabaseSettings
from adapters.sql.sqlite_file import FileGuard


def open_engine(
    settings: DatabaseSettings, url: URL, dialect: Dialect, limits: Limits, guard: FileGuard | None
) -> Engine:
    """Return what runs statements at `url`; no connection is made before it is needed. `guard`: of the SQLite file."""
    if settings.engine == "plain":
        from adapters.sql.engine.plain import PlainEngine  # noqa: PLC0415 # see above

        return PlainEngine(settings, url, dialect, limits, guard)
    if guard is not None:
        from adapters.sql.engine.fast.sqlite.engine import SqliteEngine  # noqa: PLC0415 # see above

        return SqliteEngine(
            guard,
            limits,
            connections=settings.pool_size,
            turn_seconds=settings.pool_timeout_seconds,
            full=settings.survives_power_loss,
        )
    from adapters.sql.engine.fast.servers.engine import ServerEngine  # noqa: PLC0415 # see above

    return ServerEngine(
        url,
        dialect,
        limits,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
        pool_timeout_seconds=settings.pool_timeout_seconds,
        ping_after_idle_seconds=settings.ping_after_idle_seconds,
    )
