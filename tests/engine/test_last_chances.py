"""A solve uses the time that it has left, and sends no order that is not its turn to send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from captchahub import Result, TextSolution
from captchahub._engine.engine import Engine
from captchahub.testing import Mishap, json_reply
from tests.virtual_services import TASK, Service, run_with_services, unreachable, unreachable_until


def until(seconds: float, mishap: Mishap) -> Callable[[str], Mishap | None]:
    """Orders are answered so before that time."""

    def mishap_of(call: str) -> Mishap | None:
        is_early = asyncio.get_running_loop().time() < seconds
        return mishap if call == "createJob" and is_early else None

    return mishap_of


def solve(services: dict[str, Service], timeout: float, **route: Any) -> Result[TextSolution]:
    async def main(engine: Engine) -> Result[TextSolution]:
        return await engine.solve(TASK, timeout)

    return run_with_services(services, main, **route)


def test_where_two_must_agree_one_that_cools_is_probed_though_another_can_be_asked() -> None:
    busy = Mishap(json_reply({"error": True, "message": "System is busy."}))
    services = {
        "A": Service(mishap=until(3, busy)),
        "B": Service(mishap=unreachable_until(4), settings={"health": {"failures": 1, "cooldown": "60s"}}),
    }
    result = solve(services, 30, agree=2)
    assert {vote.provider for vote in result.votes} == {"A", "B"}


def test_an_own_backoff_is_cut_short_for_a_last_try_where_the_service_asked_for_less() -> None:
    limited = Mishap(json_reply({}, 429, retry_after="1"))
    service = Service(seconds=lambda: 0.3, mishap=until(20, limited))
    result = solve({"A": service}, 25)
    assert result.provider == "A"


def test_a_second_try_that_waited_for_its_turn_is_not_sent_where_a_probe_is_due() -> None:
    # The first solve has the fourth turn for its second try, and the others wait a minute for theirs.
    settings = {"rate": "4/minute", "health": {"failures": 1, "cooldown": "5s"}}
    service = Service(mishap=unreachable, settings=settings)

    async def main(engine: Engine) -> None:
        solves = (engine.solve(TASK, 100) for _ in range(3))
        await asyncio.gather(*solves, return_exceptions=True)

    run_with_services({"A": service}, main)
    assert service.orders.count(60.0) == 1
