"""The request log: in order, in whole lines, and never in anybody's way."""

import asyncio
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.telemetry.request_log import RequestLine, RequestLog, as_text


def a_line(n: int = 1, *, status: int = 200) -> RequestLine:
    return RequestLine(
        datetime(2026, 3, 4, 5, 6, 7, 890_123, tzinfo=UTC),
        "info",
        "GET",
        "/api/v1/posts/{post_id}",
        status,
        1.25,
        2048,
        f"request-{n}",
        "192.0.2.7",
        "",
    )


async def test_lines_are_written_in_order_soon_after() -> None:
    reading, writing = os.pipe()
    log = RequestLog(writing)
    for n in range(3):
        log.add(a_line(n))

    written = await asyncio.to_thread(os.read, reading, 65536)  # without `close`: a timer flushes
    await log.close()
    os.close(reading)
    os.close(writing)

    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["request_id"] for line in lines] == ["request-0", "request-1", "request-2"]
    assert lines[0] == {
        "time": "2026-03-04T05:06:07.890123Z",
        "level": "info",
        "method": "GET",
        "route": "/api/v1/posts/{post_id}",
        "status": 200,
        "duration_ms": 1.25,
        "bytes": 2048,
        "request_id": "request-0",
        "client": "192.0.2.7",
    }


async def test_closing_writes_what_is_still_there(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        log = RequestLog(file.fileno())
        for n in range(1000):
            log.add(a_line(n))
        await log.close()

    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["request_id"] for line in lines] == [f"request-{n}" for n in range(1000)]


async def test_a_file_takes_a_batch_in_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr("adapters.telemetry.request_log.os.write", counted)
    with (tmp_path / "log").open("wb") as file:
        log = RequestLog(file.fileno())
        for n in range(1000):
            log.add(a_line(n))
        await log.close()

    assert sizes == [(tmp_path / "log").stat().st_size]


async def test_two_logs_on_one_file_do_not_cut_each_others_lines(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        logs = [RequestLog(file.fileno()), RequestLog(file.fileno())]
        for n in range(5000):
            logs[n % 2].add(a_line(n))
            if n % 500 == 0:
                logs[n % 2].flush()
        await asyncio.gather(*(log.close() for log in logs))

    ids = {json.loads(line)["request_id"] for line in (tmp_path / "log").read_text().splitlines()}
    assert ids == {f"request-{n}" for n in range(5000)}


async def test_two_logs_on_one_pipe_do_not_cut_each_others_lines() -> None:
    reading, writing = os.pipe()
    logs = [RequestLog(writing), RequestLog(writing)]
    received: list[bytes] = []

    def drain() -> None:
        while piece := os.read(reading, 65536):
            received.append(piece)

    reader = threading.Thread(target=drain)
    reader.start()
    for n in range(5000):
        logs[n % 2].add(a_line(n))
    await asyncio.gather(*(log.close() for log in logs))
    os.close(writing)
    await asyncio.to_thread(reader.join)
    os.close(reading)

    ids = {json.loads(line)["request_id"] for line in b"".join(received).splitlines()}
    assert ids == {f"request-{n}" for n in range(5000)}


async def test_a_full_pipe_holds_nobody_up_and_the_log_says_what_is_missing() -> None:
    reading, writing = os.pipe()
    log = RequestLog(writing, waiting_lines=1000)
    for n in range(3000):  # three quarters of a megabyte; a pipe takes 64 KiB
        log.add(a_line(n))
        if n % 500 == 0:
            log.flush()
    log.flush()
    assert 0 < log.lost <= 3000
    lost = log.lost

    received: list[bytes] = []

    def drain() -> None:
        while piece := os.read(reading, 65536):
            received.append(piece)

    reader = threading.Thread(target=drain)
    reader.start()
    for _ in range(100):
        if b"".join(received).count(b"\n") >= 3000 - lost:
            break
        await asyncio.sleep(0.05)
    log.add(a_line(9999))
    await log.close()
    os.close(writing)
    await asyncio.to_thread(reader.join)
    os.close(reading)

    lines = [json.loads(line) for line in b"".join(received).splitlines()]
    told = [line["lost"] for line in lines if line.get("event") == "lost_lines"]
    assert sum(told) == lost
    assert len(lines) - len(told) == 3001 - lost
    assert lines[-1]["request_id"] == "request-9999"


async def test_a_reader_that_is_gone_is_no_reason_to_fail() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = RequestLog(writing)
    log.add(a_line())
    await log.close()
    os.close(writing)


def test_a_developer_reads_short_lines() -> None:
    assert as_text([a_line(status=404)]).decode()[8:] == " 404 GET /api/v1/posts/{post_id} 1.2 ms\n"
