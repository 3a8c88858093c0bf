"""The OpenAPI 3.1 document: made from what each route declares beside itself, and from the very structs it reads and
writes.

Litestar knows the paths and methods. The schemas come from msgspec, which also validates and encodes, so that the
document cannot say other than what happens. (Litestar's own generator derives them anew and drops what it does not
know: `extra_json_schema`, examples, headers of a response.)
"""

import inspect
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from application.shared.idempotency import IdempotencyInFlight
from application.shared.paging import MAX_LIMIT
from domain.shared.errors import Invalid, PosternError
from entrypoints.http.components import drop_defaults, share
from entrypoints.http.edge.conditional import TAGS_SCHEMA
from entrypoints.http.edge.failures import Problem
from entrypoints.http.edge.operation import Auth, Json, Operation, Parameter, key_parameter
from entrypoints.http.edge.request_bodies import BODY_LIMIT
from entrypoints.http.problems.catalogue import catalogue, status_of

_KEY: Final = key_parameter(
    "A name of your choice for this request, such as a new UUID; always send one. It makes the request safe to send "
    "again when its answer is lost or is a 503: for 24 hours the same key with the same body gets the same answer, and "
    "nothing is created again. Keys are each account's own. After an error the key may be used again: nothing was done "
    "then, but for 503 `outcome-unknown`, where the same request with the same key finds out."
)


def operations(app: Litestar) -> Iterable[tuple[str, str, Operation]]:
    """Return (method, path template, declaration) of every declared route, in the order of their groups.

    Within a group they stand as they were registered: signing up before what needs an account.
    """
    found = [
        (method, route.path_format, handler.opt["operation"])
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if "operation" in handler.opt
    ]
    groups = {name: index for index, (name, _) in enumerate(_TAGS)}
    methods = {method: index for index, method in enumerate(("GET", "POST", "PUT", "PATCH", "DELETE"))}
    places: dict[str, int] = {}
    for _, path, _ in found:
        places.setdefault(path, len(places))
    return sorted(found, key=lambda entry: (groups[entry[2].tag], places[entry[1]], methods[entry[0]]))


_HEADERS: Final[dict[str, Json]] = {
    "X-Request-Id": {
        "description": "The caller's id when it is 1 to 128 of `[A-Za-z0-9._-]`, else a new one. In every log record.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "ETag": {
        "description": "A strong validator (RFC 9110): for `If-None-Match`, and for `If-Match` of a write.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[^"]+"$'},
    },
    "Location": {
        "description": "Where the new resource is.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {
        "description": 'The next page (`rel="next"`, RFC 8288); absent on the last one.',
        "schema": {"type": "string"},
    },
    "Cache-Control": {"schema": {"type": "string"}, "required": True},
    "Vary": {"schema": {"type": "string"}, "required": True},
    "Allow": {
        "description": "The methods that the path takes.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Whole seconds to wait.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "Retry-After.in-flight": {
        "description": "Whole seconds to wait; only with `idempotency-in-flight`.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "Idempotent-Replayed": {
        "description": "`true`: this was carried out before, and so it was answered then. Absent the first time.",
        "schema": {"type": "string", "const": "true"},
    },
    "RateLimit-Policy": {
        "description": 'The limits that the request counts against: `"user";q=1200;w=60` are 1200 in 60 seconds '
        "(draft-ietf-httpapi-ratelimit-headers-10).",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": 'What is left of them: `"user";r=1187;t=42`, and that the window ends in 42 seconds.',
        "schema": {"type": "string"},
    },
    "Set-Cookie": {
        "description": "With `transport=cookie`: the refresh token, or its removal.",
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": '`Bearer`, with `error="invalid_token"` where a token was sent (RFC 6750).',
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer"},
    },
}

_PROBLEM_HEADERS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After", "RateLimit-Policy", "RateLimit"),
    503: ("Retry-After",),
}

_TAGS: Final = (
    ("auth", "Signing up, in and out."),
    ("users", "Accounts."),
    ("audit", "Who did what to whom."),
    ("posts", "Posts."),
    ("orders", "Orders."),
    ("webhooks", "Having events sent to URLs."),
    ("events", "What happens, as it happens."),
    ("system", "Health, problems and this document."),
)

_PREFACE: Final = f"""Accounts, posts, votes and orders behind one HTTP API.

**Conventions.** JSON in UTF-8, `snake_case`. Times are RFC 3339 UTC with microseconds; ids are UUIDv7. A body takes
at most {BODY_LIMIT:,} bytes, and unknown fields are refused. Every answer carries `X-Request-Id`. HEAD works wherever
GET does.

**Errors** are problem details (RFC 9457); `errors` lists the faulty fields at once, up to 20, and `type` resolves to a
page with the remedy.

**Lists** are keyset pages: follow `next_cursor` or the `Link` header.

**Caching and concurrency.** Resources and lists have a strong `ETag`. `If-None-Match` gets 304; a write with a stale
`If-Match` gets 412. `If-Match` guards what the caller edits: votes by others do not make it stale.

**Compression.** Answers over 1 KB come in gzip to whoever sends `Accept-Encoding: gzip`, but for those with secrets in
them. The `ETag` then ends in `-gzip`; `If-None-Match` compares it whole, and `If-Match` takes either.

**Sending again.** Every POST that answers 201 to a signed-in caller takes an `Idempotency-Key`. Send a new UUID with
each, and the same one when you send the request again, since its connection broke or its answer was 503: then nothing
is created twice. Without a key there is no telling whether a lost answer meant that it was done.
"""


def build_document(app: Litestar, *, version: str) -> Json:
    """Return the document; the same application always gives the same bytes."""
    declared = list(operations(app))
    schemas = _schemas([operation for _, _, operation in declared])
    paths: Json = {}
    for method, path, operation in declared:
        paths.setdefault(path, {})[method.lower()] = _operation(operation)
    document: Json = {
        "openapi": "3.1.1",
        "info": {
            "title": "Postern",
            "version": version,
            "summary": "A self-hosted backend for user posts.",
            "description": _PREFACE,
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": {name: dict(header) for name, header in _HEADERS.items()},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The `access_token` of signing up, logging in or refreshing; it lasts 30 minutes.",
                },
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "pk_…",
                    "description": "An API key of `POST /auth/api-keys`, good for the scopes it was given.",
                },
            },
        },
    }
    return share(document)


def _schemas(declared: Sequence[Operation]) -> Json:
    bodies = [operation.body for operation in declared if operation.body is not None]
    answers: list[type[msgspec.Struct]] = [Problem]
    answers += [operation.answer for operation in declared if operation.answer is not None]
    structs = sorted({*bodies, *answers}, key=lambda struct: struct.__name__)
    _, components = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    schemas: Json = dict(sorted(components.items()))
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    drop_defaults(schemas, [struct.__name__ for struct in answers])
    slugs = list(catalogue())
    schemas["Problem"]["properties"]["type"]["enum"] = [f"/problems/{slug}" for slug in slugs]
    schemas["ProblemSlug"] = {
        "title": "ProblemSlug",
        "description": "Every problem there is; `GET /problems/{slug}` explains each.",
        "type": "string",
        "enum": slugs,
    }
    return schemas


def _header(name: str) -> Json:
    return {"$ref": f"#/components/headers/{name}"}


def _schema(struct: type[msgspec.Struct]) -> Json:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}


def _operation(operation: Operation) -> Json:
    parameters = [_parameter(parameter) for parameter in operation.parameters]
    if operation.idempotent:
        parameters.append(_parameter(_KEY))
    if operation.cacheable:
        parameters.append(_conditional("If-None-Match", "Tags that the caller holds; 304 when one is current."))
    if operation.takes_if_match:
        parameters.append(_conditional("If-Match", "The `ETag` that the caller decided on; 412 when it has changed."))
    document: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.text(),
        "tags": [operation.tag],
        "parameters": parameters,
        "responses": _responses(operation),
    }
    needed: list[Json] = [{"bearer": []}]
    if operation.scope is not None:
        needed.append({"apiKey": [operation.scope.value]})
    if operation.auth is Auth.REQUIRED:
        document["security"] = needed
    elif operation.auth is Auth.OPTIONAL:
        document["security"] = [{}, *needed]
    else:
        document["security"] = []
    if operation.body is not None:
        content: Json = {"schema": _schema(operation.body)}
        if operation.body_example is not None:
            content["example"] = operation.body_example
        document["requestBody"] = {"required": not operation.body_is_optional, "content": {"application/json": content}}
    return document


def _parameter(parameter: Parameter) -> Json:
    required = parameter.where == "path"
    document: Json = {
        "name": parameter.name,
        "in": parameter.where,
        "required": required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.example is not None and required:
        document["example"] = parameter.example
    elif parameter.example is not None:
        document["description"] += f" For example: `{parameter.example}`."
    return document


def _conditional(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": TAGS_SCHEMA}


def _responses(operation: Operation) -> Json:
    names = (
        "X-Request-Id",
        *(("RateLimit-Policy", "RateLimit") if operation.is_api else ()),
        *(("ETag", "Cache-Control") if operation.cacheable else ()),
        *operation.headers,
        *(("Idempotent-Replayed",) if operation.idempotent else ()),
    )
    success: Json = {
        "description": operation.answer_description,
        "headers": {name: _header(name) for name in dict.fromkeys(names)},
    }
    if operation.answer is not None:
        content: Json = {"schema": _schema(operation.answer)}
        if operation.answer_example is not None:
            content["example"] = operation.answer_example
        success["content"] = {operation.media_type: content}
    elif operation.text_example is not None:
        success["content"] = {operation.media_type: {"schema": {"type": "string"}, "example": operation.text_example}}
    elif operation.has_content and operation.status not in {204, 304}:
        success["content"] = {operation.media_type: {"schema": {"type": "object"}}}
    responses: Json = {str(operation.status): success}
    if operation.cacheable:
        responses["304"] = {
            "description": "The caller holds it already.",
            "headers": {name: _header(name) for name in ("X-Request-Id", "ETag")},
        }
    by_status: dict[int, list[type[PosternError]]] = {}
    for error in operation.errors():
        by_status.setdefault(status_of(error), []).append(error)
    for status in sorted(by_status):
        responses[str(status)] = _problem_response(status, by_status[status])
    return responses


def _problem_response(status: int, errors: Sequence[type[PosternError]]) -> Json:
    errors = sorted({error.slug: error for error in errors}.values(), key=lambda error: error.slug)
    headers = {name: _header(name) for name in ("X-Request-Id", *_PROBLEM_HEADERS.get(status, ()))}
    if IdempotencyInFlight in errors:
        headers["Retry-After"] = _header("Retry-After.in-flight")
    return {
        "description": "; ".join(f"{error.title} (`{error.slug}`)" for error in errors) + ".",
        "headers": headers,
        "content": {
            "application/problem+json": {
                "schema": _schema(Problem),
                "examples": {
                    error.slug: {"summary": error.title, "value": _problem_example(error)} for error in errors
                },
            }
        },
    }


def _problem_example(error: type[PosternError]) -> Json:
    example: Json = {
        "type": f"/problems/{error.slug}",
        "title": error.title,
        "status": status_of(error),
        "detail": error.title,
        "request_id": "5f1c2a9be0d84a6c9d3e7f10a2b4c6d8",
    }
    if error is Invalid:
        example["errors"] = [
            {"pointer": "/text", "code": "blank", "message": "must say something"},
            {"parameter": "limit", "code": "range", "message": f"is a whole number from 1 to {MAX_LIMIT}"},
        ]
    return example
