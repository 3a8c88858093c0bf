import pytest

from bench.figures import Figure, Round, figure, percentile, ratio, summary


def a_round(requests_per_second: float, p99: float = 2_000) -> Round:
    return Round(requests_per_second, 1_000, p99, 20, 90, 4_000)


def test_a_figure_is_the_median_with_its_extremes() -> None:
    assert figure([3, 100, 2]) == Figure(3, 2, 100)
    assert figure([4, 2]).median == 3


def test_there_is_no_figure_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        figure([])


def test_the_spread_is_half_the_distance_of_the_extremes_to_the_median() -> None:
    assert figure([90, 100, 130]).spread == pytest.approx(0.2)


def test_ratios_are_taken_round_by_round() -> None:
    # A slow moment of the machine hit both in the second round, and shows in neither's favour.
    found = ratio([100, 50, 100], [50, 25, 50])
    assert found == Figure(2, 2, 2)


def test_there_is_no_ratio_to_nothing() -> None:
    assert ratio([1, 2], []) is None


def test_a_summary_has_the_median_of_each_measure_by_itself() -> None:
    found = summary([a_round(10, 3_000), a_round(30, 1_000), a_round(20, 2_000)])
    assert (found.rounds, found.requests_per_second.median, found.p99.median) == (3, 20, 2_000)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_seen(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected
