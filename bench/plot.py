"""The results as one picture: throughput by workload, and tail latency by rate.

`python -m bench.plot RESULTS.json PICTURE.svg`, in the environment that has matplotlib: the others'.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.environments import OTHERS, ROOT
from bench.report import GROWTH_CONNECTIONS, largest
from bench.results import Results
from bench.servers import Unavailable

_COLOURS = {
    "floor": "#999999",
    "postern-sqlite": "#08519c",
    "postern-mariadb": "#3182bd",
    "postern-postgresql": "#9ecae1",
    "postern-sqlite-normal": "#6a51a3",
    "fastapi-sqlite": "#006d2c",
    "fastapi-mariadb": "#31a354",
    "fastapi-postgresql": "#a1d99b",
    "pocketbase": "#e6550d",
    "pocketbase-counting": "#fdae6b",
}


class NoPlot(Exception):
    """matplotlib is not installed, or there is nothing to draw."""


def draw_elsewhere(results: Path, picture: Path) -> None:
    """Draw what was written to `results`, by an interpreter that has matplotlib. Raises `NoPlot`."""
    try:
        command = [OTHERS.python, "-m", "bench.plot", str(results.resolve()), str(picture.resolve())]
    except Unavailable as error:
        raise NoPlot(str(error)) from error
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoPlot(done.stderr.strip().rpartition("\n")[2] or f"drawing ended with {done.returncode}")


def draw(results: Results, path: Path) -> None:
    """Write an SVG. Raises `NoPlot`."""
    try:
        # Here, because the figures come without it, and only the others' environment has it.
        import matplotlib as mpl  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise NoPlot("matplotlib is not installed; `make bench` installs it") from None
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "postern"  # the same results make the same file
    from matplotlib import pyplot as plt  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    workloads = [name for name in results.workloads if _anything(results, name)]
    if not workloads:
        raise NoPlot("nothing was measured")
    curves = sorted({workload for (workload, _, _), each in results.open_loop.items() if each.fault() is None})
    rows = 1 + (len(curves) + 1) // 2 + bool(results.growth)
    picture = plt.figure(figsize=(14, 5 + 4 * (rows - 1)), layout="constrained")
    grid = picture.add_gridspec(rows, 2)
    _bars(picture.add_subplot(grid[0, :]), results, workloads)
    for number, workload in enumerate(curves):
        _curve(picture.add_subplot(grid[1 + number // 2, number % 2]), results, workload)
    if results.growth:
        _growth(picture.add_subplot(grid[rows - 1, 0]), results, "posts", "posts in all")
        _growth(picture.add_subplot(grid[rows - 1, 1]), results, "bytes", "bytes of a post")
    picture.savefig(path, format="svg", metadata={"Date": None})
    plt.close(picture)


def _anything(results: Results, workload: str) -> bool:
    return any(results.summary(workload, name, results.most_connections) for name in results.titles)


def _bars(axes: Any, results: Results, workloads: list[str]) -> None:
    width = 0.8 / len(results.titles)
    for number, (name, title) in enumerate(results.titles.items()):
        found = [
            (at, each.requests_per_second)
            for at, workload in enumerate(workloads)
            if (each := results.summary(workload, name, results.most_connections))
        ]
        places = [at - 0.4 + (number + 0.5) * width for at, _ in found]
        heights = [each.median for _, each in found]
        spread = [[each.median - each.low for _, each in found], [each.high - each.median for _, each in found]]
        axes.bar(places, heights, width, yerr=spread, label=title, color=_COLOURS.get(name), error_kw={"lw": 0.7})
    axes.set_yscale("log")
    axes.set_xticks(range(len(workloads)), [results.workloads[name] for name in workloads], rotation=20, ha="right")
    axes.set_ylabel("requests/s (logarithmic)")
    axes.set_title(f"{results.most_connections} connections, one worker on one core; median, lowest and highest round")
    axes.legend(ncols=4, fontsize="small")
    axes.grid(axis="y", alpha=0.3)


def _curve(axes: Any, results: Results, workload: str) -> None:
    for name, title in results.titles.items():
        points = sorted(
            (rate, each.p99 / 1000)
            for (known, contender, rate), each in results.open_loop.items()
            if (known, contender) == (workload, name) and each.fault() is None
        )
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=title, color=_COLOURS.get(name))
    axes.set_yscale("log")
    axes.set_xlabel("requests/s, fixed")
    axes.set_ylabel("p99 in ms (logarithmic)")
    axes.set_title(f"{results.workloads[workload]}: open loop")
    if axes.lines:
        axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


_LINES = ("-", "--", ":", "-.")


def _growth(axes: Any, results: Results, unit: str, label: str) -> None:
    """Draw the median latency as there is more of something: a colour a database, a line a question."""
    found = [each for each in (*results.growth, *largest(results)) if unit in each and "summary" in each]
    questions = list(dict.fromkeys(each["what"] for each in found))
    for database in dict.fromkeys(each["database"] for each in found):
        for number, what in enumerate(questions):
            points = sorted(
                (each[unit], each["summary"]["p50"]["median"] / 1000)
                for each in found
                if (each["database"], each["what"]) == (database, what)
            )
            if points:
                axes.plot(
                    *zip(*points, strict=True), _LINES[number % len(_LINES)], marker="o", label=f"{what}, {database}",
                    color=_COLOURS[f"postern-{database}"],
                )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(f"{label} (logarithmic)")
    axes.set_ylabel("p50 in ms (logarithmic)")
    axes.set_title(f"As there is more: {label}, {GROWTH_CONNECTIONS} connections")
    if axes.lines:
        axes.legend(fontsize="x-small", ncols=2)
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    draw(Results.read(Path(sys.argv[1])), Path(sys.argv[2]))
