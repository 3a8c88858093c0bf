"""Holds every answer that a test gets against the OpenAPI document: what is not declared fails the test."""

import json
import re
from typing import Any
from urllib.parse import unquote

import httpx
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # it ships no types
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_UNROUTED = {"no-such-route", "method-not-allowed"}
"""Problems of no route in particular, which no operation can declare."""


_URI = "urn:postern:openapi"
_SHARED = tuple(f"#/components/{kind}/" for kind in ("responses", "parameters", "examples"))


def _whole(document: dict[str, Any]) -> dict[str, Any]:
    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(part) for part in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SHARED):
            _, _, kind, name = reference.split("/")
            return resolve(document["components"][kind][name])
        return {key: resolve(value) for key, value in node.items()}

    return {**document, "paths": resolve(document["paths"])}


class Contract:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.whole = _whole(document)
        """The document with each shared response, parameter and example where it is referred to."""
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(_URI, resource)
        self._templates = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path.replace(".", r"\."))), path) for path in document["paths"]
        ]
        # /users/me/posts is not /users/{user_id}/posts: the fewer parameters, the earlier.
        self._templates.sort(key=lambda entry: entry[1].count("{"))

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        for pattern, template in self._templates:
            if pattern.fullmatch(path):
                found: dict[str, Any] | None = self.whole["paths"][template].get(method.lower())
                return found
        return None

    def check(self, response: httpx.Response) -> None:
        request = response.request
        method = "GET" if request.method == "HEAD" else request.method
        assert response.headers.get("x-request-id"), "no X-Request-Id"
        if response.status_code >= 400 and request.method != "HEAD":
            self._check_problem(response)
            if response.json()["type"].removeprefix("/problems/") in _UNROUTED:
                return
        operation = self.operation(method, unquote(request.url.raw_path.decode().partition("?")[0]))
        if operation is None or method == "OPTIONS":
            return
        where = f"{method} {request.url.path} → {response.status_code}"
        declared = operation["responses"].get(str(response.status_code))
        assert declared is not None, f"{where} is not declared"
        for name, reference in declared.get("headers", {}).items():
            header = self._resolve(reference)
            if name in response.headers:
                self._validate(response.headers[name], header["schema"], f"{where} {name}")
            else:
                assert not header.get("required"), f"{where} lacks {name}"
        self._check_content(response, declared.get("content", {}), where)

    def _check_content(self, response: httpx.Response, content: dict[str, Any], where: str) -> None:
        if response.request.method == "HEAD" or not response.content:
            assert response.request.method == "HEAD" or not content, f"{where} has no content"
            return
        media_type = response.headers["content-type"].partition(";")[0]
        if media_type == "text/html":
            return  # The pages for people; programs never get one.
        assert media_type in content, f"{where} answers {media_type}"
        value = response.json() if media_type.endswith("json") else response.text
        self._validate(value, content[media_type]["schema"], where)

    def _check_problem(self, response: httpx.Response) -> None:
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        self._validate(problem, {"$ref": "#/components/schemas/Problem"}, str(response.request.url))
        assert problem["status"] == response.status_code
        assert problem["request_id"] == response.headers["x-request-id"]

    def _resolve(self, reference: dict[str, Any]) -> dict[str, Any]:
        found: Any = self.document
        for step in reference["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        assert isinstance(found, dict)
        return found

    def _validate(self, value: Any, schema: dict[str, Any], where: str) -> None:
        if "$ref" in schema:
            schema = {"$ref": _URI + schema["$ref"]}
        validator = Draft202012Validator(schema, registry=self._registry, format_checker=FormatChecker())
        faults = [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(value)]
        assert not faults, f"{where}: {json.dumps(faults[:5])}"

    def validate(self, value: Any, schema: dict[str, Any]) -> None:
        """Validate an example of the document itself."""
        self._validate(value, schema, "example")
