"""Asking the application below any client: just these header fields, and a body in just these pieces."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

Field = tuple[bytes, bytes]

GONE: Final = None
"""In a body: the client went away."""
Pieces = tuple[bytes | None, ...]


@dataclass(frozen=True)
class Response:
    status: int
    headers: list[Field]
    """In the order of their names."""
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


def scope_of(method: str, target: str, headers: Iterable[Field]) -> dict[str, Any]:
    """Return what a server would tell of a request for `target`, a path with or without a query."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }


async def ask(app: Any, method: str, target: str, headers: Iterable[Field], body: Pieces = (b"",)) -> Response:
    """Make one request, and return the whole answer."""
    sent: list[Any] = []
    left = [
        {"type": "http.disconnect"}
        if piece is GONE
        else {"type": "http.request", "body": piece, "more_body": number < len(body)}
        for number, piece in enumerate(body, 1)
    ]

    async def receive() -> dict[str, Any]:
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope_of(method, target, headers), receive, send)
    return Response(sent[0]["status"], sorted(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:]))
