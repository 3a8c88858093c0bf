"""Every worker of every instance refuses a killed token or API key within a second: two instances of two workers each,
on MariaDB.
"""

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.sql.schema.migrate import upgrade
from tests.backends import Databases
from tests.integration.cli.conftest import Server, Shell, StartServer

pytestmark = pytest.mark.faults

PASSWORD = "a quiet harbour at dawn"
CONNECTIONS = 12
"""To each instance at first, and as many again while one of its workers has none."""
MOST_CONNECTIONS = 240
"""To both instances together."""
LIMIT_SECONDS = 1.0
PATIENCE_SECONDS = 60
"""Far more than a round over all connections takes, so that a busy machine does not fail the suite."""


@dataclass(frozen=True)
class Site:
    """Two instances on one database."""

    servers: tuple[Server, Server]
    admin: dict[str, str]
    worst: dict[str, float]


@dataclass(frozen=True)
class Pair:
    access_token: str
    refresh_token: str
    user_id: str
    email: str

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


@pytest.fixture(params=["alone", "with Redis"])
def site(request: pytest.FixtureRequest, shell: Shell, start: StartServer, databases: Databases) -> Iterator[Site]:
    variables = {
        "SECRET_KEY": "the same key for both instances, 48 bytes or more of it",
        "WORKERS": "2",
        "PASSWORD_HASH_MEMORY_KIB": "8192",
        "PASSWORD_HASH_ITERATIONS": "1",
    }
    if request.param == "with Redis":
        variables["REDIS_URL"] = request.getfixturevalue("redis_url")
    databases.url("mariadb")  # Skips, or fails in CI, without a server.
    url = databases.create("mariadb", "_revocation")
    upgrade(url)
    variables["DATABASE_URL"] = url
    made = shell.run(
        "create-admin", "--email", "root@example.org", "--username", "root", ADMIN_PASSWORD=PASSWORD, **variables
    )
    assert made.returncode == 0, made.stderr
    servers = (start(**variables), start(**variables))
    status, pair = servers[0].request("POST", "/api/v1/auth/login", {"email": "root@example.org", "password": PASSWORD})
    assert status == 200, pair
    found = Site(servers, {"Authorization": f"Bearer {pair['access_token']}"}, {})
    yield found
    logging.getLogger(__name__).warning("worst seconds from acknowledgement to the last success: %s", found.worst)
    for server in servers:
        server.stop()
    databases.drop("mariadb", url)


def signed_up(site: Site, name: str) -> Pair:
    email = f"{name}@example.org"
    body = {"email": email, "password": PASSWORD, "username": f"{name}-1"}
    status, answer = site.servers[0].request("POST", "/api/v1/auth/signup", body)
    assert status == 201, answer
    return Pair(answer["access_token"], answer["refresh_token"], answer["user"]["id"], email)


def logged_in(site: Site, pair: Pair) -> Pair:
    status, answer = site.servers[0].request("POST", "/api/v1/auth/login", {"email": pair.email, "password": PASSWORD})
    assert status == 200, answer
    return Pair(answer["access_token"], answer["refresh_token"], pair.user_id, pair.email)


def connections_of(worker: int, port: int) -> int:
    """Count the connections that a worker holds on `port`, by the sockets that it has open."""
    sockets = set()
    for descriptor in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(OSError):
            sockets.add(str(descriptor.readlink()))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    of_port = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"}
    return len(sockets & of_port)


def all_workers_are_asked(site: Site) -> bool:
    if not Path("/proc/net/tcp").exists():
        return True  # Only Linux tells; elsewhere it is as likely as many connections make it.
    return all(connections_of(worker, server.port) for server in site.servers for worker in server.workers())


Kill = Callable[[], Awaitable[None]]


@dataclass
class Killing:
    """One way to kill a token, and what came of asking with it."""

    kind: str
    token: dict[str, str]
    kill: Kill
    acknowledged: float = math.inf
    seen: dict[int, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    """By connection: when a request began, and its status."""

    def is_let_in(self, connection: int) -> bool:
        return bool(self.seen[connection]) and self.seen[connection][-1][1] == 200

    def is_refused_late(self, connection: int) -> bool:
        """Tell whether a request over this connection began later than the limit and found the token dead."""
        began, status = self.seen[connection][-1]
        return began > self.acknowledged + LIMIT_SECONDS and status == 401

    def late(self) -> set[int]:
        """Return the statuses of all requests that began later than the limit."""
        limit = self.acknowledged + LIMIT_SECONDS
        return {status for asked in self.seen.values() for began, status in asked if began > limit}

    def worst(self) -> float:
        """Return how long after the acknowledgement the last request began that was let in."""
        let_in = [began for asked in self.seen.values() for began, status in asked if status == 200]
        return round(max(0.0, *(began - self.acknowledged for began in let_in)), 3)


async def over_every(
    asking: list[asyncio.Task[None]], killings: list[Killing], holds: Callable[[Killing, int], bool]
) -> None:
    """Return once it holds over every connection for every token; fail when that takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := {killing.kind for killing in killings for n in range(len(asking)) if not holds(killing, n)}:
        assert time.monotonic() < deadline, f"{holds.__name__}: not over every connection: {left}"
        assert not any(task.done() for task in asking), "a connection broke"
        await asyncio.sleep(0.05)


async def hammer(site: Site, killings: list[Killing]) -> None:
    """Ask with every token through every worker, without a pause, before and after each is killed.

    All at once, each with an account of its own. Fails when a worker has none of the connections, when a token is not
    let in before, or when over any connection one is let in by a request that began later than the limit.
    """
    done = asyncio.Event()

    async def ask(server: Server, connection: int) -> None:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}", limits=limits, timeout=PATIENCE_SECONDS
        ) as client:
            while not done.is_set():
                for killing in killings:
                    began = time.monotonic()
                    response = await client.get("/api/v1/users/me/posts", headers=killing.token)
                    killing.seen[connection].append((began, response.status_code))
                await asyncio.sleep(0.01)

    asking: list[asyncio.Task[None]] = []
    # Workers take what connections they get hold of, so a busy one may be left without. More are opened until none is.
    while not asking or not await asyncio.to_thread(all_workers_are_asked, site):
        assert len(asking) < MOST_CONNECTIONS, "a worker was never asked"
        for server in site.servers:
            for _ in range(CONNECTIONS):
                asking.append(asyncio.create_task(ask(server, len(asking))))
        await asyncio.sleep(0.4)
    await over_every(asking, killings, Killing.is_let_in)
    for killing in killings:
        await killing.kill()
        killing.acknowledged = time.monotonic()
    await over_every(asking, killings, Killing.is_refused_late)
    done.set()
    await asyncio.gather(*asking)
    for killing in killings:
        # A worker that does not get round to reading what was revoked answers 503, which lets nobody in either.
        assert killing.late() <= {401, 503}, killing.kind


def api_key(site: Site, pair: Pair) -> tuple[str, dict[str, str]]:
    """Return the id of a new API key, and the header that carries it."""
    body = {"password": PASSWORD, "name": "a program", "scopes": ["posts:read"]}
    status, answer = site.servers[0].request("POST", "/api/v1/auth/api-keys", body, headers=pair.auth)
    assert status == 201, answer
    return answer["id"], {"Authorization": f"Bearer {answer['key']}"}


def call(site: Site, method: str, path: str, body: Any, headers: dict[str, str]) -> Callable[[], Awaitable[None]]:
    """Return a call to the first instance that must succeed."""

    async def calling() -> None:
        status, answer = await asyncio.to_thread(
            site.servers[0].request, method, f"/api/v1{path}", body, headers=headers
        )
        assert status in {200, 204}, answer

    return calling


@dataclass(frozen=True)
class Survivors:
    """What goes on: a session that changed its password, the refresh token of a changed role, a key beside another."""

    changer: Pair
    promoted: Pair
    kept_key: dict[str, str]


def ways_to_kill(site: Site) -> tuple[list[Killing], Survivors]:
    """Return every way to kill a token, each with an account of its own."""
    killings: list[Killing] = []

    def killing(kind: str, token: dict[str, str], kill: Kill) -> None:
        killings.append(Killing(kind, token, kill))

    leaver = signed_up(site, "leaver")
    killing("log out", leaver.auth, call(site, "POST", "/auth/logout", None, leaver.auth))

    first = signed_up(site, "everywhere")
    second = logged_in(site, first)
    killing("log out everywhere", second.auth, call(site, "POST", "/auth/logout/all", None, first.auth))

    first = signed_up(site, "phone")
    second = logged_in(site, first)
    status, listed = site.servers[1].request("GET", "/api/v1/auth/sessions", headers=second.auth)
    assert status == 200
    (other,) = [item["id"] for item in listed["items"] if not item["current"]]
    killing("revoke", first.auth, call(site, "DELETE", f"/auth/sessions/{other}", None, second.auth))

    changer = signed_up(site, "password")
    second = logged_in(site, changer)
    change = {"current_password": PASSWORD, "new_password": "another quiet harbour"}
    killing("password", second.auth, call(site, "PUT", "/users/me/password", change, changer.auth))

    suspended = signed_up(site, "suspended")
    path = f"/users/{suspended.user_id}/suspension"
    killing("suspension", suspended.auth, call(site, "PUT", path, {"reason": "a test"}, site.admin))

    promoted = signed_up(site, "promoted")
    status, account = site.servers[0].request("GET", f"/api/v1/users/{promoted.user_id}", headers=site.admin)
    assert status == 200
    fields = ("email", "email_verified", "username", "name", "phone", "status")
    body = {name: account[name] for name in fields} | {"role": "moderator"}
    killing("role", promoted.auth, call(site, "PUT", f"/users/{promoted.user_id}", body, site.admin))

    deleted = signed_up(site, "deleted")
    killing("deletion", deleted.auth, call(site, "DELETE", f"/users/{deleted.user_id}", None, site.admin))

    goner = signed_up(site, "goner")
    killing("own deletion", goner.auth, call(site, "DELETE", "/users/me", {"password": PASSWORD}, goner.auth))

    owner = signed_up(site, "owner")
    (revoked, key), (_, kept_key) = api_key(site, owner), api_key(site, owner)
    killing("API key", key, call(site, "DELETE", f"/auth/api-keys/{revoked}", None, owner.auth))

    holder = signed_up(site, "holder")
    _, key = api_key(site, holder)
    suspend = call(site, "PUT", f"/users/{holder.user_id}/suspension", {"reason": "a test"}, site.admin)
    killing("API key of a suspended account", key, suspend)

    return killings, Survivors(changer, promoted, kept_key)


@pytest.mark.timeout(300)
async def test_every_worker_refuses_a_killed_token_within_a_second(site: Site) -> None:
    bystander = signed_up(site, "bystander")
    killings, survivors = ways_to_kill(site)

    await hammer(site, killings)
    site.worst.update({killing.kind: killing.worst() for killing in killings})
    assert max(site.worst.values()) <= LIMIT_SECONDS

    body = {"refresh_token": survivors.promoted.refresh_token}
    status, pair = site.servers[1].request("POST", "/api/v1/auth/refresh", body)
    assert status == 200, "the session whose role was changed goes on"
    for server in site.servers:
        for _ in range(10):
            headers = {"Authorization": f"Bearer {pair['access_token']}"}
            status, account = server.request("GET", "/api/v1/users/me", headers=headers)
            assert (status, account["role"]) == (200, "moderator")
        status, _ = server.request("GET", "/api/v1/users/me", headers=survivors.changer.auth)
        assert status == 200, "the session that changed the password goes on"
        status, _ = server.request("GET", "/api/v1/users/me/posts", headers=survivors.kept_key)
        assert status == 200, "the other key goes on"
        status, _ = server.request("GET", "/api/v1/users/me", headers=bystander.auth)
        assert status == 200, "nobody else is concerned"
