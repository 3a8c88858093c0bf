"""Every use case that writes is decorated, where its context's bundle is built, and no other one is."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Final, TypeVar

from dependency_injector import providers

import application
from application.identity.log_in import LogIn
from application.identity.manage_totp import GetTotp
from application.shared.group_commit import SharesCommit
from application.shared.use_case import UseCase
from entrypoints.container import Container
from entrypoints.settings import Settings

C = TypeVar("C")
R = TypeVar("R")

UNDECORATED: Final = {
    LogIn: "waits for a hash; what it stores, OpenSession does",
    GetTotp: "reads the aggregate, and commits nothing",
}
"""Use cases that take units of work and are not decorated, with the reason."""


def classes() -> Iterator[type]:
    for found in pkgutil.walk_packages(application.__path__, "application."):
        module = importlib.import_module(found.name)
        yield from (
            member for _, member in inspect.getmembers(module, inspect.isclass) if member.__module__ == found.name
        )


def takes_units_of_work(member: type) -> bool:
    return "uow" in inspect.signature(member.__init__).parameters and hasattr(member, "execute")  # type: ignore[misc]


class Recording:
    """Stands in for `Writing`, and keeps what it is to decorate."""

    def __init__(self) -> None:
        self.decorated: list[type] = []

    def __call__(self, use_case: UseCase[C, R]) -> UseCase[C, R]:
        self.decorated.append(type(use_case))
        return use_case


def decorated() -> list[type]:
    writing = Recording()
    container = Container(settings=Settings.load({"SECRET_KEY": "a key for tests of forty characters here"}))
    container.writing.override(providers.Object(writing))
    for bundle in (container.identity, container.posts, container.orders, container.webhooks):
        bundle()
    return writing.decorated


def test_every_use_case_that_takes_units_of_work_is_decorated_once_and_no_other_is() -> None:
    writers = {member for member in classes() if takes_units_of_work(member)}
    found = decorated()
    assert len(found) == len(set(found))
    assert set(found) == writers - UNDECORATED.keys()
    assert UNDECORATED.keys() <= writers


def test_what_shares_its_commit_takes_units_of_work() -> None:
    assert {member for member in classes() if issubclass(member, SharesCommit)} - {SharesCommit} <= set(decorated())
