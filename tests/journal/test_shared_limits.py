"""Limits of an account that several hubs of one journal keep together, on a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from captchahub import (
    AllProvidersFailed,
    Image,
    ImageToText,
    JournalError,
    NotAsked,
    ProviderState,
    Result,
    SolveTimeout,
    TextSolution,
)
from captchahub._engine.engine import Engine
from captchahub._journal.liveness import LEASE
from captchahub.testing import Mishap, json_reply
from tests.journal.test_accounts import OTHER, SharedJournal, on_virtual_clock
from tests.journal.test_health import failed
from tests.virtual_services import INSTALLED, MORNING, NOT_SENT, PICTURE, TASK, TOKEN

NUMBERS = itertools.count()


def another_task() -> ImageToText:
    """Return a task that is equal to no other one."""
    data = bytearray(PICTURE.data)
    # In the palette of the picture.
    data[13:16] = next(NUMBERS).to_bytes(3, "big")
    return ImageToText(Image.from_bytes(bytes(data)))


def started(hub: Engine, many: int) -> list[asyncio.Task[Result[TextSolution]]]:
    return [asyncio.ensure_future(hub.solve(another_task(), 500.0)) for _ in range(many)]


class Fleet(SharedJournal):
    """Hubs with an account of one limit; its jobs take ten seconds."""

    def __init__(self, limit: int = 3, **account: Any) -> None:
        super().__init__(max_in_flight=limit, **account)
        self.service.seconds = lambda: 10.0
        self.chance = random.Random(4).random

    @property
    def open_jobs(self) -> int:
        now = asyncio.get_running_loop().time()
        return sum(job.ready_at > now for job in self.service.world.jobs.values())

    async def most_open(self, solves: Sequence[asyncio.Task[Any]]) -> int:
        """Wait for solves, and return the most jobs that were open at a time."""
        most = 0
        while not all(one.done() for one in solves):
            most = max(most, self.open_jobs)
            await asyncio.sleep(0.05)
        await asyncio.gather(*solves)
        return most

    async def leased(self) -> list[tuple[int, int]]:
        """Return how many slots each lease has, and how many it needs."""
        return await self.execute("SELECT slots, needed FROM leased_slots ORDER BY slots DESC")


class TestMaxInFlight:
    @on_virtual_clock
    async def test_is_kept_by_all_hubs_together(self) -> None:
        async with Fleet(limit=3) as fleet:
            hubs = [fleet.hub(), fleet.hub(), fleet.hub()]
            solves = [one for hub in hubs for one in started(hub, 4)]
            assert await fleet.most_open(solves) == 3
            # Twelve jobs of ten seconds, three at a time, and what handing over takes.
            assert asyncio.get_running_loop().time() < 60

    @on_virtual_clock
    async def test_is_that_of_the_account_and_not_of_a_name(self) -> None:
        async with Fleet(limit=2) as fleet:
            one, same = fleet.hub(names=["mine"]), fleet.hub(names=["ours"])
            other = fleet.hub(OTHER)
            first = [*started(one, 2), *started(same, 2)]
            await asyncio.sleep(5)
            assert fleet.open_jobs == 2
            second = started(other, 2)
            await asyncio.sleep(0.5)
            assert fleet.open_jobs == 4
            await asyncio.gather(*first, *second)

    @on_virtual_clock
    async def test_a_busy_hub_leaves_the_others_their_share(self) -> None:
        async with Fleet(limit=4) as fleet:
            busy, late = fleet.hub(), fleet.hub()
            many = started(busy, 20)
            await asyncio.sleep(1)
            assert fleet.open_jobs == 4
            await asyncio.gather(*started(late, 2))
            # The slots of the first four jobs, which end after ten seconds.
            assert asyncio.get_running_loop().time() < 26
            assert await fleet.most_open(many) == 4

    @on_virtual_clock
    async def test_hubs_take_turns_where_there_are_fewer_slots_than_hubs(self) -> None:
        async with Fleet(limit=1) as fleet:
            hubs = [fleet.hub() for _ in range(3)]
            solves = [started(hub, 3) for hub in hubs]
            assert await fleet.most_open(solves[0] + solves[1] + solves[2]) == 1
            ends = [sorted(one.result().elapsed for one in own) for own in solves]
            # Each has had its first job before any has its second.
            assert max(end[0] for end in ends) < min(end[1] for end in ends)
            assert asyncio.get_running_loop().time() < 9 * 13

    @on_virtual_clock
    async def test_each_hub_keeps_to_its_own(self) -> None:
        async with Fleet() as fleet:
            low, high = fleet.hub(max_in_flight=2), fleet.hub(max_in_flight=5)
            first = started(high, 4)
            await asyncio.sleep(1)
            second = started(low, 1)
            await asyncio.sleep(1)
            assert fleet.open_jobs == 4
            assert await fleet.most_open([*first, *second]) == 4

    @on_virtual_clock
    async def test_a_solve_that_waits_in_vain_says_which_limit_it_was(self) -> None:
        async with Fleet(limit=1) as fleet:
            first = started(fleet.hub(), 1)
            await asyncio.sleep(1)
            with pytest.raises(SolveTimeout) as caught:
                await fleet.hub().solve(another_task(), 5.0)
            (why,) = caught.value.exceptions
            assert "max_in_flight is 1, for all processes of the journal" in str(why)
            await asyncio.gather(*first)

    @on_virtual_clock
    async def test_a_reload_changes_it(self) -> None:
        async with Fleet(limit=1) as fleet:
            one, other = fleet.hub(), fleet.hub()
            first = started(one, 1)
            await asyncio.sleep(1)
            second = started(other, 2)
            await asyncio.sleep(2)
            assert fleet.open_jobs == 1
            await other.reload(fleet.settings(max_in_flight=3), INSTALLED)
            await asyncio.sleep(2)
            assert fleet.open_jobs == 3
            await asyncio.gather(*first, *second)

    @on_virtual_clock
    async def test_a_hub_that_opts_out_keeps_it_for_itself(self) -> None:
        async with Fleet(limit=2) as fleet:
            alone = {"shared_limits": False}
            solves = [*started(fleet.hub(top=alone), 4), *started(fleet.hub(top=alone), 4)]
            assert await fleet.most_open(solves) == 4
            assert await fleet.leased() == []

    @on_virtual_clock
    async def test_opting_out_gives_back_what_was_leased_and_opting_in_leases_again(self) -> None:
        async with Fleet(limit=2) as fleet:
            hub = fleet.hub()
            solves = started(hub, 2)
            await asyncio.sleep(1)
            assert await fleet.leased() == [(2, 2)]
            await hub.reload(fleet.settings(top={"shared_limits": False}), INSTALLED)
            await asyncio.sleep(1)
            assert await fleet.leased() == []
            await hub.reload(fleet.settings(), INSTALLED)
            solves += started(hub, 1)
            await asyncio.sleep(1)
            assert await fleet.leased() == [(2, 2)]
            assert fleet.open_jobs == 2
            await asyncio.gather(*solves)


class TestLeases:
    @on_virtual_clock
    async def test_idle_slots_are_given_back_after_a_moment(self) -> None:
        async with Fleet(limit=50) as fleet:
            await asyncio.gather(*started(fleet.hub(), 8))
            assert await fleet.leased() == [(11, 8)]
            await asyncio.sleep(2.5)
            assert await fleet.leased() == []

    @on_virtual_clock
    async def test_one_transaction_leases_slots_for_many_solves(self) -> None:
        async with Fleet(limit=50) as fleet:
            fleet.chance = lambda: 1.0
            await fleet.execute("CREATE TABLE writes (slots INTEGER)")
            for event in ("INSERT", "UPDATE"):
                await fleet.execute(
                    f"CREATE TRIGGER counted_{event} AFTER {event} ON leased_slots"
                    " BEGIN INSERT INTO writes VALUES (new.slots); END"
                )
            hub = fleet.hub()
            await asyncio.gather(*started(hub, 40))
            for _ in range(10):
                await asyncio.gather(*started(hub, 35))
            assert len(await fleet.execute("SELECT * FROM writes")) == 1

    @on_virtual_clock
    async def test_a_closed_hub_leaves_its_slots_at_once(self) -> None:
        async with Fleet(limit=1) as fleet:
            hub = fleet.hub()
            (abandoned,) = started(hub, 1)
            await asyncio.sleep(1)
            await hub.aclose()
            assert await fleet.leased() == []
            abandoned.cancel()
            await fleet.hub().solve(another_task(), 20.0)

    @on_virtual_clock
    async def test_the_slots_of_a_killed_hub_are_free_after_its_lease(self) -> None:
        async with Fleet(limit=1) as fleet:
            hub = fleet.hub()
            # Its account gets a number.
            await hub.solve(another_task(), None)
            await asyncio.sleep(3)
            begun = asyncio.get_running_loop().time()
            await fleet.execute(f"INSERT INTO owners VALUES ('dead', {MORNING + begun + LEASE})")
            await fleet.execute(f"INSERT INTO leased_slots VALUES ('dead', 1, 1, 1, 1, NULL, {MORNING})")
            await hub.solve(another_task(), 200.0)
            assert LEASE < asyncio.get_running_loop().time() - begun < LEASE + 15

    @on_virtual_clock
    async def test_a_hub_that_was_taken_for_dead_counts_again_after_a_moment(self) -> None:
        async with Fleet(limit=4) as fleet:
            solves = started(fleet.hub(), 2)
            await asyncio.sleep(1)
            await fleet.execute("DELETE FROM owners")
            await fleet.execute("DELETE FROM leased_slots")
            await asyncio.sleep(1.1)
            assert [slots for slots, _ in await fleet.leased()] == [3]
            await asyncio.gather(*solves)


class TestAJournalThatFails:
    @on_virtual_clock
    async def test_ends_a_solve_at_once_that_has_no_slot(self) -> None:
        async with Fleet() as fleet:
            fleet.writer.fault = JournalError("the disk is full")
            with pytest.raises(JournalError, match="the disk is full"):
                await fleet.hub().solve(TASK, 60.0)
            assert asyncio.get_running_loop().time() < 1
            fleet.writer.fault = None
            assert fleet.service.world.jobs == {}

    @on_virtual_clock
    async def test_leaves_a_hub_the_slots_that_it_has(self) -> None:
        async with Fleet(limit=2) as fleet:
            hub = fleet.hub()
            solves = started(hub, 4)
            await asyncio.sleep(1)
            fleet.writer.fault = JournalError("the disk is full")
            await asyncio.sleep(5)
            assert fleet.open_jobs == 2
            fleet.writer.fault = None
            assert await fleet.most_open(solves) == 2
            assert Counter(one.result().solution for one in solves) == {TextSolution("x7kp2"): 4}


REFUSED = Mishap(json_reply({"error": True, "message": "Invalid api token."}))


async def state(hub: Engine, name: str = "omo") -> ProviderState:
    return (await hub.health())[name].state


class TestARefusedAccount:
    @on_virtual_clock
    async def test_is_not_called_by_another_hub_which_says_why(self) -> None:
        async with Fleet() as fleet:
            fleet.service.mishap = lambda _: REFUSED
            await failed(fleet.hub())
            other = fleet.hub(names=["mine"])
            with pytest.raises(AllProvidersFailed) as caught:
                await other.solve(another_task(), 5.0)
            (why,) = caught.value.exceptions
            assert isinstance(why, NotAsked)
            assert "it is out: AuthenticationError, as another process has found" in str(why)
            assert "hub.revive('mine')" in why.advice
            assert len(fleet.service.orders) == 0
            # Only the hub that has found it has recorded it.
            assert [one.provider for one in await other.recorded_health()] == ["omo"]

    @on_virtual_clock
    async def test_ends_solves_that_wait_in_another_hub(self) -> None:
        async with Fleet(limit=1) as fleet:
            one, other = fleet.hub(), fleet.hub()
            first = started(one, 2)
            await asyncio.sleep(1)
            (waiting,) = started(other, 1)
            await asyncio.sleep(5)
            fleet.service.mishap = lambda call: REFUSED if call == "createJob" else None
            await asyncio.wait([*first, waiting])
            assert isinstance(waiting.exception(), AllProvidersFailed)
            assert await state(other) is ProviderState.OUT
            assert fleet.service.jobs == 1

    @on_virtual_clock
    async def test_is_called_by_all_again_once_one_revives_it(self) -> None:
        async with Fleet() as fleet:
            fleet.service.mishap = lambda _: REFUSED
            hubs = found, other, third = fleet.hub(), fleet.hub(), fleet.hub()
            for hub in hubs:
                await failed(hub)
            assert [await state(hub) for hub in hubs] == [ProviderState.OUT] * 3
            fleet.service.mishap = lambda _: None
            await asyncio.sleep(100)
            await other.revive("omo")
            assert await state(other) is ProviderState.HEALTHY
            await asyncio.sleep(6)
            assert [await state(hub) for hub in hubs] == [ProviderState.HEALTHY] * 3
            assert await third.recorded_health() == []
            await asyncio.gather(*started(found, 1), *started(third, 1))

    @on_virtual_clock
    async def test_is_called_again_as_soon_as_a_solve_wants_it(self) -> None:
        async with Fleet() as fleet:
            fleet.service.mishap = lambda _: REFUSED
            found, other = fleet.hub(), fleet.hub()
            await failed(found)
            await failed(other)
            fleet.service.mishap = lambda _: None
            await asyncio.sleep(101)
            await found.revive("omo")
            await failed(other)
            await asyncio.sleep(0)
            assert await state(other) is ProviderState.HEALTHY

    @on_virtual_clock
    async def test_is_called_by_all_again_once_one_sees_that_it_can_pay(self) -> None:
        async with Fleet() as fleet:
            found, other = fleet.hub(), fleet.hub()
            account = fleet.service.world.accounts[TOKEN]
            account.balance = Decimal(0)
            await failed(found)
            await failed(other)
            assert "InsufficientBalance" in ((await other.health())["omo"].reason or "")
            await other.balances()
            assert await state(other) is ProviderState.OUT
            await asyncio.sleep(1)
            account.balance = Decimal(5)
            await other.balances()
            await asyncio.sleep(6)
            assert await state(found) is ProviderState.HEALTHY

    @on_virtual_clock
    async def test_may_be_called_again_once_the_hub_that_has_found_it_is_closed(self) -> None:
        async with Fleet() as fleet:
            fleet.service.mishap = lambda _: REFUSED
            found, other = fleet.hub(), fleet.hub()
            await failed(found)
            await failed(other)
            await found.aclose()
            await asyncio.sleep(6)
            assert await state(other) is ProviderState.HEALTHY
            await failed(other)
            assert [one.error for one in await other.recorded_health()] == ["AuthenticationError"]

    @on_virtual_clock
    async def test_is_another_account_than_one_with_another_token(self) -> None:
        async with Fleet() as fleet:
            fleet.service.mishap = lambda _: REFUSED
            await failed(fleet.hub())
            fleet.service.mishap = lambda _: None
            await asyncio.gather(*started(fleet.hub(OTHER), 1))

    @on_virtual_clock
    async def test_is_called_by_a_hub_that_opts_out(self) -> None:
        async with Fleet() as fleet:
            fleet.service.mishap = lambda _: REFUSED
            await failed(fleet.hub())
            other = fleet.hub()
            await failed(other)
            fleet.service.mishap = lambda _: None
            await other.reload(fleet.settings(top={"shared_limits": False}), INSTALLED)
            await asyncio.gather(*started(other, 1))

    @on_virtual_clock
    async def test_a_cooldown_is_not_shared(self) -> None:
        async with Fleet(health={"failures": 1}) as fleet:
            fleet.service.mishap = lambda _: NOT_SENT
            await failed(fleet.hub())
            fleet.service.mishap = lambda _: None
            await asyncio.gather(*started(fleet.hub(), 1))


class TestRate:
    def most_in(self, seconds: float, orders: Sequence[float]) -> int:
        """Return the most orders in any period."""
        return max(sum(at <= other < at + seconds - 1e-6 for other in orders) for at in orders)

    async def orders_of(self, fleet: Fleet, solves: Sequence[int], **top: Any) -> list[float]:
        """Return the times of the orders of hubs with so many solves each, which begin together."""
        hubs = [fleet.hub(top=top) for _ in solves]
        waiting = [one for hub, many in zip(hubs, solves, strict=True) for one in started(hub, many)]
        await asyncio.gather(*waiting)
        return sorted(job.created_at for job in fleet.service.world.jobs.values())

    @on_virtual_clock
    async def test_is_kept_by_all_hubs_together_and_used(self) -> None:
        async with Fleet(limit=100, rate="10/minute") as fleet:
            orders = await self.orders_of(fleet, [20, 20, 11])
            assert self.most_in(60.0, orders) == 10
            # Five minutes, and what is lost of the rate.
            assert 300 <= orders[-1] < 315

    @on_virtual_clock
    async def test_of_a_second_is_kept_and_used(self) -> None:
        async with Fleet(limit=100, rate="5/second") as fleet:
            orders = await self.orders_of(fleet, [20, 31])
            assert self.most_in(1.0, orders) == 5
            assert 10 <= orders[-1] < 11

    @on_virtual_clock
    async def test_a_hub_with_many_solves_leaves_some_to_the_others(self) -> None:
        async with Fleet(limit=50, rate="6/minute") as fleet:
            busy, late = fleet.hub(), fleet.hub()
            many = started(busy, 30)
            await asyncio.sleep(100)
            (one,) = started(late, 1)
            await asyncio.gather(one)
            assert one.result().elapsed < 150
            await asyncio.gather(*many)

    @on_virtual_clock
    async def test_a_hub_that_opts_out_keeps_it_for_itself(self) -> None:
        async with Fleet(limit=50, rate="5/minute") as fleet:
            orders = await self.orders_of(fleet, [5, 5], shared_limits=False)
            assert orders[-1] < 1

    @on_virtual_clock
    async def test_what_a_hub_was_granted_and_did_not_create_is_given_back(self) -> None:
        async with Fleet(limit=50, rate="10/minute") as fleet:
            hub = fleet.hub()
            await asyncio.gather(*started(hub, 1))
            await asyncio.sleep(60)
            await asyncio.gather(*started(hub, 3))
            assert sum(jobs for (jobs,) in await fleet.execute("SELECT jobs FROM rate_grants")) == 3
            waiting = started(hub, 4)
            await asyncio.sleep(0.5)
            await asyncio.gather(*waiting)
            await asyncio.sleep(2)
            assert sum(jobs for (jobs,) in await fleet.execute("SELECT jobs FROM rate_grants")) == 7

    @on_virtual_clock
    async def test_without_one_nothing_is_granted(self) -> None:
        async with Fleet(limit=50) as fleet:
            await asyncio.gather(*started(fleet.hub(), 5))
            assert await fleet.execute("SELECT * FROM rate_grants") == []

    @on_virtual_clock
    async def test_a_solve_that_waits_in_vain_says_which_limit_it_was(self) -> None:
        async with Fleet(limit=50, rate="1/minute") as fleet:
            first = started(fleet.hub(), 1)
            await asyncio.sleep(1)
            with pytest.raises((SolveTimeout, AllProvidersFailed)) as caught:
                await fleet.hub().solve(another_task(), 5.0)
            assert "the rate is 1/minute, for all processes of the journal" in str(caught.value.exceptions)
            await asyncio.gather(*first)

    @on_virtual_clock
    async def test_a_journal_that_fails_ends_the_solve_at_once(self) -> None:
        async with Fleet(limit=50, rate="5/minute") as fleet:
            hub = fleet.hub()
            await asyncio.gather(*started(hub, 1))
            (held,) = started(hub, 1)
            await asyncio.sleep(0.1)
            fleet.writer.fault = JournalError("the disk is full")
            with pytest.raises(JournalError, match="the disk is full"):
                await hub.solve(another_task(), 60.0)
            fleet.writer.fault = None
            await held
