"""Logging in tells nobody anything: the same answer, the same work, the same time; and it crowds nobody out."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from adapters.security.argon2 import Argon2PasswordHasher, HashingSettings
from adapters.sql.schema.migrate import upgrade
from adapters.system.background import TaskBackground
from domain.identity.values import Password, UserStatus
from domain.shared.actor import Role
from entrypoints.container import Container
from entrypoints.container.lifecycle import running
from entrypoints.http.app import create_app
from tests.backends import in_thread
from tests.fakes import SettableClock
from tests.integration.http.conftest import PASSWORD, a_container, open_client, problem, settings

LOG_IN = "/api/v1/auth/login"
FORGOT = "/api/v1/auth/password/forgot"
SAMPLES = 1_000
# Cheaper than in earnest by a factor of ten or so: what differs besides the hash weighs the more.
CHEAP = HashingSettings(memory_kib=2048, iterations=1, threads=1)


async def signed_up(client: httpx.AsyncClient, name: str) -> None:
    body = {"email": f"{name}@example.com", "password": PASSWORD, "username": name}
    assert (await client.post("/api/v1/auth/signup", json=body)).status_code == 201


async def changed(container: Container, name: str, change: Callable[[object], None]) -> None:
    found = await container.storage().credentials.by_email(f"{name}@example.com")
    assert found is not None
    async with container.storage().identity_units() as uow:
        user = await uow.users.get(found.user_id)
        change(user)
        await uow.users.save(user)
        await uow.commit()


def suspend(user: object) -> None:
    vars_of(user, "status", UserStatus.SUSPENDED)


def break_hash(user: object) -> None:
    vars_of(user, "password_hash", "$argon2id$v=19$m=2048,t=1,p=1$broken")


def vars_of(user: object, name: str, value: object) -> None:
    setattr(user, name, value)


def auc(left: list[float], right: list[float]) -> float:
    """Return how well a threshold on time tells two kinds apart: 0.5 not at all, 1 always (Mann and Whitney, 1947)."""
    ranked = sorted([(value, 0) for value in left] + [(value, 1) for value in right])
    rank_sum = sum(rank for rank, (_, kind) in enumerate(ranked, 1) if kind == 1)
    share = (rank_sum - len(right) * (len(right) + 1) / 2) / (len(left) * len(right))
    return max(share, 1 - share)


def test_the_measure_tells_what_differs_from_what_does_not() -> None:
    draw = random.Random(1)
    same = [[draw.gauss(10, 1) for _ in range(SAMPLES)] for _ in range(2)]
    slower = [value + 0.5 for value in same[0]]
    assert auc(*same) < 0.55 < auc(same[1], slower)


@pytest.mark.untraced
@pytest.mark.timeout(600)
async def test_no_classifier_tells_why_a_log_in_failed(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/timing.db"
    in_thread(lambda: upgrade(url))
    container = Container(settings=settings(DATABASE_URL=url, PASSWORD_HASH_THREADS="1"))
    container.hasher.override(Argon2PasswordHasher(CHEAP))
    async with running(container), open_client(create_app(container)) as client:
        for name in ("wrong", "suspended", "malformed"):
            await signed_up(client, name)
        await changed(container, "suspended", suspend)
        await changed(container, "malformed", break_hash)
        await container.background().idle()
        attempts = {
            "unknown": {"email": "unknown@example.com", "password": PASSWORD},
            "wrong": {"email": "wrong@example.com", "password": "a walrus in the lobby!!"},
            "suspended": {"email": "suspended@example.com", "password": PASSWORD},
            "malformed": {"email": "malformed@example.com", "password": PASSWORD},
        }
        times: dict[str, list[float]] = {name: [] for name in attempts}
        texts = set()
        order = list(attempts)
        for _ in range(SAMPLES):
            random.shuffle(order)
            for name in order:
                began = time.perf_counter()
                response = await client.post(LOG_IN, json=attempts[name], headers={"x-request-id": "one"})
                times[name].append(time.perf_counter() - began)
                texts.add((response.status_code, response.text, tuple(sorted(response.headers.items()))))

    assert len(texts) == 1
    found = {f"{a}/{b}": auc(times[a], times[b]) for a in attempts for b in attempts if a < b}
    print(found)  # noqa: T201 - shown with -s: the figure itself is of interest
    assert max(found.values()) < 0.55, found


@pytest.mark.timeout(600)
@pytest.mark.untraced
async def test_no_classifier_tells_whose_forgotten_password_it_is(tmp_path: Path) -> None:
    """Each call by itself, in an order that one call tells nothing of the next: what it sets off is waited for."""
    url = f"sqlite+aiosqlite:///{tmp_path}/forgotten.db"
    in_thread(lambda: upgrade(url))
    container = Container(settings=settings(DATABASE_URL=url))
    container.hasher.override(Argon2PasswordHasher(CHEAP))
    # Less than in earnest, which would take minutes here, and enough for the answer to be out.
    background = TaskBackground(delay_seconds=0.01)
    container.background.override(background)
    async with running(container), open_client(create_app(container)) as client:
        await signed_up(client, "known")
        await background.idle()
        times: dict[str, list[float]] = {"known": [], "unknown": []}
        texts = set()
        order = [*times] * SAMPLES
        random.shuffle(order)
        for kind in order:
            body = {"email": f"{kind}@example.com"}
            began = time.perf_counter()
            response = await client.post(FORGOT, json=body, headers={"x-request-id": "one"})
            times[kind].append(time.perf_counter() - began)
            texts.add((response.status_code, response.text, tuple(sorted(response.headers.items()))))
            await background.idle()

    assert len(texts) == 1
    found = auc(times["known"], times["unknown"])
    print(found)  # noqa: T201 - shown with -s: the figure itself is of interest
    assert found < 0.55


async def test_a_password_of_weaker_parameters_is_rehashed_at_its_log_in(clock: SettableClock) -> None:
    container = a_container(clock)
    weak = Argon2PasswordHasher(HashingSettings(memory_kib=1024, iterations=1, threads=1))
    strong = Argon2PasswordHasher(HashingSettings(memory_kib=2048, iterations=2, threads=1))
    container.hasher.override(weak)
    async with open_client(create_app(container)) as client:
        await signed_up(client, "alice")
    fresh = a_container(clock)
    fresh.hasher.override(strong)
    fresh.storage.override(container.storage())

    async with open_client(create_app(fresh)) as client:
        before = await fresh.storage().credentials.by_email("alice@example.com")
        wrong = {"email": "alice@example.com", "password": "not this one, no"}
        assert problem(await client.post(LOG_IN, json=wrong)) == (401, "invalid-credentials")
        assert await fresh.storage().credentials.by_email("alice@example.com") == before
        right = {"email": "alice@example.com", "password": PASSWORD}
        assert (await client.post(LOG_IN, json=right)).status_code == 200
        after = await fresh.storage().credentials.by_email("alice@example.com")
        assert before is not None
        assert after is not None
        assert ("m=1024,t=1" in before.password_hash, "m=2048,t=2" in after.password_hash) == (True, True)
        assert not (await strong.verify(after.password_hash, Password.attempt(PASSWORD))).outdated
        assert (await client.post(LOG_IN, json=right)).status_code == 200
        assert await fresh.storage().credentials.by_email("alice@example.com") == after
    await asyncio.gather(weak.close(), strong.close())


@pytest.mark.parametrize("path", ["signing up", "changing it", "an administrator creating the account"])
async def test_no_path_takes_a_common_password(clock: SettableClock, path: str) -> None:
    """Resetting is in `test_credentials`, `create-admin` in `test_commands`."""
    container = a_container(clock)
    async with open_client(create_app(container)) as client:
        await signed_up(client, "alice")
        await changed(container, "alice", lambda user: vars_of(user, "role", Role.ADMIN))
        right = {"email": "alice@example.com", "password": PASSWORD}
        token = (await client.post(LOG_IN, json=right)).json()["access_token"]
        new = {"email": "bob@example.com", "password": "password12345"}
        method, url, body = {
            "signing up": ("POST", "/api/v1/auth/signup", new),
            "changing it": (
                "PUT",
                "/api/v1/users/me/password",
                {"current_password": PASSWORD, "new_password": "password12345"},
            ),
            "an administrator creating the account": (
                "POST",
                "/api/v1/users",
                {**new, "username": "robert", "role": "user"},
            ),
        }[path]
        response = await client.request(method, url, json=body, headers={"authorization": f"Bearer {token}"})
    assert problem(response) == (400, "invalid-input"), response.text
    assert "common" in [fault["code"] for fault in response.json()["errors"]], response.text


async def test_replacing_an_account_sets_no_password(clock: SettableClock) -> None:
    """So there is none to check: an administrator who sends one is told, rather than believed to have set it."""
    container = a_container(clock)
    async with open_client(create_app(container)) as client:
        await signed_up(client, "alice")
        await changed(container, "alice", lambda user: vars_of(user, "role", Role.ADMIN))
        right = {"email": "alice@example.com", "password": PASSWORD}
        token = (await client.post(LOG_IN, json=right)).json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        await signed_up(client, "robert")
        listed = (await client.get("/api/v1/users?q=robert", headers=headers)).json()["items"]
        path = f"/api/v1/users/{listed[0]['id']}"
        account = (await client.get(path, headers=headers)).json()
        fields = ("email", "email_verified", "username", "name", "phone", "role", "status")
        body = {name: account[name] for name in fields}
        response = await client.put(path, json={**body, "password": "password12345"}, headers=headers)
        assert (await client.put(path, json=body, headers=headers)).status_code == 200
    assert problem(response) == (400, "invalid-input"), response.text
    assert [(fault["pointer"], fault["code"]) for fault in response.json()["errors"]] == [("/password", "unknown")]
