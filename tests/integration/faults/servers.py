"""Database servers of one's own, to be filled, frozen and switched to read-only; and a disk of a few megabytes."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url

from tests.backends import missing
from tests.integration.cache.servers import free_port

START_SECONDS = 60
FILLER = "filler"


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that servers reach under users of their own: pytest's folders are of mode 0700."""
    with tempfile.TemporaryDirectory(prefix="postern-server-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of so many megabytes in memory. Skips where that is not allowed."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=1777", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
        missing("a small file system can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Mount what is in `folder` once more, so that nobody can write to it there, until `writable`."""
    view = folder.with_name(f"{folder.name}-view")
    view.mkdir()
    commands = (["mount", "--bind", str(folder), str(view)], ["mount", "-o", "remount,bind,ro", str(view)])
    try:
        for command in commands:
            if subprocess.run(command, capture_output=True, check=False).returncode != 0:
                missing("a file system can only be mounted by root")
        yield view
    finally:
        subprocess.run(["umount", "--lazy", str(view)], check=False)


def writable(view: Path) -> None:
    subprocess.run(["mount", "-o", "remount,bind,rw", str(view)], check=True)


def fill(folder: Path) -> None:
    """Leave no byte free on the disk of the folder."""
    with (folder / FILLER).open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def free(folder: Path) -> None:
    (folder / FILLER).unlink()


class DatabaseServer(ABC):
    """One server in a folder of its own, over TCP on a port of its own."""

    name: str
    admin: URL

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _prepare(self) -> None: ...

    def start(self) -> None:
        if not (self.folder / "data").exists():
            self._prepare()
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen[bytes](self._command(), stdout=log, stderr=log, **_as_user(self.name))
        self._process = process
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)

    def answers(self) -> bool:
        return self._client("SELECT 1", None).returncode == 0

    def say(self, *statements: str, database: str | None = None) -> str:
        """Run statements as the administrator, each by itself; return what the last one says."""
        told = ""
        for statement in statements:
            done = self._client(statement, database)
            assert done.returncode == 0, done.stderr
            told = done.stdout.strip()
        return told

    @abstractmethod
    def _client(self, statement: str, database: str | None) -> "subprocess.CompletedProcess[str]": ...

    def database(self, name: str = "postern") -> str:
        """Make a database, and return its URL."""
        self.say(f"CREATE DATABASE {name}")
        return self.admin.set(database=name).render_as_string(hide_password=False)

    def freeze(self) -> None:
        """Stop it and all its processes, which keep their connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGINT if self.name == "postgresql" else signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait(20)
            self._process = None

    def kill(self) -> None:
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait(20)
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        for pid in [self._process.pid, *_children(self._process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class MariaDbServer(DatabaseServer):
    name = "mariadb"

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self._options = options
        self.admin = make_url(f"mysql+asyncmy://root@127.0.0.1:{self.port}/")

    def _prepare(self) -> None:
        install, _ = _tool("mariadb-install-db"), _tool("mariadbd")
        (self.folder / "data").mkdir()
        _own(self.folder, self.name)
        subprocess.run(
            [
                install,
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *_SMALL,
                *([f"--user={user}"] if (user := _user_of(self.name)) else []),
            ],
            check=True,
            capture_output=True,
        )

    def _client(self, statement: str, database: str | None) -> "subprocess.CompletedProcess[str]":
        where: tuple[str, ...] = (
            "--no-defaults",
            "--host=127.0.0.1",
            f"--port={self.port}",
            "--user=root",
            "--connect-timeout=5",
        )
        command = [
            _tool("mariadb"),
            *where,
            "--skip-column-names",
            "--execute",
            statement,
            *([] if database is None else [database]),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def _command(self) -> list[str]:
        return [
            _tool("mariadbd"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder / 'sock'}",
            f"--pid-file={self.folder / 'pid'}",
            *_SMALL,
            *self._options,
        ]


_SMALL = ("--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M", "--aria-log-file-size=8M")


class PostgresqlServer(DatabaseServer):
    name = "postgresql"

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self._options = options
        self.admin = make_url(f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/postgres")

    def _prepare(self) -> None:
        initdb = _tool("initdb")
        _own(self.folder, self.name)
        data = str(self.folder / "data")
        subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--wal-segsize=1"],
            check=True,
            capture_output=True,
            **_as_user(self.name),
        )

    def _client(self, statement: str, database: str | None) -> "subprocess.CompletedProcess[str]":
        where: list[str] = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database or "postgres"]
        command = [_tool("psql"), *where, "--no-psqlrc", "--tuples-only", "--no-align", "-c", statement]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def _command(self) -> list[str]:
        own = ("fsync=off", "max_wal_size=4MB", "min_wal_size=2MB", "shared_buffers=8MB", *self._options)
        options = [word for option in own for word in ("-c", option)]
        return [
            _tool("postgres"),
            *("-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1"),
            *("-k", str(self.folder)),
            *options,
        ]


SERVERS: dict[str, Callable[[Path], DatabaseServer]] = {"mariadb": MariaDbServer, "postgresql": PostgresqlServer}


def _tool(name: str) -> str:
    found: str | None = shutil.which(name)
    if found is None:
        places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
        found = str(places[0]) if places else None
    return found or missing(f"no {name} to start a server with")


def _user_of(server: str) -> str | None:
    """Return whom the server runs as: they refuse to be root."""
    return {"mariadb": "mysql", "postgresql": "postgres"}[server] if os.geteuid() == 0 else None


def _as_user(server: str) -> dict[str, Any]:
    user = _user_of(server)
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def _own(folder: Path, server: str) -> None:
    user = _user_of(server)
    if user is None:
        return
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user, user)


def _children(parent: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in task.read_text().split()]
    return found
