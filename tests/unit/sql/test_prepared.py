"""When a statement is prepared on a server that speaks MySQL's protocol, and what it is run as when it is not."""

from types import SimpleNamespace
from typing import Any

import pytest
from asyncmy.errors import OperationalError

from adapters.sql.engine.fast.servers import drivers
from adapters.sql.engine.fast.servers.drivers import AsyncmyLink


class ADriver:
    """asyncmy's connection, as much of it as is used. It notes how each statement came."""

    _read_timeout = None

    def __init__(self, *, refuses: Exception | None = None, fails: Exception | None = None) -> None:
        self.sent: list[str] = []
        self._refuses = refuses
        self._fails = fails
        self._result = SimpleNamespace(rows=((1,),), affected_rows=1)

    async def query(self, text: str) -> None:
        self.sent.append(f"text {text}")

    async def prepare(self, text: str) -> "AStatement":
        self.sent.append(f"prepare {text}")
        if self._refuses is not None:
            raise self._refuses
        return AStatement(self, self._fails)

    def literal(self, value: object) -> str:
        return repr(value)


class AStatement:
    def __init__(self, driver: ADriver, fails: Exception | None) -> None:
        self._driver = driver
        self._fails = fails

    async def execute(self, values: tuple[Any, ...]) -> Any:
        self._driver.sent.append(f"execute {values}")
        if self._fails is not None:
            raise self._fails
        return self._driver._result

    async def close(self) -> None:
        self._driver.sent.append("close")


class AnAdapter:
    def __init__(self, driver: ADriver) -> None:
        self.driver_connection = driver

    def _handle_exception(self, error: Exception) -> None:
        raise error


class APlan:
    """A compiled statement."""

    returns_rows = True
    places = 1

    def __init__(self, sql: str = "SELECT a %% 2 FROM t WHERE b = %s", *, returns_rows: bool = True) -> None:
        self.sql = sql
        self.returns_rows = returns_rows

    def rows(self, fetched: Any) -> Any:
        return fetched


async def ran(driver: ADriver, *plans: Any) -> list[str]:
    link = AsyncmyLink(AnAdapter(driver))
    for plan in plans:
        assert (await link.run(plan, (7,))).rows == (((1,),) if plan.returns_rows else ())
    return driver.sent


async def test_a_statement_is_prepared_when_it_is_run_for_the_second_time() -> None:
    plan = APlan()

    assert await ran(ADriver(), plan, plan, plan) == [
        "text SELECT a % 2 FROM t WHERE b = 7",
        "prepare SELECT a % 2 FROM t WHERE b = ?",
        "execute (7,)",
        "execute (7,)",
    ]


async def test_what_returns_no_rows_is_never_prepared() -> None:
    plan = APlan("DELETE FROM t WHERE b = %s", returns_rows=False)

    assert await ran(ADriver(), plan, plan, plan) == ["text DELETE FROM t WHERE b = 7"] * 3


async def test_of_too_many_statements_the_one_that_was_run_longest_ago_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drivers, "_PREPARED_AT_MOST", 2)
    first, second, third = (APlan(f"SELECT {n} = %s") for n in range(3))

    sent = await ran(ADriver(), first, first, second, second, first, third, second, second)

    assert sent == [
        *("text SELECT 0 = 7", "prepare SELECT 0 = ?", "execute (7,)"),
        *("text SELECT 1 = 7", "prepare SELECT 1 = ?", "execute (7,)"),
        "execute (7,)",
        *("close", "text SELECT 2 = 7"),  # of the second
        "close",  # of the first
        *("text SELECT 1 = 7", "prepare SELECT 1 = ?", "execute (7,)"),
    ]


@pytest.mark.parametrize("code", [1295, 1461])
async def test_what_a_server_does_not_prepare_goes_as_text_from_then_on(code: int) -> None:
    plan = APlan()

    sent = await ran(ADriver(refuses=OperationalError(code, "no")), plan, plan, plan)

    assert [each.partition(" ")[0] for each in sent] == ["text", "prepare", "text", "text"]


async def test_what_a_server_cannot_keep_prepared_goes_as_text_from_then_on() -> None:
    plan = APlan()

    sent = await ran(ADriver(fails=OperationalError(1615, "needs to be re-prepared")), plan, plan, plan)

    assert [each.partition(" ")[0] for each in sent] == ["text", "prepare", "execute", "close", "text", "text"]


async def test_another_error_in_preparing_is_the_statements_own() -> None:
    plan: Any = APlan()
    link = AsyncmyLink(AnAdapter(ADriver(refuses=OperationalError(1146, "no such table"))))
    await link.run(plan, (7,))

    with pytest.raises(OperationalError, match="no such table"):
        await link.run(plan, (7,))
