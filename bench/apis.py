"""How one asks for the same thing: Postern's contract, which the FastAPI baseline shares, and PocketBase's API."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

from bench.data import PASSWORD, Data, Person, Post, short_id
from bench.http1 import Request, Response, json_request

PAGE: Final = 20
"""Posts a page, everywhere."""
_STRIDE = 100

Ask = Callable[[Request], Response]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A post as an answer shows it, in whoever's words."""

    id: str
    author_id: str
    username: str
    text: str
    score: int
    created_at: datetime


class Api(ABC):
    """Writes requests and reads answers. `read_…` raise `KeyError`, `TypeError`, `ValueError` for what is not one."""

    created: int
    """The status of a success that creates."""
    refused_twice: int
    """The status for an e-mail address that is taken."""
    has_validators: bool
    """Whether a list has an `ETag` that `If-None-Match` answers with 304."""
    counts_votes: bool = True
    """Whether a vote moves the counters of its post."""

    @abstractmethod
    def person_key(self, person: Person) -> str: ...

    @abstractmethod
    def post_key(self, post: Post) -> str: ...

    @abstractmethod
    def find(self, data: Data, key: str) -> int | None:
        """Return the index of a post of the loaded data by the id that an answer shows."""

    @abstractmethod
    def sign_up(self, email: str, username: str) -> Request: ...

    @abstractmethod
    def log_in(self, email: str) -> Request: ...

    @abstractmethod
    def own_posts(self, token: str, person: Person) -> Request: ...

    @abstractmethod
    def one_post(self, token: str, post: Post) -> Request: ...

    @abstractmethod
    def post_by_key(self, token: str, key: str) -> Request: ...

    @abstractmethod
    def feed(self, token: str, sort: str) -> Request: ...

    @abstractmethod
    def feed_pages(self, ask: Ask, token: str, sort: str, *, begins: Sequence[int], count: int) -> list[list[Request]]:
        """Return requests for `count` pages of `PAGE` posts from each of these pages on, in their order.

        The first page is 1, which cannot be asked for. Raises `KeyError`, `ValueError`.
        """

    @abstractmethod
    def create(self, token: str, person: Person, text: str) -> Request: ...

    @abstractmethod
    def vote(self, token: str, person: Person, post: Post, direction: int) -> Request: ...

    @abstractmethod
    def read_token(self, answer: Response) -> str: ...

    @abstractmethod
    def read_email(self, answer: Response) -> str:
        """Return the address of the account that signing up has made."""

    @abstractmethod
    def read_item(self, raw: Any) -> Item: ...

    def read_page(self, answer: Response) -> list[Item]:
        return [self.read_item(raw) for raw in answer.json()["items"]]


class ContractApi(Api):
    created = 201
    refused_twice = 409

    def __init__(self, *, has_validators: bool) -> None:
        self.has_validators = has_validators

    def person_key(self, person: Person) -> str:
        return str(person.id)

    def post_key(self, post: Post) -> str:
        return str(post.id)

    def find(self, data: Data, key: str) -> int | None:
        return data.find(UUID(key))

    def sign_up(self, email: str, username: str) -> Request:
        body = {"email": email, "password": PASSWORD, "username": username}
        return json_request("POST", "/api/v1/auth/signup", (), body)

    def log_in(self, email: str) -> Request:
        return json_request("POST", "/api/v1/auth/login", (), {"email": email, "password": PASSWORD})

    def own_posts(self, token: str, person: Person) -> Request:
        del person  # The token says who it is.
        return Request("GET", "/api/v1/users/me/posts", _bearer(token))

    def one_post(self, token: str, post: Post) -> Request:
        return self.post_by_key(token, self.post_key(post))

    def post_by_key(self, token: str, key: str) -> Request:
        return Request("GET", f"/api/v1/posts/{key}", _bearer(token))

    def feed(self, token: str, sort: str) -> Request:
        return self._feed(token, sort, PAGE, None)

    def _feed(self, token: str, sort: str, limit: int, cursor: str | None) -> Request:
        # What is the default is left out, as a client would, and so that it need not be known.
        wanted = {
            **({} if sort == "new" else {"sort": sort}),
            **({} if limit == PAGE else {"limit": limit}),
            **({} if cursor is None else {"cursor": cursor}),
        }
        return Request("GET", "/api/v1/posts" + (f"?{urlencode(wanted)}" if wanted else ""), _bearer(token))

    def feed_pages(self, ask: Ask, token: str, sort: str, *, begins: Sequence[int], count: int) -> list[list[Request]]:
        """Walk there: cursors are sealed, and it is what a client would have to do."""
        found: list[list[Request]] = []
        cursor: str | None = None
        passed = 0
        for begin in begins:
            while to_skip := (begin - 1) * PAGE - passed:
                step = min(to_skip, _STRIDE)
                cursor = self._step(ask, self._feed(token, sort, step, cursor), step, begin)
                passed += step
            pages: list[Request] = []
            for _ in range(count):
                pages.append(self._feed(token, sort, PAGE, cursor))
                cursor = self._step(ask, pages[-1], PAGE, begin)
                passed += PAGE
            found.append(pages)
        return found

    @staticmethod
    def _step(ask: Ask, request: Request, posts: int, page: int) -> str:
        answer = ask(request)
        if answer.status != 200 or len(answer.json()["items"]) != posts:
            raise ValueError(f"the way to page {page} ends before it, with {answer.status}")
        return str(answer.json()["next_cursor"])

    def create(self, token: str, person: Person, text: str) -> Request:
        del person
        return json_request("POST", "/api/v1/posts", _bearer(token), {"text": text})

    def vote(self, token: str, person: Person, post: Post, direction: int) -> Request:
        del person
        return json_request("PUT", f"/api/v1/posts/{post.id}/vote", _bearer(token), {"dir": direction})

    def read_token(self, answer: Response) -> str:
        return str(answer.json()["access_token"])

    def read_email(self, answer: Response) -> str:
        return str(answer.json()["user"]["email"])

    def read_item(self, raw: Any) -> Item:
        author = raw["author"]
        return Item(
            raw["id"], author["id"], author["username"], raw["text"], raw["score"],
            datetime.fromisoformat(raw["created_at"]),
        )  # fmt: skip


class PocketBaseApi(Api):
    created = 200
    refused_twice = 400
    has_validators = False

    def __init__(self, *, counts_votes: bool = False) -> None:
        self.counts_votes = counts_votes

    _sorts: Final = {"new": "-created", "top": "-score", "hot": "-hot"}

    def person_key(self, person: Person) -> str:
        return short_id(person.index, kind="u")

    def post_key(self, post: Post) -> str:
        return short_id(post.index, kind="p")

    def find(self, data: Data, key: str) -> int | None:
        index = int(key[8:], 36)
        return index if index < data.posts and short_id(index, kind="p") == key else None

    def sign_up(self, email: str, username: str) -> Request:
        body = {"email": email, "password": PASSWORD, "passwordConfirm": PASSWORD, "username": username}
        return json_request("POST", "/api/collections/users/records", (), {**body, "emailVisibility": True})

    def log_in(self, email: str) -> Request:
        body = {"identity": email, "password": PASSWORD}
        return json_request("POST", "/api/collections/users/auth-with-password", (), body)

    def log_in_superuser(self, email: str, password: str) -> Request:
        body = {"identity": email, "password": password}
        return json_request("POST", "/api/collections/_superusers/auth-with-password", (), body)

    def impersonate(self, token: str, person: Person) -> Request:
        """Return the request for a token of somebody else's, which a superuser may ask for; good for a day."""
        target = f"/api/collections/users/impersonate/{self.person_key(person)}"
        return json_request("POST", target, _bare(token), {"duration": 86_400})

    def own_posts(self, token: str, person: Person) -> Request:
        return self._list(token, sort="-created", filter=f"author='{self.person_key(person)}'")

    def one_post(self, token: str, post: Post) -> Request:
        return self.post_by_key(token, self.post_key(post))

    def post_by_key(self, token: str, key: str) -> Request:
        target = f"/api/collections/posts/records/{quote(key)}?expand=author"
        return Request("GET", target, _bare(token))

    def feed(self, token: str, sort: str) -> Request:
        return self._list(token, sort=self._sorts[sort])

    def feed_pages(self, ask: Ask, token: str, sort: str, *, begins: Sequence[int], count: int) -> list[list[Request]]:
        """Name the pages: it counts their rows (OFFSET), which is what PocketBase offers."""
        del ask
        order = self._sorts[sort]
        return [
            [self._list(token, sort=order, page=str(page)) for page in range(begin, begin + count)] for begin in begins
        ]

    def _list(self, token: str, **wanted: str) -> Request:
        # skipTotal, because nobody else counts either.
        query = urlencode({**wanted, "perPage": PAGE, "skipTotal": 1, "expand": "author"})
        return Request("GET", f"/api/collections/posts/records?{query}", _bare(token))

    def create(self, token: str, person: Person, text: str) -> Request:
        body = {"author": self.person_key(person), "text": text}
        return json_request("POST", "/api/collections/posts/records?expand=author", _bare(token), body)

    def vote(self, token: str, person: Person, post: Post, direction: int) -> Request:
        body = {"user": self.person_key(person), "post": self.post_key(post), "direction": direction}
        return json_request("POST", "/api/collections/votes/records", _bare(token), body)

    def read_token(self, answer: Response) -> str:
        return str(answer.json()["token"])

    def read_email(self, answer: Response) -> str:
        return str(answer.json()["email"])

    def read_item(self, raw: Any) -> Item:
        author = raw["expand"]["author"]
        return Item(
            raw["id"], author["id"], author["username"], raw["text"], raw["score"],
            datetime.fromisoformat(raw["created"]),
        )  # fmt: skip


def _bearer(token: str) -> Headers:
    return (("Authorization", f"Bearer {token}"),)


def _bare(token: str) -> Headers:
    return (("Authorization", token),)
