"""Lost races are run again, a bounded number of times, after jittered waits."""

import pytest

from application.shared.deadline import Deadline
from application.shared.errors import Overloaded, StorageUnavailable, TransientFailure, VersionConflict
from application.shared.retry import Retried
from domain.identity.errors import EmailTaken
from domain.shared.errors import PosternError


class Failing:
    """Fails as it is told, then answers with what it was asked."""

    def __init__(self, *failures: PosternError) -> None:
        self._failures = list(failures)
        self.runs = 0

    async def execute(self, command: str, /) -> str:
        self.runs += 1
        if self._failures:
            raise self._failures.pop(0)
        return command


class Waits:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


def retried(use_case: Failing, waits: Waits, random: float = 1.0) -> Retried[str, str]:
    return Retried(use_case, sleep=waits.sleep, random=lambda: random)


async def test_what_works_at_once_runs_once() -> None:
    use_case, waits = Failing(), Waits()

    assert await retried(use_case, waits).execute("answer") == "answer"
    assert (use_case.runs, waits.seconds) == (1, [])


async def test_a_lost_race_is_run_again() -> None:
    use_case, waits = Failing(TransientFailure(), VersionConflict()), Waits()

    assert await retried(use_case, waits).execute("answer") == "answer"
    assert use_case.runs == 3


async def test_who_loses_every_race_is_told_so() -> None:
    use_case, waits = Failing(*(TransientFailure() for _ in range(6))), Waits()

    with pytest.raises(TransientFailure):
        await retried(use_case, waits).execute("answer")
    assert use_case.runs == 6


async def test_waits_double_up_to_a_bound() -> None:
    use_case, waits = Failing(*(TransientFailure() for _ in range(9))), Waits()

    retrying = Retried[str, str](
        use_case, sleep=waits.sleep, random=lambda: 1.0, attempts=10, first_wait=0.01, longest_wait=0.1
    )
    await retrying.execute("answer")

    assert waits.seconds == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.1, 0.1, 0.1, 0.1, 0.1])


async def test_waits_are_drawn_at_random_below_the_bound() -> None:
    use_case, waits = Failing(TransientFailure(), TransientFailure()), Waits()

    await retried(use_case, waits, random=0.25).execute("answer")

    assert waits.seconds == pytest.approx([0.0025, 0.005])


@pytest.mark.parametrize("failure", [EmailTaken(), StorageUnavailable(), Overloaded()], ids=lambda f: f.slug)
async def test_what_would_fail_again_is_not_run_again(failure: PosternError) -> None:
    use_case, waits = Failing(failure), Waits()

    with pytest.raises(type(failure)):
        await retried(use_case, waits).execute("answer")
    assert (use_case.runs, waits.seconds) == (1, [])


class Passed(Deadline):
    def seconds_left(self) -> float:
        return 0.005


async def test_nothing_is_tried_again_for_which_the_deadline_leaves_no_room() -> None:
    use_case, waits = Failing(TransientFailure()), Waits()

    with pytest.raises(TransientFailure):
        await Retried(use_case, sleep=waits.sleep, random=lambda: 1.0, deadline=Passed()).execute("answer")
    assert use_case.runs == 1
    assert waits.seconds == []
