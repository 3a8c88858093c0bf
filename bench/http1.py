"""As much of HTTP/1.1 as a load generator needs: writing a request, and finding where an answer ends (RFC 9112).

A library would be the obvious choice, and each costs more than the server that it measures: this one is what keeps a
generator in Python honest at some thousand requests a second.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

BODILESS: Final = frozenset({204, 304})
_END = b"\r\n\r\n"
_MAX_HEAD = 65_536


class MalformedAnswer(Exception):
    """What came over the connection is not an HTTP/1.1 answer."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def raw(self, host: str) -> bytes:
        """Return the bytes to send over a keep-alive connection to `host` (name and port)."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body or self.method in {"POST", "PUT", "PATCH"}:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


def json_request(method: str, target: str, headers: tuple[tuple[str, str], ...], body: object) -> Request:
    encoded = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    return Request(method, target, (*headers, ("Content-Type", "application/json")), encoded)


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    size: int = field(compare=False)
    """Bytes on the wire, head and framing included."""

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)

    def json(self) -> Any:
        """Return the body as JSON. Raises `ValueError`."""
        return json.loads(self.body)


class AnswerReader:
    """Takes what a connection brings, piece by piece, and says when an answer is complete. One after another."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Response | None:
        """Return the answer that `data` completes. Raises `MalformedAnswer`, also for bytes beyond its end."""
        self._buffer += data
        head_end = self._buffer.find(_END)
        if head_end < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise MalformedAnswer("the head does not end")
            return None
        status, headers = _head(self._buffer[:head_end])
        begin = head_end + len(_END)
        framed = self._framed(status, dict(headers), begin)
        if framed is None:
            return None
        body, end = framed
        if end != len(self._buffer):
            raise MalformedAnswer(f"{len(self._buffer) - end} bytes follow an answer that nobody asked for")
        self._buffer = b""
        return Response(status, headers, body, end)

    def _framed(self, status: int, headers: dict[str, str], begin: int) -> tuple[bytes, int] | None:
        """Return the body and where it ends; None as long as there is more to come."""
        if status in BODILESS:
            return b"", begin
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks(begin)
        length = headers.get("content-length")
        if length is None or not length.isdecimal():
            raise MalformedAnswer("neither a length nor chunks: it would end with the connection")
        end = begin + int(length)
        return (self._buffer[begin:end], end) if len(self._buffer) >= end else None

    def _chunks(self, at: int) -> tuple[bytes, int] | None:
        pieces: list[bytes] = []
        while True:
            line_end = self._buffer.find(b"\r\n", at)
            if line_end < 0:
                return None
            try:
                size = int(self._buffer[at:line_end].partition(b";")[0], 16)
            except ValueError:
                raise MalformedAnswer("a chunk without a size") from None
            begin, end = line_end + 2, line_end + 2 + size
            if len(self._buffer) < end + 2:
                return None
            if self._buffer[end : end + 2] != b"\r\n":
                raise MalformedAnswer("a chunk longer than it says")
            if size == 0:
                return b"".join(pieces), end + 2
            pieces.append(self._buffer[begin:end])
            at = end + 2


def _head(raw: bytes) -> tuple[int, tuple[tuple[str, str], ...]]:
    first, *lines = raw.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if version != "HTTP/1.1" or not rest[:3].isdecimal():
        raise MalformedAnswer(f"not a status line: {first[:60]!r}")
    fields = (line.partition(":") for line in lines)
    return int(rest[:3]), tuple((name.strip().lower(), value.strip()) for name, _, value in fields)
