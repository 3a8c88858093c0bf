"""The data that every contender is measured over: the same people, posts and votes, from the same seed.

Nothing here is drawn at run time: post 4711 has the same id, author, time and text in every database and in every run,
so that an answer can be checked word by word without asking anybody.
"""

import random
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import log10
from typing import Final
from uuid import UUID

PASSWORD: Final = "a quiet harbour at dawn"
"""Everybody's. One hash of it is stored for all: a million Argon2 hashes would take five hours."""

MIN_POSTS: Final = 10_000
LARGE_AUTHOR_FROM: Final = 200_000
"""From this many posts on there is an author of 100,000 of them."""

SMALL_AUTHOR, MEDIUM_AUTHOR, LARGE_AUTHOR = 0, 1, 2
"""The first three people: authors of 10, 1,000 and 100,000 posts."""
READERS: Final = range(3, 19)
"""They read their own 100 posts and never write, so that what they read stays known."""
WRITERS: Final = range(19, 35)
"""They have 100 posts each, and write and vote."""
CROWD: Final = range(35, 35 + 1_024)
"""They write and vote, all of them in turns, as on a busy site; what was loaded has no votes of theirs."""
FIRST_ORDINARY: Final = 35
"""From here on people are authors by chance."""

_POSTS_OF_EACH = 100
_CROWD_PUBLISHED_FROM = 100_000
_BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)
_PERSON_EVERY = timedelta(seconds=40)
_POST_EVERY = timedelta(seconds=20)
_WORDS = (
    "anchor", "beacon", "breeze", "bright", "calm", "channel", "coast", "compass", "current", "dawn", "deck", "drift",
    "evening", "ferry", "fog", "gull", "harbour", "horizon", "island", "jetty", "keel", "lantern", "ledge", "light",
    "marsh", "mast", "moor", "north", "oar", "ocean", "pier", "pilot", "quay", "reef", "rope", "rudder", "sail",
    "salt", "sand", "shallow", "shore", "signal", "south", "spray", "star", "storm", "surf", "swell", "tide",
    "timber", "tower", "vessel", "voyage", "wave", "west", "wind",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    index: int
    id: UUID
    email: str
    username: str
    name: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Post:
    index: int
    id: UUID
    author: int
    """The author's index."""
    text: str
    created_at: datetime
    upvotes: int
    downvotes: int

    @property
    def score(self) -> int:
        return self.upvotes - self.downvotes


@dataclass(frozen=True, slots=True)
class Vote:
    voter: int
    post: int
    direction: int
    created_at: datetime


class Data:
    """`posts` posts by `posts // 10` people, and a fifth as many votes, most of them for few posts.

    Raises `ValueError` below `MIN_POSTS`, which the authors of known size need.
    """

    def __init__(self, posts: int, *, seed: int = 7) -> None:
        if posts < MIN_POSTS:
            raise ValueError(f"at least {MIN_POSTS} posts")
        self.posts = posts
        self.people = max(CROWD.stop + 965, posts // 10)
        self._seed = seed
        self._texts = _texts(random.Random(seed))

    @property
    def has_large_author(self) -> bool:
        return self.posts >= LARGE_AUTHOR_FROM

    def person(self, index: int) -> Person:
        created_at = _BEGINNING - (self.people - index) * _PERSON_EVERY
        name = None if index % 5 == 0 else f"{_WORDS[index % len(_WORDS)].title()} Number {index}"
        return Person(index, _id(created_at, 2 * index), email_of(index), f"person.{index}", name, created_at)

    def post(self, index: int) -> Post:
        created_at = _BEGINNING + index * _POST_EVERY
        up, down = self._counts
        text = f"{self._texts[_mix(index) % len(self._texts)]} #{index}"
        return Post(
            index, _id(created_at, 2 * index + 1), self.authors[index], text, created_at, up[index], down[index]
        )

    def all_people(self) -> Iterator[Person]:
        return (self.person(index) for index in range(self.people))

    def all_posts(self) -> Iterator[Post]:
        return (self.post(index) for index in range(self.posts))

    def all_votes(self) -> Iterator[Vote]:
        for key, direction in self._votes.items():
            voter, post = divmod(key, self.posts)
            yield Vote(voter, post, direction, _BEGINNING + self.posts * _POST_EVERY)

    def find(self, id: UUID) -> int | None:
        """Return the index of a post by its id; None when it is none of these."""
        elapsed = timedelta(milliseconds=id.int >> 80) - (_BEGINNING - datetime(1970, 1, 1, tzinfo=UTC))
        index = elapsed // _POST_EVERY
        return index if 0 <= index < self.posts and self.post(index).id == id else None

    @cached_property
    def authors(self) -> "array[int]":
        """The author of each post, by index. Authors of known size are spread evenly over time."""
        known = [SMALL_AUTHOR] * 10 + [MEDIUM_AUTHOR] * 1_000
        if self.has_large_author:
            known += [LARGE_AUTHOR] * 100_000
        for author in (*READERS, *WRITERS):
            known += [author] * _POSTS_OF_EACH
        if self.posts >= _CROWD_PUBLISHED_FROM:
            known += [author for author in CROWD for _ in range(20)]  # a page of their own posts
        chance = random.Random(self._seed + 1)
        others = self.posts - len(known)
        drawn = chance.choices(range(FIRST_ORDINARY, self.people), k=others)
        everybody = array("I", known + drawn)
        chance.shuffle(everybody)
        return everybody

    def newest_of(self, author: int, count: int) -> list[int]:
        """Return the indexes of an author's newest posts, the newest first."""
        return self._by_author.get(author, [])[: -count - 1 : -1]

    @cached_property
    def _by_author(self) -> dict[int, list[int]]:
        known = {SMALL_AUTHOR, MEDIUM_AUTHOR, LARGE_AUTHOR, *READERS, *WRITERS}
        posts: dict[int, list[int]] = {}
        for index, author in enumerate(self.authors):
            if author in known:
                posts.setdefault(author, []).append(index)
        return posts

    @cached_property
    def _votes(self) -> dict[int, int]:
        """Direction by `voter * posts + post`: one vote a voter and post. Those who will vote have cast none."""
        chance = random.Random(self._seed + 2)
        votes: dict[int, int] = {}
        for _ in range(self.posts // 5):
            voter = chance.randrange(CROWD.stop, self.people)
            post = int(self.posts * chance.random() ** 3)
            votes[voter * self.posts + post] = 1 if chance.random() < 0.8 else -1
        return votes

    @cached_property
    def _counts(self) -> "tuple[array[int], array[int]]":
        up, down = array("I", bytes(4 * self.posts)), array("I", bytes(4 * self.posts))
        for key, direction in self._votes.items():
            (up if direction > 0 else down)[key % self.posts] += 1
        return up, down

    @cached_property
    def vote_count(self) -> int:
        return len(self._votes)


def email_of(index: int) -> str:
    return f"person.{index}@example.com"


def heat(score: int, created_at: datetime) -> int:
    """Return the rank by score and age that Postern documents, in milliseconds: ten votes are worth 12.5 hours.

    Spelled out, because the baselines rank by it too and are not to call into the product.
    """
    lift = round(45_000_000 * log10(max(abs(score), 1)))
    published = (created_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return published + (lift if score >= 0 else -lift)


def _texts(chance: random.Random) -> list[str]:
    """4,096 sentences of 6 to 24 words: some 100 bytes on average."""
    return [" ".join(chance.choices(_WORDS, k=chance.randint(6, 24))).capitalize() + "." for _ in range(4_096)]


def _mix(number: int) -> int:
    """Scatter a number over 64 bits (the finaliser of splitmix64)."""
    mixed = (number + 0x9E3779B97F4A7C15) & 0xFFFF_FFFF_FFFF_FFFF
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFF_FFFF_FFFF_FFFF
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & 0xFFFF_FFFF_FFFF_FFFF
    return mixed ^ mixed >> 31


def _id(created_at: datetime, number: int) -> UUID:
    """Return a UUIDv7 (RFC 9562) that is always the same. All times here are of whole milliseconds."""
    milliseconds = (created_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | _mix(number) >> 2)


def short_id(number: int, *, kind: str) -> str:
    """Return a 15-character id of `[a-z0-9]`, as PocketBase has them: scattered like its own, and unique by `number`.

    The first character is the kind's, the next seven are scattered, the last seven are the number itself.
    """
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    scattered, counted = _mix(number), number
    head = tail = ""
    for _ in range(7):
        scattered, high = divmod(scattered, 36)
        counted, low = divmod(counted, 36)
        head, tail = digits[high] + head, digits[low] + tail
    return kind + head + tail


def sizes(data: Data) -> dict[str, int]:
    """Count posts by the special authors, for the report."""
    counted = Counter(data.authors)
    return {
        "posts": data.posts,
        "people": data.people,
        "votes": data.vote_count,
        "of the small author": counted[SMALL_AUTHOR],
        "of the medium author": counted[MEDIUM_AUTHOR],
        "of the large author": counted[LARGE_AUTHOR],
        "of each reader": counted[READERS[0]],
    }
