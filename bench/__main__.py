"""`python -m bench`: the whole benchmark, or the quick one. See README.md."""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import wrk
from bench.contenders import CONTENDERS, ROOT, Contender, Surroundings, Unavailable, durability, line_up
from bench.data import Data, sizes
from bench.plot import NoPlot, draw
from bench.processes import Cores, ServerFailed
from bench.report import markdown
from bench.results import Results
from bench.runner import Plan, Runner, Say
from bench.workloads import ALL

FULL = Plan(
    rounds=5, seconds=3, connections=(1, 16, 64), rates=(100, 500, 1_000, 2_000, 4_000), open_seconds=15,
    warm_up_seconds=1,
)  # fmt: skip
QUICK = Plan(rounds=3, seconds=1, connections=(64,), rates=(500,), open_seconds=2, warm_up_seconds=0)
QUICK_CONTENDERS = ("postern-sqlite", "postern-mariadb", "floor", "fastapi-sqlite", "fastapi-mariadb", "pocketbase")
QUICK_WORKLOADS = ("own_posts_hit", "own_posts_304", "own_posts", "one_post", "feed_new", "create", "vote")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    plan = QUICK if options.quick else FULL
    plan = Plan(
        rounds=options.rounds or plan.rounds,
        seconds=options.seconds or plan.seconds,
        connections=tuple(options.connections or plan.connections),
        rates=plan.rates if options.rates is None else tuple(options.rates),
        open_seconds=options.open_seconds or plan.open_seconds,
        warm_up_seconds=plan.warm_up_seconds,
    )
    names = options.contenders or (QUICK_CONTENDERS if options.quick else CONTENDERS)
    wanted = options.workloads or (QUICK_WORKLOADS if options.quick else [workload.name for workload in ALL])
    begun = time.monotonic()
    before = os.sched_getaffinity(0)
    try:
        wrk.find_wrk()
        cores = Cores.of_this_machine()
        data = Data(options.posts or (20_000 if options.quick else 1_000_000))
        with tempfile.TemporaryDirectory(prefix="postern-bench-") as directory:
            settings = dict(pair.split("=", 1) for pair in options.set)
            around = Surroundings(data, cores, Path(directory), settings)
            contenders = line_up(around, names)
            results = Results(_about(data, plan, cores, contenders, settings))
            workloads = [workload for workload in ALL if workload.name in wanted]
            Runner(contenders, workloads, plan, results, cores=cores, directory=Path(directory), say=_say(begun)).run()
    except (wrk.WrkFailed, ServerFailed, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        os.sched_setaffinity(0, before)
    _write(results, options.out, "quick" if options.quick else "full", time.monotonic() - begun)
    return 1 if results.void else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, in under five minutes")
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
    return parser


def _say(begun: float) -> Say:
    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {text}", flush=True)

    return say


def _about(
    data: Data, plan: Plan, cores: Cores, contenders: Sequence[Contender], settings: dict[str, str]
) -> dict[str, object]:
    versions: dict[str, str] = {}
    for contender in contenders:
        versions |= contender.versions
    shown = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _git("describe", "--always", "--dirty") or "unknown",
        "machine": f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "cores": f"servers on {cores.server}, load on {cores.load}; database servers where the kernel puts them",
        "Python": platform.python_version(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "data": ", ".join(f"{count:,} {what}" for what, count in sizes(data).items()),
        "rounds": f"{plan.rounds} of {plan.seconds:g} s; open loop {plan.open_seconds:g} s",
        "durability": "; ".join(_durability(contenders)),
        "load when it began": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }
    if settings:
        shown["settings"] = ", ".join(sorted(settings))  # names alone: a value may be a secret
    return {"shown": shown, "versions": versions, "sizes": sizes(data)}


def _durability(contenders: Sequence[Contender]) -> list[str]:
    found = []
    databases = {contender.database for contender in contenders}
    if "sqlite" in databases:
        found.append("SQLite: WAL, synchronous=FULL for Postern and FastAPI, NORMAL for PocketBase (not settable)")
    for kind in ("mariadb", "postgresql"):
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


def _write(results: Results, directory: Path, name: str, seconds: float) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    results.about["seconds"] = round(seconds)
    plot: str | None = f"{name}.svg"
    try:
        draw(results, directory / f"{name}.svg")
    except NoPlot as reason:
        plot = None
        print(f"No plot: {reason}.")
    results.write(directory / f"{name}.json")
    (directory / f"{name}.md").write_text(markdown(results, plot=plot), encoding="utf-8")
    print(f"Wrote {directory / name}.md, .json{' and .svg' if plot else ''} after {seconds:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
