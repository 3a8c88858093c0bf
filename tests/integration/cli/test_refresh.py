"""Tabs of one browser that refresh at the same moment keep their session: a real server of two workers."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from adapters.sql.schema.migrate import upgrade
from tests.backends import SQL_BACKENDS, Databases
from tests.integration.cli.conftest import Server, Shell, StartServer

pytestmark = pytest.mark.faults

PASSWORD = "a quiet harbour at dawn"
REFRESH = "/api/v1/auth/refresh"
TABS = 8
TRIES = 12
ROUNDS = 3


class Browser:
    """The one cookie that all tabs share. The answer that comes last sets it, also when it was made first."""

    def __init__(self, refresh_token: str) -> None:
        self.cookie = refresh_token
        self.answers: list[int] = []

    def tab(self, server: Server, barrier: Barrier) -> None:
        barrier.wait()
        for _ in range(ROUNDS):
            status, answer = server.request("POST", REFRESH, {"refresh_token": self.cookie})
            self.answers.append(status)
            if status == 200:
                self.cookie = answer["refresh_token"]


@pytest.mark.parametrize("backend", SQL_BACKENDS)
def test_eight_tabs_at_start_up_keep_their_session_in_twelve_of_twelve_tries(
    backend: str, shell: Shell, start: StartServer, databases: Databases
) -> None:
    databases.url(backend)  # Skips, or fails in CI, without a server.
    url = databases.create(backend, "_refresh")
    upgrade(url)
    server = start(DATABASE_URL=url, WORKERS="2", PASSWORD_HASH_MEMORY_KIB="8192", PASSWORD_HASH_ITERATIONS="1")
    kept = 0
    with ThreadPoolExecutor(TABS) as pool:
        for number in range(TRIES):
            account = {"email": f"tabs{number}@example.org", "password": PASSWORD}
            status, pair = server.request("POST", "/api/v1/auth/signup", account)
            assert status == 201, pair
            browser, barrier = Browser(pair["refresh_token"]), Barrier(TABS)
            for done in [pool.submit(browser.tab, server, barrier) for _ in range(TABS)]:
                done.result()
            status, answer = server.request("POST", REFRESH, {"refresh_token": browser.cookie})
            kept += status == 200 and browser.answers == [200] * TABS * ROUNDS
            me, _ = server.request("GET", "/api/v1/users/me", headers=_bearer(answer["access_token"]))
            assert me == 200
    server.stop()
    databases.drop(backend, url)
    assert kept == TRIES


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
