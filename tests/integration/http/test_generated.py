"""Thousands of generated requests: none is an internal error, and each answer is as the document has it."""

from typing import Any

import pytest

from entrypoints.http.app import create_app
from tests.fakes import SettableClock
from tests.integration.http.conftest import a_container, open_client
from tests.integration.http.contract import Contract
from tests.integration.http.generated import Generator, as_text
from tests.integration.http.torture import wrong_answers

pytestmark = pytest.mark.untraced


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_generated_request_is_answered_otherwise_than_documented(contract: Contract, seed: int) -> None:
    app = create_app(a_container(SettableClock()))
    async with open_client(app) as client:
        body = {"email": "alice@example.com", "password": "a walrus in the library", "username": "alice"}
        token = (await client.post("/api/v1/auth/signup", json=body)).json()["access_token"]
    requests = Generator(contract.document, seed).requests(1_000)
    assert await wrong_answers(app, contract, requests, [token, token, ""]) == []


async def test_an_answer_that_is_not_as_documented_would_be_found(contract: Contract) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"x-request-id", b"1"), (b"content-type", b"application/json")]
        await send(
            {"type": "http.response.start", "status": 500 if scope["method"] == "POST" else 200, "headers": fields}
        )
        await send({"type": "http.response.body", "body": b'{"unknown":1}', "more_body": False})

    for request in Generator(contract.document, 1).requests(40):
        if request.method in {"GET", "POST"} and "/api/" in request.path and not request.path.endswith("/events"):
            assert await wrong_answers(broken, contract, [request], [""]) != [], request


def test_one_seed_makes_the_same_requests_each_time_and_every_kind_of_them(contract: Contract) -> None:
    made = [as_text(request) for request in Generator(contract.document, 1).requests(500)]
    assert made == [as_text(request) for request in Generator(contract.document, 1).requests(500)]
    assert len(set(made)) > 400
    operations = {text.partition("/")[0] for text in made}
    assert operations == {"GET ", "POST ", "PUT ", "PATCH ", "DELETE "}
