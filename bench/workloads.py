"""What is asked of every contender, and how its answers are known to be right.

A workload prepares requests, which the generators then only send; and it verifies, before and after: it asks as a
client would and compares with the data that was loaded. A wrong answer voids every figure of that workload and
contender.
"""

import itertools
import random
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Final

from bench.apis import PAGE, Api, Item
from bench.client import Client
from bench.data import CROWD, LARGE_AUTHOR, MEDIUM_AUTHOR, READERS, SMALL_AUTHOR, Data, Post
from bench.http1 import Request, Response

PREPARED: Final = 2_000
"""Requests that a read cycles through."""
MOST_PAGES: Final = 256
"""Pages of the feed in a stretch that a read picks from."""
_MOST_WRITES_PER_SECOND: Final = 8_000
_MOST_HASHES_PER_SECOND: Final = 500
_HASHING_SECONDS: Final = 6
"""64 hashes of 20 to 50 ms at once take up to three seconds, and then all are answered together: a short round would
count many or none of them by chance."""
_SIZE_TOLERANCE: Final = 0.15


class WrongAnswer(Exception):
    """An answer is not what the data says it should be."""


class NotOffered(Exception):
    """The contender has no such thing."""


@dataclass(slots=True)
class Session:
    """One server of a contender, signed in to as everybody who is needed."""

    api: Api
    data: Data
    client: Client
    tokens: dict[int, str] = field(default_factory=dict)
    pages: dict[str, list[list[Request]]] = field(default_factory=dict)
    """Requests for shallow and for deep pages by sort order, found before anything was written."""
    made: dict[str, Request] = field(default_factory=dict)
    """Requests for what a workload has published for itself, by its name."""
    serial: "itertools.count[int]" = field(default_factory=itertools.count)
    nonce: str = field(default_factory=lambda: secrets.token_hex(3))

    def ask(self, request: Request, *expected: int) -> Response:
        """Raises `WrongAnswer` for any other status."""
        answer = self.client.ask(request)
        if answer.status not in expected:
            shown = answer.body[:200].decode(errors="replace")
            raise WrongAnswer(f"{request.method} {request.target}: {answer.status} instead of {expected[0]}: {shown}")
        return answer

    def token(self, index: int) -> str:
        if index not in self.tokens:
            email = self.data.person(index).email
            self.tokens[index] = self.api.read_token(self.ask(self.api.log_in(email), 200))
        return self.tokens[index]

    def page(self, request: Request) -> list[Item]:
        answer = self.ask(request, 200)
        try:
            return self.api.read_page(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise WrongAnswer(f"{request.target} has another shape: {error!r}") from error

    def item(self, answer: Response) -> Item:
        try:
            return self.api.read_item(answer.json())
        except (KeyError, TypeError, ValueError) as error:
            raise WrongAnswer(f"a post of another shape: {error!r}") from error

    def check_item(self, item: Item, post: Post) -> None:
        author = self.data.person(post.author)
        wanted = (self.api.post_key(post), self.api.person_key(author), author.username, post.text)
        found = (item.id, item.author_id, item.username, item.text)
        if found != wanted:
            raise WrongAnswer(f"{found} instead of {wanted}")

    def check_known(self, items: list[Item]) -> None:
        """Check a page of which only the loaded posts are known beforehand."""
        if len(items) != PAGE:
            raise WrongAnswer(f"{len(items)} posts instead of {PAGE}")
        if len({item.id for item in items}) != PAGE:
            raise WrongAnswer("a post twice on one page")
        for item in items:
            index = self.api.find(self.data, item.id)
            if index is not None:
                self.check_item(item, self.data.post(index))


class Workload(ABC):
    name: ClassVar[str]
    title: ClassVar[str]
    uncached: ClassVar[bool] = False
    """Whether it goes to the server whose cache of own posts is off, where there is one."""
    has_floor: ClassVar[bool] = False
    """Whether the floor answers it too."""
    least_seconds: ClassVar[float] = 0
    """A round is not shorter than this."""
    is_used_up: ClassVar[bool] = False
    """Whether a request can be sent once only, so that each run needs its own."""
    families: ClassVar[tuple[str, ...] | None] = None
    """Whose contenders it is asked of; None: everybody's."""
    is_brief: ClassVar[bool] = False
    """Whether short rounds will do: a side of another workload, which has the long ones."""
    least_rounds: ClassVar[int] = 0
    """There are no fewer rounds than this at the most connections."""
    turns: ClassVar[str] = ""
    """Workloads that say the same here are measured in turns, round by round, so that they can be compared."""
    only_most_connections: ClassVar[bool] = False
    """Whether it is left out at fewer connections."""
    needs_crowd: ClassVar[bool] = False
    """Whether everybody of the crowd has to be signed in."""
    compared_with: ClassVar[str | None] = None
    """The workload that contenders without this one are compared by."""

    @abstractmethod
    def requests(self, session: Session, seconds: float) -> list[Request]:
        """Prepare enough for a run of that length."""

    @abstractmethod
    def verify(self, session: Session) -> None:
        """Raises `WrongAnswer`, `NotOffered`."""

    def prepare(self, session: Session) -> None:  # noqa: B027 - most need nothing
        """Find out what is needed while the database is still as it was loaded. Raises as `verify` does."""

    def size_check(self, requests: list[Request]) -> list[Request]:
        """Return requests whose answers are as large as those of a run; none where asking changes something."""
        return requests[:: max(1, len(requests) // 24)]


class SignUp(Workload):
    name, title = "sign_up", "sign up"
    least_seconds = _HASHING_SECONDS
    is_brief = True
    is_used_up = True

    def requests(self, session: Session, seconds: float) -> list[Request]:
        return [self._new(session) for _ in range(int(_MOST_HASHES_PER_SECOND * (seconds + 1)))]

    def _new(self, session: Session) -> Request:
        handle = f"new.{session.nonce}.{next(session.serial)}"
        return session.api.sign_up(f"{handle}@example.com", handle)

    def verify(self, session: Session) -> None:
        handle = f"check.{session.nonce}.{next(session.serial)}"
        request = session.api.sign_up(f"{handle}@example.com", handle)
        email = session.api.read_email(session.ask(request, session.api.created))
        if email != f"{handle}@example.com":
            raise WrongAnswer(f"an account for {email}")
        session.ask(request, session.api.refused_twice)
        session.api.read_token(session.ask(session.api.log_in(email), 200))

    def size_check(self, requests: list[Request]) -> list[Request]:
        del requests
        return []


class LogIn(Workload):
    name, title = "log_in", "log in"
    least_seconds = _HASHING_SECONDS
    is_brief = True

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        return [session.api.log_in(session.data.person(index).email) for index in READERS]

    def verify(self, session: Session) -> None:
        person = session.data.person(READERS[0])
        token = session.api.read_token(session.ask(session.api.log_in(person.email), 200))
        session.page(session.api.own_posts(token, person))

    def size_check(self, requests: list[Request]) -> list[Request]:
        return requests[:2]


class OwnPosts(Workload):
    name, title = "own_posts", "own posts, from the database"
    uncached = True
    authors: ClassVar[tuple[int, ...]] = tuple(READERS)

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        return [session.api.own_posts(session.token(index), session.data.person(index)) for index in self.authors]

    def verify(self, session: Session) -> None:
        for index in self.authors[:3]:
            items = session.page(session.api.own_posts(session.token(index), session.data.person(index)))
            expected = session.data.newest_of(index, PAGE)
            if len(items) != len(expected):
                raise WrongAnswer(f"{len(items)} posts instead of {len(expected)}")
            for item, post in zip(items, expected, strict=True):
                session.check_item(item, session.data.post(post))


class OwnPostsCached(OwnPosts):
    name, title = "own_posts_hit", "own posts, cached"
    uncached = False
    has_floor = True
    compared_with = OwnPosts.name

    def verify(self, session: Session) -> None:
        if not session.api.has_validators:
            raise NotOffered("it has no cache of own posts")
        super().verify(session)


class OwnPostsUnchanged(Workload):
    name, title = "own_posts_304", "own posts, unchanged (304)"
    has_floor = True
    compared_with = OwnPosts.name

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        return [self._conditional(session, index) for index in READERS]

    def _conditional(self, session: Session, index: int) -> Request:
        plain = session.api.own_posts(session.token(index), session.data.person(index))
        etag = session.ask(plain, 200).header("etag")
        if etag is None:
            raise NotOffered("lists have no ETag")
        return Request(plain.method, plain.target, (*plain.headers, ("If-None-Match", etag)))

    def verify(self, session: Session) -> None:
        if not session.api.has_validators:
            raise NotOffered("it does not answer conditional requests")
        for index in READERS[:3]:
            conditional = self._conditional(session, index)
            if session.ask(conditional, 304).body:
                raise WrongAnswer("304 with a body")
            *plain, _ = conditional.headers
            other = Request("GET", conditional.target, (*plain, ("If-None-Match", '"another"')))
            session.ask(other, 200)


class OwnPostsOfSmallAuthor(OwnPosts):
    name, title = "own_posts_10", "own posts, an author of 10"
    families, is_brief, only_most_connections = ("postern",), True, True
    authors = (SMALL_AUTHOR,)


class OwnPostsOfMediumAuthor(OwnPosts):
    name, title = "own_posts_1000", "own posts, an author of 1,000"
    families, is_brief, only_most_connections = ("postern",), True, True
    authors = (MEDIUM_AUTHOR,)


class OwnPostsOfLargeAuthor(OwnPosts):
    name, title = "own_posts_100000", "own posts, an author of 100,000"
    families, is_brief, only_most_connections = ("postern",), True, True
    authors = (LARGE_AUTHOR,)

    def verify(self, session: Session) -> None:
        if not session.data.has_large_author:
            raise NotOffered("there are too few posts for such an author")
        super().verify(session)


class OnePost(Workload):
    name, title = "one_post", "one post"
    has_floor = True

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        tokens = itertools.cycle([session.token(index) for index in READERS])
        return [session.api.one_post(next(tokens), post) for post in _scattered(session.data, PREPARED)]

    def verify(self, session: Session) -> None:
        token = session.token(READERS[0])
        for post in _scattered(session.data, 5):
            session.check_item(session.item(session.ask(session.api.one_post(token, post), 200)), post)


class Feed(Workload):
    sort: ClassVar[str]

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        return [session.api.feed(session.token(index), self.sort) for index in READERS]

    def verify(self, session: Session) -> None:
        request = session.api.feed(session.token(READERS[0]), self.sort)
        self._check_offered(session, request)
        items = session.page(request)
        session.check_known(items)
        self._check_order(items)

    def _check_offered(self, session: Session, request: Request) -> None:
        if self.sort != "new" and session.client.ask(request).status in {400, 404, 405, 501}:
            raise NotOffered(f"there is no feed sorted by {self.sort!r}")

    def _check_order(self, items: list[Item]) -> None:
        """Check what an answer shows of its own order; it does not show how hot a post is."""
        by_sort: dict[str, list[float]] = {
            # To the millisecond, as UUIDv7 orders: of two posts in one, either may come first (RFC 9562, section 5.7).
            "new": [int(item.created_at.timestamp() * 1000) for item in items],
            "top": [item.score for item in items],
        }
        rank = by_sort.get(self.sort, [])
        if rank != sorted(rank, reverse=True):
            raise WrongAnswer(f"not in the order of {self.sort!r}")


class FeedNew(Feed):
    name, title, sort = "feed_new", "feed new, first page", "new"
    has_floor = True


class FeedTop(Feed):
    name, title, sort = "feed_top", "feed top, first page", "top"
    is_brief = True


class FeedHot(Feed):
    name, title, sort = "feed_hot", "feed hot, first page", "hot"
    is_brief = True


class FeedPages(Feed):
    """Pages of the feed at random, from a stretch of pages that many may be in: no page comes from a cache.

    Two stretches of as many pages, one a little below the first page and one around the page at a fifth of the posts,
    which is page 10,000 of a million, are measured in turns. So depth is all that they differ by.

    Not of the FastAPI baseline: its pages are found by the same keyset, and the way there takes it minutes.
    """

    families, uncached = ("postern", "pocketbase"), True
    is_brief, least_rounds = True, 3
    is_deep: ClassVar[bool]

    @staticmethod
    def pages(data: Data) -> int:
        """Return how many pages a stretch has."""
        return min(MOST_PAGES, data.posts // 200)

    @classmethod
    def begins(cls, data: Data) -> tuple[int, int]:
        """Return the first page of each stretch."""
        return 2, data.posts // 100 - cls.pages(data) // 2

    def prepare(self, session: Session) -> None:
        if self.sort in session.pages:
            return
        token, data = session.token(READERS[0]), session.data
        self._check_offered(session, session.api.feed(token, self.sort))
        begins, count = self.begins(data), self.pages(data)
        try:
            # One walk for both: the way to the deep pages leads by the shallow ones.
            found = session.api.feed_pages(session.client.ask, token, self.sort, begins=begins, count=count)
        except (KeyError, ValueError) as error:
            raise WrongAnswer(str(error)) from error
        session.pages[self.sort] = found

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        shuffled = list(session.pages[self.sort][self.is_deep])
        random.Random(5).shuffle(shuffled)
        return shuffled

    def verify(self, session: Session) -> None:
        pages = session.pages[self.sort][self.is_deep]
        for number in (0, len(pages) // 2, len(pages) - 1):
            items = session.page(pages[number])
            session.check_known(items)
            self._check_order(items)
            if self.sort == "new" and "cursor=" in pages[number].target:
                # A cursor stays where it is, whatever was written since; a page number does not.
                page = self.begins(session.data)[self.is_deep] + number
                newest = session.data.posts - 1 - (page - 1) * PAGE
                for item, index in zip(items, range(newest, -1, -1), strict=False):
                    session.check_item(item, session.data.post(index))


class FeedNewShallow(FeedPages):
    name, title, sort, turns, is_deep = "feed_new_shallow", "feed new, shallow pages", "new", "pages of new", False


class FeedNewDeep(FeedPages):
    name, title, sort, turns, is_deep = "feed_new_deep", "feed new, deep pages", "new", "pages of new", True


class FeedTopShallow(FeedPages):
    name, title, sort, turns, is_deep = "feed_top_shallow", "feed top, shallow pages", "top", "pages of top", False


class FeedTopDeep(FeedPages):
    name, title, sort, turns, is_deep = "feed_top_deep", "feed top, deep pages", "top", "pages of top", True


class FeedHotShallow(FeedPages):
    name, title, sort, turns, is_deep = "feed_hot_shallow", "feed hot, shallow pages", "hot", "pages of hot", False


class FeedHotDeep(FeedPages):
    name, title, sort, turns, is_deep = "feed_hot_deep", "feed hot, deep pages", "hot", "pages of hot", True


class Create(Workload):
    """By a thousand people in turns, so that hardly anybody publishes two posts at once."""

    name, title = "create", "create a post"
    needs_crowd = True

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        return [self.by(session, index) for index in itertools.islice(itertools.cycle(CROWD), PREPARED)]

    def by(self, session: Session, index: int) -> Request:
        """Prepare a new post by a writer."""
        number = next(session.serial)
        text = f"{session.data.post(number % session.data.posts).text} ({session.nonce} {number})"
        return session.api.create(session.token(index), session.data.person(index), text)

    def verify(self, session: Session) -> None:
        """The post is there for the very next reads: by its id, and at the top of its author's own."""
        writer = CROWD[next(session.serial) % len(CROWD)]
        person, token = session.data.person(writer), session.token(writer)
        text = f"Checked {session.nonce} {next(session.serial)}"
        made = session.item(session.ask(session.api.create(token, person, text), session.api.created))
        read = session.item(session.ask(session.api.post_by_key(token, made.id), 200))
        first, *_ = session.page(session.api.own_posts(token, person))
        for item in (made, read, first):
            if (item.id, item.text, item.author_id) != (made.id, text, session.api.person_key(person)):
                raise WrongAnswer(f"{item} instead of the post {text!r}")

    def size_check(self, requests: list[Request]) -> list[Request]:
        return requests[:4]


class Vote(Workload):
    """By a thousand people in turns, each time on another post: what is measured is votes, and not one row's queue."""

    name, title = "vote", "vote"
    is_used_up = True
    needs_crowd = True

    def requests(self, session: Session, seconds: float) -> list[Request]:
        return [self._next(session)[0] for _ in range(int(_MOST_WRITES_PER_SECOND * (seconds + 1)))]

    def _next(self, session: Session) -> tuple[Request, Post, int, int]:
        """Return a vote that was never cast before: a new pair of voter and post."""
        number, posts = next(session.serial), session.data.posts
        # A stride that shares no factor with a round number of posts comes by every one of them. After that it comes
        # by them again, and must find another voter at each: so an odd number of voters on, the crowd being a power
        # of two.
        post = session.data.post(number * 7_919 % posts)
        writer = CROWD[(number + number // posts * (1 + posts % 2)) % len(CROWD)]
        direction = -1 if number % 5 == 0 else 1
        request = session.api.vote(session.token(writer), session.data.person(writer), post, direction)
        return request, post, direction, writer

    def verify(self, session: Session) -> None:
        request, post, direction, writer = self._next(session)
        token = session.token(writer)
        before = session.item(session.ask(session.api.one_post(token, post), 200)).score
        answer = session.client.ask(request)
        if answer.status in {404, 405, 501}:
            raise NotOffered("there is no vote")
        if answer.status != 200:
            raise WrongAnswer(f"{answer.status}: {answer.body[:200].decode(errors='replace')}")
        told = answer.json()
        after = session.item(session.ask(session.api.one_post(token, post), 200)).score
        if "score" not in told:
            # PocketBase answers with the vote. It moves no counter unless it is told to by code of one's own.
            moved = direction if session.api.counts_votes else 0
            if told.get("direction") != direction or after != before + moved:
                raise WrongAnswer(f"a vote of {direction} on a score of {before} came to {after}: {told}")
            return
        again = session.ask(request, 200).json()["score"]
        if not told["score"] == after == again == before + direction:
            raise WrongAnswer(f"a vote of {direction} on a score of {before} came to {told['score']}, {after}, {again}")

    def size_check(self, requests: list[Request]) -> list[Request]:
        del requests
        return []


class Mixed(Workload):
    """40 % own posts, 30 % one post, 20 % feed, 10 % create, by a thousand people, each of whom does all of that."""

    name, title = "mixed", "mixed, 90 % reads"
    needs_crowd = True

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        posts = _scattered(session.data, PREPARED)
        create = Create()
        prepared: list[Request] = []
        for number, post in enumerate(posts):
            writer = CROWD[number % len(CROWD)]
            token, person = session.token(writer), session.data.person(writer)
            kind = number * 7 % 10
            if kind < 4:
                prepared.append(session.api.own_posts(token, person))
            elif kind < 7:
                prepared.append(session.api.one_post(token, post))
            elif kind < 9:
                prepared.append(session.api.feed(token, "new"))
            else:
                prepared.append(create.by(session, writer))
        random.Random(3).shuffle(prepared)
        return prepared

    def verify(self, session: Session) -> None:
        Create().verify(session)
        OnePost().verify(session)
        FeedNew().verify(session)

    def size_check(self, requests: list[Request]) -> list[Request]:
        del requests
        return []


ALL: Final[tuple[Workload, ...]] = (
    OwnPostsCached(), OwnPostsUnchanged(), OwnPosts(), OwnPostsOfSmallAuthor(), OwnPostsOfMediumAuthor(),
    OwnPostsOfLargeAuthor(), OnePost(), FeedNew(), FeedTop(), FeedHot(), FeedNewShallow(), FeedNewDeep(),
    FeedTopShallow(), FeedTopDeep(), FeedHotShallow(), FeedHotDeep(), Create(), Vote(), Mixed(), LogIn(), SignUp(),
)  # fmt: skip


def size_fault(expected: float, found: float) -> str | None:
    """Say so when the answers of a run were not as large as the ones that were checked."""
    if abs(found - expected) <= _SIZE_TOLERANCE * expected:
        return None
    return f"answers of {found:.0f} bytes on average, where those that were checked have {expected:.0f}"


def _scattered(data: Data, count: int) -> list[Post]:
    chance = random.Random(11)
    return [data.post(chance.randrange(data.posts)) for _ in range(count)]
