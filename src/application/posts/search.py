"""What searching needs from storage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from application.posts.ports import ALWAYS, Period
from application.posts.views import PostView
from domain.posts.search import SearchQuery
from domain.shared.ids import PostId, UserId


@dataclass(frozen=True, slots=True)
class SearchPosition:
    """A place in the order of what a search finds: by score, then by id, both descending."""

    score: int
    post_id: PostId


@dataclass(frozen=True, slots=True)
class SearchHit:
    position: SearchPosition
    text_bytes: int
    """UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCriteria:
    """What a post must hold, and, where this is given, who must have published it, and when."""

    query: SearchQuery
    author: UserId | None = None
    period: Period = ALWAYS


class PostSearch(Protocol):
    """Finds posts, answers to other posts included, by the words in them: the same ones on every storage."""

    async def find(self, criteria: SearchCriteria, *, limit: int, after: SearchPosition | None) -> list[SearchHit]:
        """Return the best hits after the place `after`, best first, scored as `SearchableText.score` says.

        What is committed is found, and nothing else.
        """
        ...

    async def show(self, ids: Sequence[PostId], *, viewer: UserId | None) -> list[PostView]:
        """Read what was found, in the order given, without what was deleted since."""
        ...
