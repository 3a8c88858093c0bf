"""Workloads against a server of one's own making: right answers pass, and each kind of wrong one is noticed."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from bench.apis import ContractApi
from bench.client import Client
from bench.data import PASSWORD, READERS, Data
from bench.http1 import Answer, Request
from bench.workloads import (
    FeedTop,
    NotOffered,
    OnePost,
    OwnPosts,
    OwnPostsUnchanged,
    Session,
    Vote,
    WrongAnswer,
    size_fault,
)

DATA = Data(10_000)
API = ContractApi(has_validators=True)

Change = Callable[[dict[str, Any]], None]


def shown(index: int) -> dict[str, Any]:
    post = DATA.post(index)
    author = DATA.person(post.author)
    return {
        "id": str(post.id),
        "author": {"id": str(author.id), "username": author.username, "name": author.name},
        "text": post.text,
        "score": post.score,
        "created_at": post.created_at.isoformat(),
    }


class Honest(Client):
    """Answers as the contract has it, but for what `change` does to each page."""

    def __init__(self, change: Change = lambda page: None, *, status: dict[str, int] | None = None) -> None:
        super().__init__("127.0.0.1:0")
        self._change = change
        self._status = status or {}

    def ask(self, request: Request) -> Answer:
        if request.target == "/api/v1/auth/login":
            credentials = json.loads(request.body)
            assert credentials["password"] == PASSWORD
            return self._answer(200, {"access_token": credentials["email"]})
        path = request.target.partition("?")[0]
        status = self._status.get(request.target, self._status.get(path, 200))
        if status != 200:
            return self._answer(status, {"title": "no"})
        if path.startswith("/api/v1/posts/"):
            post = shown(DATA.find(UUID(path.rpartition("/")[2])) or 0)
            self._change({"items": [post]})
            return self._answer(200, post)
        email = dict(request.headers)["Authorization"].removeprefix("Bearer ")
        reader = int(email.split("@")[0].removeprefix("person."))
        page = {"items": [shown(index) for index in DATA.newest_of(reader, 20)], "next_cursor": None}
        self._change(page)
        return self._answer(200, page)

    def _answer(self, status: int, body: dict[str, Any]) -> Answer:
        raw = json.dumps(body).encode()
        return Answer(status, (("etag", '"x"'),), raw, len(raw))


def session(client: Client) -> Session:
    return Session(API, DATA, client)


def test_right_answers_pass() -> None:
    OwnPosts().verify(session(Honest()))
    OnePost().verify(session(Honest()))


def drop_one(page: dict[str, Any]) -> None:
    page["items"] = page["items"][1:]


def swap_two(page: dict[str, Any]) -> None:
    page["items"][0], page["items"][1] = page["items"][1], page["items"][0]


def change_text(page: dict[str, Any]) -> None:
    page["items"][0]["text"] += " "


def change_author(page: dict[str, Any]) -> None:
    page["items"][0]["author"]["id"] = str(DATA.person(0).id)


def lose_author(page: dict[str, Any]) -> None:
    del page["items"][0]["author"]


@pytest.mark.parametrize("change", [drop_one, swap_two, change_text, change_author, lose_author])
def test_a_wrong_page_is_noticed(change: Change) -> None:
    with pytest.raises(WrongAnswer):
        OwnPosts().verify(session(Honest(change)))


def test_a_wrong_post_is_noticed() -> None:
    with pytest.raises(WrongAnswer):
        OnePost().verify(session(Honest(change_text)))


def test_an_error_status_is_a_wrong_answer_that_shows_what_came() -> None:
    with pytest.raises(WrongAnswer, match="500 instead of 200"):
        OwnPosts().verify(session(Honest(status={"/api/v1/users/me/posts": 500})))


def test_a_list_that_ignores_its_validator_is_noticed() -> None:
    with pytest.raises(WrongAnswer, match="200 instead of 304"):
        OwnPostsUnchanged().verify(session(Honest()))


@pytest.mark.parametrize("status", [400, 404])
def test_a_feed_that_does_not_know_an_order_does_not_offer_it(status: int) -> None:
    with pytest.raises(NotOffered, match="top"):
        FeedTop().verify(session(Honest(status={"/api/v1/posts?sort=top": status})))


def test_a_server_without_votes_does_not_offer_them() -> None:
    asked = session(Honest())
    post = DATA.post(0)
    asked.client = Honest(status={f"/api/v1/posts/{post.id}/vote": 404})
    with pytest.raises(NotOffered):
        Vote().verify(asked)


def test_votes_are_never_cast_twice() -> None:
    asked = session(Honest())
    requests = Vote().requests(asked, 0) + Vote().requests(asked, 0)
    pairs = {(request.target, request.headers) for request in requests}
    assert len(pairs) == len(requests)


def test_everybody_who_reads_has_a_token_of_their_own() -> None:
    asked = session(Honest())
    assert len({request.headers for request in OwnPosts().requests(asked, 1)}) == len(READERS)


def test_answers_of_another_size_than_the_checked_ones_are_a_fault() -> None:
    assert size_fault(8_000, 8_400) is None
    assert size_fault(8_000, 400) is not None
