"""Every worker of every instance refuses a killed token or API key within a second: two instances of two workers each,
on MariaDB.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.sql.migrate import upgrade
from tests.backends import Databases
from tests.integration.cli.conftest import Server, Shell, StartServer

PASSWORD = "a quiet harbour at dawn"
CONNECTIONS = 12
"""To each instance, so that each of its two workers gets some."""
LIMIT_SECONDS = 1.0


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
    body = {"email": email, "password": PASSWORD, "username": name}
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


async def hammer(site: Site, token: dict[str, str], kill: Callable[[], Awaitable[None]]) -> float:
    """Ask through every worker, without a pause, before and after `kill`.

    Return how long after its acknowledgement the last request began that was let in; fail when a worker has none of
    the connections, or when one that began later than the limit was let in.
    """
    seen: list[tuple[float, int]] = []
    done = asyncio.Event()

    async def ask(client: httpx.AsyncClient) -> None:
        while not done.is_set():
            began = time.monotonic()
            response = await client.get("/api/v1/users/me/posts", headers=token)
            seen.append((began, response.status_code))
            await asyncio.sleep(0.01)

    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    clients = [
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", limits=limits, timeout=20)
        for server in site.servers
        for _ in range(CONNECTIONS)
    ]
    asking = [asyncio.create_task(ask(client)) for client in clients]
    await asyncio.sleep(0.4)
    assert await asyncio.to_thread(all_workers_are_asked, site)
    assert {status for _, status in seen} == {200}
    await kill()
    acknowledged = time.monotonic()
    await asyncio.sleep(LIMIT_SECONDS + 0.5)
    done.set()
    await asyncio.gather(*asking)
    for client in clients:
        await client.aclose()
    late = [(began - acknowledged, status) for began, status in seen if began > acknowledged + LIMIT_SECONDS]
    assert late
    assert {status for _, status in late} == {401}
    return max([began - acknowledged for began, status in seen if status == 200] + [0.0])


def api_key(site: Site, pair: Pair) -> tuple[str, dict[str, str]]:
    """Return the id of a new API key, and the header that carries it."""
    body = {"name": "a program", "scopes": ["posts:read"]}
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


@pytest.mark.timeout(300)
async def test_every_worker_refuses_a_killed_token_within_a_second(site: Site) -> None:
    bystander = signed_up(site, "bystander")

    async def measured(kind: str, pair: Pair, kill: Callable[[], Awaitable[None]]) -> None:
        site.worst[kind] = round(await hammer(site, pair.auth, kill), 3)

    leaver = signed_up(site, "leaver")
    await measured("log out", leaver, call(site, "POST", "/auth/logout", None, leaver.auth))

    first = signed_up(site, "everywhere")
    second = logged_in(site, first)
    await measured("log out everywhere", second, call(site, "POST", "/auth/logout/all", None, first.auth))

    first = signed_up(site, "phone")
    second = logged_in(site, first)
    status, listed = site.servers[1].request("GET", "/api/v1/auth/sessions", headers=second.auth)
    assert status == 200
    (other,) = [item["id"] for item in listed["items"] if not item["current"]]
    await measured("revoke", first, call(site, "DELETE", f"/auth/sessions/{other}", None, second.auth))

    first = signed_up(site, "password")
    second = logged_in(site, first)
    change = {"current_password": PASSWORD, "new_password": "another quiet harbour"}
    await measured("password", second, call(site, "PUT", "/users/me/password", change, first.auth))
    status, _ = site.servers[1].request("GET", "/api/v1/users/me", headers=first.auth)
    assert status == 200, "the session that changed the password goes on"

    suspended = signed_up(site, "suspended")
    path = f"/users/{suspended.user_id}/suspension"
    await measured("suspension", suspended, call(site, "PUT", path, {"reason": "a test"}, site.admin))

    promoted = signed_up(site, "promoted")
    status, account = site.servers[0].request("GET", f"/api/v1/users/{promoted.user_id}", headers=site.admin)
    assert status == 200
    fields = ("email", "email_verified", "username", "name", "phone", "status")
    body = {name: account[name] for name in fields} | {"role": "moderator"}
    await measured("role", promoted, call(site, "PUT", f"/users/{promoted.user_id}", body, site.admin))
    status, pair = site.servers[1].request("POST", "/api/v1/auth/refresh", {"refresh_token": promoted.refresh_token})
    assert status == 200, "the session goes on"
    for server in site.servers:
        for _ in range(10):
            headers = {"Authorization": f"Bearer {pair['access_token']}"}
            status, account = server.request("GET", "/api/v1/users/me", headers=headers)
            assert (status, account["role"]) == (200, "moderator")

    deleted = signed_up(site, "deleted")
    await measured("deletion", deleted, call(site, "DELETE", f"/users/{deleted.user_id}", None, site.admin))

    goner = signed_up(site, "goner")
    await measured("own deletion", goner, call(site, "DELETE", "/users/me", {"password": PASSWORD}, goner.auth))

    owner = signed_up(site, "owner")
    (revoked, key), (_, kept_key) = api_key(site, owner), api_key(site, owner)
    revoke = call(site, "DELETE", f"/auth/api-keys/{revoked}", None, owner.auth)
    site.worst["API key"] = round(await hammer(site, key, revoke), 3)
    for server in site.servers:
        status, _ = server.request("GET", "/api/v1/users/me/posts", headers=kept_key)
        assert status == 200, "the other key goes on"
    suspend = call(site, "PUT", f"/users/{owner.user_id}/suspension", {"reason": "a test"}, site.admin)
    site.worst["API key of a suspended account"] = round(await hammer(site, kept_key, suspend), 3)

    for server in site.servers:
        status, _ = server.request("GET", "/api/v1/users/me", headers=bystander.auth)
        assert status == 200, "nobody else is concerned"
    assert max(site.worst.values()) <= LIMIT_SECONDS
