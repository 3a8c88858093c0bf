"""Workloads against a server of one's own making: right answers pass, and each kind of wrong one is noticed."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from bench import workloads
from bench.apis import ContractApi
from bench.client import Client
from bench.data import CROWD, PASSWORD, READERS, Data
from bench.http1 import Request, Response
from bench.workloads import (
    Create,
    FeedNewDeep,
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

    def ask(self, request: Request) -> Response:
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

    def _answer(self, status: int, body: dict[str, Any]) -> Response:
        raw = json.dumps(body).encode()
        return Response(status, (("etag", '"x"'),), raw, len(raw))


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


def test_votes_are_never_cast_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "_MOST_WRITES_PER_SECOND", 1_500)
    asked = session(Honest())
    requests = Vote().requests(asked, 0) + Vote().requests(asked, 0)
    pairs = {(request.target, request.headers) for request in requests}
    assert len(pairs) == len(requests)


@pytest.mark.slow  # It takes more votes than there are posts, three times.
def test_a_voter_who_comes_round_again_finds_another_post() -> None:
    # More votes than there are posts: the second time round, each post meets another voter.
    asked = session(Honest())
    asked.tokens = {index: str(index) for index in CROWD}
    pairs = [(post.index, voter) for _, post, _, voter in (Vote()._next(asked) for _ in range(3 * DATA.posts))]
    assert len(set(pairs)) == len(pairs)


def test_votes_and_posts_of_one_moment_are_by_different_people() -> None:
    asked = session(Honest())
    asked.tokens = {index: str(index) for index in CROWD}
    votes = [Vote()._next(asked) for _ in range(64)]
    assert len({voter for _, _, _, voter in votes}) == len({post.index for _, post, _, _ in votes}) == 64
    assert len({request.headers for request in Create().requests(asked, 1)[:64]}) == 64


def test_everybody_who_reads_has_a_token_of_their_own() -> None:
    asked = session(Honest())
    assert len({request.headers for request in OwnPosts().requests(asked, 1)}) == len(READERS)


def test_answers_of_another_size_than_the_checked_ones_are_a_fault() -> None:
    assert size_fault(8_000, 8_400) is None
    assert size_fault(8_000, 400) is not None


class Walked(Client):
    """A feed of a thousand posts, whose cursor says how many have been shown."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:0")
        self.asked: list[tuple[int, int]] = []

    def ask(self, request: Request) -> Response:
        given = dict(pair.split("=") for pair in request.target.partition("?")[2].split("&") if pair)
        begin, limit = int(given.get("cursor", 0)), int(given.get("limit", 20))
        self.asked.append((begin, limit))
        page = {"items": list(range(begin, min(begin + limit, 1_000))), "next_cursor": str(begin + limit)}
        raw = json.dumps(page).encode()
        return Response(200, (), raw, len(raw))


def test_one_walk_finds_the_shallow_and_the_deep_pages_by_their_cursors() -> None:
    walked = Walked()
    shallow, deep = API.feed_pages(walked.ask, "t", "new", begins=[2, 30], count=3)
    assert [request.target for request in shallow] == [f"/api/v1/posts?cursor={begin}" for begin in (20, 40, 60)]
    assert [request.target for request in deep] == [f"/api/v1/posts?cursor={begin}" for begin in (580, 600, 620)]
    # From the fourth page on in strides of a hundred.
    assert [begin for begin, limit in walked.asked if limit == 100] == [80, 180, 280, 380, 480]


def test_a_walk_beyond_the_end_is_no_page() -> None:
    with pytest.raises(ValueError, match="page 60"):
        API.feed_pages(Walked().ask, "t", "new", begins=[2, 60], count=1)


def test_shallow_and_deep_pages_are_as_many_and_never_the_same() -> None:
    for posts in (10_000, 20_000, 1_000_000):
        data = Data(posts)
        (shallow, deep), count = FeedNewDeep.begins(data), FeedNewDeep.pages(data)
        assert shallow > 1
        assert shallow + count <= deep < posts // 100 < deep + count
    assert (count, posts // 100) == (256, 10_000)
