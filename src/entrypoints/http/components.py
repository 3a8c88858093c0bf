"""What the OpenAPI document says in one place: parts that many operations share, and members without defaults.

Most of the document used to be the same problems again, some 300 times. Here each becomes a component that is referred
to, so that the document is read and generators are run in a fraction of the time.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

Json = dict[str, Any]

_PROBLEM: Final = "application/problem+json"

_ALWAYS: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "400": ("BadRequest", frozenset({"bad-request", "invalid-input", "unknown-host"})),
    "401": ("Unauthorized", frozenset({"invalid-token", "unauthenticated"})),
}
"""What nearly every operation can answer under a status, and one name for all of it."""


def share(document: Json) -> Json:
    """Return `document` with every example of a problem, and what repeats, put under `components`, in place."""
    components = document["components"]
    components["responses"], components["examples"] = _share_problems(document)
    components["parameters"] = _share_parameters(document)
    return document


def _operations(document: Json) -> Iterator[Json]:
    for item in document["paths"].values():
        yield from item.values()


def _share_problems(document: Json) -> tuple[Json, Json]:
    """Share the responses that at least two operations have, each example of a problem, and 304, which says nothing."""
    places = [
        (operation["responses"], status, response["content"][_PROBLEM])
        for operation in _operations(document)
        for status, response in operation["responses"].items()
        if _PROBLEM in response.get("content", {})
    ]
    uses = Counter(_name(status, problem["examples"]) for _, status, problem in places)
    responses: Json = {}
    examples: Json = {}
    for operation in _operations(document):
        if "304" in operation["responses"]:
            _put(responses, "NotModified", operation["responses"]["304"])
            operation["responses"]["304"] = {"$ref": "#/components/responses/NotModified"}
    for siblings, status, problem in places:
        name = _name(status, problem["examples"])
        for slug, example in problem["examples"].items():
            _put(examples, slug, example)
        problem["examples"] = {slug: {"$ref": f"#/components/examples/{slug}"} for slug in problem["examples"]}
        if uses[name] > 1:
            _put(responses, name, siblings[status])
            siblings[status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(responses.items())), dict(sorted(examples.items()))


def _put(components: Json, name: str, component: Json) -> None:
    if components.setdefault(name, component) != component:
        raise ValueError(f"two different components would be called {name}")


def _name(status: str, slugs: Iterable[str]) -> str:
    """Name a response by its problems: generators make types of the names, so they are words and never change order."""
    left = set(slugs)
    names = []
    if status in _ALWAYS and _ALWAYS[status][1] <= left:
        names.append(_ALWAYS[status][0])
        left -= _ALWAYS[status][1]
    names += ["".join(word.capitalize() for word in slug.split("-")) for slug in sorted(left)]
    return "Or".join(names)


def _share_parameters(document: Json) -> Json:
    """Share what at least two operations take in the same words; of several kinds of one name, the most frequent."""
    uses = Counter(
        json.dumps(parameter) for operation in _operations(document) for parameter in operation["parameters"]
    )
    shared: Json = {}
    for encoded, times in sorted(uses.items(), key=lambda use: (-use[1], use[0])):
        parameter = json.loads(encoded)
        if times > 1:
            shared.setdefault(parameter["name"], parameter)
    for operation in _operations(document):
        operation["parameters"] = [
            {"$ref": f"#/components/parameters/{parameter['name']}"}
            if shared.get(parameter["name"]) == parameter
            else parameter
            for parameter in operation["parameters"]
        ]
    return dict(sorted(shared.items()))


def drop_defaults(schemas: Json, answers: Iterable[str]) -> None:
    """Take the defaults out of `schemas`, in place; `answers` names those that are sent, and not received.

    A default means nothing in an answer: what has one is always sent, and so it is required. In a body, a member with
    a default is one that may be left out, but generators of TypeScript make it required all the same. What is null when
    it is left out says no more than that it is optional, and any other default is told in words.
    """
    sent = _reached(schemas, answers)
    for name, schema in schemas.items():
        properties: Json = schema.get("properties", {})
        defaults = {member: part.pop("default") for member, part in properties.items() if "default" in part}
        if not defaults:
            continue
        if name in sent:
            required = {*schema.get("required", ()), *defaults}
            schema["required"] = [member for member in properties if member in required]
            continue
        for member, default in defaults.items():
            if default is not None:
                part = properties[member]
                words = f"Left out, it is `{json.dumps(default).strip(chr(34))}`."
                part["description"] = f"{part['description']} {words}" if "description" in part else words


def _reached(schemas: Json, names: Iterable[str]) -> set[str]:
    """Return the names of the schemas that `names` are made of, themselves included."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [reference.rpartition("/")[2] for reference in _references(schemas[name])]
    return found


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []
