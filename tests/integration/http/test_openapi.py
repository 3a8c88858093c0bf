"""The OpenAPI document: whole, closed, and the same each time."""

import json
import re
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from entrypoints.container import Container
from entrypoints.http.app import create_litestar, openapi_document
from entrypoints.http.edge.exchange import Response
from entrypoints.http.edge.routing import RouteHandler
from entrypoints.http.identity.mailed_pages import PATHS
from entrypoints.http.openapi import operations
from entrypoints.http.problems.catalogue import catalogue, status_of
from tests.fakes import SettableClock
from tests.integration.http.conftest import a_container, problem
from tests.integration.http.contract import Contract

_FOR_PEOPLE = {"/docs", "/redoc", "/docs/assets/{release}/{name}", "/favicon.ico", *PATHS}


def every_operation(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, op) for path, item in document["paths"].items() for method, op in item.items()]


def test_the_document_is_the_same_each_time(contract: Contract) -> None:
    again = openapi_document(a_container(SettableClock()))
    assert json.dumps(again) == json.dumps(contract.document)


def test_it_is_openapi_3_1_with_sound_schemas(contract: Contract) -> None:
    document = contract.document
    assert document["openapi"].startswith("3.1.")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in _references(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


def test_every_route_is_declared_or_known_to_be_for_people(container: Container, contract: Contract) -> None:
    app = create_litestar(container)
    declared = {(method, path) for method, path, _ in operations(app)}
    for route in app.routes:
        for method in getattr(route, "methods", set()) - {"OPTIONS"}:
            path = route.path_format
            assert (method, path) in declared or path in _FOR_PEOPLE, (method, path)
    assert {(method.upper(), path) for method, path, _ in every_operation(contract.whole)} == declared


def test_every_handler_takes_the_request_alone_and_returns_an_answer(container: Container) -> None:
    """What Litestar finds out about one of them is used for all."""
    app = create_litestar(container)
    handlers = [handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]
    assert {type(handler) for handler in handlers} == {RouteHandler}
    for handler in handlers:
        found = HTTPRouteHandler("/", http_method="GET")(handler.fn).parsed_fn_signature
        parameters = {name: parameter.annotation for name, parameter in found.parameters.items()}
        assert (parameters, found.return_type.annotation) == ({"request": Request[Any, Any, Any]}, Response), str(
            handler
        )


def test_every_operation_tells_what_it_can_answer(contract: Contract) -> None:
    ids = set()
    for method, path, operation in every_operation(contract.whole):
        where = f"{method} {path}"
        ids.add(operation["operationId"])
        assert operation["summary"], where
        assert operation["description"], where
        responses = operation["responses"]
        assert {"400", "413", "414", "431", "500"} <= set(responses), where
        assert [status for status in responses if status.startswith("2")], where
        if path.startswith("/api/"):
            assert {"406", "503"} <= set(responses), where
        if operation["security"]:
            assert "401" in responses, where
            assert "WWW-Authenticate" in responses["401"]["headers"], where
        if "requestBody" in operation:
            assert "415" in responses, where
            assert "example" in operation["requestBody"]["content"]["application/json"], where
        if "ETag" in responses.get("200", {}).get("headers", {}) and method == "get":
            assert "304" in responses, where
        for status, response in responses.items():
            assert "X-Request-Id" in response["headers"], f"{where} {status}"
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], f"{where} {status}"
            if status == "503":
                assert "Retry-After" in response["headers"], where
            if status == "201":
                assert "Location" in response["headers"], where
    assert len(ids) == len(every_operation(contract.whole))


def needs_credentials(operation: dict[str, Any]) -> bool:
    return bool(operation["security"]) and {} not in operation["security"]


def test_operation_ids_never_change(contract: Contract) -> None:
    """Generated clients name their methods after them. Add to the list; never rename."""
    assert {operation["operationId"] for _, _, operation in every_operation(contract.whole)} == {
        "cancelOrder",
        "changeMyPassword",
        "confirmTotp",
        "createApiKey",
        "createUser",
        "deleteMyAccount",
        "deletePost",
        "deleteUser",
        "disableTotp",
        "editMyAccount",
        "editPost",
        "enrolTotp",
        "exportMyData",
        "getBrokerHealth",
        "getCacheHealth",
        "getEventSchema",
        "listEventSchemas",
        "getDatabaseHealth",
        "getHealth",
        "getIndex",
        "getMetrics",
        "getJsonWebKeySet",
        "getLiveness",
        "getMyAccount",
        "getOpenApiDocument",
        "getOrder",
        "getPost",
        "getProblem",
        "getReadiness",
        "getTotp",
        "getUser",
        "listApiKeys",
        "listAudit",
        "listMyPosts",
        "listMySessions",
        "listOrders",
        "listPosts",
        "listPostsOfUser",
        "listenToEvents",
        "listProblems",
        "listUsers",
        "logIn",
        "moveOrder",
        "logOut",
        "logOutEverywhere",
        "placeOrder",
        "registerWebhook",
        "listWebhooks",
        "getWebhook",
        "editWebhook",
        "deleteWebhook",
        "rotateWebhookSecret",
        "testWebhook",
        "listDeliveries",
        "getDelivery",
        "replayDelivery",
        "replayFailedDeliveries",
        "publishPost",
        "refreshSession",
        "reinstateUser",
        "replaceUser",
        "requestPasswordReset",
        "resendVerification",
        "resetPassword",
        "revokeApiKey",
        "revokeMySession",
        "signUp",
        "listReplies",
        "voteOnPost",
        "suspendUser",
        "verifyEmail",
    }


def test_the_slugs_are_a_closed_set(contract: Contract) -> None:
    schemas = contract.document["components"]["schemas"]
    assert schemas["ProblemSlug"]["enum"] == list(catalogue())
    assert schemas["Problem"]["properties"]["type"]["enum"] == [f"/problems/{slug}" for slug in catalogue()]


def test_every_example_keeps_to_its_schema(contract: Contract) -> None:
    checked = 0
    for _, _, operation in every_operation(contract.whole):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [response.get("content", {}) for response in operation["responses"].values()]
        for media in (media for content in contents for media in content.values()):
            values = [media["example"]] if "example" in media else []
            values += [example["value"] for example in media.get("examples", {}).values()]
            for value in values:
                contract.validate(value, media["schema"])
                checked += 1
    assert checked > 100


def test_problems_are_declared_under_their_status(container: Container, contract: Contract) -> None:
    for method, path, operation in operations(create_litestar(container)):
        responses = contract.whole["paths"][path][method.lower()]["responses"]
        for error in operation.errors():
            examples = responses[str(status_of(error))]["content"]["application/problem+json"]["examples"]
            assert error.slug in examples


def test_what_repeats_is_said_once(contract: Contract) -> None:
    """It was 660 KB, and four fifths of it were the same problems again."""
    assert len(json.dumps(contract.document, separators=(",", ":"))) < 300_000
    told: list[str] = []
    for _, _, operation in every_operation(contract.document):
        told += [json.dumps(response) for response in operation["responses"].values() if "$ref" not in response]
        told += [json.dumps(parameter) for parameter in operation["parameters"] if "$ref" not in parameter]
    problems_and_parameters = [text for text in told if "application/problem+json" in text or '"in": ' in text]
    assert len(problems_and_parameters) == len(set(problems_and_parameters))


def test_no_member_has_a_default(contract: Contract) -> None:
    """Generators of TypeScript make members with a default required; what is in every answer is required anyway."""
    schemas = contract.document["components"]["schemas"]
    for name, schema in schemas.items():
        for member, part in schema.get("properties", {}).items():
            assert "default" not in part, f"{name}.{member}"
    assert {"reply_to", "replies", "deleted"} <= set(schemas["PostView"]["required"])
    assert {"my_vote", "excerpt"} & set(schemas["PostView"]["required"]) == set()
    assert "reply_to" not in schemas["PublishPostBody"]["required"]
    assert "Left out, it is `user`." in schemas["CreateUserBody"]["properties"]["role"]["description"]


def test_the_tokens_are_one_object_whatever_the_transport(contract: Contract) -> None:
    """Alternatives that no member tells apart are of no use to generated clients."""
    for schema in contract.document["components"]["schemas"].values():
        assert not {"oneOf", "anyOf"} & set(schema), schema["title"]
    required = contract.document["components"]["schemas"]["Tokens"]["required"]
    assert required == ["access_token", "token_type", "expires_in"]


async def test_every_route_that_wants_a_caller_refuses_to_go_without(
    client: httpx.AsyncClient, contract: Contract
) -> None:
    guarded = 0
    for method, path, operation in every_operation(contract.whole):
        url = re.sub(r"\{\w+\}", "stale", path)
        if needs_credentials(operation):
            guarded += 1
            response = await client.request(method.upper(), url)
            assert problem(response) == (401, "unauthenticated"), path
        if operation["security"]:
            response = await client.request(method.upper(), url, headers={"authorization": "Bearer nonsense"})
            assert problem(response) == (401, "invalid-token"), path
    assert guarded >= 7


@pytest.mark.parametrize("query", ["nonsense", "limit=1", "colour=red"])
async def test_no_route_takes_parameters_that_it_does_not_declare(
    client: httpx.AsyncClient, contract: Contract, query: str
) -> None:
    for method, path, operation in every_operation(contract.whole):
        name = query.partition("=")[0]
        if needs_credentials(operation) or name in {p["name"] for p in operation["parameters"]}:
            continue
        url = re.sub(r"\{\w+\}", "stale", path)
        response = await client.request(method.upper(), f"{url}?{query}")
        assert response.status_code == 400, path
        assert {"parameter": name, "code": "unknown", "message": "is not a parameter of this path"} in (
            response.json()["errors"]
        )


async def test_the_document_is_served(client: httpx.AsyncClient, contract: Contract) -> None:
    assert (await client.get("/openapi.json")).json() == contract.document
