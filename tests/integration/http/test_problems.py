"""The catalogue of problems: closed, complete, and reachable."""

import importlib
import pkgutil
import subprocess
import sys

import httpx
import pytest

import adapters
import application
import domain
import entrypoints
from application.shared.errors import Overloaded, StorageUnavailable, Unavailable, VersionConflict
from domain.identity.errors import EmailTaken
from domain.shared.errors import PosternError
from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.problems.catalogue import EXPLANATIONS, STATUS_BY_FAMILY, catalogue, public_errors, status_of
from tests.integration.http.conftest import open_client, problem
from tests.integration.http.contract import Contract


def every_error() -> list[type[PosternError]]:
    """Import everything there is, and return every error class of ours."""
    for package in (domain, application, adapters, entrypoints):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return public_errors()


def test_the_catalogue_is_whole_without_importing_anything_else() -> None:
    """Else the document would depend on what happened to be imported. A fresh interpreter shows it."""
    script = "from entrypoints.http.problems.catalogue import catalogue; print(*catalogue())"
    fresh = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    every_error()
    assert fresh.stdout.split() == list(catalogue())


def test_every_error_has_a_family_a_slug_a_title_and_an_explanation() -> None:
    errors = every_error()
    assert len(errors) > 30
    described = catalogue()
    for error in errors:
        entry = described[error.slug]
        assert entry.status == status_of(error), error
        assert entry.title == error.title, error
        assert error.title, error
        assert entry.description.endswith("."), error
        assert entry.remedy.endswith((".", "`")), error


def test_a_slug_means_one_thing() -> None:
    """A slug is an error's own, or inherited from the one that it is a case of."""
    for error in every_error():
        holders = [cls for cls in error.__mro__ if "slug" in vars(cls)]
        others = [other for other in every_error() if "slug" in vars(other) and other.slug == error.slug]
        assert others == [holders[0]], error


def test_nothing_is_explained_that_does_not_exist() -> None:
    every_error()
    assert set(EXPLANATIONS) == set(catalogue())


def test_no_family_is_in_the_table_in_vain() -> None:
    errors = every_error()
    assert {family for family in STATUS_BY_FAMILY if family in errors} == set(STATUS_BY_FAMILY)


async def test_every_problem_resolves_for_programs_and_for_people(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/problems")).json()["items"]
    assert [entry["slug"] for entry in listed] == sorted(catalogue())
    for entry in listed:
        described = await client.get(entry["type"])
        assert described.json() == entry
        page = await client.get(entry["type"], headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert entry["title"] in page.text
        assert page.headers["vary"].startswith("Accept")
    page = await client.get("/problems/invalid-input", headers={"accept": "text/html"})
    assert "Correct what <code>errors</code> names" in page.text
    page = await client.get("/problems", headers={"accept": "text/html"})
    assert all(f'href="/problems/{entry["slug"]}"' in page.text for entry in listed)


async def test_an_unknown_problem_is_a_problem(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/problems/no-such-thing")) == (404, "no-such-problem")


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def execute(self, _command: object) -> object:
        raise self.error


@pytest.mark.parametrize(
    ("error", "slug"),
    [
        (StorageUnavailable(), "storage-unavailable"),
        (StorageUnavailable("the host db.internal refused"), "storage-unavailable"),
        (Overloaded(), "overloaded"),
        (VersionConflict(), "contention"),
    ],
)
async def test_what_is_unavailable_says_when_to_try_again(
    container: Container, contract: Contract, monkeypatch: pytest.MonkeyPatch, error: Unavailable, slug: str
) -> None:
    monkeypatch.setattr(container.identity(), "sign_up", Failing(error))
    async with open_client(create_app(container), contract) as client:
        body = {"email": "a@example.com", "password": "a walrus in the library"}
        response = await client.post("/api/v1/auth/signup", json=body)
    assert problem(response) == (503, slug)
    assert response.headers["retry-after"] == "1"
    assert "db.internal" not in response.text


async def test_an_error_that_is_no_family_of_ours_tells_nothing(container: Container, contract: Contract) -> None:
    container.list_feed.override(Failing(PosternError("an inner thing")))
    async with open_client(create_app(container), contract) as client:
        response = await client.get("/api/v1/posts")
    assert problem(response) == (500, "internal-error")
    assert "inner" not in response.text


def test_a_conflict_points_to_its_field() -> None:
    assert [(fault.field, fault.code) for fault in EmailTaken().errors] == [("email", "taken")]
