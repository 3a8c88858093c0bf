"""What things cost as there is more of them: posts in all, and bytes in one. On each of our databases.

How many posts an author has is measured as workloads of the main run ("own posts, an author of …"), and so is the
largest number of posts, which this does not repeat. Memory is the peak of all processes of the server.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar, Final

from bench.contenders import Contender, Surroundings, line_up
from bench.data import WRITERS, Data
from bench.figures import Summary
from bench.http1 import Request
from bench.report import GROWTH_CONNECTIONS
from bench.results import Results
from bench.runner import Plan, Runner
from bench.workloads import FeedNew, OnePost, OwnPosts, Session, Vote, Workload, WrongAnswer

POSTS: Final = (10_000, 100_000)
"""And as many as the main run has."""
BYTES: Final = (100, 10_000, 100_000, 1_000_000)
CONNECTIONS: Final = GROWTH_CONNECTIONS
_PLAN: Final = Plan(
    rounds=2, seconds=1, brief_rounds=2, brief_seconds=1, connections=(CONNECTIONS,), rates=(), open_seconds=1,
    warm_up_seconds=0,
)  # fmt: skip
_PAGE_BYTES: Final = 4 * 1024 * 1024
"""No page is larger, however long its posts are."""


class _OfSize(Workload):
    """Asks for, or publishes, posts of one size."""

    size: int
    families: ClassVar = ("postern",)

    def __init__(self, size: int) -> None:
        self.size = size
        # Shadow the names of the class: each size is a workload of its own.
        self.name, self.title = f"{type(self).name}_{size}", f"{type(self).title} of {size:,} bytes"  # type: ignore[misc]

    def make(self, session: Session) -> None:
        """Publish what is read: not before the other workloads have seen the data as it was loaded."""

    def made(self, session: Session) -> Request:
        if self.name not in session.made:
            self.make(session)
        return session.made[self.name]

    def text(self, number: int) -> str:
        begun = f"{number} "
        return begun + "a" * (self.size - len(begun) - 1) + "b"


class PostOfSize(_OfSize):
    name, title = "post", "one post"

    def make(self, session: Session) -> None:
        token = session.token(WRITERS[0])
        answer = session.ask(session.api.create(token, session.data.person(WRITERS[0]), self.text(0)), 201)
        session.made[self.name] = session.api.post_by_key(token, answer.json()["id"])

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        return [self.made(session)]

    def verify(self, session: Session) -> None:
        if session.item(session.ask(self.made(session), 200)).text != self.text(0):
            raise WrongAnswer("another text than was published")


class ListOfSize(_OfSize):
    """The own posts of somebody who has twenty of that size and no others."""

    name, title = "list", "own posts, 20"
    uncached = True

    def make(self, session: Session) -> None:
        handle = f"sized.{session.nonce}.{self.size}"
        token = session.api.read_token(session.ask(session.api.sign_up(f"{handle}@example.com", handle), 201))
        for number in range(20):
            session.ask(session.api.create(token, session.data.person(0), self.text(number)), 201)
        session.made[self.name] = session.api.own_posts(token, session.data.person(0))

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        return [self.made(session)]

    def verify(self, session: Session) -> None:
        items = session.page(self.made(session))
        expected = min(20, max(1, _PAGE_BYTES // self.size))
        if [item.text for item in items] != [self.text(19 - number) for number in range(expected)]:
            raise WrongAnswer(f"{len(items)} posts instead of the {expected} newest that fit on a page")


class CreateOfSize(_OfSize):
    name, title = "create", "create a post"

    def requests(self, session: Session, seconds: float) -> list[Request]:
        del seconds
        writers = [WRITERS[number % len(WRITERS)] for number in range(20)]
        return [
            session.api.create(session.token(writer), session.data.person(writer), self.text(number))
            for number, writer in enumerate(writers)
        ]

    def verify(self, session: Session) -> None:
        writer = WRITERS[1]
        request = session.api.create(session.token(writer), session.data.person(writer), self.text(7))
        if session.item(session.ask(request, 201)).text != self.text(7):
            raise WrongAnswer("another text than was published")

    def size_check(self, requests: list[Request]) -> list[Request]:
        del requests
        return []


def measure(databases: Sequence[str], results: Results, *, around: Surroundings, say: Callable[[str], None]) -> None:
    """Measure each of these databases at each size."""
    names = [f"postern-{database}" for database in databases]
    results.growth = [each for each in results.growth if each["database"] not in databases]
    for posts in POSTS:
        workloads: list[Workload] = [OwnPosts(), OnePost(), FeedNew(), Vote()]
        sized: list[Workload] = []
        if posts == min(POSTS):
            sized = [kind(size) for kind in (PostOfSize, ListOfSize, CreateOfSize) for size in BYTES]
        smaller = replace(around, data=Data(posts), directory=around.directory / f"of-{posts}")
        smaller.directory.mkdir()
        found = Results({})
        runner = Runner(
            line_up(smaller, names), [*workloads, *sized], _PLAN, found,
            cores=around.cores, directory=smaller.directory, say=say,
        )  # fmt: skip
        with runner.everybody_ready() as ready:
            runner.measure([*workloads, *sized])
            for contender in ready:
                for workload in workloads:
                    _add(results, found, contender, workload, {"posts": posts})
                for workload in sized:
                    if isinstance(workload, _OfSize):
                        _add(results, found, contender, workload, {"bytes": workload.size})


def _add(results: Results, found: Results, contender: Contender, workload: Workload, size: dict[str, int]) -> None:
    summary: Summary | None = found.summary(workload.name, contender.name, CONNECTIONS)
    key = workload.name, contender.name
    told: dict[str, Any] = {"summary": asdict(summary)} if summary else {"fault": found.void.get(key) or "not offered"}
    what = type(workload).title
    results.growth.append({"database": contender.database, "what": what, **size, **told})
