"""Every text and list of a request has a maximum, and one that is longer is refused, whatever it is made of."""

import json

import httpx
import pytest

from tests.integration.http.conftest import Account
from tests.integration.http.contract import Contract
from tests.integration.http.sites import Document, Site


def sites(contract: Contract) -> list[Site]:
    return list(Document(contract.document).sites())


def test_every_text_and_list_of_a_request_has_a_maximum(contract: Contract) -> None:
    found = sites(contract)
    assert len(found) > 120
    assert [str(site) for site in found if site.maximum is None] == []


@pytest.mark.parametrize("where", ["body", "query", "path"])
async def test_what_is_longer_than_its_maximum_is_refused(
    client: httpx.AsyncClient, contract: Contract, alice: Account, where: str
) -> None:
    for site in sites(contract):
        if not site.where.startswith(where):
            continue
        assert site.maximum is not None
        # A text that composes may come to less, and one of bytes is counted in them.
        value = ["x"] * (site.maximum + 1) if site.is_list else "x" * (site.maximum + 1)
        made = site.put(value)
        headers = {**alice.auth, **({"content-type": "application/json"} if made.body else {})}
        url = f"{made.path}?{made.query}" if made.query else made.path
        response = await client.request(made.method, url, content=made.body, headers=headers)
        # Some are forbidden, or not found, before they are read.
        assert response.status_code in {400, 401, 403, 404, 413, 414}, (site, response.text)


async def test_a_header_that_is_longer_than_its_maximum_is_refused(
    client: httpx.AsyncClient, contract: Contract, alice: Account
) -> None:
    tags = ", ".join(['"x"'] * 2_000)
    response = await client.get("/api/v1/users/me", headers={**alice.auth, "if-none-match": tags})
    assert response.status_code == 431
    body = json.dumps({"name": "Alice"})
    response = await client.patch(
        "/api/v1/users/me", content=body, headers={**alice.auth, "content-type": "application/json", "if-match": tags}
    )
    assert response.status_code == 431
    response = await client.get("/api/v1/events", headers={**alice.auth, "last-event-id": "1" * 19})
    assert response.status_code == 400
