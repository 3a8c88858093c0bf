"""Health, the index, and the documentation with everything it needs."""

import asyncio
import hashlib
import json
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from application.shared.errors import StorageUnavailable
from application.shared.health import Notice, Notices
from domain.webhooks.endpoint import DisabledReason
from entrypoints.container import Container
from entrypoints.container.workers import watching
from entrypoints.http.app import create_app
from entrypoints.http.edge.exchange import Exchange
from entrypoints.http.problems.errors import NotReady
from entrypoints.http.system import health
from entrypoints.http.system.assets import asset, asset_names
from entrypoints.http.system.health import Component, health_routes
from tests.builders import a_webhook
from tests.fakes import SettableClock
from tests.integration.http.asgi_client import scope_of
from tests.integration.http.conftest import open_client, problem, settings
from tests.integration.http.contract import Contract
from tests.waiting import until


async def test_health_tells_time_and_version(client: httpx.AsyncClient, clock: SettableClock) -> None:
    answer = (await client.get("/health")).json()
    assert answer["status"] == "ok"
    assert answer["timestamp"] == clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", answer["version"])


async def test_it_is_live_ready_and_its_database_up(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"status": "alive"}
    ready = (await client.get("/health/ready")).json()
    assert ready["components"]["database"]["status"] == "up"
    database = (await client.get("/health/db")).json()
    assert database["status"] == "up"
    assert 0 <= database["latency_ms"] < 1000
    assert problem(await client.get("/health/cache")) == (404, "not-configured")
    assert problem(await client.get("/health/broker")) == (404, "not-configured")


class DownProbe:
    async def check(self) -> None:
        raise StorageUnavailable("db.internal refused root")


class HangingProbe:
    async def check(self) -> None:
        await asyncio.sleep(60)


@pytest.mark.parametrize("probe", [DownProbe(), HangingProbe()])
async def test_it_is_not_ready_without_its_database_and_lives_on(
    container: Container, contract: Contract, probe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_PATIENCE_SECONDS", 0.05)
    object.__setattr__(container.storage(), "probe", probe)
    async with open_client(create_app(container), contract) as client:
        for path in ("/health/ready", "/health/db"):
            response = await client.get(path)
            assert problem(response) == (503, "not-ready")
            assert response.json()["detail"] == "Down: database."
            assert response.headers["retry-after"] == "1"
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health")).status_code == 200


async def test_ready_shows_notices_and_is_503_for_one_that_is_unready(
    container: Container, client: httpx.AsyncClient
) -> None:
    notices = container.notices()
    assert (await client.get("/health/ready")).json()["notices"] == []
    notices.set(Notice(code="clock-skew", message="The clock is 40 s ahead of the database's."))
    shown = await client.get("/health/ready")
    assert shown.status_code == 200
    assert shown.json()["notices"] == [{"code": "clock-skew", "message": "The clock is 40 s ahead of the database's."}]
    lasting = [Notice(code="writes-fail", message="Writes fail: the disk is full.", is_unready=True)]
    notices.add_source(lambda: lasting)
    response = await client.get("/health/ready")
    assert problem(response) == (503, "not-ready")
    assert response.json()["detail"] == "Writes fail: the disk is full."
    metrics = (await client.get("/metrics")).text
    assert 'postern_notice{code="clock-skew"} 1.0' in metrics
    assert 'postern_notice{code="writes-fail"} 1.0' in metrics
    lasting.clear()
    notices.clear("clock-skew")
    assert (await client.get("/health/ready")).json()["notices"] == []
    assert 'postern_notice{code="clock-skew"} 0.0' in (await client.get("/metrics")).text


async def test_a_server_without_a_relay_tells_that_webhooks_wait(
    container: Container, client: httpx.AsyncClient, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrypoints.container.workers.LOOK_SECONDS", 0.01)
    async with container.storage().webhooks_units() as uow:
        await uow.webhooks.add(a_webhook())
        await uow.commit()
    signed_up = {"email": "ada@example.com", "password": "a quiet harbour at dawn"}
    assert (await client.post("/api/v1/auth/signup", json=signed_up)).status_code == 201
    clock.advance(timedelta(seconds=61))

    async with watching(container):
        await until(lambda: bool(container.notices().current()))
        notices = (await client.get("/health/ready")).json()["notices"]
        assert [notice["code"] for notice in notices] == ["webhooks-wait"]
        metrics = (await client.get("/metrics")).text
        assert 'postern_notice{code="webhooks-wait"} 1.0' in metrics
        assert 'postern_relay_wait_seconds{consumer="webhooks"} 61.0' in metrics
        async with container.storage().webhooks_units() as uow:
            webhook = (await uow.webhooks.enabled())[0]
            webhook.disable(DisabledReason.GONE, at=clock.now())
            await uow.webhooks.save(webhook)
            await uow.commit()
        await until(lambda: not container.notices().current())


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/health/db", "/metrics"])
async def test_probes_are_answered_under_every_host(client: httpx.AsyncClient, path: str) -> None:
    # A probe comes by address, and does not know the names of ALLOWED_HOSTS.
    for host in ("10.1.2.3:8000", "[fd00::7]:8000", "postern.internal"):
        assert (await client.get(path, headers={"host": host})).status_code == 200
    # Having been let in there, the name is not let in elsewhere.
    assert problem(await client.get("/problems", headers={"host": "10.1.2.3:8000"})) == (400, "unknown-host")
    assert problem(await client.get(path, headers={"host": "not a host"})) == (400, "bad-request")


async def test_the_cache_is_shown_and_not_needed(contract: Contract) -> None:
    class Up:
        async def check(self) -> None:
            return

    components = {
        "db": Component("database", "the database", Up(), needed=True),
        "cache": Component("cache", "the shared cache", DownProbe(), needed=False),
    }
    routes = {
        next(iter(route.paths)): route.opt["handler"]
        for route in health_routes(components, SettableClock(), Notices(), version="1")
    }

    exchange = Exchange(scope_of("GET", "/health/ready", []))
    ready = await routes["/health/ready"](exchange)
    contract.validate(json.loads(ready.body), {"$ref": "#/components/schemas/Readiness"})
    assert b'"cache":{"status":"down","needed":false' in ready.body
    with pytest.raises(NotReady):
        await routes["/health/cache"](exchange)


async def test_the_index_is_a_page_for_browsers_and_json_otherwise(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/")).json()
    assert answer["docs"] == "/docs"
    for link in (answer["docs"], answer["redoc"], answer["openapi"], answer["health"], answer["problems"]):
        assert (await client.get(link)).status_code == 200
    page = await client.get("/", headers={"accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert 'href="/docs"' in page.text
    again = await client.get("/", headers={"accept": "text/html", "if-none-match": page.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/", "/problems"])
async def test_every_page_brings_all_it_needs_from_here(client: httpx.AsyncClient, path: str) -> None:
    page = await client.get(path, headers={"accept": "text/html"})
    urls = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert urls
    assert all(url.startswith("/") and not url.startswith("//") for url in urls)
    for url in urls:
        assert (await client.get(url)).status_code == 200, url
    # No script of its own in the page, so the policy needs no exception for one.
    assert not re.search(r"<script(?![^>]*src=)", page.text)
    assert not re.search(r"\son\w+=|<style", page.text)
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert "https:" not in policy


async def test_assets_are_kept_for_ever_under_a_name_that_changes_with_them(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    release = re.search(r"/docs/assets/([^/]+)/", page)
    assert release is not None
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}
    for name in sorted(asset_names()):
        url = f"/docs/assets/{release[1]}/{name}"
        response = await client.get(url)
        assert response.status_code == 200, name
        assert response.headers["content-type"].startswith(types[name.rpartition(".")[2]])
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert len(response.content) > 20
        kept = await client.get(url, headers={"if-none-match": response.headers["etag"]})
        assert (kept.status_code, kept.content) == (304, b"")
    assert problem(await client.get("/docs/assets/0.0/postern.css")) == (404, "no-such-route")


@pytest.mark.parametrize("name", ["../__init__.py", "..%2f__init__.py", "x.js", ".", "swagger-ui.css.map", "%00"])
async def test_nothing_else_is_served_from_the_folder(client: httpx.AsyncClient, name: str) -> None:
    page = (await client.get("/docs")).text
    release = re.search(r"/docs/assets/([^/]+)/", page)
    assert release is not None
    assert (await client.get(f"/docs/assets/{release[1]}/{name}")).status_code == 404


def test_redoc_fetches_nothing_from_elsewhere() -> None:
    assert b"cdn.redoc.ly" not in asset("redoc.standalone.js").body


def test_the_policy_knows_the_style_of_this_very_redoc() -> None:
    """The hash in `SCROLL_BAR_STYLE` was read from a browser. After an upgrade, read it again: load /redoc in one with
    the console open, put the hash that it names into the policy, and the digest of the new file here."""
    redoc = hashlib.sha256(asset("redoc.standalone.js").body).hexdigest()
    assert redoc == "c5e13e746a1462dd3c3f4f8253588d3dea159722f59af4f2c93cd4fd34f1a9dc"


async def test_there_is_an_icon(client: httpx.AsyncClient) -> None:
    icon = await client.get("/favicon.ico")
    assert icon.headers["content-type"] == "image/svg+xml"
    assert icon.content.startswith(b"<svg")


async def test_the_application_starts_and_stops() -> None:
    app = create_app(Container(settings=settings()))
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
