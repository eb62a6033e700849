"""Programs whose tests stop the clock, with freezegun or time-machine: a hub has a clock of its own."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import time_machine
from freezegun import freeze_time

from captchahub import AsyncHub, Hub, SolveTimeout
from captchahub.testing import Fault, Sandbox, load_emulation

DAY = dt.datetime(2027, 1, 15, 8, tzinfo=dt.UTC)


def frozen() -> AbstractContextManager[object]:
    return freeze_time(DAY)


def ticking() -> AbstractContextManager[object]:
    return freeze_time(DAY, tick=True)


def travelled() -> AbstractContextManager[object]:
    return time_machine.travel(DAY, tick=False)


@pytest.fixture
def slow() -> Iterator[Sandbox]:
    """A service whose jobs take a moment."""
    with Sandbox(load_emulation("omocaptcha"), job_time=0.05) as running:
        yield running


def mapping(sandbox: Sandbox, **keys: object) -> dict[str, object]:
    return {"providers": {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}, **keys}


@pytest.mark.parametrize("stopped", [frozen, ticking, travelled])
class TestAHubWhoseProgramStopsTheClock:
    def test_solves(self, slow: Sandbox, stopped: Callable[[], AbstractContextManager[object]]) -> None:
        picture = slow.draw_text("x7kp2")
        with stopped(), Hub.from_mapping(mapping(slow)) as hub:
            assert hub.solve(picture.task(), timeout=20).solution.text == "x7kp2"

    def test_solves_if_it_was_created_before(
        self, slow: Sandbox, stopped: Callable[[], AbstractContextManager[object]]
    ) -> None:
        pictures = [slow.draw_text() for _ in range(3)]
        with Hub.from_mapping(mapping(slow)) as hub:
            hub.solve(pictures[0].task(), timeout=20)
            with stopped():
                hub.solve(pictures[1].task(), timeout=20)
            hub.solve(pictures[2].task(), timeout=20)

    def test_keeps_its_timeout(
        self, slow: Sandbox, stopped: Callable[[], AbstractContextManager[object]]
    ) -> None:
        slow.add_faults(Fault.hang(on="getJobResult"))
        picture = slow.draw_text("x7kp2")
        with stopped(), Hub.from_mapping(mapping(slow)) as hub, pytest.raises(SolveTimeout):
            hub.solve(picture.task(), timeout=0.3)

    def test_writes_its_journal(
        self, slow: Sandbox, tmp_path: Path, stopped: Callable[[], AbstractContextManager[object]]
    ) -> None:
        pictures = [slow.draw_text() for _ in range(3)]
        with stopped(), Hub.from_mapping(mapping(slow, journal=str(tmp_path / "jobs.db"))) as hub:
            outcomes = list(hub.solve_many((picture.task() for picture in pictures), timeout=20))
            assert [outcome.error for outcome in outcomes] == [None] * 3


def test_a_clock_that_is_set_back_stops_nothing(slow: Sandbox, tmp_path: Path) -> None:
    pictures = [slow.draw_text() for _ in range(3)]
    with (
        freeze_time(DAY) as clock,
        Hub.from_mapping(mapping(slow, journal=str(tmp_path / "jobs.db"))) as hub,
    ):
        for picture, days in zip(pictures, (0, -3, 5), strict=True):
            clock.move_to(DAY + dt.timedelta(days=days))
            assert hub.solve(picture.task(), timeout=20).solution.text == picture.text


def test_the_clock_of_the_program_stands_meanwhile(slow: Sandbox) -> None:
    picture = slow.draw_text("x7kp2")
    with freeze_time(DAY), Hub.from_mapping(mapping(slow)) as hub:
        before = time.monotonic(), time.time()
        result = hub.solve(picture.task(), timeout=20)
        assert (time.monotonic(), time.time()) == before
    assert result.elapsed > 0


def test_an_event_loop_of_the_program_needs_its_own_clock(slow: Sandbox) -> None:
    picture = slow.draw_text("x7kp2")

    async def solve() -> str:
        async with AsyncHub.from_mapping(mapping(slow)) as hub:
            return (await hub.solve(picture.task(), timeout=20)).solution.text

    with freeze_time(DAY, real_asyncio=True):
        assert asyncio.run(solve()) == "x7kp2"
