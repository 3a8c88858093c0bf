"""Asks the application what a generator makes up, and holds every answer against the document."""

import json
from collections.abc import Iterable
from typing import Any

import httpx

from tests.integration.http.asgi_client import ask
from tests.integration.http.contract import Contract
from tests.integration.http.generated import as_text
from tests.integration.http.sites import Request

_STREAM = "/api/v1/events"
"""Has no end, so that it cannot be read to it; its refusals are what is left of it for tests of its own."""


async def wrong_answers(app: Any, contract: Contract, requests: Iterable[Request], tokens: list[str]) -> list[str]:
    """Ask each request, by each token in turn. Return what is wrong with answers: at most ten."""
    found: list[str] = []
    for number, request in enumerate(requests):
        if request.path == _STREAM or len(found) >= 10:
            continue
        what = await _fault(app, contract, request, tokens[number % len(tokens)])
        if what is not None:
            found.append(f"{as_text(request)}: {what}")
    return found


async def _fault(app: Any, contract: Contract, request: Request, token: str) -> str | None:
    given = {name.encode(): _octets(value) for name, value in request.headers.items()}
    usual = {b"host": b"testserver", **({b"authorization": b"Bearer " + token.encode()} if token else {})}
    if request.body is not None:
        usual[b"content-type"] = b"application/json"
    target = f"{request.path}?{request.query}" if request.query else request.path
    response = await ask(app, request.method, target, list({**usual, **given}.items()), (request.body or b"",))
    if response.status >= 500:
        return f"{response.status}: {response.body[:300]!r}"
    try:
        contract.check(
            httpx.Response(
                response.status,
                headers=response.headers,
                content=response.body,
                request=httpx.Request(request.method, f"http://testserver{target}"),
            )
        )
        if response.status >= 400:
            assert len(json.loads(response.body).get("errors", [])) <= 20
    except AssertionError as refused:
        return str(refused)
    return None


def _octets(value: str) -> bytes:
    # What no server lets in is left out: a line end or NUL within a field.
    return value.encode("utf-8", "surrogatepass").translate(None, b"\r\n\x00")
