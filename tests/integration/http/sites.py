"""Every place of a request where a caller writes text or a list, as the OpenAPI document has it."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote

_EXAMPLES: Final = {"uuid": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Site:
    """A text or a list of a request; `put` makes the request with it in there, all else as in the examples."""

    operation: str
    """Method and path template."""
    where: str
    """`body`, `query`, `header` or `path`, and its name or pointer."""
    schema: dict[str, Any]
    put: Callable[[Any], Request] = field(repr=False, compare=False)

    @property
    def is_list(self) -> bool:
        return "array" in _types(self.schema)

    @property
    def maximum(self) -> int | None:
        """The most characters or items."""
        enum = self.schema.get("enum") or ([self.schema["const"]] if "const" in self.schema else None)
        if enum is not None:
            return max(len(value) for value in enum if isinstance(value, str))
        maximum: int | None = self.schema.get("maxItems" if self.is_list else "maxLength")
        return maximum

    def __str__(self) -> str:
        return f"{self.operation} {self.where}"


def _quoted(value: object) -> str:
    # A lone surrogate becomes what no UTF-8 holds, for whom that is to be told.
    return quote(str(value).encode("utf-8", "surrogatepass"), safe="")


def _types(schema: dict[str, Any]) -> list[str]:
    found = schema.get("type", [])
    return [found] if isinstance(found, str) else found


class Document:
    """The OpenAPI document, read for its requests."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            found: Any = self._document
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            node = found
        return node

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, item in self._document["paths"].items():
            for method, operation in item.items():
                yield method.upper(), path, operation

    def parameters(self, operation: dict[str, Any]) -> list[dict[str, Any]]:
        return [self.resolve(parameter) for parameter in operation.get("parameters", [])]

    def body_of(self, operation: dict[str, Any]) -> dict[str, Any] | None:
        """Return the media type object of a body; None for an operation that takes none."""
        if "requestBody" not in operation:
            return None
        media: dict[str, Any] = self.resolve(operation["requestBody"])["content"]["application/json"]
        return media

    def example_of(self, operation: dict[str, Any]) -> Any:
        media = self.body_of(operation) or {}
        if "example" in media:
            return copy.deepcopy(media["example"])
        for example in media.get("examples", {}).values():
            return copy.deepcopy(self.resolve(example)["value"])
        return {}

    def request(self, method: str, path: str, operation: dict[str, Any], body: Any = None) -> Request:
        """Return a request that is as the document has it, without what may be left out."""
        for parameter in self.parameters(operation):
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", self._path_value(parameter))
        if self.body_of(operation) is None:
            return Request(method, path)
        value = self.example_of(operation) if body is None else body
        return Request(method, path, body=json.dumps(value).encode())

    def _path_value(self, parameter: dict[str, Any]) -> str:
        schema = self.resolve(parameter["schema"])
        return str(parameter.get("example") or _EXAMPLES.get(schema.get("format", ""), "1"))

    def sites(self) -> Iterator[Site]:
        for method, path, operation in self.operations():
            yield from self._parameter_sites(method, path, operation)
            media = self.body_of(operation)
            if media is not None:
                for pointer, schema in self._texts_and_lists(media["schema"], ()):
                    yield self._body_site(method, path, operation, pointer, schema)

    def _parameter_sites(self, method: str, path: str, operation: dict[str, Any]) -> Iterator[Site]:
        base = self.request(method, path, operation)
        for parameter in self.parameters(operation):
            name, where = parameter["name"], parameter["in"]
            for _, schema in self._texts_and_lists(parameter["schema"], ()):

                def put(value: Any, name: str = name, where: str = where) -> Request:
                    if where == "query":
                        return Request(method, base.path, f"{name}={_quoted(value)}", {}, base.body)
                    if where == "header":
                        return Request(method, base.path, "", {name.lower(): str(value)}, base.body)
                    written = path.replace(f"{{{name}}}", _quoted(value) or "-")
                    for other in self.parameters(operation):
                        written = written.replace(f"{{{other['name']}}}", self._path_value(other))
                    return Request(method, written, "", {}, base.body)

                yield Site(f"{method} {path}", f"{where} {name}", schema, put)

    def _body_site(
        self, method: str, path: str, operation: dict[str, Any], pointer: tuple[str | int, ...], schema: dict[str, Any]
    ) -> Site:
        def put(value: Any) -> Request:
            body = self.example_of(operation)
            at = body
            for step, following in pairwise(pointer):
                fallback: Any = [None] if isinstance(following, int) else {}
                if isinstance(step, str):
                    at[step] = at.get(step) or fallback
                at = at[step]
            at[pointer[-1]] = value
            return self.request(method, path, operation, body)

        return Site(f"{method} {path}", "body /" + "/".join(map(str, pointer)), schema, put)

    def _texts_and_lists(
        self, schema: dict[str, Any], pointer: tuple[str | int, ...]
    ) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
        schema = self.resolve(schema)
        for kind in ("anyOf", "oneOf", "allOf"):
            for other in schema.get(kind, ()):
                yield from self._texts_and_lists(other, pointer)
        types = _types(schema)
        if "string" in types or ("enum" in schema and not types):
            yield pointer, schema
        if "array" in types:
            yield pointer, schema
            yield from self._texts_and_lists(schema["items"], (*pointer, 0))
        for name, inner in schema.get("properties", {}).items():
            yield from self._texts_and_lists(inner, (*pointer, name))
