"""What each level of gzip saves and takes, on answers as the API gives them: `python -m tools.coding_levels`.

Prints the table of docs/adr/0037-content-coding.md. The texts are made of the README's words.
"""

import random
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Final
from uuid import UUID

import msgspec

from application.posts.views import AuthorView, PostPageView, PostView
from entrypoints.container import Container
from entrypoints.http.app import openapi_document
from entrypoints.http.edge.compression import compress
from entrypoints.settings import Settings

LEVELS: Final = (1, 4, 6, 9)
ROUNDS: Final = 5
_AT: Final = "2026-11-21T09:30:00.000000Z"
_WORDS: Final = re.findall(r"\w+", (Path(__file__).parent.parent / "README.md").read_text())


def a_page(posts: int, words: int) -> bytes:
    some = random.Random(1)  # noqa: S311 - the same texts each time
    author = AuthorView(id=str(UUID(int=1)), username="alice", name="Alice")
    items = [
        PostView(
            id=str(UUID(int=some.getrandbits(128))),
            author=author,
            text=" ".join(some.choices(_WORDS, k=words)),
            score=some.randrange(100),
            upvotes=some.randrange(100),
            downvotes=0,
            my_vote=0,
            created_at=_AT,
            updated_at=_AT,
            version=1,
        )
        for _ in range(posts)
    ]
    return msgspec.json.encode(PostPageView(items=items, next_cursor=None))


def answers() -> Iterator[tuple[str, bytes]]:
    yield "20 posts of 25 words", a_page(20, 25)
    yield "100 posts of 40 words", a_page(100, 40)
    settings = Settings.load({"ENVIRONMENT": "testing", "DATABASE_URL": "memory://", "SECRET_KEY": "x" * 48})
    yield "the document", msgspec.json.encode(openapi_document(Container(settings=settings)))
    yield "4 posts of 1 MB", a_page(4, 150_000)


def main() -> None:
    sys.stdout.write(f"zlib {zlib.ZLIB_RUNTIME_VERSION}\n")
    for name, body in answers():
        cells = []
        for level in LEVELS:
            seconds = []
            for _ in range(ROUNDS):
                began = perf_counter()
                compress(body, level)
                seconds.append(perf_counter() - began)
            cells.append(f"{len(compress(body, level)):,}, {min(seconds) * 1e3:.2f} ms")
        sys.stdout.write(f"| {name} | {len(body):,} | {' | '.join(cells)} |\n")


if __name__ == "__main__":
    main()
