"""The parts of a run, each of which can be run by itself: `python -m bench --only own-posts growth`."""

from collections.abc import Sequence
from typing import Final

from bench.workloads import ALL, Workload

ACCOUNTS: Final = "accounts"
SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "own-posts": ("own_posts_hit", "own_posts_304", "own_posts"),
    "authors": ("own_posts_10", "own_posts_1000", "own_posts_100000"),
    "one-post": ("one_post",),
    "feeds": ("feed_new", "feed_top", "feed_hot"),
    "deep": (
        "feed_new_shallow",
        "feed_new_deep",
        "feed_top_shallow",
        "feed_top_deep",
        "feed_hot_shallow",
        "feed_hot_deep",
    ),
    ACCOUNTS: ("log_in", "sign_up"),
    "writes": ("create", "vote"),
    "mixed": ("mixed",),
}
"""Those that measure workloads in the closed loop, in the order in which they are run: what writes comes last, so that
what reads finds the data as it was loaded."""
OPEN_LOOP: Final = "open-loop"
LOG_INS: Final = "log-ins"
DRIVERS: Final = "drivers"
WORKERS: Final = "workers"
GROWTH: Final = "growth"
NAMES: Final = (*SECTIONS, OPEN_LOOP, LOG_INS, DRIVERS, WORKERS, GROWTH)
NEED_EVERYBODY: Final = frozenset(NAMES) - {GROWTH}
"""Those that need the contenders, as they are lined up; growth makes databases of other sizes."""


def workloads_of(section: str) -> list[Workload]:
    by_name = {workload.name: workload for workload in ALL}
    return [by_name[name] for name in SECTIONS.get(section, ())]


def sections_of(workloads: Sequence[str]) -> list[str]:
    """Return the sections that measure any of these."""
    return [section for section, names in SECTIONS.items() if set(names) & set(workloads)]
