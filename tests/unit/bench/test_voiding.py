"""The runner with contenders that misbehave: what it voids, and what it leaves alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import wrk
from bench.__main__ import main
from bench.apis import ContractApi
from bench.client import Client
from bench.contenders import Contender, PocketBase, PocketBaseThatCounts, Postern, PosternAtNormal, Surroundings
from bench.data import Data
from bench.goals import verdicts
from bench.http1 import Request
from bench.prepared import Prepared
from bench.processes import Cores, ServerFailed
from bench.report import markdown
from bench.results import Results
from bench.runner import Plan, Runner
from bench.workloads import ALL, NotOffered, Session, Workload, WrongAnswer

CORES = Cores(server=0, load=0)
PLAN = Plan(
    rounds=3, seconds=1, brief_rounds=1, brief_seconds=1, connections=(4,), rates=(), open_seconds=1, warm_up_seconds=0
)  # fmt: skip


GROWN = {"database": "sqlite", "what": "one post", "posts": 10_000, "fault": "another text"}


class FakeServer:
    """As much of a server as the runner looks at."""

    host = "127.0.0.1:0"
    seconds_to_ready = 0.5

    def check_alive(self) -> None: ...

    def forget_memory_peak(self) -> None: ...

    def cpu_seconds(self) -> float:
        return 0.0

    def memory_peak_mib(self) -> float:
        return 100.0

    def memory_mib(self) -> dict[str, float]:
        return {"worker": 100.0}


class FakeContender(Contender):
    family = "postern"
    database = ""

    def __init__(self, around: Surroundings, name: str, *, wrong_from: int = 1_000, starts: bool = True) -> None:
        super().__init__(around)
        self.name = self.title = name
        self.checks = 0
        self.torn_down = False
        self._wrong_from = wrong_from
        self._starts = starts

    @property
    def versions(self) -> dict[str, str]:
        return {}

    def prepare(self) -> None:
        """Nothing is needed."""

    def start(self) -> None:
        if not self._starts:
            raise ServerFailed("no such port")
        server, session = FakeServer(), Session(ContractApi(has_validators=True), self.around.data, Client("x:0"))
        self.servers = {False: server, True: server}  # type: ignore[dict-item]  # a stand-in
        self.sessions = {False: session, True: session}

    def verify(self, workload: Workload) -> None:
        self.checks += 1
        if self.checks >= self._wrong_from:
            raise WrongAnswer("19 posts instead of 20")
        super().verify(workload)

    def tear_down(self) -> None:
        self.torn_down = True


class Listing(Workload):
    name, title = "own_posts", "own posts"

    def requests(self, session: Session, seconds: float) -> list[Request]:
        return [Request("GET", "/")]

    def verify(self, session: Session) -> None:
        """Nothing is ever wrong with it."""

    def size_check(self, requests: list[Request]) -> list[Request]:
        return []


class Creating(Listing):
    name, title = "create", "create a post"


class Voting(Listing):
    name, title = "vote", "vote"

    def verify(self, session: Session) -> None:
        raise NotOffered("there is no vote")


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(Data(10_000), CORES, tmp_path, {}, Prepared(None))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace wrk; returns the files that it was to send, in their order."""
    sent: list[Path] = []

    def run(file: Path, *, host: str, connections: int, seconds: float, cores: Sequence[int]) -> wrk.WrkFigures:
        sent.append(file)
        return wrk.WrkFigures(1_000, 1.0, 4_000_000, 1_000, 2_000, 3_000, {})

    monkeypatch.setattr(wrk, "run", run)
    monkeypatch.setattr("os.sched_setaffinity", lambda pid, cores: None)
    return sent


def measured(around: Surroundings, *contenders: FakeContender, workload: Workload | None = None) -> Results:
    results = Results({"shown": {}, "versions": {}, "sizes": {"posts": 10_000}})
    workloads = [workload or Listing()]
    runner = Runner(contenders, workloads, PLAN, results, cores=CORES, directory=around.directory, say=lambda _: None)
    results.titles = {contender.name: contender.title for contender in contenders}
    results.workloads = {each.name: each.title for each in workloads}
    with runner.everybody_ready():
        runner.measure(workloads)
    return results


def test_contenders_take_turns_and_each_begins_a_round(around: Surroundings, runs: list[Path]) -> None:
    measured(around, FakeContender(around, "a"), FakeContender(around, "b"))
    order = [file.name.removeprefix("own_posts-")[0] for file in runs]
    assert order == ["a", "b", "b", "a", "a", "b"]


class Shallow(Listing):
    name, title, turns, least_rounds = "feed_new_shallow", "feed new, shallow pages", "pages", 2


class Deep(Listing):
    name, title, turns, least_rounds = "feed_new_deep", "feed new, deep pages", "pages", 2


def test_what_is_compared_is_measured_in_turns_round_by_round(around: Surroundings, runs: list[Path]) -> None:
    results = Results({"shown": {}, "versions": {}, "sizes": {"posts": 10_000}})
    workloads = [Shallow(), Deep(), Listing()]
    contender = FakeContender(around, "postern-sqlite")
    runner = Runner([contender], workloads, PLAN, results, cores=CORES, directory=around.directory, say=lambda _: None)
    with runner.everybody_ready():
        runner.measure(workloads)
    order = [file.name.partition("-")[0] for file in runs]
    assert order == [
        "feed_new_shallow", "feed_new_deep", "feed_new_deep", "feed_new_shallow", "feed_new_shallow", "feed_new_deep",
        *["own_posts"] * 3,
    ]  # fmt: skip
    found = {each.what: each for each in verdicts(results)}["feed new, deep pages to shallow ones, sqlite"]
    assert (found.found, found.met) == ("1.00 (1.00 to 1.00)", True)


def test_a_wrong_answer_before_keeps_a_contender_from_being_measured(around: Surroundings, runs: list[Path]) -> None:
    results = measured(around, FakeContender(around, "right"), FakeContender(around, "wrong", wrong_from=1))
    assert results.void == {("own_posts", "wrong"): "19 posts instead of 20"}
    assert all("wrong" not in file.name for file in runs)
    assert results.summary("own_posts", "right", 4) is not None


def test_a_wrong_answer_afterwards_voids_what_was_measured(around: Surroundings, runs: list[Path]) -> None:
    results = measured(around, FakeContender(around, "right"), FakeContender(around, "wrong", wrong_from=2))
    assert len(results.rounds["own_posts", "wrong", 4]) == 3
    assert results.summary("own_posts", "wrong", 4) is None
    assert results.ratio("own_posts", "right", "wrong", 4) is None
    assert '"is_void": true' in results.to_json()
    assert "**void**: 19 posts instead of 20" in markdown(results)


def test_an_error_in_a_run_voids_the_figure(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> wrk.WrkFigures:
        return wrk.WrkFigures(1_000, 1.0, 4_000_000, 1_000, 2_000, 3_000, {"status": 7})

    monkeypatch.setattr(wrk, "run", run)
    monkeypatch.setattr("os.sched_setaffinity", lambda pid, cores: None)
    results = measured(around, FakeContender(around, "a"))
    assert results.void == {("own_posts", "a"): "wrk counted 7 status errors"}


class Asking(Listing):
    """Asks while it prepares its requests, as conditional ones need to."""

    def requests(self, session: Session, seconds: float) -> list[Request]:
        if session.nonce == "broken":
            raise WrongAnswer("404 instead of 200")
        return super().requests(session, seconds)


class BrokenLater(FakeContender):
    """Is right while it is checked, and wrong when the requests of its rounds are prepared."""

    asked = 0

    def session_for(self, workload: Workload) -> Session:
        session = super().session_for(workload)
        self.asked += 1
        session.nonce = "checked" if self.asked <= 3 else "broken"  # prepared, verified, its size told
        return session


def test_requests_that_cannot_be_prepared_void_that_figure_and_no_other(around: Surroundings, runs: list[Path]) -> None:
    results = measured(around, BrokenLater(around, "a"), FakeContender(around, "b"), workload=Asking())
    assert results.void == {("own_posts", "a"): "404 instead of 200"}
    assert results.summary("own_posts", "b", 4) is not None


def test_what_is_not_offered_is_missing_and_not_void(around: Surroundings, runs: list[Path]) -> None:
    results = measured(around, FakeContender(around, "a"), workload=Voting())
    assert (results.missing, results.void, runs) == ({("vote", "a"): "there is no vote"}, {}, [])
    assert "missing: there is no vote" in markdown(results)


def test_who_does_not_start_is_absent_and_the_others_go_on(around: Surroundings, runs: list[Path]) -> None:
    broken = FakeContender(around, "broken", starts=False)
    results = measured(around, broken, FakeContender(around, "fine"))
    assert results.absent == {"broken": "no such port"}
    assert results.summary("own_posts", "fine", 4) is not None
    assert broken.torn_down


def test_servers_are_ended_even_when_the_run_breaks_off(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> wrk.WrkFigures:
        raise KeyboardInterrupt

    monkeypatch.setattr(wrk, "run", run)
    monkeypatch.setattr("os.sched_setaffinity", lambda pid, cores: None)
    contender = FakeContender(around, "a")
    with pytest.raises(KeyboardInterrupt):
        measured(around, contender)
    assert contender.torn_down


def test_a_goal_that_is_missed_stays_in_the_table_with_its_gap(around: Surroundings, runs: list[Path]) -> None:
    names = ("postern-sqlite", "fastapi-sqlite", "pocketbase")
    results = measured(around, *(FakeContender(around, name) for name in names))
    found = {(each.what, each.goal): each for each in verdicts(results)}
    missed = found["own posts, sqlite", "≥ 6 x FastAPI"]
    assert (missed.found, missed.met) == ("1.00 (1.00 to 1.00)", False)
    assert found["own posts, mariadb", "≥ 6 x FastAPI"].met is None
    row = "| own posts, sqlite | ≥ 6 x FastAPI | 1.00 (1.00 to 1.00) | **not met** | 0 µs of CPU to its 0 |"
    assert row in markdown(results)


class FakePostern(Postern):
    """One whose file is there at once, and whose server is never started."""

    def prepare(self) -> None:
        file = self._folder / "data.db"
        file.write_text("rows", encoding="utf-8")
        self._database_url = f"sqlite+aiosqlite:///{file}"
        self.prepared.set()


def test_the_contender_of_equal_durability_has_a_copy_of_the_data_and_writes_alone(around: Surroundings) -> None:
    model = FakePostern(around, "sqlite")
    normal = PosternAtNormal(around, model)
    model.prepare()
    normal.prepare()
    assert normal.database_url != model.database_url
    assert Path(normal.database_url.partition(":///")[2]).read_text(encoding="utf-8") == "rows"
    assert normal._environment["DATABASE_SYNCHRONOUS"] == "normal"
    assert "DATABASE_SYNCHRONOUS" not in model._environment
    assert [each.name for each in ALL if normal.takes_part_in(each)] == ["create", "vote"]


def test_the_pocketbase_that_counts_has_a_copy_of_the_data_and_votes_alone(around: Surroundings) -> None:
    model = PocketBase(around)
    model.data.mkdir()
    (model.data / "data.db").write_text("rows", encoding="utf-8")
    model.prepared.set()
    counting = PocketBaseThatCounts(around, model)
    counting.prepare()
    assert counting.data != model.data
    assert (counting.data / "data.db").read_text(encoding="utf-8") == "rows"
    assert [each.name for each in ALL if counting.takes_part_in(each)] == ["vote"]
    hooks = [Path(each) for each in counting._options(counting.data) if each.endswith("pb_hooks")]
    assert [file.name for file in hooks[0].iterdir()] == ["count_votes.pb.js"]
    assert not any(Path(each).exists() for each in model._options(model.data) if each.endswith("pb_hooks"))


def test_pocketbase_is_a_goal_for_the_one_that_is_as_durable(around: Surroundings, runs: list[Path]) -> None:
    names = ("postern-sqlite", "postern-sqlite-normal", "pocketbase")
    results = measured(around, *(FakeContender(around, name) for name in names), workload=Creating())
    found = {(each.what, each.goal): each for each in verdicts(results)}
    assert found["create a post, sqlite-normal", "≥ 2 x PocketBase, equal durability"].met is False
    beside = found["create a post, sqlite", "(at FULL, beside PocketBase's NORMAL)"]
    assert (beside.found, beside.met) == ("1.00 (1.00 to 1.00)", None)


def test_a_section_that_fails_is_told_and_the_next_ones_go_on(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    def grow(databases: object, results: Results, **_: object) -> None:
        results.growth = [GROWN]

    monkeypatch.setattr("bench.drivers.measure", fail)
    monkeypatch.setattr("bench.growth.measure", grow)
    monkeypatch.setattr("bench.__main__.line_up", lambda *_: [])
    monkeypatch.setattr("bench.wrk.find_wrk", lambda: "wrk")
    monkeypatch.setattr(Cores, "of_this_machine", lambda: CORES)
    options = ["--only", "drivers", "growth", "--name", "day", "--posts", "10000", "--out", str(around.directory)]
    assert main(options) == 1
    known = Results.read(around.directory / "day.json")
    assert (list(known.sections), known.growth) == (["growth"], [GROWN])
    assert "section drivers FAILED: RuntimeError: the disk is full" in capsys.readouterr().out
