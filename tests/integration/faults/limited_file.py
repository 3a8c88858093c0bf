"""Writes to SQLite in a process whose files must not grow beyond two megabytes, and says how that fails."""

import asyncio
import resource
import signal
import sys
import tempfile
from pathlib import Path

from adapters.sql.database import Database, DatabaseSettings
from adapters.sql.schema.migrate import upgrade
from application.shared.errors import StorageUnavailable
from entrypoints.storage import sql_storage
from tests.builders import a_post, a_user
from tests.contracts.scenarios import given


async def write(url: str) -> None:
    database = Database(DatabaseSettings(url=url))
    storage = sql_storage(database)
    user = a_user()
    await given(storage, user)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, resource.RLIM_INFINITY))
    try:
        for _ in range(2_000):
            await given(storage, a_post(user, text="a long text " * 500))
    except StorageUnavailable as failure:
        sys.stdout.write(f"{type(failure).__name__}: {failure}\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await given(storage, a_user())
    await storage.close()


with tempfile.TemporaryDirectory() as folder:
    url = f"sqlite+aiosqlite:///{Path(folder) / 'postern.db'}"
    upgrade(url)
    asyncio.run(write(url))
