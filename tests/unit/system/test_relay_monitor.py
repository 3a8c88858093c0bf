"""A server that does not relay tells when nobody else does."""

from datetime import datetime, timedelta

import pytest

from adapters.system.relay_monitor import RelayMonitor
from application.shared.health import Notices
from tests.builders import NOW
from tests.fakes import SettableClock


async def test_what_waits_for_a_minute_is_told_in_ready_in_metrics_and_once_a_minute_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, notices, waits = SettableClock(), Notices(), None
    monkeypatch.setattr("adapters.system.relay_monitor.time.monotonic", lambda: clock.now().timestamp())

    async def since(now: datetime) -> datetime | None:
        assert now == clock.now()
        return waits

    watch = RelayMonitor({"webhooks": since, "broker": since}, notices, clock)
    await watch.look()
    assert notices.current() == []

    waits = NOW
    for _ in range(2):  # at 0 and 30 seconds
        await watch.look()
        assert notices.current() == []
        clock.advance(timedelta(seconds=30))
    for _ in range(4):  # from 60 to 150
        await watch.look()
        clock.advance(timedelta(seconds=30))
    assert {notice.code for notice in notices.current()} == {"webhooks-wait", "broker-wait"}
    assert not any(notice.is_unready for notice in notices.current())
    assert "postern relay" in notices.current()[0].message
    assert ("postern_relay_wait_seconds", (("consumer", "webhooks"),), 150.0) in list(watch.samples())
    assert len([record for record in caplog.records if "webhooks" in record.getMessage()]) == 2

    waits = None
    await watch.look()
    assert notices.current() == []
    assert all(seconds == 0 for _, _, seconds in watch.samples())
