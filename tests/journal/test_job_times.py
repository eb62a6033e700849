"""What hubs have learned of how long jobs take is in the journal, so that a new process starts informed."""

from __future__ import annotations

import asyncio
import logging

import pytest

from captchahub import JournalError
from captchahub._engine.engine import Engine
from captchahub._journal.database import T, Work
from captchahub._journal.liveness import LEASE
from tests.journal.test_accounts import OTHER, SharedJournal, on_virtual_clock, solved_alone
from tests.journal.test_journal import Shared
from tests.virtual_services import TOKEN, Service, run_with_services

pytestmark = pytest.mark.usefixtures("each_store")

JOB_TIMES = "SELECT account, kind FROM job_times"
DAY = 86_400.0


async def polls(shared: SharedJournal, hub: Engine) -> list[float]:
    """Solve a task, and return when its job was polled, in seconds after its create."""
    await solved_alone(hub)
    sent = shared.service.transport.sent
    created = max(number for number, one in enumerate(sent) if one.request.url.endswith("createJob"))
    return [one.at - sent[created].at for one in sent[created + 1 :]]


class TestANewHub:
    @on_virtual_clock
    async def test_it_polls_its_first_job_when_those_of_an_earlier_hub_were_done(self) -> None:
        async with SharedJournal() as shared:
            hub = shared.hub()
            assert (await polls(shared, hub))[0] < 4
            await solved_alone(hub)
            await hub.aclose()
            assert (await polls(shared, shared.hub()))[0] > 6

    @on_virtual_clock
    async def test_another_account_is_not_known(self) -> None:
        async with SharedJournal() as shared:
            hub = shared.hub()
            await solved_alone(hub)
            await hub.aclose()
            assert (await polls(shared, shared.hub(OTHER)))[0] < 4

    @on_virtual_clock
    async def test_the_account_is_known_under_another_name(self) -> None:
        async with SharedJournal() as shared:
            hub = shared.hub()
            await solved_alone(hub)
            await hub.aclose()
            assert (await polls(shared, shared.hub(names=["mine"])))[0] > 6

    @on_virtual_clock
    async def test_so_is_one_that_a_reload_brings(self) -> None:
        async with SharedJournal() as shared:
            hub = shared.hub()
            await solved_alone(hub)
            await hub.aclose()
            other = shared.hub(OTHER)
            assert (await polls(shared, other))[0] < 4
            await other.reload(shared.settings(), other.plugins)
            assert (await polls(shared, other))[0] > 6

    @pytest.mark.parametrize("text", ["nothing", '{"version":99}'])
    @on_virtual_clock
    async def test_what_it_can_not_read_is_ignored_and_replaced(self, text: str) -> None:
        async with SharedJournal() as shared:
            hub = shared.hub()
            await solved_alone(hub)
            await hub.aclose()
            await shared.execute(f"UPDATE job_times SET learned = '{text}'")
            hub = shared.hub()
            assert (await polls(shared, hub))[0] < 4
            await hub.aclose()
            assert (await polls(shared, shared.hub()))[0] > 6

    @on_virtual_clock
    async def test_what_is_older_than_thirty_days_is_ignored_and_deleted(self) -> None:
        async with SharedJournal() as shared:
            hub = shared.hub()
            await solved_alone(hub)
            await hub.aclose()
            await shared.execute(f"UPDATE job_times SET updated_at = updated_at - {29.9 * DAY}")
            hub = shared.hub()
            assert (await polls(shared, hub))[0] > 6
            await hub.aclose()
            await shared.execute(f"UPDATE job_times SET updated_at = updated_at - {30.1 * DAY}")
            assert (await polls(shared, shared.hub()))[0] < 4
            assert await shared.execute(JOB_TIMES) == []


class TestSaving:
    @on_virtual_clock
    async def test_it_is_written_with_the_heartbeat_and_not_with_each_job(self) -> None:
        async with SharedJournal() as shared:
            shared.service.seconds = lambda: 1.0
            hub = shared.hub()
            for _ in range(3):
                await solved_alone(hub)
            assert await shared.execute(JOB_TIMES) == []
            await asyncio.sleep(LEASE / 3)
            assert await shared.execute(JOB_TIMES) == [(1, "image-to-text")]
            await shared.execute("DELETE FROM job_times")
            await asyncio.sleep(LEASE)
            assert await shared.execute(JOB_TIMES) == []
            await solved_alone(hub)
            await hub.aclose()
            assert len(await shared.execute(JOB_TIMES)) == 1

    @on_virtual_clock
    async def test_the_last_hub_that_writes_wins(self) -> None:
        async with SharedJournal() as shared:
            first, second = shared.hub(), shared.hub()
            await asyncio.gather(solved_alone(first), solved_alone(second))
            await first.aclose()
            ((before,),) = await shared.execute("SELECT updated_at FROM job_times")
            await asyncio.sleep(1)
            await second.aclose()
            ((after,),) = await shared.execute("SELECT updated_at FROM job_times")
            assert after == before + 1

    @on_virtual_clock
    async def test_the_token_is_not_in_the_table(self) -> None:
        async with SharedJournal() as shared:
            hub = shared.hub()
            await solved_alone(hub)
            await hub.aclose()
            assert TOKEN not in str(await shared.execute("SELECT * FROM job_times"))


class Unreadable(Shared):
    """A journal that can be written only."""

    async def read(self, work: Work[T]) -> T:
        raise JournalError("the disk is broken")


def test_a_journal_that_can_not_be_read_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def main(engine: Engine) -> None:
        for _ in range(2):
            assert (await solved_alone(engine)).solution.text == "x7kp2"

    with caplog.at_level(logging.WARNING, "captchahub"):
        run_with_services({"omo": Service()}, main, journal=Unreadable())
    assert [record.message.partition(" [solve")[0] for record in caplog.records] == [
        "omo: what image-to-text jobs take is learned anew: the disk is broken"
    ]
