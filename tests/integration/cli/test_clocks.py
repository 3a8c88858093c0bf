"""Real servers on hosts whose clocks differ: libfaketime shows each process a time of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.sql.schema.migrate import upgrade
from tests.backends import Databases, missing
from tests.integration.cli.conftest import Server, StartServer, eventually

pytestmark = pytest.mark.faults

PASSWORD = "a quiet harbour at dawn"
API = "/api/v1"
_SECRET = "the same key for both instances, 48 bytes or more of it"


@pytest.fixture(scope="module")
def library() -> str:
    """Return where libfaketime is."""
    places = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not places:
        missing("libfaketime is not installed")
    return str(places[0])


def shifted(library: str, by: str) -> dict[str, str]:
    return {"LD_PRELOAD": library, "FAKETIME": by}


@pytest.fixture(params=["mariadb", "postgresql"])
def url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    databases.url(request.param)  # Skips, or fails in CI, without a server.
    url = databases.create(request.param, "_clocks")
    upgrade(url)
    yield url
    databases.drop(request.param, url)


def signed_up(server: Server, name: str) -> Any:
    body = {"email": f"{name}@example.org", "password": PASSWORD}
    status, answer = server.request("POST", f"{API}/auth/signup", body)
    assert status == 201, answer
    return answer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def notices(server: Server) -> set[str]:
    status, answer = server.request("GET", "/health/ready")
    assert status == 200, answer
    return {notice["code"] for notice in answer["notices"]}


def test_a_host_120_s_ahead_refuses_what_was_logged_out_elsewhere_and_the_other_way_round(
    library: str, url: str, start: StartServer
) -> None:
    variables = {"DATABASE_URL": url, "SECRET_KEY": _SECRET, "WORKERS": "1"}
    ahead, right = start(**variables, **shifted(library, "+120s")), start(**variables)
    for number, (here, there) in enumerate(((ahead, right), (right, ahead))):
        pair = signed_up(here, f"somebody{number}")
        token = bearer(pair["access_token"])
        assert there.request("GET", f"{API}/users/me", headers=token)[0] == 200

        assert here.request("POST", f"{API}/auth/logout", headers=token)[0] == 204

        def is_refused(there: Server = there, token: dict[str, str] = token) -> bool:
            return there.request("GET", f"{API}/users/me", headers=token)[0] == 401

        assert eventually(is_refused)
    assert (notices(ahead), notices(right)) == ({"clock-skew"}, set())
    assert any("clock-skew" in line and "120 s ahead" in line for line in ahead.complaints())
    for server in (ahead, right):
        server.stop()
