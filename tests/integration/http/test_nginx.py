"""The configuration of nginx that the operations page gives: served, in front of a real server."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends import missing
from tests.integration.http.served import Server, _free_port, _wait_until_it_listens, served

pytestmark = pytest.mark.untraced

CONFIGURATION = Path(__file__).parents[3] / "docs" / "nginx.conf"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if nginx is None:
        missing("nginx is not installed")
    if not CONFIGURATION.exists():
        missing("no configuration")
    folder = tmp_path_factory.mktemp("nginx")
    with served(folder, TRUSTED_PROXIES="127.0.0.1") as server:
        port = _free_port()
        text = CONFIGURATION.read_text()
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};").replace(":8000;", f":{server.port};")
        paths = "".join(
            f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{paths}{text}\n}}\n"
        )
        command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        process = subprocess.Popen(command)
        try:
            _wait_until_it_listens(port, process, folder / "error.log")
            yield Server(port, folder / "error.log", process.pid)
        finally:
            process.terminate()
            process.wait(20)


def _ask(proxied: Server, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", proxied.port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65_536):
            answer += data
    return answer


def test_the_host_of_an_absolute_target_wins_over_host(proxied: Server) -> None:
    """Granian drops that host where there is a `Host`, so it takes the proxy (RFC 9112, section 3.2.2)."""
    head = b" HTTP/1.1\r\nConnection: close\r\nHost: "
    good = _ask(proxied, b"GET http://localhost/problems" + head + b"elsewhere.example\r\n\r\n")
    bad = _ask(proxied, b"GET http://elsewhere.example/problems" + head + b"localhost\r\n\r\n")
    assert b" 200 OK" in good
    assert b" 400 " in bad
    assert b"unknown-host" in bad


def test_it_passes_on_bodies_and_problems(proxied: Server) -> None:
    body = b'{"email": "nobody@example.com", "password": "x"}'
    answer = _ask(
        proxied,
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
    )
    assert b"/problems/" in answer
    assert b"granian" not in answer
