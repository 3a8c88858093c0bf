"""What takes its time is done off the event loop, and what does not is not."""

from collections.abc import Callable
from dataclasses import astuple
from typing import Any, TypeVar

from application.posts.views import AuthorView, PostPageView, PostView, encode_page, encoded_page
from application.shared.threads import LARGE_TEXT, Threads
from domain.posts.search import SearchableText
from domain.posts.values import PostText

T = TypeVar("T")


class Counted(Threads):
    def __init__(self) -> None:
        self.runs = 0

    async def run(self, work: Callable[[], T], /) -> T:
        self.runs += 1
        return work()


def a_page(*texts: str | None) -> PostPageView:
    at = "2026-11-21T09:30:00.000000Z"
    shown: Any = {"id": "1", "author": AuthorView("1", "alice", None), "created_at": at, "updated_at": at}
    return PostPageView(
        [PostView(**shown, text=text, score=0, upvotes=0, downvotes=0, version=1) for text in texts], None
    )


async def test_a_page_of_much_text_is_encoded_in_a_thread() -> None:
    threads = Counted()
    half = "x" * (LARGE_TEXT // 2)
    for page, runs in ((a_page(half, None, half), 0), (a_page(half, None, half, "x"), 1)):
        assert astuple(await encoded_page(page, threads)) == astuple(encode_page(page))
        assert threads.runs == runs


def test_a_text_that_was_indexed_before_is_the_same_text() -> None:
    text = PostText.parse("Hello, world.")
    assert text.words is None
    assert text.indexed() == text
    assert text.indexed().words == SearchableText.of("Hello, world.")
