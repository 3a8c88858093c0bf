"""A refusal reaches a client that sends its whole body before it reads, as Python's `http.client` does.

A server that closes a connection with something unread resets it, and the client may lose the answer (RFC 9112, section
9.6). So each is asked a number of times: before the rest of a body was read, 13 to 20 of 20 failed.
"""

import http.client
import json
from collections.abc import Iterator

import pytest

from tests.integration.http.served import Server, served

pytestmark = pytest.mark.untraced

MIB = 1_048_576
JSON = {"Content-Type": "application/json"}
TRIES = 20
LARGE_TRIES = 6
"""Of 15 MiB, of which 20 of 20 were lost."""

REFUSALS = {
    "413": ("POST", "/api/v1/auth/login", JSON),
    "400, host": ("POST", "/api/v1/auth/login", JSON | {"Host": "elsewhere.example"}),
    "401": ("POST", "/api/v1/posts", JSON),
    "401, token": ("POST", "/api/v1/posts", JSON | {"Authorization": "Bearer no.such.token"}),
    "403": ("POST", "/api/v1/auth/refresh?transport=cookie", JSON),
    "404": ("POST", "/nowhere", JSON),
    "405": ("PUT", "/api/v1/posts", JSON),
    "406": ("POST", "/api/v1/auth/login", JSON | {"Accept": "text/html"}),
    "414": ("POST", "/api/v1/auth/login?" + "x" * 8_192, JSON),
    "415": ("POST", "/api/v1/auth/login", {"Content-Type": "text/plain"}),
    "429": ("POST", "/api/v1/auth/signup", JSON),
    "431": ("POST", "/api/v1/auth/login", JSON | {"X-Long": "x" * 16_384}),
    "501": ("POST", "/api/v1/auth/login", JSON | {"Transfer-Encoding": "gzip, chunked"}),
    "200, unwanted": ("GET", "/problems", {}),
}
"""By the status that is expected of a body that would be taken: 413 comes before some of them."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("refusals")
    with served(folder, RATE_LIMIT_ADDRESS="100000/minute", RATE_LIMIT_SIGN_UP="1/hour") as server:
        status, _ = ask(server, "POST", "/api/v1/auth/signup", JSON, 2, is_chunked=False)
        assert status == 400  # It is counted all the same, so the next one is one too many.
        yield server


def ask(
    server: Server, method: str, target: str, headers: dict[str, str], size: int, *, is_chunked: bool
) -> tuple[int, bool]:
    """Send it all, then read; return the status, and whether the connection was kept for another request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {"Host": "localhost", **headers}
    try:
        if is_chunked or "Transfer-Encoding" in headers:
            pieces = (b" " * min(65_536, size - start) for start in range(0, size, 65_536))
            headers = {"Transfer-Encoding": "chunked", **headers}
            connection.request(method, target, pieces, headers, encode_chunked=True)
        else:
            connection.request(method, target, b" " * size, headers)
        response = connection.getresponse()
        content = response.read()
        if response.status >= 400:
            assert json.loads(content)["status"] == response.status
        is_kept = not response.will_close
        if is_kept:
            connection.request("GET", "/health/live", headers={"Host": "localhost"})
            assert connection.getresponse().read() == b'{"status":"alive"}'
        return response.status, is_kept
    finally:
        connection.close()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [MIB + 1, 15 * MIB], ids=["1 MiB + 1", "15 MiB"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_reaches_who_sends_it_all_first(server: Server, refusal: str, size: int, is_chunked: bool) -> None:
    method, target, headers = REFUSALS[refusal]
    # Too large by its length is found out first, except for what is looked at before lengths are.
    by_length = not is_chunked and "Transfer-Encoding" not in headers
    expected = 413 if by_length and refusal[:3] not in {"400", "414", "431"} else int(refusal[:3])

    tries = TRIES if size < 2 * MIB else LARGE_TRIES
    found = [ask(server, method, target, headers, size, is_chunked=is_chunked) for _ in range(tries)]

    assert found == [(expected, False)] * tries


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("refusal", ["401", "403", "404", "405", "406", "415", "429"])
def test_a_small_body_that_is_refused_unread_costs_nobody_the_connection(
    server: Server, refusal: str, is_chunked: bool
) -> None:
    method, target, headers = REFUSALS[refusal]
    found = [ask(server, method, target, headers, 1_000, is_chunked=is_chunked) for _ in range(TRIES)]
    # A chunked body does not say how much of it is to come.
    assert found == [(int(refusal), not is_chunked)] * TRIES


def test_what_is_sent_while_the_answer_is_read_arrives_too(server: Server) -> None:
    """A body that is taken, by length and chunked, over one connection and in step."""
    for is_chunked in (False, True):
        found = [ask(server, "POST", "/api/v1/auth/login", JSON, MIB, is_chunked=is_chunked) for _ in range(5)]
        assert found == [(400, True)] * 5


@pytest.mark.parametrize("pieces", [(b"{", b"}"), (b"", b"{}"), (b"{}",)])
def test_requests_with_bodies_follow_each_other_on_one_connection(server: Server, pieces: tuple[bytes, ...]) -> None:
    """A length that is reached ends a body, without the server's word for it."""
    one = (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n"
    )
    answer, closed = server.talk(*([one, *pieces] * 50), answers=50)
    assert answer.count(b"HTTP/1.1 400") == 50
    assert not closed
