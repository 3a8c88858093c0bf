"""What only a real server shows: Granian serving the application, spoken to in bytes."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 1_048_576
_LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Server:
    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.log = log

    def talk(self, *parts: bytes, answers: int = 1) -> tuple[bytes, bool]:
        """Send the parts, and return what comes back, and whether the server closed.

        Silence after so many answers is taken for the end; before, a busy machine may take seconds.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            received = b""
            try:
                for part in parts:
                    connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                pass  # It answered and closed without reading the rest.
            while select.select([connection], [], [], 0.5 if received.count(b"HTTP/1.") >= answers else 20)[0]:
                try:
                    data = connection.recv(65_536)
                except ConnectionResetError:
                    return received, True
                if not data:
                    return received, True
                received += data
            return received, False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("wire")
    port = _free_port()
    log = folder / "log"
    environment = {
        **os.environ,
        "ENVIRONMENT": "testing",
        "DATABASE_URL": "memory://",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WORKERS": "1",
        "SECRET_KEY": "a key for tests, and for tests alone, 48 bytes long",
        "ALLOWED_HOSTS": "localhost",
        "CORS_ORIGINS": "",
    }
    with log.open("wb") as stream:
        command = [sys.executable, "-c", "from entrypoints.cli.main import main; main()", "serve"]
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            _wait_until_it_listens(port, process, log)
            yield Server(port, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(log.read_text())


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


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_request_without_host_is_refused(server: Server, version: bytes) -> None:
    answer, _ = server.talk(b"GET /health HTTP/" + version + b"\r\n\r\n")
    assert (status(answer), slug(answer)) == (400, "bad-request")


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
    answer, closed = server.talk(_LOGIN + b"Content-Length: %d\r\n\r\n" % (MIB + 1))
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
    answer, closed = server.talk(head, chunked(16 * MIB))  # It never ends.
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
