"""The promise about money, point by point; the simulator attacks it as a whole."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from captchahub import AllProvidersFailed, AmbiguousCreate, TextSolution
from captchahub._engine.engine import Engine
from captchahub.testing import Hang, Mishap, json_reply
from tests.journal.test_journal import Shared, cancelled, resumed, spent
from tests.virtual_services import TASK, Service, broken, run_with_services

PRICE = {"prices": {"image-to-text": 0.001}}


def test_1_a_job_whose_id_is_in_the_journal_is_never_lost_and_never_created_again() -> None:
    book, services = Shared(), {"omo": Service(seconds=lambda: 30.0, settings=PRICE)}

    async def ends_early(engine: Engine) -> None:
        await cancelled(engine, after=5)

    async def any_other(engine: Engine) -> None:
        (collected,) = await resumed(engine)
        assert collected.solution == TextSolution("x7kp2")

    run_with_services(services, ends_early, journal=book)
    run_with_services(services, any_other, journal=book)
    assert (services["omo"].jobs, book.states()) == (1, ["solved"])


def test_2_the_intent_is_committed_first_and_a_create_that_may_have_arrived_is_not_sent_again() -> None:
    book, seen = Shared(), list[list[str]]()
    lost = broken(Mishap(Hang(), handled=True))

    def look(call: str) -> Mishap | None:
        if call == "createJob":
            seen.append(book.states())
        return lost(call)

    services = {"omo": Service(mishap=look, settings={**PRICE, "create_timeout": "5s"})}

    async def main(engine: Engine) -> None:
        with pytest.raises(AllProvidersFailed) as caught:
            await engine.solve(TASK, None)
        assert [type(one) for one in caught.value.exceptions] == [AmbiguousCreate]
        assert await spent(engine) == Decimal("0.001")

    run_with_services(services, main, journal=book)
    assert (seen, book.states()) == ([["intent"]], ["ambiguous"])


def test_3_the_ledger_is_never_below_what_was_charged_and_a_burst_passes_no_budget() -> None:
    own = {**PRICE, "budget": {"limit": 0.02, "per": "day"}, "max_in_flight": 100}
    services = {"omo": Service(settings=own, mishap=lambda _: None)}

    async def main(engine: Engine) -> None:
        await asyncio.gather(*(engine.solve(TASK, None) for _ in range(100)), return_exceptions=True)
        charged = sum(job.price for job in services["omo"].world.jobs.values())
        assert charged <= await spent(engine) <= Decimal("0.02")

    run_with_services(services, main)
    assert services["omo"].jobs == 20


def test_4_equal_tasks_in_flight_share_one_job() -> None:
    services = {"omo": Service(settings=PRICE)}

    async def main(engine: Engine) -> None:
        await asyncio.gather(*(engine.solve(TASK, None, share=True) for _ in range(30)))
        assert await spent(engine) == Decimal("0.001")

    run_with_services(services, main)
    assert services["omo"].jobs == 1


def test_5_polls_are_repeated_and_never_fall_back() -> None:
    troubles = [json_reply({}, 502), json_reply({}, 429), json_reply([]), json_reply({}, 403)]
    services = {
        "omo": Service(mishap=broken(*map(Mishap, troubles), on="getJobResult"), settings=PRICE),
        "other": Service(),
    }

    async def main(engine: Engine) -> None:
        assert (await engine.solve(TASK, None)).provider == "omo"

    run_with_services(services, main)
    assert (services["omo"].jobs, services["other"].orders) == (1, [])
