"""Storage that fails under load: `python -m tools.torture_storage [sqlite] [mariadb] [postgresql]`, as root.

A server of Postern with two workers is driven by writers that send an `Idempotency-Key` with each post and repeat what
was not answered. Meanwhile its database, one of its own, is killed ten times, frozen, filled and mended; or its SQLite
file is locked, lost and brought back, and its disk filled. In the end every acknowledged post is there, none twice, no
answer came later than a second after the deadline, none was a 500, and all is ready again.
"""

import http.client
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.integration.cache.servers import free_port
from tests.integration.faults.servers import SERVERS, DatabaseServer, fill, free, open_folder, small_disk

WRITERS: Final = 8
DEADLINE: Final = 5.0
KILLS: Final = 10
MEGABYTES: Final = 220
PAUSE_SECONDS: Final = 3.0
MENDED_SECONDS: Final = 150


@dataclass
class Postern:
    """A server, and writers who keep count of what it acknowledged."""

    folder: Path
    url: str
    port: int = field(default_factory=free_port)
    acknowledged: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    stopping: threading.Event = field(default_factory=threading.Event)
    token: str = ""

    def start(self) -> "subprocess.Popen[bytes]":
        program = str(Path(sys.executable).parent / "postern")
        environment = {
            **os.environ,
            "DATABASE_URL": self.url,
            "PORT": str(self.port),
            "WORKERS": "2",
            "RATE_LIMIT_ENABLED": "false",
            "REQUEST_DEADLINE_SECONDS": str(DEADLINE),
            "REQUEST_LOG": "false",
        }
        migrate, serve = [program, "migrate"], [program, "serve"]
        subprocess.run(migrate, cwd=self.folder, env=environment, check=True, capture_output=True)  # noqa: S603 # our own
        log = (self.folder / "postern.log").open("wb")
        process = subprocess.Popen(serve, cwd=self.folder, env=environment, stdout=log, stderr=log)  # noqa: S603 # our own
        self.until_ready()
        status, body = self.ask(
            "POST", "/api/v1/auth/signup", {"email": "a@example.com", "password": "at dawn a quiet sea"}
        )
        if status != 201:
            raise SystemExit(f"signing up: {status} {body}")
        self.token = body["access_token"]
        return process

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        if not self.token:
            del headers["Authorization"]
        if key:
            headers["Idempotency-Key"] = key
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        with connection.getresponse() as response:
            text = response.read()
        connection.close()
        return response.status, json.loads(text) if text else None

    def write(self, writer: int) -> None:
        number = 0
        while not self.stopping.is_set():
            number += 1
            text = f"writer {writer} post {number} " + "x" * 2_000
            while not self.stopping.is_set():
                begun = time.monotonic()
                try:
                    status, _ = self.ask("POST", "/api/v1/posts", {"text": text}, key=f"{writer}-{number}")
                except OSError:
                    status = 0
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.statuses[status] += 1
                if status == 201:
                    self.acknowledged.append(f"writer {writer} post {number}")
                    break
                time.sleep(0.1)

    def until_ready(self, status: int = 200) -> float:
        begun = time.monotonic()
        while time.monotonic() - begun < MENDED_SECONDS:
            try:
                if self.ask("GET", "/health/ready")[0] == status:
                    return time.monotonic() - begun
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"never became {status}: {(self.folder / 'postern.log').read_text()[-4000:]}")

    def posts(self) -> Counter[str]:
        found: Counter[str] = Counter()
        cursor = ""
        while True:
            _, page = self.ask("GET", f"/api/v1/users/me/posts?limit=100{cursor}")
            found.update(" ".join(post["text"].split()[:4]) for post in page["items"])
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def fault(postern: Postern, name: str, begin: Callable[[], object], end: Callable[[], object]) -> None:
    begin()
    seen = postern.until_ready(503)
    time.sleep(PAUSE_SECONDS)
    end()
    say(f"  {name}: ready 503 after {seen:.1f} s, 200 again {postern.until_ready():.1f} s after it was mended")


def drive(postern: Postern, faults: Callable[[], None]) -> bool:
    process = postern.start()
    writers = [threading.Thread(target=postern.write, args=(number,), daemon=True) for number in range(WRITERS)]
    try:
        for writer in writers:
            writer.start()
        time.sleep(PAUSE_SECONDS)
        faults()
        time.sleep(PAUSE_SECONDS)
        postern.stopping.set()
        for writer in writers:
            writer.join()
        found = postern.posts()
    finally:
        postern.stopping.set()
        process.terminate()
        process.wait(30)
    lost = [text for text in postern.acknowledged if text not in found]
    twice = [text for text, count in found.items() if count > 1]
    tracebacks = (postern.folder / "postern.log").read_text().count("Traceback")
    say(
        f"  {len(postern.acknowledged)} acknowledged, {len(lost)} lost, {len(twice)} twice; "
        f"slowest {postern.slowest:.1f} s (deadline {DEADLINE:.0f} s); "
        f"statuses {dict(postern.statuses)}; {tracebacks} tracebacks"
    )
    late = postern.slowest > DEADLINE + 1
    return not lost and not twice and not late and not postern.statuses[500] and not tracebacks


def sqlite(folder: Path) -> bool:
    with small_disk(folder / "disk", MEGABYTES) as disk:
        path, away = disk / "postern.db", disk / "away.db"
        postern = Postern(folder, f"sqlite:///{path}")

        def faults() -> None:
            other = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
            fault(postern, "locked by another process", lambda: other.execute("BEGIN IMMEDIATE"), other.rollback)
            other.close()
            fault(postern, "removed", lambda: path.rename(away), lambda: away.rename(path))

            def replace() -> None:
                path.rename(away)
                shutil.copy(away, path)

            fault(postern, "replaced", replace, lambda: away.replace(path))
            fault(postern, "disk full", lambda: fill(disk), lambda: free(disk))

        return drive(postern, faults)


def server(kind: str, folder: Path) -> bool:
    with small_disk(folder / "disk", MEGABYTES) as disk:
        database: DatabaseServer = SERVERS[kind](disk)
        database.start()
        try:
            postern = Postern(folder, database.database())

            def faults() -> None:
                for _ in range(KILLS):
                    database.kill()
                    database.start()
                    postern.until_ready()
                    time.sleep(0.5)
                say(f"  killed {KILLS} times")
                fault(postern, "frozen", database.freeze, database.thaw)
                fault(postern, "disk full", lambda: fill(disk), lambda: free(disk))

            return drive(postern, faults)
        finally:
            database.stop()


def main(kinds: list[str]) -> int:
    failed: list[str] = []
    for kind in kinds or ["sqlite", *sorted(SERVERS)]:
        say(kind)
        with open_folder() as folder:
            if not (sqlite(folder) if kind == "sqlite" else server(kind, folder)):
                failed.append(kind)
    say(f"failed: {', '.join(failed)}" if failed else "all held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
