"""Hubs that share a journal in PostgreSQL, as on machines without a common file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from captchahub import Hub, TextSolution
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._plugins.manager import Plugins
from captchahub.testing import Fault, Sandbox
from tests.journal.stores import Place, place_of
from tests.quick_omo import QuickOmo

PRICE = Decimal("0.00055")


@pytest.fixture
def place() -> Iterator[Place]:
    with place_of("postgres", None) as place:
        yield place


def mapping(sandbox: Sandbox, journal: object, **keys: object) -> dict[str, Any]:
    account = sandbox.settings("one", balance="1000")
    provider = {"plugin": "omocaptcha", **account, "prices": {"image-to-text": str(PRICE)}, **keys}
    return {"providers": {"omo": provider}, "journal": journal}


def test_equal_tasks_of_two_hubs_are_one_job(place: Place, sandbox: Sandbox, quick: QuickOmo) -> None:
    configured = mapping(sandbox, place.configured)
    task = sandbox.draw_text("x7kp2").task()
    with (
        Hub.from_mapping(configured, plugins=[quick]) as one,
        Hub.from_mapping(configured, plugins=[quick]) as other,
    ):
        results = [ticket.result() for ticket in [one.submit(task), other.submit(task)]]
    assert [result.solution for result in results] == [TextSolution("x7kp2")] * 2
    assert len(sandbox.jobs) == 1
    assert sum(result.total_cost or 0 for result in results) == PRICE


def skewed(seconds: float) -> float:
    return time.time() + seconds


def test_hubs_whose_clocks_differ_agree_on_who_is_alive(
    place: Place, sandbox: Sandbox, quick: QuickOmo
) -> None:
    async def resumed(engine: Engine) -> list[object]:
        return [one.solution async for one in engine.resume(8)]

    async def main() -> None:
        plugins = Plugins([quick])
        settings = read_mapping(mapping(sandbox, place.configured), plugins)
        engines = [
            Engine(settings, plugins=plugins, wall_clock=partial(skewed, skew)) for skew in (-7200.0, 7200.0)
        ]
        sandbox.add_faults(Fault.hang(on="getJobResult"))
        for owner, other in (engines, engines[::-1]):
            task = sandbox.draw_text().task()
            solving = asyncio.ensure_future(owner.solve(task, None))
            created = len(sandbox.calls_to("getJobResult"))
            await asyncio.to_thread(sandbox.wait_for_calls, "getJobResult", created + 1, timeout=20)
            # Hours later by its own clock, or earlier, it is still a job of a living hub.
            assert await resumed(other) == []
            solving.cancel()
            await asyncio.wait([solving])
        for engine in engines:
            await engine.aclose()

    asyncio.run(main())
