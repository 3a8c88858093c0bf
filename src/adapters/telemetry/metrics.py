"""What a process counts of its requests: plain numbers in plain lists, which a scrape turns into Prometheus' own.

A counter of prometheus-client takes a lock and finds its labels anew; several of them and a histogram for each request
cost more than all the rest of a cached answer. Here a request costs one look into a dictionary and two additions.
"""

from bisect import bisect_left
from typing import Final

BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds: from a cached answer to the time-outs."""

NUMBERS: Final = len(BUCKETS) + 3
"""Of a series: the sum of seconds, a count for each bucket, one for what is above all, one for what has no time."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "other"
"""What every method that we do not know is counted as: anybody can make up more of them."""
UNMATCHED: Final = "unmatched"
"""The route of what no route took."""

RequestKey = tuple[str, str, int]
"""Method, route template and status."""


class RequestMetrics:
    """Counts and durations by method, route and status, and how many requests are under way.

    Bounded by what there is of each; the caller gives templates, never paths.
    """

    __slots__ = ("_series", "in_flight", "refusals")

    def __init__(self) -> None:
        self.in_flight = 0
        self.refusals: dict[str, int] = {}
        """Requests that were over a limit, by the limit's name."""
        self._series: dict[RequestKey, list[float]] = {}
        """The sum of seconds; how many fell into each bucket and no lower one, or above all; how many have no time."""

    def observe(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count a request; None for one whose duration says nothing, such as a stream's, which its reader decides."""
        key = method, route, status
        series = self._series.get(key)
        if series is None:
            if method not in METHODS and method != OTHER_METHOD:
                self.observe(OTHER_METHOD, route, status, seconds)
                return
            series = self._series[key] = [0.0] * NUMBERS
        if seconds is None:
            series[-1] += 1
            return
        series[0] += seconds
        series[bisect_left(BUCKETS, seconds) + 1] += 1

    def refuse(self, limit: str) -> None:
        self.refusals[limit] = self.refusals.get(limit, 0) + 1

    def answered(self) -> float:
        """Return how many requests were observed. Adds up all series, so it is not for every request."""
        return sum(sum(numbers[1:]) for numbers in self._series.values())

    def series(self) -> list[tuple[RequestKey, list[float]]]:
        """Return copies of all series."""
        return [(key, list(numbers)) for key, numbers in self._series.items()]
