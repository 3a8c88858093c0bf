"""Where the time of a request goes, layer by layer: `python -m bench.profile`, the table of docs/performance.md.

The application is driven in process, without a socket, over SQLite, everything switched on. Two readings, since each is
blind to something:

- CPU time of the process a request (`time.process_time`: all threads, also of what the kernel does for them), in rounds
  in turn with a bare ASGI application that sends the same bytes, so that what driving costs can be taken off.
- The share of each layer in that, by `cProfile` on the event loop's thread, by that thread's CPU time: it makes calls
  dearer than they are, so its shares lean to code of many small functions. A function's own time counts for the
  layer that its file belongs to; what is built in counts for the layer that called it. What other threads spent, which
  is SQLite's work, is a line of its own.
"""

import argparse
import asyncio
import cProfile
import gc
import json
import logging
import os
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.counts import PATHS, SETTINGS, requests_of
from bench.inprocess import Asked, InProcess, in_process
from bench.report import table

_BATCH: Final = 200
_ROUNDS: Final = 7
_SETTLED: Final = 60

LAYERS: Final = (
    ("entrypoints/http/edge/middleware", "edge: request id, guards, headers, log, metrics"),
    ("adapters/rate_limit", "rate limits"),
    ("application/shared/rate_limit", "rate limits"),
    ("site-packages/limits", "rate limits"),
    ("adapters/telemetry", "request log and metrics"),
    ("entrypoints/http", "HTTP: routes, bodies, conditions, answers"),
    ("site-packages/litestar", "Litestar: routing, handlers"),
    ("adapters/security", "tokens, cursors, hashes"),
    ("site-packages/jwt", "tokens, cursors, hashes"),
    ("hashlib", "tokens, cursors, hashes"),
    ("hmac", "tokens, cursors, hashes"),
    ("adapters/cache", "cache of lists"),
    ("adapters/sql", "SQL adapter"),
    ("site-packages/sqlalchemy", "SQLAlchemy"),
    ("site-packages/aiosqlite", "SQLite's driver"),
    ("sqlite3", "SQLite's driver"),
    ("application", "use cases"),
    ("domain", "domain"),
    ("adapters", "other adapters"),
    ("bench", "driving it"),
)
"""By a part of the path, the first that fits."""
_REST: Final = "standard library, event loop"


async def _ask_all(product: InProcess, prepared: Sequence[Asked]) -> None:
    for each in prepared:
        await product.ask(each)


async def _floor(product: InProcess, prepared: Sequence[Asked]) -> InProcess:
    """Return an application that sends what the product just answered, and does nothing else."""
    answer = await product.ask(prepared[0])
    start = {"type": "http.response.start", "status": answer.status, "headers": list(answer.headers.items())}
    body = {"type": "http.response.body", "body": answer.body, "more_body": False}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await send(start)
        await send(body)

    return InProcess(app, product.container, product.file)


async def _microseconds(product: InProcess, prepared: Sequence[Asked]) -> tuple[float, float]:
    """Return the CPU time a request, of all threads and of this one."""
    everywhere, here = time.process_time(), time.thread_time()
    await _ask_all(product, prepared)
    everywhere, here = time.process_time() - everywhere, time.thread_time() - here
    return everywhere / _BATCH * 1e6, here / _BATCH * 1e6


def _layer(file: str) -> str | None:
    """Return whose code it is; None for what is built in."""
    if file.startswith(("~", "<")):
        return None
    plain = file.replace("\\", "/")
    return next((layer for part, layer in LAYERS if f"/{part}" in plain), _REST)


def by_layer(stats: pstats.Stats) -> dict[str, float]:
    """Add up seconds of own time by layer; what is built in belongs to its callers, in shares."""
    found: dict[str, float] = {}
    raw: dict[Any, Any] = stats.stats  # type: ignore[attr-defined]  # typeshed does not know it; documented it is
    for (file, _, name), (_, _, own, _, callers) in raw.items():
        layer = _layer(file)
        if layer is not None:
            found[layer] = found.get(layer, 0.0) + own
        elif "sqlite3" in name:
            found["SQLite's driver"] = found.get("SQLite's driver", 0.0) + own
        else:
            for (caller, _, _), (_, _, share, _) in callers.items():
                owner = _layer(caller) or _REST
                found[owner] = found.get(owner, 0.0) + share
    return found


async def _profile(folder: Path, paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        own = folder / path
        own.mkdir()
        async with in_process(own, **SETTINGS.get(path, {})) as product:
            found[path] = await _one(product, path)
    return found


async def _one(product: InProcess, path: str) -> dict[str, Any]:
    serial = _SETTLED + (_ROUNDS + 2) * _BATCH
    requests = await requests_of(product, targets=serial if path == "vote" else 0)
    number = iter(range(10_000_000))

    def batch(count: int = _BATCH) -> list[Asked]:
        return [requests[path](next(number)) for _ in range(count)]

    await _ask_all(product, batch(_SETTLED))
    floor = await _floor(product, batch(1))
    ours: list[float] = []
    elsewhere: list[float] = []
    theirs: list[float] = []
    for _ in range(_ROUNDS):
        prepared = batch()
        everywhere, here = await _microseconds(product, prepared)
        ours.append(everywhere)
        elsewhere.append(everywhere - here)
        theirs.append((await _microseconds(floor, prepared))[0])
    prepared = batch()
    profiler = cProfile.Profile(time.thread_time)
    profiler.enable()
    await _ask_all(product, prepared)
    profiler.disable()
    shares = by_layer(pstats.Stats(profiler))
    shares.pop("driving it", None)
    whole = sum(shares.values())
    mine = statistics.median(ours) - statistics.median(theirs)
    others = max(0.0, statistics.median(elsewhere))
    layers = {layer: seconds / whole * (mine - others) for layer, seconds in shares.items()}
    if others >= 0.5:
        layers["other threads: SQLite"] = others
    return {
        "us": mine,
        "driving_us": statistics.median(theirs),
        "lowest": min(ours) - statistics.median(theirs),
        "highest": max(ours) - statistics.median(theirs),
        "layers": layers,
    }


def tables(found: dict[str, dict[str, Any]]) -> str:
    """Write one table: a row a layer, a column a path, microseconds of CPU."""
    layers = sorted(
        {layer for each in found.values() for layer in each["layers"]},
        key=lambda layer: -sum(each["layers"].get(layer, 0.0) for each in found.values()),
    )
    rows = [
        [layer, *(f"{each['layers'][layer]:.1f}" if layer in each["layers"] else "" for each in found.values())]
        for layer in layers
    ]
    whole = [f"{each['us']:.0f} ({each['lowest']:.0f} to {each['highest']:.0f})" for each in found.values()]
    rows.append(["**in all**", *whole])
    return "\n".join(table(["µs of CPU a request", *(PATHS[path] for path in found)], rows))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Where the time of a request goes.")
    parser.add_argument("--paths", nargs="+", choices=PATHS, default=["own_posts_hit", "own_posts", "one_post", "vote"])
    parser.add_argument("--json", action="store_true", help="figures instead of the table")
    options = parser.parse_args(arguments)
    logging.disable(logging.ERROR)
    gc.freeze()
    # The request log is written, as always; here to where nobody reads it.
    told = os.dup(1)
    with tempfile.TemporaryDirectory(prefix="postern-profile-") as folder, (Path(folder) / "log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(_profile(Path(folder), options.paths))
        os.dup2(told, 1)
    print(json.dumps(found, indent=1) if options.json else tables(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
