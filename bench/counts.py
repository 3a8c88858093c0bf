"""What the hot paths cost in instructions, held against a committed figure: `python -m bench.counts`.

Seconds depend on the machine and on what else it does; instructions do not. Counted are those of Python's interpreter,
by `sys.settrace` or `sys.monitoring`: they are in every CPython, and give the same number every time. What C does
inside one of them is not seen: SQLite, hashing, JSON. Where valgrind is, `--callgrind` counts the processor's own
instructions besides, for a report; it needs half a minute a path and gates nothing.

The application is driven in a process of its own, without a socket, over SQLite, with everything switched on, on
uvloop, whose inside is no Python and so cannot be counted by chance. Each path is asked often enough for every cache to
be filled and every statement compiled; then the smallest of some requests counts, which is the one that nothing in the
background fell into.

The figures are Python's of one minor version: another compiles to other instructions. A version without a figure is
reported, and refused where CI is true.
"""

import argparse
import asyncio
import gc
import itertools
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.counter import Count, Counter
from bench.inprocess import Asked, InProcess, asked, in_process

ROOT: Final = Path(__file__).resolve().parent.parent
COMMITTED: Final = Path(__file__).with_name("counts.json")
TOLERANCE: Final = 0.10
WARM_UP: Final = 12
COUNTED: Final = 12
VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
_AUTHOR_POSTS: Final = 30
_MINUTES: Final = 10

PATHS: Final = {
    "own_posts_hit": "own posts, cached",
    "own_posts_304": "own posts, unchanged (304)",
    "own_posts": "own posts, from the database",
    "one_post": "one post",
    "feed_new": "feed new, signed in",
    "vote": "vote",
    "create": "create a post",
    "account": "your own account: a route like most",
}


class Uncounted(Exception):
    """The process that was to be counted failed; the text has the end of what it said."""


SETTINGS: Final = {"own_posts": {"CACHE_TTL_SECONDS": "0"}}
"""What is set otherwise for a path; all others share one application."""


@dataclass(frozen=True, slots=True)
class Verdict:
    path: str
    found: int
    committed: int | None
    failed: bool
    advice: str

    def __str__(self) -> str:
        change = "" if not self.committed else f" ({self.found / self.committed - 1:+.1%} of {self.committed:,})"
        return f"{'FAILED' if self.failed else 'ok':6}  {self.path:16} {self.found:>8,}{change}  {self.advice}".rstrip()


def judge(found: Mapping[str, Count], committed: Mapping[str, Count] | None) -> list[Verdict]:
    """Compare instructions path by path: what costs a tenth more fails, and what costs a tenth less wants a new figure.

    A committed path that is no longer counted fails too: a gate does not go away unnoticed.
    """
    if committed is None:
        return [
            Verdict(path, count.instructions, None, False, "no figure for this version")
            for path, count in found.items()
        ]
    return [
        *(_judge(path, count.instructions, committed.get(path)) for path, count in found.items()),
        *(
            Verdict(path, 0, count.instructions, True, "committed, and not counted any more")
            for path, count in committed.items()
            if path not in found
        ),
    ]


def _judge(path: str, found: int, committed: Count | None) -> Verdict:
    if committed is None:
        return Verdict(path, found, None, True, "no figure for this path: make counts ARGS=--write")
    known = committed.instructions
    if found > known * (1 + TOLERANCE):
        advice = "costs more: find out why, or accept it with make counts ARGS=--write"
        return Verdict(path, found, known, True, advice)
    if found < known * (1 - TOLERANCE):
        return Verdict(path, found, known, False, "costs less: hold it with make counts ARGS=--write")
    return Verdict(path, found, known, False, "")


def read_committed(file: Path, version: str) -> dict[str, Count] | None:
    """Return the figures of a version of Python; None when there are none."""
    known: dict[str, dict[str, dict[str, int]]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if version not in known:
        return None
    return {path: Count(**count) for path, count in known[version].items()}


def write_committed(file: Path, version: str, found: Mapping[str, Count]) -> None:
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    known[version] = {path: asdict(count) for path, count in found.items()}
    file.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


# What follows runs in the process that is counted.


Requests = dict[str, Callable[[int], Asked]]


async def requests_of(product: InProcess, *, targets: int = WARM_UP + COUNTED) -> Requests:
    """Fill the database and return, by path, how the n-th request reads; there are votes to cast on `targets` posts."""
    author = await product.sign_up("author")
    reader = await product.sign_up("reader")
    voter = await product.sign_up("voter")
    numbers = range(_AUTHOR_POSTS)
    posts = [await product.publish(author, f"The {number}th post of this author. " * 4) for number in numbers]
    for number in numbers:
        await product.publish(reader, f"The {number}th post of this reader. " * 4)
    # Each is voted on once, so that every vote is a new one.
    candidates = [await product.publish(author, f"To be voted on: {number}") for number in range(targets)]
    product.statistics()
    own = "/api/v1/users/me/posts"
    etag = (await product.ask(asked("GET", own, token=reader))).headers[b"etag"]
    return {
        "own_posts_hit": lambda _: asked("GET", own, token=reader),
        "own_posts_304": lambda _: asked("GET", own, token=reader, expected=304, more=((b"if-none-match", etag),)),
        # Of an application that was built without the cache: see `SETTINGS`.
        "own_posts": lambda _: asked("GET", own, token=reader),
        "one_post": lambda n: asked("GET", f"/api/v1/posts/{posts[n % len(posts)]}", token=reader),
        "feed_new": lambda _: asked("GET", "/api/v1/posts", token=reader),
        "vote": lambda n: asked("PUT", f"/api/v1/posts/{candidates[n]}/vote", token=voter, body={"dir": 1}),
        "create": lambda n: asked(
            "POST", "/api/v1/posts", token=voter, body={"text": f"A post that is counted: {n:04}"}, expected=201
        ),
        "account": lambda _: asked("GET", "/api/v1/users/me", token=reader),
    }


async def _count(folder: Path) -> dict[str, Count]:
    counter = Counter()
    counter.install()  # before any thread of a pool is there
    try:
        found: dict[str, Count] = {}
        for number, (settings, paths) in enumerate(_by_settings()):
            own = folder / str(number)
            own.mkdir()
            async with in_process(own, **settings) as product:
                requests = await requests_of(product)
                for path in paths:
                    found[path] = await _smallest(counter, product, requests[path])
        return {path: found[path] for path in PATHS}
    finally:
        counter.remove()


def _by_settings() -> list[tuple[dict[str, str], list[str]]]:
    shared = [path for path in PATHS if path not in SETTINGS]
    return [({}, shared), *((settings, [path]) for path, settings in SETTINGS.items())]


async def _smallest(counter: Counter, product: InProcess, request: Callable[[int], Asked]) -> Count:
    for number in range(WARM_UP):
        await product.ask(request(number))
    found = [await _cost(counter, product, request(WARM_UP + number)) for number in range(COUNTED)]
    return min(found, key=lambda count: count.instructions)


async def _cost(counter: Counter, product: InProcess, request: Asked) -> Count:
    await asyncio.sleep(0.002)  # for what the request before left behind
    before = counter.so_far()
    await product.ask(request)
    after = counter.so_far()
    return Count(after.instructions - before.instructions, after.calls - before.calls)


def _measure() -> dict[str, Count]:
    _steady()
    gc.disable()  # a collection runs finalisers, whenever it comes
    with (
        tempfile.TemporaryDirectory(prefix="postern-counts-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_count(Path(folder)))


def _steady() -> None:
    """Keep what is counted from depending on the time that counting takes."""
    logging.disable(logging.ERROR)  # mails that nobody has an SMTP server for
    # Counting makes everything fifty times slower, and what is slow is done elsewhere: SQLite's statements leave the
    # loop for a thread when they take milliseconds. A clock that goes by a microsecond a look sees no slowness, and,
    # being C, is not counted.
    time.monotonic = itertools.count(time.monotonic(), 1e-6).__next__


async def _drive(folder: Path, path: str, times: int) -> None:
    """Warm up, and ask as often as that with callgrind counting, which has not been until then."""
    async with in_process(folder, **SETTINGS.get(path, {})) as product:
        requests = await requests_of(product, targets=WARM_UP + times)
        for number in range(WARM_UP):
            await product.ask(requests[path](number))
        prepared = [requests[path](WARM_UP + number) for number in range(times)]
        gc.collect()
        gc.disable()
        _instrument("on")
        for each in prepared:
            await product.ask(each)
        _instrument("off")


def _instrument(state: str) -> None:
    """Have valgrind begin or end to count in this very process; it is told from outside."""
    subprocess.run(["callgrind_control", f"--instr={state}", str(os.getpid())], check=True, stdout=subprocess.DEVNULL)


# And what follows starts that process.


def _environment() -> dict[str, str]:
    """Nothing of the caller's settings, no coverage, which traces too, and the same order of sets in every run."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))), "PYTHONHASHSEED": "0"}


def count() -> dict[str, Count]:
    """Count every path in a process of its own. Raises `Uncounted`."""
    command = [sys.executable, "-m", "bench.counts", "--measure"]
    done = subprocess.run(
        command, env=_environment(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60 * _MINUTES
    )
    if done.returncode:
        raise Uncounted(f"ended with {done.returncode}: {done.stderr[-3_000:]}")
    found: dict[str, dict[str, int]] = json.loads(done.stdout.strip().splitlines()[-1])
    return {path: Count(**each) for path, each in found.items()}


def callgrind(path: str, *, times: int = 100) -> int:
    """Return the processor's instructions for one request, of all threads. Raises `Uncounted`."""
    return (_callgrind(path, times) - _callgrind_of_nothing()) // times


@cache
def _callgrind_of_nothing() -> int:
    """Count what switching the counting on and off costs by itself."""
    return _callgrind("own_posts_hit", 0)


def _callgrind(path: str, times: int) -> int:
    with tempfile.TemporaryDirectory(prefix="postern-counts-") as folder:
        command = [
            *("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"),
            *(sys.executable, "-m", "bench.counts", "--drive", path, str(times)),
        ]
        done = subprocess.run(
            command, env=_environment(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60 * _MINUTES
        )
    return collected(done.stderr)


def collected(told: str) -> int:
    """Read how many instructions callgrind counted. Raises `Uncounted`."""
    found = re.search(r"^==\d+== Collected : (\d+)$", told, re.MULTILINE)
    if found is None or int(found.group(1)) == 0:
        raise Uncounted(f"callgrind told no count: {told[-1_000:]}")
    return int(found.group(1))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.counts", description="What the hot paths cost in instructions."
    )
    parser.add_argument("--write", action="store_true", help=f"make what is counted the figure ({COMMITTED.name})")
    parser.add_argument("--callgrind", nargs="*", choices=PATHS, metavar="PATH", help="count by valgrind too")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--drive", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps({path: asdict(each) for path, each in _measure().items()}))
    elif options.drive:
        path, times = options.drive
        _steady()
        with (
            tempfile.TemporaryDirectory(prefix="postern-counts-") as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_drive(Path(folder), path, int(times)))
    elif options.callgrind is not None:
        return _tell_callgrind(options.callgrind or list(PATHS))
    else:
        return _gate(write=options.write)
    return 0


def _tell_callgrind(paths: Sequence[str]) -> int:
    if shutil.which("valgrind") is None or shutil.which("callgrind_control") is None:
        print("valgrind is missing (Debian: apt install valgrind)", file=sys.stderr)
        return 1
    committed = read_committed(COMMITTED, VERSION) or {}
    for path in paths:
        try:
            found = callgrind(path)
        except (Uncounted, subprocess.TimeoutExpired) as error:
            print(f"counts: {path}: {error}", file=sys.stderr)
            return 1
        known = committed.get(path)
        beside = f", {found / known.instructions:.0f} for each of Python's {known.instructions:,}" if known else ""
        print(f"{path:16} {found:>10,} instructions of the processor{beside}", flush=True)
    return 0


def _gate(*, write: bool) -> int:
    try:
        found = count()
    except Uncounted as error:
        print(f"counts: {error}", file=sys.stderr)
        return 1
    if write:
        write_committed(COMMITTED, VERSION, found)
        for path, each in found.items():
            print(f"{path:16} {each.instructions:>8,} instructions, {each.calls:>5,} calls")
        return 0
    committed = read_committed(COMMITTED, VERSION)
    verdicts = judge(found, committed)
    print(f"Instructions of Python {VERSION} for one request:")
    print("\n".join(str(each) for each in verdicts))
    unknown = committed is None and os.environ.get("CI") == "true"
    if unknown:
        print(f"CI=true, and {COMMITTED.name} has no figure for Python {VERSION}: make counts ARGS=--write")
    return 1 if unknown or any(each.failed for each in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
