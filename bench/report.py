"""The results as Markdown, for people."""

from collections.abc import Iterator, Sequence

from bench.figures import Figure, Summary
from bench.goals import verdicts
from bench.results import Results

REPORT_LINE = 120


def markdown(results: Results, *, plot: str | None = None) -> str:
    return "\n".join(_lines(results, plot)) + "\n"


def _lines(results: Results, plot: str | None) -> Iterator[str]:
    yield "# Side by side"
    yield ""
    yield from (f"- {name}: {text}" for name, text in results.about["shown"].items())
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
        yield from ("", f"### {title[0].upper()}{title[1:]}", "")
        yield from _workload(results, workload)
    yield from ("", "## By connections", "")
    yield from _by_connections(results)
    if results.open_loop:
        yield from ("", "## Open loop, fixed rates", "")
        yield from _open_loop(results)
    if results.calm:
        yield from ("", "## Reads at a fixed rate while 200 log in", "")
        yield from _calm(results)
    yield from ("", "## Start", "")
    yield from _starts(results)
    yield from _gaps(results)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _goals(results: Results) -> Iterator[str]:
    words = {True: "met", False: "**not met**", None: ""}
    rows = [(each.what, each.goal, each.found, words[each.met]) for each in verdicts(results)]
    yield from table(("what", "goal", "found", ""), rows)


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


def _starts(results: Results) -> Iterator[str]:
    rows = [
        (results.titles[name], f"{start.seconds_to_ready:.2f}", _processes(start.idle_memory_mib))
        for name, start in results.starts.items()
    ]
    yield from table(("", "s to the first connection", "idle MiB, by process"), rows)


def _processes(memory: dict[str, float]) -> str:
    return " + ".join(f"{mib:.0f}" for mib in memory.values())


def _gaps(results: Results) -> Iterator[str]:
    absent = [(results.titles[name], reason) for name, reason in results.absent.items()]
    if absent:
        yield from ("", "## Did not take part", "")
        yield from table(("", "why"), absent)
    for heading, reasons in (("Not offered", results.missing), ("Void", results.void)):
        if reasons:
            yield from ("", f"## {heading}", "")
            rows = [(results.workloads[w], results.titles[c], reason) for (w, c), reason in reasons.items()]
            yield from table(("", "", "why"), rows)
