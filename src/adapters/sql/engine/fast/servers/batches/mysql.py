"""MySQL and MariaDB take several statements as one text, with the COMMIT at its end.

The server stops at the first statement that fails, so that the COMMIT is never reached, and what came before is rolled
back with the unit of work.
"""

from collections.abc import Sequence
from typing import Any, Final

from adapters.sql.engine.fast.compiled import Compiled
from adapters.sql.engine.fast.servers.batches.batch import Batch, BatchRunner
from adapters.sql.engine.fast.servers.drivers import AsyncmyLink
from adapters.sql.engine.port import BatchedStatement
from adapters.sql.rows import Rows

_LONGEST_TEXT: Final = 1 << 20
"""Characters. What is longer goes in several round trips: a server takes 16 MiB at once by default, and escaping
lengthens."""


class MultiStatementText(BatchRunner[AsyncmyLink]):
    """asyncmy, which connects with CLIENT_MULTI_STATEMENTS, and escapes values itself, as for each alone."""

    def fits(self, batch: Batch, step: BatchedStatement, plan: Compiled) -> bool:
        del step, plan
        return not batch.plans[-1].returns_rows

    async def run(self, link: AsyncmyLink, batch: Batch) -> Rows:
        return await self._send(link, batch, commit=False)

    async def commit_batch(self, link: AsyncmyLink, batch: Batch) -> bool:
        await self._send(link, batch, commit=True)
        return True

    async def _send(self, link: AsyncmyLink, batch: Batch, *, commit: bool) -> Rows:
        answers = _Pipeline(link)
        sent: list[BatchedStatement | None] = []
        """The step that each text is of; None for a demand."""
        try:
            for step, plan in zip(batch.steps, batch.plans, strict=True):
                sent.append(step)
                await answers.append(link.text(plan, plan.bind(step.parameters)))
                if commit and step.on_no_match is not None:
                    sent.append(None)
                    await answers.append(_DEMAND)
            if commit:
                await answers.append("COMMIT")
            await answers.flush()
        except Exception as error:  # the adapter raises it again, as what it is
            failed = sent[answers.count] if answers.count < len(sent) else None
            if failed is None and answers.count < len(sent) and error.args[:1] == (_NOT_AS_DEMANDED,):
                # Nothing of what stands behind was done. `check` tells whose demand it was.
                done = sum(step is not None for step in sent[: answers.count])
                batch.matched = [1] * (done - 1) + [0] * (len(batch.steps) - done + 1)
                return Rows((), 0)
            batch.failed = failed
            link.adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
            raise
        finally:
            link.end_waiting()
        batch.matched = [count for count, step in zip(answers.matched, sent, strict=False) if step is not None]
        last = batch.plans[-1]
        return Rows(last.rows(answers.rows) if last.returns_rows else (), batch.matched[-1])

    def form(self, batch: Batch) -> object:
        # A row that is looked up by one who inserts, as an upsert does, is locked in an order that nobody knows.
        is_plain = all(plan.target is not None and " ON DUPLICATE " not in plan.sql for plan in batch.plans)
        return True if is_plain and all(step.on_no_match is None for step in batch.steps[1:]) else None

    async def commit_batches(self, link: AsyncmyLink, batches: Sequence[Batch]) -> None:
        try:
            answers = _Pipeline(link)
            for batch in batches:
                await answers.append(link.text(batch.plans[0], batch.plans[0].bind(batch.steps[0].parameters)))
            await answers.flush()
            found: list[Batch] = []
            for batch, count in zip(batches, answers.matched, strict=True):
                batch.matched = [count] * len(batch.steps)
                if count:
                    found.append(batch)
            for place in range(1, max((len(batch.steps) for batch in found), default=0)):
                for text in _at_once(link, [batch for batch in found if place < len(batch.steps)], place):
                    await answers.append(text)
            await answers.append("COMMIT")
            await answers.flush()
        except Exception as error:  # the adapter raises it again, as what it is
            link.adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
            raise
        finally:
            link.end_waiting()


_DEMAND: Final = "SET @found = (SELECT 1 UNION ALL SELECT 1 FROM DUAL WHERE ROW_COUNT() = 0)"
"""Fails when the statement before has matched no row, so that the server goes no further."""
_NOT_AS_DEMANDED: Final = 1242  # subquery returns more than 1 row


def _at_once(link: AsyncmyLink, batches: Sequence[Batch], place: int) -> list[str]:
    """Return the texts of the statements at this place: rows that go into one table in one INSERT."""
    texts: dict[Compiled, list[str]] = {}
    for batch in batches:
        plan = batch.plans[place]
        text = link.text(plan, plan.bind(batch.steps[place].parameters))
        head, values, _ = plan.sql.partition(" VALUES ")
        together = texts.setdefault(plan, [])
        if together and plan.sql.startswith("INSERT ") and values:
            together[0] += f",{text[len(head) + len(values) :]}"
        else:
            together.append(text)
    return [text for together in texts.values() for text in together]


class _Pipeline:
    """The answers to texts, one for each statement, each waited for no longer than for one by itself.

    Texts are sent together, up to a length.
    """

    def __init__(self, link: AsyncmyLink) -> None:
        self._link = link
        self._texts: list[str] = []
        self._length = 0
        self.matched: list[int] = []
        self.rows: Sequence[Sequence[Any]] = ()
        """Of the last statement that returned any."""

    @property
    def count(self) -> int:
        return len(self.matched)

    async def append(self, text: str) -> None:
        """Have it sent with what comes next, or send what is there when it would become too long."""
        if self._texts and self._length + len(text) > _LONGEST_TEXT:
            await self.flush()
        self._texts.append(text)
        self._length += len(text)

    async def flush(self) -> None:
        """Send what is there, and read the answers to all of it, so that the connection is free again."""
        texts, self._texts, self._length = self._texts, [], 0
        driver = self._link.driver
        self._link.begin_to_wait()
        await driver.query(";".join(texts))
        while self._note().has_next:
            self._link.begin_to_wait()
            await driver.next_result()

    def _note(self) -> Any:
        result = self._link.driver._result  # noqa: SLF001 # told nowhere else
        self.matched.append(result.affected_rows)
        if result.rows is not None:
            self.rows = result.rows
        return result
