"""What events say, as anybody may read it."""

import httpx
import jsonschema  # type: ignore[import-untyped]  # it ships no types

from application.events.catalogue import SCHEMAS
from tests.integration.http.conftest import problem

LIST = "/api/v1/events/schemas"


async def test_every_schema_is_in_the_list_and_is_found_where_the_list_says(client: httpx.AsyncClient) -> None:
    items = (await client.get(LIST)).json()["items"]

    assert {(item["type"], item["version"]) for item in items} == set(SCHEMAS)
    assert {item["type"] for item in items if item["public"]} == {
        "post.deleted",
        "post.edited",
        "post.published",
        "vote.cast",
    }
    for item in items:
        response = await client.get(item["schema"])
        assert response.headers["content-type"] == "application/json"
        jsonschema.Draft202012Validator.check_schema(response.json())
        assert response.json()["title"] == f"{item['type']}, version {item['version']}"
        again = await client.get(item["schema"], headers={"if-none-match": response.headers["etag"]})
        assert again.status_code == 304


async def test_a_schema_that_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("post.published/2", "post.published/one", "session.opened/1", "post.published/01"):
        assert problem(await client.get(f"{LIST}/{path}")) == (404, "no-such-route")


async def test_a_parameter_that_means_nothing_is_refused(client: httpx.AsyncClient) -> None:
    assert problem(await client.get(f"{LIST}?type=post.published"))[0] == 400
