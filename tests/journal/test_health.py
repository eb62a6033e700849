"""What hubs record of the health of their providers, and what other hubs of the journal read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from captchahub import AllProvidersFailed, CaptchaHubError, Hub, ImageToText, JournalError, ProviderState
from captchahub._engine.engine import Engine
from captchahub._journal.database import Connection, Cursor, T, Work
from captchahub._journal.liveness import LEASE
from captchahub.results import HealthEntry
from captchahub.testing import Mishap, json_reply
from tests.engine.test_local_provider import ReaderPlugin
from tests.hub.test_reload import reload
from tests.journal.test_accounts import OTHER, SharedJournal, on_virtual_clock, solved_alone
from tests.journal.test_journal import Shared
from tests.virtual_services import (
    INSTALLED,
    MORNING,
    NOT_SENT,
    PICTURE,
    TASK,
    TOKEN,
    Service,
    run_with_services,
)

pytestmark = pytest.mark.usefixtures("each_store")

REFUSED = Mishap(json_reply({"error": True, "message": "Invalid api token."}))
BUSY = Mishap(json_reply({"error": True, "message": "busy"}, 429, Retry_After="5"))


async def failed(hub: Engine) -> None:
    """Solve a task in vain."""
    with suppress(AllProvidersFailed):
        await hub.solve(TASK, 1.0)


def shown(entries: Iterable[HealthEntry]) -> list[tuple[object, ...]]:
    return [(one.provider, one.state, one.error, one.until) for one in entries]


def at(seconds: float) -> datetime:
    """Return the time of the wall clock after so many seconds of the virtual one."""
    return datetime.fromtimestamp(MORNING + seconds, UTC)


OUT = ("omo", ProviderState.OUT, "AuthenticationError", None)


class TestOut:
    @on_virtual_clock
    async def test_another_hub_reads_why_with_its_own_name_of_the_account(self) -> None:
        async with SharedJournal() as shared:
            shared.service.mishap = lambda _: REFUSED
            await failed(shared.hub())
            (entry,) = await shared.hub(names=["mine"]).recorded_health()
            assert shown([entry]) == [OUT]
            assert (entry.plugin, entry.address) == ("omocaptcha", "https://omocaptcha.com")
            assert entry.configured_as == "mine"
            assert entry.since == at(0)
            (other,) = await shared.hub(OTHER).recorded_health()
            assert (other.account, other.configured_as) == (entry.account, None)

    @on_virtual_clock
    async def test_it_stays_until_the_hub_uses_the_provider_again(self) -> None:
        async with SharedJournal() as shared:
            shared.service.mishap = lambda _: REFUSED
            hub, reader = shared.hub(), shared.hub()
            await failed(hub)
            await asyncio.sleep(10 * LEASE)
            assert shown(await reader.recorded_health()) == [OUT]
            await hub.revive("omo")
            await asyncio.sleep(0)
            assert await reader.recorded_health() == []

    @on_virtual_clock
    async def test_a_new_balance_ends_it(self) -> None:
        async with SharedJournal() as shared:
            hub = shared.hub()
            account = shared.service.world.accounts[TOKEN]
            account.balance = Decimal(0)
            await failed(hub)
            empty = [("omo", ProviderState.OUT, "InsufficientBalance", None)]
            assert shown(await hub.recorded_health()) == empty
            account.balance = Decimal(5)
            await hub.balances()
            await asyncio.sleep(0)
            assert await hub.recorded_health() == []

    @on_virtual_clock
    async def test_a_reload_with_another_token_or_without_the_provider_ends_it(self) -> None:
        for names, token in ((["omo"], OTHER), (["else"], TOKEN)):
            async with SharedJournal() as shared:
                shared.service.mishap = lambda _: REFUSED
                hub = shared.hub()
                await failed(hub)
                await hub.reload(shared.settings(TOKEN, budget={"limit": 5, "per": "total"}), INSTALLED)
                await asyncio.sleep(0)
                assert shown(await hub.recorded_health()) == [OUT]
                await hub.reload(shared.settings(token, names=names), INSTALLED)
                await asyncio.sleep(0)
                assert await hub.recorded_health() == []

    @on_virtual_clock
    async def test_the_token_is_not_in_the_table(self) -> None:
        said = f"Invalid api token. {TOKEN}"
        async with SharedJournal() as shared:
            shared.service.mishap = lambda _: Mishap(json_reply({"error": True, "message": said}))
            await failed(shared.hub())
            (row,) = await shared.execute("SELECT * FROM health")
            assert "AuthenticationError" in row
            assert TOKEN not in str(row)


class TestTheEndOfAHub:
    @on_virtual_clock
    async def test_a_closed_hub_leaves_nothing(self) -> None:
        async with SharedJournal() as shared:
            shared.service.mishap = lambda _: REFUSED
            hub = shared.hub()
            await failed(hub)
            await hub.aclose()
            assert await shared.execute("SELECT * FROM health") == []

    @on_virtual_clock
    async def test_what_a_killed_hub_has_left_is_not_read_after_its_lease_and_is_deleted(self) -> None:
        async with SharedJournal() as shared:
            reader = shared.hub()
            row = "'dead', 'omo', 1, 'out', 'AuthenticationError', NULL, 0"
            await shared.execute(f"INSERT INTO owners VALUES ('dead', {MORNING + LEASE})")
            await shared.execute(f"INSERT INTO health VALUES ({row})")
            assert shown(await reader.recorded_health()) == [OUT]
            await asyncio.sleep(LEASE)
            assert await reader.recorded_health() == []
            await reader.job(1)
            assert await shared.execute("SELECT * FROM health") == []

    @on_virtual_clock
    async def test_a_hub_that_was_taken_for_dead_records_it_again(self) -> None:
        async with SharedJournal() as shared:
            shared.service.mishap = lambda _: REFUSED
            hub = shared.hub()
            await failed(hub)
            await shared.execute("DELETE FROM owners")
            await shared.execute("DELETE FROM health")
            await asyncio.sleep(LEASE / 3)
            assert shown(await hub.recorded_health()) == [OUT]


class TestCooling:
    @on_virtual_clock
    async def test_the_end_of_the_cooldown_is_read_and_after_it_nothing(self) -> None:
        async with SharedJournal() as shared:
            shared.service.mishap = lambda _: BUSY
            hub, reader = shared.hub(), shared.hub()
            await asyncio.sleep(10)
            await failed(hub)
            cooling = ("omo", ProviderState.COOLING, "RateLimited", at(15))
            assert shown(await reader.recorded_health()) == [cooling]
            await asyncio.sleep(5)
            assert await reader.recorded_health() == []

    @on_virtual_clock
    async def test_a_recovery_ends_it(self) -> None:
        async with SharedJournal(health={"cooldown": "60s", "failures": 2}) as shared:
            shared.service.mishap = lambda _: NOT_SENT
            hub = shared.hub()
            await failed(hub)
            await failed(hub)
            (entry,) = await hub.recorded_health()
            assert (entry.state, entry.error) == (ProviderState.COOLING, "ServiceUnavailable")
            shared.service.mishap = lambda _: None
            await solved_alone(hub)
            assert await hub.recorded_health() == []

    @on_virtual_clock
    async def test_several_hubs_have_an_entry_each(self) -> None:
        async with SharedJournal() as shared:
            shared.service.mishap = lambda _: BUSY
            for hub in (shared.hub(), shared.hub()):
                await failed(hub)
            first, second = await shared.hub().recorded_health()
            assert first.owner != second.owner
            assert first.account == second.account


class Counting(Shared):
    """A journal that counts how often health is written."""

    many = 0

    async def write(self, work: Work[T]) -> T:
        return await super().write(lambda connection: work(_Counted(connection, self)))


class _Counted:
    def __init__(self, connection: Connection, journal: Counting) -> None:
        self._connection = connection
        self._journal = journal

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None, /) -> Cursor:
        self._journal.many += "INSERT INTO health" in sql
        return self._connection.execute(sql, parameters or {})


class TestWriting:
    def test_many_replies_of_a_busy_service_are_written_once(self) -> None:
        journal = Counting()

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(failed(engine) for _ in range(50)))
            assert journal.many == 1

        services = {"omo": Service(mishap=lambda _: BUSY)}
        run_with_services(services, main, journal=journal)

    def test_answers_write_nothing(self) -> None:
        journal = Counting()

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(solved_alone(engine) for _ in range(5)))
            assert journal.many == 0

        run_with_services({"omo": Service()}, main, journal=journal)

    def test_a_write_that_fails_is_repeated_with_the_heartbeat(self) -> None:
        journal = Shared()

        async def main(engine: Engine) -> None:
            await solved_alone(engine)
            services["omo"].mishap = lambda _: REFUSED
            solving = asyncio.ensure_future(failed(engine))
            journal.fault = JournalError("the disk is full")
            with suppress(CaptchaHubError):
                await solving
            journal.fault = None
            await failed(engine)
            journal.fault = JournalError("the disk is full")
            await engine.revive("omo")
            await asyncio.sleep(1)
            journal.fault = None
            assert shown(await engine.recorded_health()) == [OUT]
            await asyncio.sleep(LEASE / 3)
            assert await engine.recorded_health() == []

        services = {"omo": Service()}
        run_with_services(services, main, journal=journal)

    def test_a_journal_in_memory_records_nothing(self) -> None:
        async def main(engine: Engine) -> None:
            await failed(engine)
            assert (await engine.health())["omo"].state is ProviderState.OUT
            assert await engine.recorded_health() == []
            await reload(engine, "omo")

        run_with_services({"omo": Service(mishap=lambda _: REFUSED)}, main)


def test_hubs_of_one_file_read_of_each_other_and_a_local_provider_has_no_account(tmp_path: Path) -> None:
    configuration: dict[str, Any] = {
        "providers": {"own": {"plugin": "reader", "health": {"failures": 1}}},
        "journal": str(tmp_path / "jobs.db"),
    }
    one, other = (Hub.from_mapping(configuration, plugins=[ReaderPlugin()]) for _ in range(2))
    with one, other:
        with pytest.raises(AllProvidersFailed):
            one.solve(ImageToText(PICTURE, hint="confuse"), timeout=0.5)
        (entry,) = one.recorded_health()
        assert (entry.provider, entry.state, entry.error) == ("own", ProviderState.COOLING, "PluginFault")
        assert (entry.account, entry.plugin, entry.configured_as) == (None, None, None)
        assert other.recorded_health() == [entry]
        one.close()
        assert other.recorded_health() == []
