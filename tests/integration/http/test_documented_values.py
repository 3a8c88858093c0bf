"""What the document says may be sent is accepted as it stands: defaults, examples, and each example by itself.

Generated clients send defaults, and readers of the documentation send examples. An operation may still answer that
something is not there, is not allowed or is taken; that the request itself were faulty (400, 422) it may not.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from domain.shared.actor import Role
from entrypoints.container import Container
from entrypoints.http.app import create_litestar, openapi_document
from entrypoints.http.edge.operation import Operation
from entrypoints.http.openapi import operations
from tests.fakes import SettableClock
from tests.integration.http.conftest import a_container
from tests.integration.http.test_credentials import Outbox
from tests.integration.http.test_permissions import World, a_world, an_account

pytestmark = pytest.mark.untraced

OPERATIONS = list(operations(create_litestar(a_container(SettableClock()))))
DOCUMENT = openapi_document(a_container(SettableClock()))
SCHEMAS = DOCUMENT["components"]["schemas"]


@dataclass
class Case:
    """One way to send what is documented."""

    name: str
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    path: dict[str, str] = field(default_factory=dict)
    """Other than what is there."""


def cases(method: str, path: str, operation: Operation) -> Iterator[Case]:
    example = operation.body_example
    yield Case("nothing that may be left out", body=example)
    parameters = _documented(path, method)
    defaults = {p["name"]: p["schema"]["default"] for p in parameters if "default" in p["schema"]}
    if defaults:
        yield Case("every default", query=defaults, body=example)
    examples = {p.name: p for p in operation.parameters if p.example is not None and p.where != "path"}
    if examples:
        yield _with("every example", list(examples.values()), example)
        for name, parameter in examples.items():
            yield _with(f"the example of {name}", [parameter], example)
            if defaults.keys() - {name}:
                beside = _with(f"the example of {name} and every default", [parameter], example)
                beside.query = {**defaults, **beside.query}
                yield beside
    paths = {p["name"]: str(p["example"]) for p in parameters if p["in"] == "path"}
    if paths:
        yield Case("the examples of the path", body=example, path=paths)
    if operation.body is not None:
        yield from _bodies(operation)


def _documented(path: str, method: str) -> list[dict[str, Any]]:
    parameters = DOCUMENT["paths"][path][method.lower()]["parameters"]
    return [
        DOCUMENT["components"]["parameters"][parameter["$ref"].rpartition("/")[2]] if "$ref" in parameter else parameter
        for parameter in parameters
    ]


def _with(name: str, parameters: list[Any], body: Any) -> Case:
    query = {parameter.name: parameter.example for parameter in parameters if parameter.where == "query"}
    headers = {parameter.name: parameter.example for parameter in parameters if parameter.where == "header"}
    return Case(name, query=query, headers=headers, body=body)


def _bodies(operation: Operation) -> Iterator[Case]:
    assert operation.body is not None
    fields = msgspec.structs.fields(operation.body)
    example = operation.body_example or {}
    required = {f.encode_name: example[f.encode_name] for f in fields if f.required}
    yield Case("what a body needs", body=required or example)
    defaults = {
        f.encode_name: f.default.value if isinstance(f.default, Enum) else f.default
        for f in fields
        if f.default is not msgspec.NODEFAULT and f.default is not msgspec.UNSET
    }
    if defaults:
        yield Case("every default of the body", body={**defaults, **example})
    for name, value in defaults.items():
        rest = required or {member: sent for member, sent in example.items() if member != name}
        if rest:
            yield Case(f"the default of {name}", body={**rest, name: value})
    for name, part in SCHEMAS[operation.body.__name__]["properties"].items():
        for value in _examples_of(part):
            yield Case(f"the example of {name} in the body", body={**required, name: value})


def _examples_of(part: dict[str, Any]) -> list[Any]:
    return [*part.get("examples", ()), *(value for one in part.get("anyOf", ()) for value in _examples_of(one))]


ALL = [
    (method, path, operation, case) for method, path, operation in OPERATIONS for case in cases(method, path, operation)
]


class Seeded:
    """The application with accounts and what they own, and the tokens of mails that were sent."""

    def __init__(self, world: World, container: Container, outbox: Outbox) -> None:
        self.world = world
        self._container = container
        self._outbox = outbox

    async def token(self, operation: Operation) -> str:
        """Return a token out of a mail: an example can't be one, and what is mailed is never an example."""
        owner = self.world.accounts["owner"]
        if operation.id == "verifyEmail":
            response = await self.world.client.post("/api/v1/auth/email/verify/resend", headers=owner.auth)
        else:
            response = await self.world.client.post("/api/v1/auth/password/forgot", json={"email": owner.email})
        assert response.status_code == 202
        await self._container.background().idle()
        while not self._outbox.mails:
            await self._outbox.arrived.wait()
        found = re.search(r"#token=(\S+)", self._outbox.mails[-1].text)
        assert found is not None
        return found[1]


async def seeded() -> Seeded:
    outbox = Outbox()
    container = a_container(SettableClock(), PUBLIC_URL="https://app.example.com")
    container.mail_transport.override(outbox)
    world = await a_world(container)
    world.accounts["administrator"] = await an_account(container, world.client, "administrator", Role.ADMIN)
    return Seeded(world, container, outbox)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def untouched() -> AsyncIterator[Seeded]:
    """For those who only read."""
    found = await seeded()
    async with aclosing(found.world.client):
        yield found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "path", "operation", "case"), ALL, ids=[f"{operation.id}: {case.name}" for _, _, operation, case in ALL]
)
async def test_what_is_documented_is_accepted(
    untouched: Seeded, method: str, path: str, operation: Operation, case: Case
) -> None:
    app = untouched if method == "GET" else await seeded()
    body = case.body
    if body is not None and "token" in body:
        body = {**body, "token": await app.token(operation)}
    url = path.format(**{**app.world.owned, **case.path})
    # The example of a parameter names what may be somebody else's.
    caller = "administrator" if operation.id == "listOrders" or "/users/{" in path else "owner"
    headers = {**app.world.headers(caller), **case.headers}
    # What has no end is asked for its headers.
    sent = "HEAD" if operation.media_type == "text/event-stream" else method
    response = await app.world.client.request(sent, url, params=case.query, json=body, headers=headers)
    if app is not untouched:
        await app.world.client.aclose()

    assert response.status_code not in {400, 422, 500}, response.text


def test_no_parameter_that_may_be_left_out_has_an_example_that_forms_fill_in() -> None:
    """Swagger UI fills them in, and then sends every one: filters that find nothing, and the same key twice."""
    for method, path, operation in OPERATIONS:
        for parameter in _documented(path, method):
            filled_in = {"example", "examples"} & ({*parameter, *parameter["schema"]})
            assert parameter["required"] or not filled_in, (operation.id, parameter["name"])


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("/api/v1/posts?q=harbour&sort=new", 200),
        ("/api/v1/posts?q=harbour&sort=top", 400),
        ("/api/v1/orders?user=019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b&all=false", 200),
        ("/api/v1/orders?user=019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b&all=true", 400),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_only_what_differs_from_a_default_excludes(untouched: Seeded, query: str, status: int) -> None:
    world = untouched.world
    response = await world.client.get(query, headers=world.headers("administrator"))
    assert response.status_code == status, response.text


def test_every_operation_is_asked() -> None:
    assert {operation.id for _, _, operation, _ in ALL} == {operation.id for _, _, operation in OPERATIONS}
    assert len(ALL) > 150


def test_sign_up_stands_first() -> None:
    """Whoever reads the document from the top comes upon what needs no account before what does."""
    assert [operation.id for _, _, operation in OPERATIONS][:3] == ["signUp", "logIn", "refreshSession"]
    groups = [operation.tag for _, _, operation in OPERATIONS]
    assert [tag for index, tag in enumerate(groups) if tag not in groups[:index]] == [
        tag["name"] for tag in DOCUMENT["tags"]
    ]
