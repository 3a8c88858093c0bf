"""A new SECRET_KEY, and the change to EdDSA, on two instances that are restarted in turn while clients go on.

Not one request that was valid may fail: access tokens, refresh chains, their grace, cursors and second factors hold.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyotp.totp import TOTP

from tests.integration.cli.conftest import Server, Shell, StartServer

OLD, NEW = "the old key of forty bytes at the very least", "the new key of forty bytes at the very least"

pytestmark = pytest.mark.faults

PEM = (
    Ed25519PrivateKey.generate()
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
    .replace("\n", "\\n")
)
# Each instance takes each step in turn; a new key is accepted everywhere before anybody signs with it.
SECRETS = (
    {"SECRET_KEY": OLD},
    {"SECRET_KEY": OLD, "SECRET_KEY_PREVIOUS": NEW},
    {"SECRET_KEY": NEW, "SECRET_KEY_PREVIOUS": OLD},
)
TO_EDDSA = (
    {"SECRET_KEY": OLD},
    {"SECRET_KEY": OLD, "JWT_KEYS_PREVIOUS": PEM},
    {"SECRET_KEY": OLD, "JWT_PRIVATE_KEY": PEM},
)
PASSWORD = "a quiet harbour at dawn"


@dataclass
class Client:
    """Somebody who uses the service all the time, through whichever instance is up, as behind a load balancer."""

    name: str
    instances: list[Server]
    lock: threading.Lock
    requests: int = 0
    failures: list[str] = field(default_factory=list)

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        # Held while a request is under way, so that no instance is taken away in the middle of one.
        with self.lock:
            server = self.instances[self.requests % len(self.instances)]
            self.requests += 1
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            return server.request(method, f"/api/v1{path}", body, headers)

    def expect(self, status: int, answer: tuple[int, Any], what: str) -> Any:
        if answer[0] != status:
            self.failures.append(f"{self.name}: {what}: {answer}")
        return answer[1]

    def live(self, stop: threading.Event) -> None:
        body = {"email": f"{self.name}@example.com", "password": PASSWORD}
        pair = self.expect(201, self.call("POST", "/auth/signup", body), "sign up")
        first_token = pair["access_token"]
        for number in range(3):
            self.expect(201, self.call("POST", "/posts", {"text": f"{number}"}, first_token), "publish")
        page = self.expect(200, self.call("GET", "/users/me/posts?limit=1", token=first_token), "list")
        cursor = page["next_cursor"]
        while not stop.wait(0.05):
            spent = pair["refresh_token"]
            pair = self.expect(200, self.call("POST", "/auth/refresh", {"refresh_token": spent}), "refresh")
            if pair is None or "refresh_token" not in pair:
                return
            # A lost answer: the same token once more, most likely through the other instance.
            again = self.expect(200, self.call("POST", "/auth/refresh", {"refresh_token": spent}), "replay in grace")
            if again.get("refresh_token") != pair["refresh_token"]:
                self.failures.append(f"{self.name}: another successor")
            for token in (first_token, pair["access_token"], again.get("access_token")):
                self.expect(200, self.call("GET", "/users/me", token=token), "access token")
            self.expect(200, self.call("GET", f"/users/me/posts?limit=1&cursor={cursor}", token=first_token), "cursor")


def roll(start: StartServer, instances: list[Server], lock: threading.Lock, variables: dict[str, str]) -> None:
    """Replace each instance by one with other settings, one after the other."""
    for _ in range(len(instances)):
        fresh = start(**variables)
        with lock:
            old = instances.pop(0)
            instances.append(fresh)
        old.stop()
        time.sleep(0.3)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("steps", [SECRETS, TO_EDDSA], ids=["a new secret key", "from HS256 to EdDSA"])
def test_no_valid_request_fails_while_keys_change(
    shell: Shell, start: StartServer, steps: tuple[dict[str, str], ...]
) -> None:
    shell.migrate()
    instances = [start(**steps[0]) for _ in range(2)]
    lock, stop = threading.Lock(), threading.Event()
    clients = [Client(f"client-{number}", instances, lock) for number in range(3)]
    threads = [threading.Thread(target=client.live, args=(stop,)) for client in clients]
    second_factor = _enrol(instances[0])
    for thread in threads:
        thread.start()
    for variables in steps[1:]:
        time.sleep(0.5)
        roll(start, instances, lock, variables)
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join(30)

    assert [failure for client in clients for failure in client.failures] == []
    assert min(client.requests for client in clients) > 20
    second_factor(instances[0])


def _enrol(server: Server) -> Callable[[Server], None]:
    """Set a second factor up, and return what logs in with it later: its secret was sealed with the old key."""
    body = {"email": "careful@example.com", "password": PASSWORD}
    _, pair = server.request("POST", "/api/v1/auth/signup", body)
    auth = {"Authorization": f"Bearer {pair['access_token']}"}
    _, enrolment = server.request("POST", "/api/v1/auth/totp", {"password": PASSWORD}, auth)
    device = TOTP(enrolment["secret"])
    status, _ = server.request("POST", "/api/v1/auth/totp/confirm", {"code": device.now()}, auth)
    assert status == 200

    def log_in(later: Server) -> None:
        # The code after the present one is taken too, and was surely not used to confirm.
        code = device.at(datetime.now(UTC) + timedelta(seconds=30))
        status, answer = later.request("POST", "/api/v1/auth/login", {**body, "code": code})
        assert status == 200, answer

    return log_in
