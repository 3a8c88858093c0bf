"""What only a real server shows: Granian serving the application, spoken to in bytes."""

import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.integration.http.served import Server, served

MIB = 1_048_576
_LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("wire")) as server:
        yield server


def chunked(size: int) -> bytes:
    """Return `size` blanks in chunks of 64 KiB, without the last chunk."""
    whole, rest = divmod(size, 65_536)
    return (b"10000\r\n" + b" " * 65_536 + b"\r\n") * whole + (
        b"%x\r\n" % rest + b" " * rest + b"\r\n" if rest else b""
    )


def slug(answer: bytes) -> str:
    found = re.search(rb'"type":"/problems/([a-z-]+)"', answer)
    return found[1].decode() if found else ""


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_request_without_host_is_refused(server: Server) -> None:
    answer, _ = server.talk(b"GET /health HTTP/1.1\r\n\r\n")
    assert (status(answer), slug(answer)) == (400, "bad-request")


def test_http_1_0_knows_no_host(server: Server) -> None:
    answer, closed = server.talk(b"GET /problems HTTP/1.0\r\n\r\n")
    assert status(answer) == 200
    assert closed


def test_a_host_that_http_1_0_names_is_checked(server: Server) -> None:
    answer, _ = server.talk(b"GET /problems HTTP/1.0\r\nHost: elsewhere.example\r\n\r\n")
    assert (status(answer), slug(answer)) == (400, "unknown-host")
    answer, _ = server.talk(b"GET http://elsewhere.example/problems HTTP/1.0\r\n\r\n")
    assert (status(answer), slug(answer)) == (400, "unknown-host")


def test_options_may_be_asked_of_the_server_as_a_whole(server: Server) -> None:
    answer, _ = server.talk(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status(answer) == 204
    assert b"\r\nallow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" in answer
    answer, _ = server.talk(b"OPTIONS * HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n")
    assert (status(answer), slug(answer)) == (400, "unknown-host")


def test_answers_do_not_say_what_serves_them(server: Server) -> None:
    """Granian writes its name where there is no `Server`, so the field is there, and empty."""
    for head in (b"GET /health", b"GET /nowhere", b"POST /api/v1/posts"):
        answer, _ = server.talk(head + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert re.search(rb"\r\nserver: ?\r\n", answer)
        assert b"granian" not in answer


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"chunked, chunked", b"chunked\r\nTransfer-Encoding: chunked"])
def test_any_other_transfer_coding_than_chunked_is_refused(server: Server, coding: bytes) -> None:
    answer, closed = server.talk(_LOGIN + b"Transfer-Encoding: " + coding + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    assert (status(answer), slug(answer)) == (501, "unsupported-transfer-coding")
    assert closed


def test_two_hosts_are_refused(server: Server) -> None:
    answer, _ = server.talk(b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
    assert status(answer) == 400


@pytest.mark.parametrize(
    "lengths",
    [b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"],
)
def test_nothing_can_be_smuggled_behind_two_lengths(server: Server, lengths: bytes) -> None:
    """Granian drops the length before anybody sees it; then the connection must end (RFC 9112, section 6.3)."""
    smuggled = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer, closed = server.talk(_LOGIN + lengths + b"\r\n0\r\n\r\n" + smuggled)
    assert status(answer) == 400
    assert closed
    assert answer.count(b"HTTP/1.1 ") == 1


def test_two_content_lengths_are_refused(server: Server) -> None:
    answer, closed = server.talk(_LOGIN + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")
    assert status(answer) == 400
    assert closed


@pytest.mark.parametrize("size", [17_000, 30_000, 200_000])
def test_huge_headers_are_refused(server: Server, size: int) -> None:
    answer, _ = server.talk(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * size + b"\r\n\r\n")
    assert status(answer) == 431


def test_a_body_too_large_by_its_length_is_refused_before_it_is_sent(server: Server) -> None:
    # What it would still send is waited for, for 5 seconds.
    answer, closed = server.talk(_LOGIN + b"Content-Length: %d\r\n\r\n" % (MIB + 1), patience=20)
    assert (status(answer), slug(answer)) == (413, "body-too-large")
    assert closed


def test_after_413_no_further_request_is_read_from_the_connection(server: Server) -> None:
    follow_up = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer, closed = server.talk(_LOGIN + b"Content-Length: %d\r\n\r\n" % (MIB + 1), b"x" * (MIB + 1), follow_up)
    assert status(answer) == 413
    assert closed
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_chunked_body_may_have_one_mebibyte_and_no_byte_more(server: Server) -> None:
    head = _LOGIN + b"Transfer-Encoding: chunked\r\n\r\n"
    answer, _ = server.talk(head, chunked(MIB), b"0\r\n\r\n")
    assert (status(answer), slug(answer)) == (400, "malformed-body")  # Blanks are no JSON, but they were all read.
    answer, closed = server.talk(head, chunked(MIB + 1), b"0\r\n\r\n")
    assert (status(answer), slug(answer)) == (413, "body-too-large")
    assert closed
    answer, closed = server.talk(head, chunked(16 * MIB), patience=20)  # It never ends.
    assert (status(answer), slug(answer)) == (413, "body-too-large")
    assert closed


@pytest.mark.parametrize("body", [b"zz\r\n", b"-1\r\n\r\n", b"ffffffffffffffffff\r\n"])
def test_a_body_chunked_wrongly_is_the_callers_fault(server: Server, body: bytes) -> None:
    answer, _ = server.talk(_LOGIN + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert (status(answer), slug(answer)) == (400, "bad-request")


def test_a_caller_who_hangs_up_in_mid_body_leaves_no_trace(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(_LOGIN + b"Content-Length: 100\r\n\r\n{")
    time.sleep(0.3)
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("path", [b"/health", b"/problems", b"/nowhere", b"/docs", b"/openapi.json"])
def test_head_leaves_the_connection_in_step(server: Server, path: bytes) -> None:
    follow_up = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer, _ = server.talk(b"HEAD " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + follow_up, answers=2)
    first, _, second = answer.partition(b"\r\n\r\n")
    assert re.search(rb"content-length: [1-9]", first)
    assert status(second) == 200
    assert second.endswith(b'{"status":"alive"}')


def test_304_leaves_the_connection_in_step(server: Server) -> None:
    first = b"GET /problems HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\n\r\n"
    answer, _ = server.talk(first + b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", answers=2)
    assert status(answer) == 304
    assert answer.endswith(b'{"status":"alive"}')


@pytest.mark.parametrize(
    "target",
    [b"/api/v1/posts/%ff%fe", b"/api/v1/posts/%00", b"/api/v1/posts?limit=%ff", b"/%", b"*", b"/api/v1/posts/\xff"],
)
def test_no_target_is_an_internal_error(server: Server, target: bytes) -> None:
    answer, _ = server.talk(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert 400 <= status(answer) < 500


@pytest.mark.parametrize(
    "header",
    [b"Authorization: Bearer \xff", b"If-None-Match: \xff", b"Accept: \xff\x80", b"Cookie: \xff", b"Origin: \xff"],
)
def test_no_header_is_an_internal_error(server: Server, header: bytes) -> None:
    answer, _ = server.talk(b"GET /api/v1/posts HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n")
    assert status(answer) < 500


def test_an_upgrade_to_websocket_is_not_taken(server: Server) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    answer, _ = server.talk(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n")
    assert status(answer) == 200
