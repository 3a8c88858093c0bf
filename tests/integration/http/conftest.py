"""The whole application in process, over memory, with a clock that tests set and a hasher that costs nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from entrypoints.container import Container
from entrypoints.http.app import create_app, openapi_document
from entrypoints.http.edge.exchange import Application
from entrypoints.settings import Settings
from tests.fakes import FastPasswordHasher, ListedResolver, SettableClock
from tests.integration.http.contract import Contract
from tests.tracing import untraced

BASE = "http://testserver"
PASSWORD = "a walrus in the library"


@dataclass(frozen=True)
class Account:
    """Somebody who is signed in."""

    id: str
    email: str
    username: str
    access_token: str
    refresh_token: str

    @property
    def auth(self) -> dict[str, str]:
        return bearer(self.access_token)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def settings(**overrides: str) -> Settings:
    return Settings.load(
        {
            "ENVIRONMENT": "testing",
            "DATABASE_URL": "memory://",
            "SECRET_KEY": "a key for tests, and for tests alone, 48 bytes long",
            "ALLOWED_HOSTS": "testserver,*.example.org",
            "CORS_ORIGINS": "https://app.example.com",
            # Most tests ask far more than anybody does in earnest, and nobody reads their log.
            "RATE_LIMIT_ENABLED": "false",
            "REQUEST_LOG": "false",
            # Most tests look at the feed right after they have changed it.
            "FEED_CACHE_SECONDS": "0",
            **overrides,
        }
    )


def a_container(clock: SettableClock, **overrides: str) -> Container:
    container = Container(settings=settings(**overrides))
    container.clock.override(clock)
    container.hasher.override(FastPasswordHasher())
    container.webhook_resolver.override(ListedResolver())
    # Here the clients keep the loop busy too, so it may be seconds before a reading gets its turn; and there is no
    # other process whose revocations one could miss.
    container.revocations.add_kwargs(trust_seconds=60.0)
    return container


@pytest.fixture
def container(clock: SettableClock) -> Container:
    return a_container(clock)


_MEASURED: set[str] = set()
"""The settings that an application was built of while coverage was measured."""


def build_app(container: Container) -> Application:
    """Build the application, as half of the tests do in half of their time, or more when coverage is measured.

    So what it is built by is measured once of each settings.
    """
    built_of = repr(container.settings())
    if built_of not in _MEASURED:
        _MEASURED.add(built_of)
        return create_app(container)
    with untraced():
        return create_app(container)


@pytest.fixture
def app(container: Container) -> Application:
    return build_app(container)


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract(openapi_document(a_container(SettableClock())))


def open_client(app: Any, contract: Contract | None = None, **options: Any) -> httpx.AsyncClient:
    """Return a client whose every answer is held against the document."""

    async def check(response: httpx.Response) -> None:
        await response.aread()
        assert contract is not None
        contract.check(response)

    hooks: dict[str, list[Callable[..., Awaitable[None]]]] = {"response": [check] if contract else []}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, event_hooks=hooks, **options)


@pytest.fixture
async def client(app: Application, contract: Contract) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(app, contract) as opened:
        yield opened


SignUp = Callable[..., Awaitable[Account]]


@pytest.fixture
def sign_up(client: httpx.AsyncClient) -> SignUp:
    """Sign somebody up: `await sign_up("alice")`."""

    async def signing_up(name: str = "alice") -> Account:
        response = await client.post(
            "/api/v1/auth/signup", json={"email": f"{name}@example.com", "password": PASSWORD, "username": name}
        )
        assert response.status_code == 201, response.text
        body = response.json()
        user = body["user"]
        return Account(user["id"], user["email"], user["username"], body["access_token"], body["refresh_token"])

    return signing_up


@pytest.fixture
async def alice(sign_up: SignUp) -> Account:
    return await sign_up("alice")


@pytest.fixture
async def bob(sign_up: SignUp) -> Account:
    return await sign_up("robert")


def problem(response: httpx.Response) -> tuple[int, str]:
    """Return the status and the slug of a problem."""
    return response.status_code, str(response.json()["type"]).removeprefix("/problems/")


def faults(response: httpx.Response) -> dict[str, str]:
    """Return the faults of a problem: pointer, or `?parameter` → code."""
    return {
        error["pointer"] if "pointer" in error else f"?{error['parameter']}": error["code"]
        for error in response.json()["errors"]
    }


async def publish(client: httpx.AsyncClient, author: Account, text: str = "Hello, world.") -> httpx.Response:
    response = await client.post("/api/v1/posts", json={"text": text}, headers=author.auth)
    assert response.status_code == 201, response.text
    return response
