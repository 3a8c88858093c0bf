"""The results as Markdown, for people."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from bench.figures import Figure, Summary
from bench.goals import verdicts
from bench.results import Results

REPORT_LINE = 120
GROWTH_CONNECTIONS = 16
"""At which the smaller sizes are measured; of the main run, the rounds at as many."""


def markdown(results: Results, *, plot: str | None = None) -> str:
    return "\n".join(_lines(results, plot)) + "\n"


def _lines(results: Results, plot: str | None) -> Iterator[str]:
    yield "# Side by side"
    yield ""
    yield from (f"- {name}: {text}" for name, text in results.about["shown"].items())
    yield "- versions: " + ", ".join(f"{name} {version}" for name, version in results.about["versions"].items())
    yield ""
    yield (
        "Ratios are the figures; absolute numbers are this machine's. Each is the median over rounds in which all took "
        "turns, with the extremes in parentheses; a ratio is taken round by round. Latencies of the closed loop are "
        "wrk's, those of the open loop count from the planned moment. CPU is the server's processes alone, without "
        "the database server's; memory is their peak during the round, added up, shared pages counted in each."
    )
    if plot:
        yield from ("", f"![Requests a second, and tail latency at fixed rates]({plot})")
    yield from ("", "## Goals", "")
    yield from _goals(results)
    yield from ("", f"## {results.most_connections} connections")
    for workload, title in results.workloads.items():
        rows = list(_workload(results, workload))
        if rows:
            yield from ("", f"### {title[0].upper()}{title[1:]}", "", *rows)
    yield from ("", "## By connections", "")
    yield from _by_connections(results)
    if results.open_loop:
        yield from ("", "## Open loop, fixed rates", "")
        yield from _open_loop(results)
    if results.calm:
        yield from ("", "## Reads at a fixed rate while 200 log in", "")
        yield from _calm(results)
    if results.drivers:
        yield from ("", "## Time in the database, against the bare driver", "")
        yield from _drivers(results)
    if results.workers:
        yield from ("", "## Two workers", "")
        yield from _workers(results)
    if results.growth:
        yield from ("", "## As there is more of it", "")
        yield from _growth(results)
    yield from ("", "## Start", "")
    yield from _starts(results)
    yield from _gaps(results)
    if results.sections:
        yield from ("", "## When each part was measured", "")
        head = ("", "began", "commit", "load before", "s", "contenders")
        keys = ("date", "commit", "load", "seconds", "contenders")
        yield from table(head, [(name, *(each[key] for key in keys)) for name, each in results.sections.items()])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _goals(results: Results) -> Iterator[str]:
    words = {True: "met", False: "**not met**", None: ""}
    rows = [(each.what, each.goal, each.found, words[each.met], each.why) for each in verdicts(results)]
    yield from table(("what", "goal", "found", "", "where it is not met: why"), rows)


def _workload(results: Results, workload: str) -> Iterator[str]:
    rows: list[tuple[str, ...]] = []
    for name, title in results.titles.items():
        found = results.summary(workload, name, results.most_connections)
        if found is None:
            reason = _reason(results, workload, name)
            if reason is not None:
                rows.append((title, reason, *("" for _ in range(7))))
            continue
        database = name.partition("-")[2]
        others = ("floor", f"fastapi-{database}" if database else "", "pocketbase")
        ratios = (_ratio(results, workload, name, other) for other in others)
        rows.append(
            (
                title,
                _spread(found.requests_per_second, ",.0f"),
                *ratios,
                f"{found.p50.median / 1000:.2f}",
                f"{found.p99.median / 1000:.2f}",
                f"{found.cpu_per_request.median:.0f}",
                f"{found.peak_memory_mib.median:.0f}",
            )
        )
    if not rows:
        return
    head = (
        "",
        "requests/s",
        "to the floor",
        "x FastAPI, same database",
        "x PocketBase",
        "p50 ms",
        "p99 ms",
        "CPU µs",
        "MiB",
    )
    yield from table(head, rows)


def _reason(results: Results, workload: str, contender: str) -> str | None:
    key = (workload, contender)
    if key in results.void:
        return f"**void**: {results.void[key][:REPORT_LINE]}"
    if contender in results.absent:
        return "did not take part"
    return f"missing: {results.missing[key][:REPORT_LINE]}" if key in results.missing else None


def _ratio(results: Results, workload: str, contender: str, other: str) -> str:
    if other in {"", contender}:
        return ""
    found = results.ratio(workload, contender, other, results.most_connections)
    return "" if found is None else _spread(found, ".2f")


def _spread(found: Figure, form: str) -> str:
    if found.low == found.high:
        return format(found.median, form)
    return f"{format(found.median, form)} ({format(found.low, form)} to {format(found.high, form)})"


def _by_connections(results: Results) -> Iterator[str]:
    head = ["", "", *(f"{count}: requests/s · p50 · p99 ms" for count in results.connections)]
    rows: list[list[str]] = []
    for workload, title in results.workloads.items():
        for name, contender in results.titles.items():
            found = [results.summary(workload, name, count) for count in results.connections]
            if any(found):
                rows.append([title, contender, *(_brief(each) for each in found)])
    yield from table(head, rows)


def _brief(found: Summary | None) -> str:
    if found is None:
        return ""
    p50, p99 = found.p50.median / 1000, found.p99.median / 1000
    return f"{found.requests_per_second.median:,.0f} · {p50:.2f} · {p99:.2f}"


def _open_loop(results: Results) -> Iterator[str]:
    rows: list[tuple[str, ...]] = []
    for (workload, contender, rate), each in results.open_loop.items():
        title, who = results.workloads[workload], results.titles[contender]
        if (workload, contender) in results.void:
            continue
        if fault := each.fault():
            rows.append((title, who, f"{rate:,}", f"void: {fault}", "", "", "", ""))
            continue
        waits = (each.p50, each.p90, each.p99, each.p999, each.maximum)
        rows.append((title, who, f"{rate:,}", *(f"{wait / 1000:.2f}" for wait in waits)))
    yield from table(("", "", "requests/s", "p50 ms", "p90", "p99", "p99.9", "worst"), rows)


def _calm(results: Results) -> Iterator[str]:
    rows = [
        (
            results.titles[name],
            f"{each.reads.rate:.0f}",
            f"{each.reads.p50 / 1000:.1f}",
            f"{each.reads.p99 / 1000:.1f}",
            f"{each.log_ins_per_second:.0f}",
        )
        for name, each in results.calm.items()
    ]
    yield from table(("", "reads/s", "p50 ms", "p99 ms", "log-ins/s meanwhile"), rows)
    if results.bare_hashes_per_second:
        yield from ("", f"The bare hash on that core: {results.bare_hashes_per_second:.0f} a second.")


def _drivers(results: Results) -> Iterator[str]:
    yield (
        "The reader that serves requests, against its driver asking for the same: microseconds a query, sixteen in "
        "flight, in process and in turns. The reader returns finished views, the driver bare rows."
    )
    yield ""
    rows = [
        (
            each["what"], each["database"], each["driver"], f"{each['ours_us']:.0f}", f"{each['bare_us']:.0f}",
            f"{each['ratio']:.2f} ({each['ratio_low']:.2f} to {each['ratio_high']:.2f})",
        )
        for each in results.drivers
    ]  # fmt: skip
    yield from table(("", "", "bare driver", "ours µs", "bare µs", "ratio"), rows)


def _workers(results: Results) -> Iterator[str]:
    yield (
        "Computed, since the load generator shares both cores with two workers: (2 cores less what lay idle) / "
        "processor time of the workers a request, to the same of one worker on a core of its own."
    )
    yield ""
    rows = [
        (
            each["what"], _whose(each["database"]), f"{each['one_rate']:,.0f}", f"{each['two_rate']:,.0f}",
            f"{each['one_us']:.0f}", f"{each['two_us']:.0f}", f"{each['idle']:.0%}",
            f"{each['scaling']:.2f} ({each['scaling_low']:.2f} to {each['scaling_high']:.2f})",
        )
        for each in results.workers
    ]  # fmt: skip
    head = ("", "", "one: requests/s", "two, sharing", "one: CPU µs", "two: CPU µs", "idle", "two to one")
    yield from table(head, rows)
    if results.machine:
        yield from ("", _told_of(results.machine))


def _whose(database: str) -> str:
    return "the floor: what this machine makes possible" if database == "floor" else database


def _told_of(machine: dict[str, Any]) -> str:
    one, other = machine["cores"]
    what = "two threads of one physical core" if machine["physical_cores"] == 1 else "two cores"
    return (
        f"The kernel takes processors {one} and {other} for {what}; of a virtual machine that need not be so. Two "
        f"plain loops, one on each, did {machine['loops']:.2f} times as much at once as one alone."
    )


def _growth(results: Results) -> Iterator[str]:
    known = [*results.growth, *largest(results)]
    for unit, title in (("posts", "Posts in all"), ("bytes", "Bytes of a post")):
        of_unit = [each for each in known if unit in each]
        sizes = sorted({each[unit] for each in of_unit})
        if not sizes:
            continue
        yield from (
            f"### {title}",
            "",
            f"Requests a second · p99 in ms · peak MiB of the server's processes, at {GROWTH_CONNECTIONS} connections.",
            "",
        )
        cells: dict[tuple[str, str], dict[int, str]] = {}
        for each in of_unit:
            cells.setdefault((each["what"], each["database"]), {})[each[unit]] = _grown(each)
        rows = [(*key, *(found.get(size, "") for size in sizes)) for key, found in cells.items()]
        yield from table(("", "", *(f"{size:,}" for size in sizes)), rows)
        yield ""
    yield "How many posts their author has: see own posts of an author of 10, 1,000 and 100,000 above."


def largest(results: Results) -> Iterator[dict[str, Any]]:
    """Yield what the main run found of its own number of posts, in the form of the smaller ones."""
    posts = results.about["sizes"]["posts"]
    wanted = {(each["database"], each["what"]) for each in results.growth if "posts" in each}
    for workload, title in results.workloads.items():
        for database, what in sorted(wanted):
            found = results.summary(workload, f"postern-{database}", GROWTH_CONNECTIONS)
            if what == title and found:
                yield {"database": database, "what": what, "posts": posts, "summary": asdict(found)}


def _grown(each: dict[str, Any]) -> str:
    if "fault" in each:
        return f"**void**: {each['fault'][:REPORT_LINE]}"
    found = each["summary"]
    rate, p99, memory = (found[name]["median"] for name in ("requests_per_second", "p99", "peak_memory_mib"))
    return f"{rate:,.0f} · {p99 / 1000:.1f} · {memory:.0f}"


def _starts(results: Results) -> Iterator[str]:
    rows = [
        (results.titles[name], f"{start.seconds_to_ready:.2f}", _processes(start.idle_memory_mib))
        for name, start in results.starts.items()
    ]
    yield from table(("", "s to ready", "idle MiB, by process"), rows)


def _processes(memory: dict[str, float]) -> str:
    return " + ".join(f"{mib:.0f}" for mib in memory.values())


def _gaps(results: Results) -> Iterator[str]:
    absent = [(results.titles.get(name, name), reason) for name, reason in results.absent.items()]
    if absent:
        yield from ("", "## Did not take part", "")
        yield from table(("", "why"), absent)
    for heading, reasons in (("Not offered", results.missing), ("Void", results.void)):
        if reasons:
            yield from ("", f"## {heading}", "")
            rows = [(results.workloads[w], results.titles[c], reason) for (w, c), reason in reasons.items()]
            yield from table(("", "", "why"), rows)
