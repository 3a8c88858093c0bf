"""The product in this very process: its ASGI application over SQLite, asked without a socket.

For what a socket would blur: counting instructions, and telling one layer's time from another's. Everything is on, as
`postern serve` has it in production; only the server around it is missing.
"""

import asyncio
import json
import secrets
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.sql.schema.migrate import upgrade
from bench.limits import out_of_the_way
from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.settings import Settings

HOST: Final = b"127.0.0.1:8000"
_PASSWORD: Final = "a quiet harbour at dawn"

Headers = tuple[tuple[bytes, bytes], ...]


class Refused(Exception):
    """An answer that nobody asked for: a figure of it would be of something else."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, ready to be sent again and again."""

    scope: Mapping[str, Any]
    body: bytes
    expected: int


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def asked(
    method: str, path: str, *, token: str = "", body: object = None, expected: int = 200, more: Headers = ()
) -> Asked:
    """Prepare a request as a server hands it on."""
    path, _, query = path.partition("?")
    raw = b"" if body is None else json.dumps(body).encode()
    headers: list[tuple[bytes, bytes]] = [(b"host", HOST), (b"user-agent", b"bench"), (b"accept", b"*/*")]
    if token:
        headers.append((b"authorization", b"Bearer " + token.encode()))
    if body is not None:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*headers, *more],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8_000),
        "extensions": {},
    }
    return Asked(scope, raw, expected)


class InProcess:
    """The application, started."""

    def __init__(self, app: Any, container: Container, file: Path) -> None:
        self.app = app
        self.container = container
        self.file = file

    async def ask(self, request: Asked) -> Answered:
        """Raises `Refused` for another status than the expected one."""
        sent: list[Any] = []
        pending = {"type": "http.request", "body": request.body, "more_body": False}

        async def receive() -> Any:
            return pending

        async def send(message: Any) -> None:
            sent.append(message)

        # A scope of its own each time, as a server makes it: the application may write into it.
        await self.app({**request.scope, "headers": list(request.scope["headers"]), "state": {}}, receive, send)
        status = sent[0]["status"]
        body = b"".join(message.get("body", b"") for message in sent[1:])
        if status != request.expected:
            raise Refused(f"{request.scope['path']}: {status} instead of {request.expected}: {body[:200]!r}")
        return Answered(status, dict(sent[0]["headers"]), body)

    async def sign_up(self, name: str) -> str:
        """Return an access token of somebody new."""
        body = {"email": f"{name}@example.com", "password": _PASSWORD, "username": name}
        answer = await self.ask(asked("POST", "/api/v1/auth/signup", body=body, expected=201))
        token: str = answer.json()["access_token"]
        return token

    async def publish(self, token: str, text: str) -> str:
        """Return the new post's id."""
        answer = await self.ask(asked("POST", "/api/v1/posts", token=token, body={"text": text}, expected=201))
        id: str = answer.json()["id"]
        return id

    def statistics(self) -> None:
        """Have SQLite take stock, as it would have in a database that is older than a minute."""
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("ANALYZE")


@asynccontextmanager
async def in_process(folder: Path, **settings: str) -> AsyncIterator[InProcess]:
    """Build and start the application over a new SQLite file in `folder`; `settings` come on top of production's."""
    file = folder / "inprocess.db"
    url = f"sqlite+aiosqlite:///{file}"
    if not file.exists():
        await asyncio.to_thread(upgrade, url)
    environment = {
        "ENVIRONMENT": "production",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "DATABASE_URL": url,
        **out_of_the_way(),
        **settings,
    }
    container = Container(settings=Settings.load(environment))
    app = create_app(container)
    async with _lifespan(app):
        yield InProcess(app, container, file)


@asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    """Do what a server does before the first request and after the last. Raises `Refused`."""
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, to_app.get, from_app.put))

    async def go_through(moment: str) -> None:
        to_app.put_nowait({"type": f"lifespan.{moment}"})
        told = asyncio.create_task(from_app.get())
        await asyncio.wait({told, task}, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            told.cancel()
            await task  # raises why it ended, as a rule
            raise Refused(f"the application ended at its {moment}")
        if (message := told.result())["type"] != f"lifespan.{moment}.complete":
            raise Refused(f"{message}")

    await go_through("startup")
    try:
        yield
    finally:
        await go_through("shutdown")
        await task
