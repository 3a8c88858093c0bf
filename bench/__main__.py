"""`python -m bench`: the whole benchmark, parts of it, or the quick one. See README.md."""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from bench import drivers, growth, sections, workers, wrk
from bench.contenders import CONTENDERS, Contender, Floor, Postern, Surroundings, line_up
from bench.data import Data, sizes
from bench.environments import ROOT
from bench.plot import NoPlot, draw_elsewhere
from bench.prepared import Prepared, drop_kept
from bench.processes import Cores, ServerFailed
from bench.report import markdown
from bench.results import Results
from bench.runner import Plan, Runner, Say
from bench.servers import DATABASES, TITLES, Unavailable, durability
from bench.workloads import ALL, Workload

FULL = Plan(
    rounds=3, seconds=2, brief_rounds=2, brief_seconds=1, connections=(1, 16, 64), rates=(250, 1_000, 3_000),
    open_seconds=4, warm_up_seconds=1,
)  # fmt: skip
QUICK = Plan(
    rounds=3, seconds=1, brief_rounds=2, brief_seconds=1, connections=(64,), rates=(500,), open_seconds=2,
    warm_up_seconds=0,
)  # fmt: skip
QUICK_CONTENDERS = (
    "postern-sqlite",
    "postern-mariadb",
    "postern-sqlite-normal",
    "floor",
    "fastapi-sqlite",
    "fastapi-mariadb",
    "pocketbase",
    "pocketbase-counting",
)
QUICK_WORKLOADS = ("own_posts_hit", "own_posts_304", "own_posts", "one_post", "feed_new", "create", "vote")
KEPT = ROOT / "bench" / ".kept"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.drop_kept:
        drop_kept(KEPT)
        return 0
    # Ended from outside, it ends its servers too.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    begun = time.monotonic()
    name = options.name or ("quick" if options.quick else datetime.now(UTC).strftime("%Y-%m-%d"))
    out = options.out / f"{name}.json"
    try:
        wrk.find_wrk()
        data = Data(options.posts or (20_000 if options.quick else 1_000_000))
        with tempfile.TemporaryDirectory(prefix="postern-bench-") as directory:
            settings = dict(pair.split("=", 1) for pair in options.set)
            prepared = Prepared(KEPT if options.keep else None)
            around = Surroundings(data, Cores.of_this_machine(), Path(directory), settings, prepared)
            known = Results.read(out) if out.exists() and not options.fresh and not options.quick else None
            run = _Run(options, around, known, save=lambda results: _write(results, options.out, name), begun=begun)
            run.all()
    except (wrk.WrkFailed, ServerFailed, Unavailable, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(
        f"Wrote {options.out / name}.md, .json and, where it can be drawn, .svg after {time.monotonic() - begun:.0f} s."
    )
    if run.failed:
        print(f"bench: failed: {', '.join(run.failed)}", file=sys.stderr)
    return 1 if run.results.void or run.failed else 0


def _leave(number: int, frame: object) -> NoReturn:
    del frame
    raise SystemExit(128 + number)


class _Run:
    """One run over the sections that are wanted, saved after each: what was found is there, whatever comes then."""

    def __init__(
        self, options: argparse.Namespace, around: Surroundings, known: Results | None, *,
        save: Callable[[Results], None], begun: float,
    ) -> None:  # fmt: skip
        self._around = around
        self._save = save
        self._say = _sayer(begun)
        self._begun = begun
        self._plan = _plan(options)
        self._names: Sequence[str] = options.contenders or (QUICK_CONTENDERS if options.quick else CONTENDERS)
        wanted = options.workloads or (QUICK_WORKLOADS if options.quick else [workload.name for workload in ALL])
        chosen = options.only or (
            [*sections.sections_of(wanted), *([sections.OPEN_LOOP] if self._plan.rates else [])]
            if options.workloads or options.quick
            else sections.NAMES
        )
        done = set(known.sections) if known is not None and options.resume else set()
        self.failed: list[str] = []
        """Sections that ended with an error; what they had found until then stays."""
        self._sections = [section for section in sections.NAMES if section in chosen and section not in done]
        self._wanted = set(wanted)
        self._contenders = line_up(around, self._names)
        self.results = known or Results({})
        about = _about(around, self._plan, self._contenders)
        if known is not None and known.about.get("versions"):
            about["versions"] = {**known.about["versions"], **about["versions"]}
        self.results.about = about
        self.results.titles = _in_order(
            CONTENDERS, self.results.titles | {each.name: each.title for each in self._contenders}
        )
        self.results.workloads = {each.name: each.title for each in ALL}
        self.results.compared_with = {each.name: each.compared_with for each in ALL if each.compared_with}

    def all(self) -> None:
        if sections.NEED_EVERYBODY & set(self._sections):
            self._with_everybody()
        if sections.GROWTH in self._sections:
            self._section(sections.GROWTH, self._growth)

    def _with_everybody(self) -> None:
        runner = self._runner(self._contenders, self._workloads(), self.results)
        with runner.everybody_ready() as ready:
            ours = [each for each in ready if isinstance(each, Postern) and not each.is_side]
            floors = [each for each in ready if isinstance(each, Floor)]
            for section in self._sections:
                if section in sections.SECTIONS:
                    chosen = [each for each in sections.workloads_of(section) if each.name in self._wanted]
                    measure = runner.accounts if section == sections.ACCOUNTS else runner.measure
                    self._section(section, partial(measure, chosen))
            steps: dict[str, Callable[[], None]] = {
                sections.OPEN_LOOP: runner.open_loops,
                sections.LOG_INS: runner.log_ins,
                sections.DRIVERS: lambda: drivers.measure(ours, self.results, say=self._say),
                sections.WORKERS: lambda: workers.measure(
                    [*floors, *ours], self.results, around=self._around, say=self._say
                ),
            }
            for section, step in steps.items():
                if section in self._sections:
                    self._section(section, step)

    def _workloads(self) -> list[Workload]:
        """Return what is to be measured, and what other sections ask again at fixed rates."""
        wanted = {name for section in self._sections for name in sections.SECTIONS.get(section, ())} & self._wanted
        if sections.OPEN_LOOP in self._sections:
            wanted |= {"own_posts_hit", "one_post", "mixed"} & self._wanted
        if sections.LOG_INS in self._sections:
            wanted |= {"log_in", "one_post"}
        return [workload for workload in ALL if workload.name in wanted]

    def _runner(self, contenders: Sequence[Contender], workloads: Sequence[Workload], results: Results) -> Runner:
        around = self._around
        return Runner(
            contenders, workloads, self._plan, results, cores=around.cores, directory=around.directory, say=self._say
        )

    def _growth(self) -> None:
        databases = [database for database in TITLES if f"postern-{database}" in self._names]
        growth.measure(databases, self.results, around=self._around, say=self._say)

    def _section(self, name: str, step: Callable[[], None]) -> None:
        shown = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": _git("describe", "--always", "--dirty") or "unknown",
            "load": f"{os.getloadavg()[0]:.2f}",
            "contenders": " ".join(self._names),
        }
        begun = time.monotonic()
        try:
            step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the parts after this one are worth half an hour
            traceback.print_exc()
            self._say(f"section {name} FAILED: {type(error).__name__}: {error}")
            self.failed.append(name)
            self._save(self.results)
            return
        self.results.sections[name] = shown | {"seconds": f"{time.monotonic() - begun:.0f}"}
        self._say(f"section {name}: {time.monotonic() - begun:.0f} s")
        self._save(self.results)


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    return Plan(
        rounds=options.rounds or plan.rounds,
        seconds=options.seconds or plan.seconds,
        brief_rounds=min(options.rounds or plan.brief_rounds, plan.brief_rounds),
        brief_seconds=plan.brief_seconds,
        connections=tuple(options.connections or plan.connections),
        rates=plan.rates if options.rates is None else tuple(options.rates),
        open_seconds=options.open_seconds or plan.open_seconds,
        warm_up_seconds=plan.warm_up_seconds,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, in under five minutes")
    parser.add_argument(
        "--only", nargs="+", choices=sections.NAMES, metavar="SECTION",
        help="these parts; what the day's results hold of others stays: " + " ".join(sections.NAMES),
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="leave out the parts that the day's results have")
    parser.add_argument("--fresh", action="store_true", help="begin the day's results anew")
    parser.add_argument("--keep", action="store_true", help="keep the filled databases for the next run (bench/.kept)")
    parser.add_argument("--drop-kept", action="store_true", help="remove what --keep kept, and do nothing else")
    parser.add_argument("--posts", type=int, help="how many posts to load (1,000,000; quick: 20,000)")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement")
    parser.add_argument("--seconds", type=int, help="length of a round")
    parser.add_argument("--connections", type=int, nargs="+", help="keep-alive connections (1 16 64; quick: 64)")
    parser.add_argument("--rates", type=int, nargs="*", help="requests a second of the open loop; none: leave it out")
    parser.add_argument("--open-seconds", type=int, help="length of an open-loop run")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, metavar="NAME", help=" ".join(CONTENDERS))
    names = [workload.name for workload in ALL]
    parser.add_argument("--workloads", nargs="+", choices=names, metavar="NAME", help=" ".join(names))
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one more setting for Postern's own servers"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="where results are written")
    parser.add_argument("--name", help="what their files are called (the day's date; quick: quick)")
    return parser


def _sayer(begun: float) -> Say:
    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {text}", flush=True)

    return say


def _in_order(order: Sequence[str], named: dict[str, str]) -> dict[str, str]:
    return {name: named[name] for name in order if name in named}


def _about(around: Surroundings, plan: Plan, contenders: Sequence[Contender]) -> dict[str, Any]:
    versions: dict[str, str] = {}
    for contender in contenders:
        versions |= contender.versions
    cores = around.cores
    brief = f"{plan.brief_rounds} of {plan.brief_seconds:g} s at fewer, and of sides"
    shown = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _git("describe", "--always", "--dirty") or "unknown",
        "machine": f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "cores": f"servers on {cores.server}, load on {cores.load}; database servers where the kernel puts them",
        "Python": platform.python_version(),
        "data": ", ".join(f"{count:,} {what}" for what, count in sizes(around.data).items()),
        "rounds": f"{plan.rounds} of {plan.seconds:g} s at {max(plan.connections)} connections, {brief}; "
        f"open loop {plan.open_seconds:g} s",
        "durability": "; ".join(_durability(contenders)),
        "load when it began": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }
    if around.settings:
        shown["settings"] = ", ".join(sorted(around.settings))  # names alone: a value may be a secret
    return {"shown": shown, "versions": versions, "sizes": sizes(around.data)}


def _durability(contenders: Sequence[Contender]) -> list[str]:
    found = []
    databases = {contender.database for contender in contenders}
    if "sqlite" in databases:
        found.append(
            "SQLite: WAL, synchronous=FULL for Postern and FastAPI, NORMAL for PocketBase (not settable) and a Postern"
        )
    for kind in DATABASES:
        if kind in databases:
            try:
                found.append(durability(kind))
            except Unavailable as error:
                found.append(str(error))
    return found


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _write(results: Results, directory: Path, name: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    results.write(directory / f"{name}.json")
    plot: str | None = f"{name}.svg"
    try:
        draw_elsewhere(directory / f"{name}.json", directory / f"{name}.svg")
    except NoPlot as reason:
        plot = None
        print(f"No plot: {reason}.")
    (directory / f"{name}.md").write_text(markdown(results, plot=plot), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
