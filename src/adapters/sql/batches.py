"""Several statements in one round trip: what a unit of work has kept back, because nobody needed its answer.

MySQL and MariaDB take them as one text, with the COMMIT at its end. The server stops at the first statement that
fails, so that the COMMIT is never reached, and what came before is rolled back with the unit of work.

PostgreSQL takes one statement at a time with values beside its text, so they become one: each a part of a WITH clause,
`WITH s0 AS (UPDATE ... RETURNING 1), s1 AS (INSERT ... RETURNING 1) SELECT ...`. Its parts see one snapshot, and none
of them sees what another did; hence the rules of `_chainable`. The server runs parts in an order of its own unless one
asks for another's outcome, so each asks for the one before it. That one statement is a transaction by itself.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

from adapters.sql.compiled import Compiled, Rows
from adapters.sql.connections import Step
from adapters.sql.drivers import AsyncmyLink, AsyncpgLink, Link

L = TypeVar("L", bound=Link)

_LONGEST_TEXT: Final = 1 << 20
"""Characters. What is longer goes in several round trips: a server takes 16 MiB at once by default, and escaping
lengthens."""

_LONGEST_CHAIN: Final = 8
"""Parts. Each number of rows that one table gets is another statement, to be prepared and kept."""


class Batch:
    """Statements that go together, and what became of them."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.plans: list[Compiled] = []
        self.failed: Step | None = None
        """Which one failed, as far as that is known."""
        self.matched: Sequence[int] = ()
        """How many rows each of them matched."""

    def add(self, step: Step, plan: Compiled) -> None:
        self.steps.append(step)
        self.plans.append(plan)

    @property
    def sql(self) -> str:
        return "; ".join(plan.sql for plan in self.plans)

    def check(self) -> None:
        """Raise what a step says that matched nothing, though it had to."""
        for step, count in zip(self.steps, self.matched, strict=True):
            if count == 0 and step.missed is not None:
                raise step.missed()


class Together(ABC, Generic[L]):
    """How one driver's database takes several statements at once."""

    @abstractmethod
    def fits(self, batch: Batch, step: Step, plan: Compiled) -> bool:
        """Whether the statement may go together with those that are there, at least one."""
        ...

    @abstractmethod
    async def run(self, link: L, batch: Batch) -> Rows:
        """Run them in the transaction, which begins if it has not; return what the last one returned.

        Raises DB-API errors, and `OSError` as the drivers do. The caller must have the batch checked then.
        """
        ...

    @abstractmethod
    async def finish(self, link: L, batch: Batch) -> bool:
        """Run them and commit, unless one has missed. False: they are run, and to be committed once they are checked.

        Raises as `run` does.
        """
        ...

    @abstractmethod
    def form(self, batch: Batch) -> object:
        """Return what those have in common that can be committed together with this one; None: it goes alone.

        Each is all that one unit of work has to say, and its first statement demands a row.
        """
        ...

    @abstractmethod
    async def finish_all(self, link: L, batches: Sequence[Batch]) -> None:
        """Commit these, all of one form and in this order, on a connection that has begun nothing: each of them whose
        first statement does not miss. What has missed does nothing, which the caller must have each checked for.

        Raises as `run` does; the caller must roll back then.
        """
        ...


class _OneText(Together[AsyncmyLink]):
    """asyncmy, which connects with CLIENT_MULTI_STATEMENTS, and escapes values itself, as for each alone."""

    def fits(self, batch: Batch, step: Step, plan: Compiled) -> bool:
        del step, plan
        return not batch.plans[-1].returns_rows

    async def run(self, link: AsyncmyLink, batch: Batch) -> Rows:
        return await self._send(link, batch, commit=False)

    async def finish(self, link: AsyncmyLink, batch: Batch) -> bool:
        await self._send(link, batch, commit=True)
        return True

    async def _send(self, link: AsyncmyLink, batch: Batch, *, commit: bool) -> Rows:
        answers = _Answers(link)
        sent: list[Step | None] = []
        """The step that each text is of; None for a demand."""
        try:
            for step, plan in zip(batch.steps, batch.plans, strict=True):
                sent.append(step)
                await answers.to_be_sent(link.text(plan, plan.bind(step.parameters)))
                if commit and step.missed is not None:
                    sent.append(None)
                    await answers.to_be_sent(_DEMAND)
            if commit:
                await answers.to_be_sent("COMMIT")
            await answers.come()
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
        return True if is_plain and all(step.missed is None for step in batch.steps[1:]) else None

    async def finish_all(self, link: AsyncmyLink, batches: Sequence[Batch]) -> None:
        try:
            answers = _Answers(link)
            for batch in batches:
                await answers.to_be_sent(link.text(batch.plans[0], batch.plans[0].bind(batch.steps[0].parameters)))
            await answers.come()
            found: list[Batch] = []
            for batch, count in zip(batches, answers.matched, strict=True):
                batch.matched = [count] * len(batch.steps)
                if count:
                    found.append(batch)
            for place in range(1, max((len(batch.steps) for batch in found), default=0)):
                for text in _at_once(link, [batch for batch in found if place < len(batch.steps)], place):
                    await answers.to_be_sent(text)
            await answers.to_be_sent("COMMIT")
            await answers.come()
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


class _Answers:
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

    async def to_be_sent(self, text: str) -> None:
        """Have it sent with what comes next, or send what is there when it would become too long."""
        if self._texts and self._length + len(text) > _LONGEST_TEXT:
            await self.come()
        self._texts.append(text)
        self._length += len(text)

    async def come(self) -> None:
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


class _OneStatement(Together[AsyncpgLink]):
    """asyncpg."""

    def fits(self, batch: Batch, step: Step, plan: Compiled) -> bool:
        # Only the first may be demanded: the others ask for that one. And no two may change one table, since what
        # becomes of a row that two parts change is not defined; unless each only adds one.
        return (
            len(batch.plans) < _LONGEST_CHAIN
            and step.missed is None
            and _chainable(plan)
            and all(
                _chainable(other) and (other.target != plan.target or (_only_adds(other) and _only_adds(plan)))
                for other in batch.plans
            )
        )

    async def run(self, link: AsyncpgLink, batch: Batch) -> Rows:
        if len(batch.plans) > 1:
            await link.begin()
            return await self._chain(link, batch)
        (step,), (plan,) = batch.steps, batch.plans
        batch.failed = step
        rows = await link.run(plan, plan.bind(step.parameters))
        batch.matched = [rows.count]
        return rows

    async def finish(self, link: AsyncpgLink, batch: Batch) -> bool:
        if link.has_begun or not _chainable(batch.plans[0]):
            await self.run(link, batch)
            return False
        await self._chain(link, batch)
        return True

    async def _chain(self, link: AsyncpgLink, batch: Batch) -> Rows:
        values = [plan.bind(step.parameters) for step, plan in zip(batch.steps, batch.plans, strict=True)]
        text = _chained(tuple(batch.plans), batch.steps[0].missed is not None)
        try:
            counts = await link.driver.fetchrow(text, *(value for part in values for value in part))
        except Exception as error:  # the adapter raises it again, as what it is
            batch.failed = _at_table(batch, getattr(error, "table_name", None))
            link.adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
            raise
        batch.matched = counts
        return Rows((), counts[-1])

    def form(self, batch: Batch) -> object:
        if all(step.missed is None for step in batch.steps[1:]) and _gathered(tuple(batch.plans)) is not None:
            return tuple(batch.plans)
        return None

    async def finish_all(self, link: AsyncpgLink, batches: Sequence[Batch]) -> None:
        text = _gathered(tuple(batches[0].plans))
        if text is None:
            raise TypeError("these cannot be gathered")
        rows = [
            [value for step, plan in zip(batch.steps, batch.plans, strict=True) for value in plan.bind(step.parameters)]
            for batch in batches
        ]
        try:
            found = await link.driver.fetchval(text, *(list(column) for column in zip(*rows, strict=True)))
        except Exception as error:  # the adapter raises it again, as what it is
            link.adapter._handle_exception(error)  # noqa: SLF001 # nothing public does
            raise
        places = frozenset(found or ())
        for place, batch in enumerate(batches, 1):
            batch.matched = [int(place in places)] * len(batch.steps)


def _at_table(batch: Batch, name: str | None) -> Step | None:
    """Return the step that changes this table, the first of those that add to it: what refuses one means the same."""
    return next((s for s, plan in zip(batch.steps, batch.plans, strict=True) if plan.target == name), None)


@lru_cache(maxsize=512)
def _chainable(plan: Compiled) -> bool:
    """Whether it is one INSERT of values, UPDATE or DELETE that reads no table but the one that it changes."""
    return plan.target is not None and "SELECT" not in plan.sql and _asking(plan.sql, "") is not None


def _only_adds(plan: Compiled) -> bool:
    return plan.sql.startswith("INSERT ") and " ON CONFLICT " not in plan.sql


@lru_cache(maxsize=512)
def _chained(plans: tuple[Compiled, ...], demanded: bool) -> str:
    """Return one statement of several. `demanded`: the others do nothing when the first matched no row."""
    parts: list[str] = []
    places = 0
    for number, plan in enumerate(plans):
        sql = plan.sql
        if number:
            condition = f"(SELECT count(*) FROM s{number - 1}) >= 0"  # noqa: S608 # numbers, and SQL of ours
            if demanded:
                condition = f"EXISTS (SELECT FROM s0) AND {condition}"
            asking = _asking(sql, condition)
            if asking is None:
                raise TypeError(f"this is no part of a chain: {sql}")
            sql = asking
        parts.append(f"s{number} AS ({_shifted(sql, places)} RETURNING 1)")
        places += plan.places
    counts = ", ".join(f"(SELECT count(*) FROM s{number})" for number in range(len(plans)))  # noqa: S608 # numbers
    return f"WITH {', '.join(parts)} SELECT {counts}"


_PLACE: Final = re.compile(r"\$(\d+)(?:::([A-Z]+(?: WITH TIME ZONE)?)\b)?")


@lru_cache(maxsize=512)
def _gathered(plans: tuple[Compiled, ...]) -> str | None:
    """Return one statement for all who have to say the same with other values, as `_chained` with a demand is for one:
    it takes an array for each place, and returns which of them matched, counted from one. None when there is none.
    """
    if not all(map(_chainable, plans)) or len({plan.target for plan in plans}) < len(plans):
        return None
    types: dict[int, str] = {}
    places = 0
    parts: list[str] = []
    for number, plan in enumerate(plans):
        for place in _PLACE.finditer(plan.sql):
            if place[2] is None:
                return None
            types[places + int(place[1])] = place[2]
        sql = _PLACE.sub(lambda place, places=places: f"given.p{places + int(place[1])}::{place[2]}", plan.sql)  # type: ignore[misc]
        places += plan.places
        condition = "true"
        if number:
            # Numbers, and SQL of ours.
            condition = f"given.place IN (SELECT place FROM s0) AND (SELECT count(*) FROM s{number - 1}) >= 0"  # noqa: S608
        if (part := _of_each(sql, condition)) is None:
            return None
        parts.append(f"s{number} AS ({part} RETURNING {'1' if number else 'given.place'})")
    arrays = ", ".join(f"${place}::{types[place]}[]" for place in range(1, places + 1))
    names = ", ".join(f"p{place}" for place in range(1, places + 1))
    given = f"given AS (SELECT * FROM unnest({arrays}) WITH ORDINALITY AS given({names}, place))"  # noqa: S608
    return f"WITH {given}, {', '.join(parts)} SELECT array_agg(place) FROM s0"  # noqa: S608


def _of_each(sql: str, condition: str) -> str | None:
    """Return the statement so that it is done for each that is `given` and of which `condition` holds."""
    if sql.startswith("INSERT "):
        # An upsert locks rows that others have, in an order that nobody knows.
        if sql.count(" VALUES (") != 1 or " ON CONFLICT " in sql or "), (" in sql:
            return None
        head, _, values = sql.partition(" VALUES (")
        return f"{head} SELECT {values.removesuffix(')')} FROM given WHERE {condition}"  # noqa: S608 # SQL of ours
    head, _, rest = sql.partition(" WHERE ")
    if sql.startswith("UPDATE "):
        return f"{head} FROM given WHERE {condition} AND ({rest})"
    return f"{head} USING given WHERE {condition} AND ({rest})"


def _asking(sql: str, condition: str) -> str | None:
    """Return the statement so that it does nothing unless `condition` holds; None when it is of no such form."""
    if sql.startswith("INSERT "):
        if sql.count(" VALUES (") != 1:
            return None
        head, _, rest = sql.partition(" VALUES (")
        values, conflict, action = rest.partition(" ON CONFLICT ")
        return f"{head} SELECT {values.removesuffix(')')} WHERE {condition}{conflict}{action}"
    if sql.count(" WHERE ") != 1:
        return None
    head, _, rest = sql.partition(" WHERE ")
    return f"{head} WHERE {condition} AND ({rest})"


def _shifted(sql: str, by: int) -> str:
    return re.sub(r"\$(\d+)", lambda found: f"${int(found[1]) + by}", sql)


TOGETHER: dict[str, Together[Any]] = {"asyncmy": _OneText(), "asyncpg": _OneStatement()}
"""By the name of the driver."""
