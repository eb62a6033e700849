"""A task type of a third party: routes, prices, budgets, the journal and its answers are as for our own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import attrs
import pytest

from captchahub import ConfigError, Image, JobState, Point, Result
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._journal.rows import JobFilter
from captchahub._plugins.manager import Plugins
from captchahub.config import load_mapping
from captchahub.frames import Frame
from captchahub.hookspecs import hookimpl
from captchahub.provider import Job, Pending, ProviderKind, Reply, Solved
from captchahub.tasks import Solution, Task
from captchahub.testing import ScriptedTransport, run_virtual
from tests.custom_providers import CompleteProvider, empty_reply
from tests.journal.test_journal import Shared
from tests.virtual_services import MORNING, PICTURE


@attrs.frozen
class Clicks(Solution):
    """Where to click, in pixels."""

    points: tuple[Point, ...]

    def placed(self, frame: Frame) -> Clicks:
        return Clicks(tuple(Point(*frame.place(one.x, one.y)) for one in self.points))


@attrs.frozen
class ClickOn(Task[Clicks]):
    """Find things in a picture."""

    kind = "click-on"
    solution_type = Clicks

    image: Image
    thing: str = "cars"

    def check(self, solution: Solution) -> str | None:
        return None if isinstance(solution, Clicks) and solution.points else "there is nothing to click on"


class Clicker(CompleteProvider):
    kinds = frozenset({"click-on"})

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        return Solved(Clicks((Point(1, 2), Point(3, 4))), Decimal("0.002"))


@attrs.frozen
class NoSettings:
    """No keys."""


class Clicking:
    @hookimpl
    def captchahub_task_types(self) -> Iterable[type[Task[Solution]]]:
        return [ClickOn]

    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[NoSettings]]:
        return [ProviderKind("clicker", NoSettings, lambda _settings: Clicker())]


MAPPING: Mapping[str, object] = {
    "providers": {"mine": {"plugin": "clicker", "prices": {"click-on": "0.003"}}},
    "routes": {"click-on": {"providers": ["mine"], "max_attempts": 1}},
    "budget": {"limit": 1, "per": "day"},
}
TASK = ClickOn(PICTURE, "bicycles")


def engine(journal: Shared | None = None, mapping: Mapping[str, object] = MAPPING) -> Engine:
    plugins = Plugins([Clicking()])
    return Engine(
        read_mapping(mapping, plugins),
        plugins=plugins,
        connect=lambda _: ScriptedTransport(empty_reply),
        wall_clock=lambda: MORNING + asyncio.get_running_loop().time(),
        journal=journal,
    )


def test_is_solved_and_written_down_with_its_options_and_its_answer() -> None:
    async def main() -> None:
        hub = engine()
        result: Result[Clicks] = await hub.solve(TASK, None)
        assert (result.solution.points[1].y, result.provider, result.kind) == (4, "mine", "click-on")
        (job,) = await hub.jobs(JobFilter(JobState.SOLVED, limit=10))
        assert (job.kind, job.options, job.charge) == ("click-on", {"thing": "bicycles"}, Decimal("0.002"))
        assert job.answer == {"points": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}
        await hub.aclose()

    run_virtual(main())


def test_is_shared_by_equal_tasks_from_what_the_journal_has() -> None:
    async def main() -> None:
        hub = engine(mapping={**MAPPING, "cache": "1h"})
        first = await hub.solve(TASK, None, share=True)
        again = await hub.solve(ClickOn(PICTURE, "bicycles"), None, share=True)
        assert (again.solution, again.is_shared, again.cost) == (first.solution, True, Decimal(0))
        assert not (await hub.solve(ClickOn(PICTURE, "cars"), None, share=True)).is_shared
        await hub.aclose()

    run_virtual(main())


def test_its_kind_is_known_to_routes_and_prices_and_no_other_is() -> None:
    wrong = {**MAPPING, "routes": {"click-onn": ["mine"]}}
    with pytest.raises(ConfigError, match=r"routes\.click-onn: unknown task kind; did you mean 'click-on'"):
        load_mapping(wrong, plugins=[Clicking()])
