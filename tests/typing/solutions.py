"""What type checkers make of the library: read by mypy and pyright, both strict, and never run.

A program that is written like these functions needs no cast.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import assert_type

import attrs

from captchahub import (
    AsyncHub,
    AsyncTicket,
    Attempt,
    Balance,
    CaptchaHubError,
    Hub,
    Image,
    ImageToText,
    Outcome,
    PhoneSlide,
    Point,
    Result,
    Service,
    SlideSolution,
    Solution,
    Task,
    TextSolution,
    Ticket,
    tasks_from,
)


def a_text_task_is_answered_by_text(hub: Hub, task: ImageToText) -> None:
    result = hub.solve(task)
    assert_type(result, Result[TextSolution])
    assert_type(result.solution, TextSolution)
    assert_type(result.solution.text, str)


def a_slide_is_answered_by_two_points(hub: Hub, image: Image) -> None:
    solution = hub.solve(PhoneSlide(image), timeout=60).solution
    assert_type(solution, SlideSolution)
    assert_type(solution.start, Point)
    assert_type(solution.end.x, float)
    assert_type(solution.scaled(1080, 2400), SlideSolution)


def a_result_says_who_delivered(result: Result[TextSolution]) -> None:
    assert_type(result.provider, str)
    assert_type(result.job_id, int | str | None)
    assert_type(result.cost, Decimal | None)
    assert_type(result.elapsed, float)
    assert_type(result.attempts, tuple[Attempt, ...])
    assert_type(result.ignored_options, tuple[str, ...])


def a_ticket_knows_what_is_coming(hub: Hub, image: Image) -> None:
    ticket = hub.submit(ImageToText(image, length=5))
    assert_type(ticket, Ticket[TextSolution])
    assert_type(ticket.result(timeout=5).solution, TextSolution)
    assert_type(hub.submit(PhoneSlide(image)).result().solution, SlideSolution)


def so_does_each_outcome_of_many(
    hub: Hub, texts: Iterable[ImageToText], slides: Sequence[PhoneSlide]
) -> None:
    outcomes = hub.solve_many(texts)
    assert_type(outcomes, Iterator[Outcome[TextSolution]])
    for outcome in outcomes:
        assert_type(outcome.unwrap().solution, TextSolution)
        assert_type(outcome.error, Exception | None)
        if outcome.result is not None:
            assert_type(outcome.result.solution.text, str)
    for slide in hub.solve_many(slides, in_flight=4):
        assert_type(slide.unwrap().solution, SlideSolution)
        assert_type(slide.task, Task[SlideSolution])


def files_and_callables_are_typed_as_well(hub: Hub, paths: Sequence[Path], image: Image) -> None:
    for outcome in hub.solve_many(tasks_from(paths, ImageToText, length=5)):
        assert_type(outcome, Outcome[TextSolution])
    for slide in hub.solve_many(tasks_from(["screen.png"], PhoneSlide)):
        assert_type(slide.unwrap().solution, SlideSolution)
    for cells in hub.solve_many(tasks_from(paths, PickCells, "cars")):
        assert_type(cells.unwrap().solution, Cells)
    for text in hub.solve_many(partial(ImageToText, image) for _ in range(3)):
        assert_type(text.unwrap().solution, TextSolution)


def tasks_of_several_types_are_told_apart_by_their_solution(hub: Hub, tasks: list[Task[Solution]]) -> None:
    for outcome in hub.solve_many(tasks):
        solution = outcome.unwrap().solution
        assert_type(solution, Solution)
        if isinstance(solution, TextSolution):
            assert_type(solution.text, str)


def every_task_is_a_task_of_some_solution(image: Image) -> list[Task[Solution]]:
    return [ImageToText(image), PhoneSlide(image), PickCells(image)]


def accounts_are_typed_as_well(hub: Hub) -> None:
    assert_type(hub.balances(), dict[str, Balance | CaptchaHubError])
    assert_type(hub.services("omo"), tuple[Service, ...])


def opening_a_hub_gives_a_hub(mapping: Mapping[str, object]) -> None:
    with Hub.from_yaml("config.yaml") as hub:
        assert_type(hub, Hub)
    assert_type(Hub.from_mapping(mapping), Hub)


async def the_same_holds_in_an_event_loop(image: Image) -> None:
    async with AsyncHub.from_yaml("config.yaml") as hub:
        assert_type(hub, AsyncHub)
        assert_type((await hub.solve(ImageToText(image))).solution, TextSolution)
        assert_type((await hub.solve(PhoneSlide(image))).solution, SlideSolution)

        ticket = hub.submit(PhoneSlide(image))
        assert_type(ticket, AsyncTicket[SlideSolution])
        assert_type((await ticket).solution, SlideSolution)
        assert_type((await ticket.result(timeout=5)).solution, SlideSolution)

        outcomes = hub.solve_many([ImageToText(image)])
        assert_type(outcomes, AsyncIterator[Outcome[TextSolution]])
        async for outcome in outcomes:
            assert_type(outcome.unwrap().solution, TextSolution)

        assert_type(await hub.balances(), dict[str, Balance | CaptchaHubError])
        assert_type(await hub.services("omo"), tuple[Service, ...])


async def files_may_be_given_in_a_loop(hub: AsyncHub, paths: Iterable[str]) -> None:
    async for outcome in hub.solve_many(tasks_from(paths, PhoneSlide)):
        assert_type(outcome.unwrap().solution, SlideSolution)


async def tasks_may_come_from_an_asynchronous_source(
    hub: AsyncHub, slides: AsyncIterator[PhoneSlide]
) -> None:
    async for outcome in hub.solve_many(slides):
        assert_type(outcome.unwrap().solution, SlideSolution)


@attrs.frozen
class Cells(Solution):
    """The answer to a task type of somebody else's plugin."""

    cells: tuple[int, ...]


@attrs.frozen
class PickCells(Task[Cells]):
    """A task type of somebody else's plugin: it is enough to name the solution."""

    kind = "pick-cells"
    solution_type = Cells

    image: Image
    wanted: str | None = None

    def check(self, solution: Solution) -> str | None:
        if not self.is_answered_by(solution):
            return "not cells"
        assert_type(solution, Cells)
        return None if solution.cells else "no cell was picked"


def the_task_of_a_plugin_is_no_different(hub: Hub, image: Image) -> None:
    assert_type(hub.solve(PickCells(image, "cars")).solution, Cells)
    assert_type(hub.submit(PickCells(image)).result().solution.cells, tuple[int, ...])
    for outcome in hub.solve_many([PickCells(image)]):
        assert_type(outcome.unwrap().solution, Cells)


class TextReader:
    """A user's own class around a hub, for tasks that are answered by text and by nothing else."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def read(self, task: Task[TextSolution]) -> str:
        return self._hub.solve(task).solution.text


def a_task_fits_wherever_its_solution_does(reader: TextReader, image: Image) -> None:
    assert_type(reader.read(ImageToText(image)), str)
