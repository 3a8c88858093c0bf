"""Numbers: what a round measured, and what several rounds come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the load generator against one contender. Times are in microseconds unless they say otherwise."""

    requests_per_second: float
    p50: float
    p99: float
    cpu_per_request: float
    """Of the server's processes; the database server's is not in it."""
    peak_memory_mib: float
    mean_answer_bytes: float


@dataclass(frozen=True, slots=True)
class Figure:
    """The median over rounds, and how far they were apart."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half the distance between the extremes, as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    rounds: int
    requests_per_second: Figure
    p50: Figure
    p99: Figure
    cpu_per_request: Figure
    peak_memory_mib: Figure


def figure(values: Sequence[float]) -> Figure:
    """Raises `ValueError` when there are none."""
    if not values:
        raise ValueError("no values, no figure")
    return Figure(median(values), min(values), max(values))


def summary(rounds: Sequence[Round]) -> Summary:
    return Summary(
        len(rounds),
        figure([each.requests_per_second for each in rounds]),
        figure([each.p50 for each in rounds]),
        figure([each.p99 for each in rounds]),
        figure([each.cpu_per_request for each in rounds]),
        figure([each.peak_memory_mib for each in rounds]),
    )


def ratio(one: Sequence[float], other: Sequence[float]) -> Figure | None:
    """Compare round by round: interleaved rounds saw the same weather. None when there is nothing to compare."""
    pairs = [mine / theirs for mine, theirs in zip(one, other, strict=False) if theirs]
    return figure(pairs) if pairs else None


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all do not exceed (nearest rank). `ordered` ascends and has some."""
    rank = max(1, -(-len(ordered) * round(share * 10_000) // 10_000))
    return ordered[rank - 1]
