"""The application by its two ways, directly and through the router, and who asks it."""

from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from adapters.security.revocations import PolledRevocations
from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.edge.direct import DirectRoutes
from entrypoints.http.edge.middleware import Edge
from tests.integration.http.asgi import Field, Pieces, Told, ask
from tests.integration.http.conftest import BASE, PASSWORD

API: Final = "/api/v1"
POSTS: Final = f"{API}/posts"
ABSENT: Final = "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"
"""The id of nothing."""

HOST: Final[Field] = (b"host", b"testserver")
ID: Final[Field] = (b"x-request-id", b"the-same-for-both")


def bearer(token: str) -> tuple[Field, ...]:
    return ((b"authorization", f"Bearer {token}".encode()),)


async def _no_router(scope: Any, _receive: Any, _send: Any) -> None:
    raise AssertionError(f"{scope['method']} {scope['path']} was left to the router")


@dataclass
class Both:
    """One application that may not ask its router, and one that has nothing else."""

    direct: Edge
    routed: Edge
    seen: set[int] = field(default_factory=set)
    """Statuses that were compared, so that a matrix of nothing but 401s does not pass for one."""

    async def ask(self, method: str, target: str, *headers: Field, body: Pieces = (b"",)) -> tuple[Told, Told]:
        """Return what is told directly, and by the router's way."""
        headers += (ID,)
        told = (
            await ask(self.direct, method, target, headers, body),
            await ask(self.routed, method, target, headers, body),
        )
        self.seen.add(told[0].status)
        return told

    async def agree(self, method: str, target: str, *headers: Field, body: Pieces = (b"",)) -> Told:
        """Demand the same from both, byte by byte, and return it."""
        direct, routed = await self.ask(method, target, *headers, body=body)
        assert direct == routed, (method, target, headers, body)
        return direct


def both_of(one: Container, other: Container) -> Both:
    for container in (one, other):
        # Nothing polls here, and what is known of revocations holds for a second: for good, so that it does not run
        # out between the edge and the handler of one way.
        log, known = container.storage().revocations, container.known_revocations()
        container.revocations.override(PolledRevocations(log, known, token_lifetime_seconds=60, timer=lambda: 0.0))
    direct, routed = create_app(one), create_app(other)
    assert isinstance(direct, Edge)
    assert isinstance(routed, Edge)
    direct._app = _no_router
    routed._direct = DirectRoutes()
    return Both(direct, routed)


@dataclass
class Story:
    """Who there is, and what the first of them has written, the oldest first."""

    container: Container
    credentials: dict[str, tuple[Field, ...]]
    author_id: str
    posts: list[httpx.Response]

    @property
    def author(self) -> tuple[Field, ...]:
        return self.credentials["the author"]

    @property
    def post_id(self) -> str:
        return str(self.posts[0].json()["id"])


async def a_story(container: Container, *, posts: int = 1) -> Story:
    """Let somebody write, somebody else vote for the first of it, one log out and one close their account."""
    app = create_app(container)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:

        async def sign_up(name: str) -> tuple[str, dict[str, str], str]:
            body = {"email": f"{name}@example.com", "password": PASSWORD, "username": name}
            made = (await client.post(f"{API}/auth/signup", json=body)).json()
            return made["access_token"], {"authorization": f"Bearer {made['access_token']}"}, made["user"]["id"]

        async def key(*scopes: str) -> str:
            body = {"password": PASSWORD, "name": "a script", "scopes": scopes}
            return str((await client.post(f"{API}/auth/api-keys", json=body, headers=alices)).json()["key"])

        alice, alices, author_id = await sign_up("alice")
        bob, bobs, _ = await sign_up("robert")
        gone, gones, _ = await sign_up("carol")
        closed, closeds, _ = await sign_up("dan_is_gone")
        written = [
            await client.post(POSTS, json={"text": f"Hello, harbour {number}."}, headers=alices)
            for number in range(posts)
        ]
        await client.put(f"{POSTS}/{written[0].json()['id']}/vote", json={"dir": 1}, headers=bobs)
        await client.post(f"{API}/auth/logout", headers=gones)
        await client.request("DELETE", f"{API}/users/me", json={"password": PASSWORD}, headers=closeds)
        credentials: dict[str, tuple[Field, ...]] = {
            "nobody": (),
            "the author": bearer(alice),
            "a voter": bearer(bob),
            "in capitals": ((b"authorization", f"BEARER {alice}".encode()),),
            "logged out": bearer(gone),
            "without an account": bearer(closed),
            "a forgery": bearer(alice[:-4] + "AAAA"),
            "no token": ((b"authorization", b"Bearer"),),
            "another scheme": ((b"authorization", b"Basic YWxpY2U6cGFzc3dvcmQ="),),
            "twice": bearer(alice) * 2,
            "a key that reads": bearer(await key("posts:read")),
            "a key that writes": bearer(await key("posts:write")),
            "no such key": bearer("pk_" + "0" * 49),
        }
    return Story(container, credentials, author_id, written)
