"""What several solves write in one transaction, with the whole engine on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC
from decimal import Decimal
from typing import Any

import attrs
import pytest

from captchahub import AllProvidersFailed, BudgetExceeded, JobState, JournalError
from captchahub._engine.engine import Engine
from captchahub._journal.accounts_table import NO_ACCOUNTS
from captchahub._journal.database import Connection, T, Work
from captchahub._journal.grouped_work import GroupedWork
from captchahub._journal.jobs_table import insert_intents, newest_jobs
from captchahub._journal.rows import JobFilter, NewJob
from captchahub._journal.writer import DatabaseWriter
from captchahub.results import Result
from tests.journal.stores import new_store
from tests.virtual_services import NOT_SENT, TASK, Service, broken, run_with_services

pytestmark = pytest.mark.usefixtures("each_store")

PRICE = {"prices": {"image-to-text": 0.001}}


class GroupingWriter(DatabaseWriter):
    """A writer that writes all that is asked for within 50 ms in one transaction."""

    def __init__(self) -> None:
        self._store = new_store()
        super().__init__(self._store, thread=False)
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self.largest = 0

    async def write(self, work: Work[T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            asyncio.get_running_loop().call_later(0.05, self._flush)
        self._waiting.append((work, future))
        return await future

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self.largest = max(self.largest, len(waiting))
        outcomes = self._store.transact([work for work, _ in waiting])
        for (_, future), outcome in zip(waiting, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


async def solve_together(engine: Engine, count: int) -> list[Result[Any] | BaseException]:
    """Solve the same picture several times at once, each with a job of its own."""
    solves = (engine.solve(TASK, None) for _ in range(count))
    return await asyncio.gather(*solves, return_exceptions=True)


async def charged(engine: Engine) -> list[tuple[Decimal, int]]:
    return [(one.amount, one.jobs) for one in await engine.spend(UTC, None)]


class TestReservationsOfOneTransaction:
    @pytest.mark.parametrize("whose", ["provider", "hub"])
    def test_share_what_is_left_of_a_budget(self, whose: str) -> None:
        budget = {"budget": {"limit": 0.005, "per": "day"}}
        services = {"omo": Service(settings={**PRICE, **(budget if whose == "provider" else {})})}
        writer = GroupingWriter()

        async def main(engine: Engine) -> None:
            outcomes = await solve_together(engine, 8)
            refused = [one for one in outcomes if isinstance(one, AllProvidersFailed)]
            assert len(refused) == 3
            assert all(isinstance(error, BudgetExceeded) for one in refused for error in one.exceptions)
            assert services["omo"].jobs == 5
            assert await charged(engine) == [(Decimal("0.005"), 5)]

        run_with_services(services, main, journal=writer, top=budget if whose == "hub" else None)
        assert writer.largest >= 8

    def test_are_given_back_one_by_one(self) -> None:
        services = {"omo": Service(settings=PRICE, mishap=broken(NOT_SENT, NOT_SENT))}

        async def main(engine: Engine) -> None:
            outcomes = await solve_together(engine, 4)
            lost = sum(isinstance(one, BaseException) for one in outcomes)
            entries = await engine.jobs(JobFilter(limit=10))
            assert [one.state for one in entries].count(JobState.NOT_SENT) == lost
            assert await charged(engine) == [(Decimal("0.001") * (4 - lost), 4 - lost)]

        run_with_services(services, main, journal=GroupingWriter())

    def test_find_the_answer_of_an_equal_task_and_charge_nothing_for_it(self) -> None:
        services = {"omo": Service(settings=PRICE)}

        async def main(engine: Engine) -> None:
            first = await engine.solve(TASK, None, share=True)
            alone, *others = await asyncio.gather(
                engine.solve(TASK, None, share=True), *(engine.solve(TASK, None) for _ in range(3))
            )
            assert alone.job_id == first.job_id
            assert len({one.job_id for one in (first, *others)}) == 4
            assert await charged(engine) == [(Decimal("0.004"), 4)]

        run_with_services(services, main, journal=GroupingWriter(), top={"cache": "1h"})


def test_jobs_that_end_together_are_charged_with_what_each_of_them_cost() -> None:
    # The service states what a job costs.
    services = {"custom": Service(plugin="createtask", settings={"prices": {"image-to-text": 0.002}})}

    async def main(engine: Engine) -> None:
        results = [one for one in await solve_together(engine, 4) if isinstance(one, Result)]
        assert len(results) == 4
        ((amount, jobs),) = await charged(engine)
        assert (amount, jobs) == (sum(one.cost or 0 for one in results), 4)
        entries = await engine.jobs(JobFilter(limit=10))
        assert {one.state for one in entries} == {JobState.SOLVED}

    run_with_services(services, main, journal=GroupingWriter())


def test_one_of_several_that_fails_spoils_no_other() -> None:
    job = NewJob("s", "omo", "image-to-text", "f", {}, Decimal("0.5"), None, None, is_shared=True)
    senseless = attrs.evolve(job, submission="senseless")

    def insert(connection: Connection, jobs: Sequence[NewJob]) -> Sequence[int]:
        ids = insert_intents(connection, jobs, NO_ACCOUNTS, owner="me", now=1000.0)
        connection.execute("UPDATE jobs SET state = 'lost' WHERE submission = 'senseless'")
        return ids

    with closing(new_store()) as store:
        first, error, last = store.transact([GroupedWork(insert, one) for one in (job, senseless, job)])
        assert isinstance(error, JournalError)
        (entries,) = store.transact([lambda connection: newest_jobs(connection, JobFilter(limit=10))])
        assert isinstance(entries, list)
        assert [one.id for one in entries] == [last, first]
