"""Somebody who writes, others who read and vote, and credentials of every kind."""

from dataclasses import dataclass
from typing import Final

import httpx

from entrypoints.container import Container
from entrypoints.http.app import create_app
from tests.integration.http.asgi_client import Field
from tests.integration.http.conftest import BASE, PASSWORD

API: Final = "/api/v1"
POSTS: Final = f"{API}/posts"
ABSENT: Final = "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"
"""The id of nothing."""

HOST: Final[Field] = (b"host", b"testserver")
ID: Final[Field] = (b"x-request-id", b"the-same-for-both")


def bearer(token: str) -> tuple[Field, ...]:
    return ((b"authorization", f"Bearer {token}".encode()),)


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
