"""Why a goal is not met, in plain words: what the thing is made of, with this run's own figures where they say it."""

from typing import Final

from bench.figures import Summary
from bench.results import Results

_SERVERS: Final = ("mariadb", "postgresql")


def beside_the_floor(results: Results, workload: str, database: str) -> str:
    mine, floor = (_summary(results, workload, name) for name in (f"postern-{database}", "floor"))
    if mine is None or floor is None:
        return ""
    spent = (
        f"{mine.cpu_per_request.median:.0f} µs of CPU, the floor's {floor.cpu_per_request.median:.0f} among them: the "
        "rest is Python that tells who asks, counts limits, finds the page and writes the log"
    )
    return f"{spent}; and asks the database for the author's revision" if database in _SERVERS else spent


def beside_fastapi(results: Results, workload: str, database: str) -> str:
    mine, theirs = (_summary(results, workload, f"{family}-{database}") for family in ("postern", "fastapi"))
    if mine is None or theirs is None:
        return ""
    spent = f"{mine.cpu_per_request.median:.0f} µs of CPU to its {theirs.cpu_per_request.median:.0f}"
    writes = workload in {"create", "vote"}
    if database in _SERVERS:
        common = (
            "the database's own work and the driver's round trips, which both have, are the larger part of the rest"
        )
        more = "; a write here also moves ranks or words, a revision and an event" if writes else ""
        return f"{spent}; {common}{more}"
    more = "both wait for the same disk, and a write here also moves ranks or words, a revision and an event"
    return f"{spent}; {more}" if writes else spent


def beside_pocketbase(results: Results, workload: str, contender: str, other: str) -> str:
    mine, theirs = (_summary(results, workload, name) for name in (contender, other))
    if mine is None or theirs is None:
        return ""
    spent = f"{mine.cpu_per_request.median:.0f} µs of CPU to its {theirs.cpu_per_request.median:.0f}"
    if workload == "vote" and other == "pocketbase":
        return f"{spent}; it is compiled, and stores the vote alone: no counter, no rank, no event"
    if workload == "create":
        return f"{spent}; it is compiled, and stores the post alone: no words to search by, no revision, no event"
    return f"{spent}; it is compiled"


def of_depth() -> str:
    return (
        "a keyset reads as many rows at any depth (`make depth` times the query alone); what is left is where in the "
        "index and the table they lie"
    )


def beside_the_driver(ours: float, bare: float) -> str:
    return (
        f"{ours - bare:.0f} µs a query on top of {bare:.0f}: a pool, binding, telling errors apart, and finished views "
        "where the driver hands over bare rows"
    )


def of_two_workers(results: Results, what: str) -> str:
    floor = [each["scaling"] for each in results.workers if (each["database"], each["what"]) == ("floor", what)]
    if not floor:
        return ""
    loops = f", and two plain loops to {results.machine['loops']:.2f}" if results.machine else ""
    told = f"the floor comes to {floor[0]:.2f} on this machine{loops}"
    if floor[0] < 1.8:
        return f"{told}: its second core is not worth a whole one to anybody"
    return f"{told}: what the workers share beyond that is the database"


def of_a_log_in() -> str:
    return "beside the hash: the account is read, and a session and an audit entry are committed, with cold caches"


def of_reads_beside_log_ins() -> str:
    return "with one core for all, the kernel shares it between the threads that hash and the loop that answers"


def of_the_start() -> str:
    return "Python importing Litestar, SQLAlchemy and msgspec, then connecting and looking for something to migrate"


def of_idle_memory() -> str:
    return "Python with Litestar, SQLAlchemy and msgspec imported, the OpenAPI document, and the database's driver"


def _summary(results: Results, workload: str, contender: str) -> Summary | None:
    found = results.summary(workload, contender, results.most_connections)
    compared = results.compared_with.get(workload)
    if found is None and compared is not None:
        return results.summary(compared, contender, results.most_connections)
    return found
