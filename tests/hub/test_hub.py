"""Hub and AsyncHub over real HTTP against the sandbox."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from queue import SimpleQueue
from typing import cast

import pytest

from captchahub import (
    AsyncHub,
    AuthenticationError,
    Balance,
    ConfigError,
    Hub,
    HubClosed,
    Image,
    ImageToText,
    JournalError,
    Outcome,
    PhoneSlide,
    SolveCancelled,
    SolveTimeout,
    Task,
    TaskError,
    TextSolution,
    tasks_from,
)
from captchahub._engine.engine import Engine
from captchahub.files import FileTask
from captchahub.testing import DrawnText, Fault, Sandbox

Configure = Callable[..., dict[str, object]]


@pytest.fixture
def mapping(configured: Configure) -> dict[str, object]:
    return configured("main")


@pytest.fixture
def hub(mapping: dict[str, object], quick: object) -> Iterator[Hub]:
    with Hub.from_mapping(mapping, plugins=[quick]) as running:
        yield running


@pytest.mark.parametrize("face", [Hub, AsyncHub])
def test_a_path_instead_of_settings_is_refused(face: type[Hub | AsyncHub]) -> None:
    with pytest.raises(TypeError, match="use from_yaml"):
        face("config.yaml")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - on purpose


class TestSolving:
    def test_returns_the_text_of_a_picture(self, hub: Hub, sandbox: Sandbox) -> None:
        picture = sandbox.draw_text("x7kp2")
        result = hub.solve(ImageToText(picture.image, length=5))
        assert result.solution.text == "x7kp2"
        assert result.job_id == sandbox.jobs[0].id

    def test_returns_the_drag_of_a_slide_and_scales_it_to_the_device(
        self, hub: Hub, sandbox: Sandbox
    ) -> None:
        picture = sandbox.draw_slide()
        slide = hub.solve(PhoneSlide(picture.image)).solution
        assert picture.accepts(slide)
        doubled = slide.scaled(picture.image.width * 2, picture.image.height * 2)
        assert doubled.end.x == slide.end.x * 2

    def test_a_submitted_task_continues_while_the_caller_does_something_else(
        self, hub: Hub, sandbox: Sandbox
    ) -> None:
        picture = sandbox.draw_text()
        ticket = hub.submit(picture.task())
        assert picture.accepts(ticket.result().solution)
        assert ticket.done()
        assert not ticket.cancel()

    def test_anything_but_a_task_is_a_task_error(self, hub: Hub) -> None:
        with pytest.raises(TaskError, match="not str"):
            hub.solve("captcha.png")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - on purpose

    def test_stops_waiting_without_ending_the_solve(self, hub: Hub, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.hang(on="createJob", times=1))
        ticket = hub.submit(sandbox.draw_text().task(), timeout=30)
        with pytest.raises(TimeoutError):
            ticket.result(timeout=0.01)
        assert not ticket.done()
        assert ticket.cancel()
        with pytest.raises(SolveCancelled):
            ticket.result()

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 10**400, "soon"])
    def test_a_timeout_must_be_a_time(self, hub: Hub, sandbox: Sandbox, timeout: float) -> None:
        task = sandbox.draw_text().task()
        for call in (hub.solve, hub.submit):
            with pytest.raises(ValueError, match="timeout must be a positive number"):
                call(task, timeout=timeout)
        with pytest.raises(ValueError, match="timeout must be a positive number"):
            hub.solve_many([task], timeout=timeout)

    def test_a_callback_must_not_wait_in_the_hubs_own_thread(self, hub: Hub, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.hang(on="createJob", times=1))
        task = sandbox.draw_text().task()
        refused: SimpleQueue[Exception] = SimpleQueue()

        def call() -> None:
            try:
                hub.solve(task)
            except RuntimeError as error:
                refused.put(error)

        ticket = hub.submit(task, timeout=1)
        ticket.when_done(call)
        assert "use submit" in str(refused.get(timeout=10))

    @pytest.mark.parametrize("call", ["createJob", "getJobResult"])
    def test_a_hanging_server_does_not_outlast_the_timeout(
        self, hub: Hub, sandbox: Sandbox, call: str
    ) -> None:
        sandbox.add_faults(Fault.hang(on=call))
        begun = time.monotonic()
        with pytest.raises(SolveTimeout):
            hub.solve(sandbox.draw_text().task(), timeout=1)
        assert time.monotonic() - begun < 1.5  # the promise is half a second, whatever the server does


def drawn_files(sandbox: Sandbox, folder: Path) -> list[Path]:
    """Twelve files, the fourth of which is empty, the sixth a page and the last not there."""
    paths = [folder / f"{number:02}.png" for number in range(12)]
    for path in paths[:-1]:
        path.write_bytes(sandbox.draw_text().image.data)
    paths[3].write_bytes(b"")
    paths[5].write_bytes(b"<html></html>")
    return paths


def check_of_files(outcomes: Mapping[int, Outcome[TextSolution]], paths: Sequence[Path]) -> None:
    assert sorted(outcomes) == list(range(12))
    refused = {3: "is empty", 5: "an HTML page", 11: "No such file"}
    for index, outcome in outcomes.items():
        assert cast("FileTask[TextSolution]", outcome.source).path == paths[index]
        if index not in refused:
            assert outcome.unwrap().solution.text
            assert outcome.task.image == Image.open(paths[index])
            continue
        assert outcome.result is None
        with pytest.raises(TaskError, match=rf"{paths[index].name}.*{refused[index]}"):
            outcome.unwrap()
        with pytest.raises(TaskError, match=refused[index]):
            _ = outcome.task


class TestManyTasks:
    def test_come_in_order_of_completion_with_their_index(self, hub: Hub, sandbox: Sandbox) -> None:
        pictures = [sandbox.draw_text() for _ in range(20)]
        outcomes = list(hub.solve_many(picture.task() for picture in pictures))
        assert sorted(outcome.index for outcome in outcomes) == list(range(20))
        for outcome in outcomes:
            assert pictures[outcome.index].accepts(outcome.unwrap().solution)

    def test_are_read_lazily_and_no_more_at_once_than_allowed(self, hub: Hub, sandbox: Sandbox) -> None:
        picture = sandbox.draw_text()
        read: list[int] = []

        def endless() -> Iterator[ImageToText]:
            while True:
                read.append(1)
                yield picture.task()

        outcomes = hub.solve_many(endless(), in_flight=3)
        assert read == []
        for _ in range(5):
            next(outcomes)
        assert len(read) <= 5 + 3

    def test_errors_are_values(self, hub: Hub, sandbox: Sandbox) -> None:
        unknown, known = Sandbox(sandbox.emulation).draw_text(), sandbox.draw_text()
        outcomes = sorted(hub.solve_many([unknown.task(), known.task()]), key=lambda one: one.index)
        assert outcomes[0].error is not None
        assert known.accepts(outcomes[1].unwrap().solution)
        with pytest.raises(type(outcomes[0].error)):
            outcomes[0].unwrap()

    def test_an_error_of_the_iterable_comes_after_the_answers_already_paid_for(
        self, hub: Hub, sandbox: Sandbox
    ) -> None:
        def breaking() -> Iterator[ImageToText]:
            yield sandbox.draw_text().task()
            yield sandbox.draw_text().task()
            raise OSError("the disk is gone")

        outcomes = hub.solve_many(breaking())
        assert next(outcomes).error is None
        assert next(outcomes).error is None
        with pytest.raises(OSError, match="disk"):
            next(outcomes)

    def test_a_file_that_is_not_a_picture_is_an_outcome_with_an_error(
        self, hub: Hub, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        paths = drawn_files(sandbox, tmp_path)
        outcomes = {one.index: one for one in hub.solve_many(tasks_from(paths, ImageToText), in_flight=2)}
        check_of_files(outcomes, paths)

    def test_options_are_passed_to_every_task_made_from_a_file(
        self, hub: Hub, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        paths = drawn_files(sandbox, tmp_path)[:2]
        outcomes = list(hub.solve_many(tasks_from(paths, ImageToText, length=5)))
        assert [dict(one.task.options) for one in outcomes] == [{"length": 5}] * 2

    def test_whatever_a_callable_raises_is_the_outcome_of_its_own_task(
        self, hub: Hub, sandbox: Sandbox
    ) -> None:
        def broken() -> ImageToText:
            raise KeyError("no such picture")

        task = sandbox.draw_text().task()
        given: list[Task[TextSolution] | Callable[[], Task[TextSolution]]] = [broken, task, lambda: task]
        outcomes = {one.index: one for one in hub.solve_many(given, in_flight=1)}
        assert isinstance(outcomes[0].error, KeyError)
        assert outcomes[0].source is broken
        assert outcomes[1].unwrap().solution == outcomes[2].unwrap().solution
        assert outcomes[1].source is outcomes[1].task is outcomes[2].task is task

    def test_a_callable_is_called_before_the_next_one_is_read(self, hub: Hub, sandbox: Sandbox) -> None:
        pictures = [sandbox.draw_text() for _ in range(3)]
        tasks = [picture.task() for picture in pictures]
        outcomes = hub.solve_many((lambda: task) for task in tasks)  # noqa: B023 - the point
        for outcome in outcomes:
            assert pictures[outcome.index].accepts(outcome.unwrap().solution)

    def test_refused_ones_are_yielded_while_others_are_read(self, hub: Hub, tmp_path: Path) -> None:
        def endless() -> Iterator[Path]:
            while True:
                yield tmp_path / "missing.png"

        outcomes = hub.solve_many(tasks_from(endless(), ImageToText))
        assert [next(outcomes).index for _ in range(100)] == list(range(100))

    def test_a_bare_path_is_refused_with_what_to_pass_instead(self, hub: Hub) -> None:
        [outcome] = hub.solve_many(cast("list[ImageToText]", [Path("captcha.png")]))
        assert str(outcome.error) == "captcha.png is a path, not a task: use tasks_from(paths, ImageToText)"

    def test_stopping_cancels_the_open_solves(self, hub: Hub, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.hang(on="createJob", after=1))
        outcomes = hub.solve_many((sandbox.draw_text().task() for _ in range(5)), in_flight=3)
        next(outcomes)
        sandbox.wait_for_calls("createJob", 3)
        outcomes.close()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - a generator
        sandbox.clear_faults()
        hub.solve(sandbox.draw_text().task())
        assert len(sandbox.calls_to("createJob")) == 4

    def test_an_empty_input_is_fine(self, hub: Hub) -> None:
        assert list(hub.solve_many(iter([]))) == []

    @pytest.mark.parametrize("in_flight", [0, -1, 1.5])
    def test_at_least_one_must_be_allowed(self, hub: Hub, in_flight: int) -> None:
        with pytest.raises(ValueError, match="in_flight"):
            hub.solve_many([], in_flight=in_flight)


class TestTheAccount:
    def test_balances_are_by_provider_with_errors_as_values(
        self, configured: Configure, sandbox: Sandbox, quick: object
    ) -> None:
        mapping = configured("main", "other")
        del sandbox.world.accounts["other"]
        with Hub.from_mapping(mapping, plugins=[quick]) as hub:
            balances = hub.balances()
        assert balances["main"] == Balance(Decimal(1000))
        assert isinstance(balances["other"], AuthenticationError)

    def test_services_have_prices(self, hub: Hub) -> None:
        prices = {service.kind: service.price for service in hub.services("main")}
        assert prices["image-to-text"] == Decimal("0.00055")

    def test_an_unknown_name_of_a_provider_is_refused(self, hub: Hub) -> None:
        with pytest.raises(ConfigError, match="no provider 'mian'; the providers are main"):
            hub.services("mian")


@pytest.mark.parametrize("transport", ["threads", "tasks"])
def test_a_hundred_solves_each_get_the_answer_of_their_own_picture(
    transport: str, mapping: dict[str, object], sandbox: Sandbox, quick: object
) -> None:
    pictures = [sandbox.draw_text() for _ in range(50)] * 2

    def by_threads() -> list[TextSolution]:
        with Hub.from_mapping(mapping, plugins=[quick]) as hub, ThreadPoolExecutor(32) as pool:
            tickets = [pool.submit(hub.solve, picture.task(), share=False) for picture in pictures]
            return [ticket.result().solution for ticket in tickets]

    async def by_tasks() -> list[TextSolution]:
        async with AsyncHub.from_mapping(mapping, plugins=[quick]) as hub:
            solves = (hub.solve(picture.task(), share=False) for picture in pictures)
            results = await asyncio.gather(*solves)
            return [result.solution for result in results]

    solutions = by_threads() if transport == "threads" else asyncio.run(by_tasks())
    assert all(picture.accepts(found) for picture, found in zip(pictures, solutions, strict=True))
    assert len(sandbox.jobs) == 100


class TestAsyncHub:
    def test_has_the_same_methods_as_coroutines(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        picture = sandbox.draw_text()

        async def run() -> None:
            async with AsyncHub.from_mapping(mapping, plugins=[quick]) as hub:
                assert picture.accepts((await hub.solve(picture.task())).solution)
                ticket = hub.submit(picture.task())
                assert picture.accepts((await ticket).solution)
                assert ticket.done()
                assert (await hub.balances())["main"] == Balance(Decimal("999.9989"))
                assert await hub.services("main")

        asyncio.run(run())

    def test_solves_many_from_an_asynchronous_source(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        pictures = [sandbox.draw_text() for _ in range(10)]

        async def source() -> AsyncIterator[ImageToText]:
            for picture in pictures:
                await asyncio.sleep(0)
                yield picture.task()

        async def run() -> None:
            async with AsyncHub.from_mapping(mapping, plugins=[quick]) as hub:
                outcomes = [outcome async for outcome in hub.solve_many(source(), in_flight=4)]
                assert len(outcomes) == 10
                for outcome in outcomes:
                    assert pictures[outcome.index].accepts(outcome.unwrap().solution)
                assert [one async for one in hub.solve_many(list[ImageToText]())] == []

        asyncio.run(run())

    def test_a_file_that_is_not_a_picture_is_an_outcome_with_an_error(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object, tmp_path: Path
    ) -> None:
        paths = drawn_files(sandbox, tmp_path)

        async def source() -> AsyncIterator[Callable[[], Task[TextSolution]]]:
            for one in tasks_from(paths, ImageToText):
                yield one

        async def run() -> None:
            async with AsyncHub.from_mapping(mapping, plugins=[quick]) as hub:
                for tasks in (tasks_from(paths, ImageToText), source()):
                    outcomes = {one.index: one async for one in hub.solve_many(tasks, in_flight=2)}
                    check_of_files(outcomes, paths)

        asyncio.run(run())

    def test_an_error_of_the_source_comes_after_the_answers(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        def breaking() -> Iterator[ImageToText]:
            yield sandbox.draw_text().task()
            raise OSError("the disk is gone")

        async def run() -> None:
            async with AsyncHub.from_mapping(mapping, plugins=[quick]) as hub:
                outcomes = hub.solve_many(breaking())
                assert (await anext(outcomes)).error is None
                with pytest.raises(OSError, match="disk"):
                    await anext(outcomes)

        asyncio.run(run())

    def test_stopping_to_iterate_cancels_the_open_solves(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        sandbox.add_faults(Fault.hang(on="createJob", after=1))

        async def run() -> None:
            async with AsyncHub.from_mapping(mapping, plugins=[quick]) as hub:
                outcomes = hub.solve_many(sandbox.draw_text().task() for _ in range(5))
                await anext(outcomes)
                await outcomes.aclose()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - a generator
                assert len(asyncio.all_tasks()) == 1

        asyncio.run(run())

    def test_cancelling_the_caller_cancels_the_solve_but_not_a_ticket(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        sandbox.add_faults(Fault.hang(on="createJob"))
        task = sandbox.draw_text().task()

        async def run() -> None:
            async with AsyncHub.from_mapping(mapping, plugins=[quick]) as hub:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await hub.solve(task)
                assert len(asyncio.all_tasks()) == 1
                ticket = hub.submit(task)
                with pytest.raises(TimeoutError):
                    await ticket.result(timeout=0.05)
                assert not ticket.done()
                assert ticket.cancel()
                with pytest.raises(SolveCancelled):
                    await ticket

        asyncio.run(run())

    def test_belongs_to_one_loop(self, mapping: dict[str, object], quick: object) -> None:
        hub = AsyncHub.from_mapping(mapping, plugins=[quick])

        async def use() -> None:
            await hub.balances()

        async def end() -> None:
            await hub.close()

        with asyncio.Runner() as runner:
            runner.run(use())
            with pytest.raises(RuntimeError, match="another event loop"):
                asyncio.run(use())
            runner.run(end())

    def test_closing_ends_its_solves(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        sandbox.add_faults(Fault.hang(on="createJob"))

        async def run() -> None:
            async with AsyncHub.from_mapping(mapping, plugins=[quick]) as hub:
                ticket = hub.submit(sandbox.draw_text().task())
                await asyncio.to_thread(sandbox.wait_for_calls, "createJob")
            with pytest.raises(HubClosed):
                await ticket
            with pytest.raises(HubClosed):
                await hub.solve(sandbox.draw_text().task())
            with pytest.raises(HubClosed):
                await anext(hub.solve_many([sandbox.draw_text().task()]))

        asyncio.run(run())

    def test_a_cancelled_close_is_finished_by_the_next(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        async def run() -> None:
            hub = AsyncHub.from_mapping(mapping, plugins=[quick])
            await hub.solve(sandbox.draw_text().task())
            closing = asyncio.ensure_future(hub.close())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
            await hub.close()
            assert workers() == []

        asyncio.run(run())

    @pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
    def test_a_forgotten_hub_ends_its_threads(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        async def run() -> None:
            hub = AsyncHub.from_mapping(mapping, plugins=[quick])
            await hub.solve(sandbox.draw_text().task())

        asyncio.run(run())
        gc.collect()
        for thread in workers():
            thread.join(5)
        assert workers() == []
        gc.collect()  # its sockets, here where their warnings are expected


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("captchahub main")]


class TestInsideARunningLoop:
    def test_a_blocking_call_works_and_says_what_to_use(self, hub: Hub, sandbox: Sandbox) -> None:
        picture = sandbox.draw_text()

        async def run() -> TextSolution:
            with pytest.warns(RuntimeWarning, match="use AsyncHub"):
                return hub.solve(picture.task()).solution

        assert picture.accepts(asyncio.run(run()))

    def test_a_call_that_does_not_block_gives_no_warning(self, hub: Hub, sandbox: Sandbox) -> None:
        picture = sandbox.draw_text()

        async def run() -> TextSolution:
            ticket = hub.submit(picture.task())
            return (await asyncio.to_thread(ticket.result)).solution

        assert picture.accepts(asyncio.run(run()))


class TestClosing:
    def test_leaves_no_thread_no_socket_and_no_file(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        threads, files = set(threading.enumerate()), open_files()
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            with Hub.from_mapping(mapping, plugins=[quick]) as hub:
                for _ in hub.solve_many(sandbox.draw_text().task() for _ in range(20)):
                    pass
            del hub
            gc.collect()
        assert left_open(files) == {}
        ours = [one for one in set(threading.enumerate()) - threads if one.name.startswith("captchahub")]
        assert [one for one in ours if "sandbox" not in one.name] == []

    def test_ends_open_solves_at_once(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        sandbox.add_faults(Fault.hang())
        hub = Hub.from_mapping(mapping, plugins=[quick])
        ticket = hub.submit(sandbox.draw_text().task())
        sandbox.wait_for_calls("createJob")
        hub.close()
        with pytest.raises(HubClosed):
            ticket.result()
        with pytest.raises(HubClosed):
            hub.solve(sandbox.draw_text().task())
        hub.close()

    def test_a_hub_never_used_closes_too(self, mapping: dict[str, object]) -> None:
        Hub.from_mapping(mapping).close()

    # The fast transport leaves its sockets to a loop that is closed.
    @pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
    def test_a_forgotten_hub_ends_its_thread(
        self, mapping: dict[str, object], sandbox: Sandbox, quick: object
    ) -> None:
        hub = Hub.from_mapping(mapping, plugins=[quick])
        hub.solve(sandbox.draw_text().task())
        (thread,) = [one for one in threading.enumerate() if one.name == "captchahub"]
        del hub
        gc.collect()
        thread.join(5)
        assert not thread.is_alive()
        gc.collect()  # its sockets, here where their warnings are expected


OPEN_FILES = Path("/proc/self/fd")


def open_files() -> dict[str, str]:
    """Return the open files by descriptor; empty if the system does not list them."""
    if not OPEN_FILES.is_dir():
        return {}
    return {file.name: str(file.readlink()) for file in OPEN_FILES.iterdir() if file.is_symlink()}


def left_open(before: dict[str, str]) -> dict[str, str]:
    """Return the files opened since, once the sandbox has closed its own ends."""
    until = time.monotonic() + 5
    while (
        left := {k: v for k, v in open_files().items() if before.get(k) != v}
    ) and time.monotonic() < until:
        threading.Event().wait(0.01)
    return left


def solve_in_child(hub: Hub, picture: DrawnText, answers: multiprocessing.SimpleQueue[bool]) -> None:
    answers.put(picture.accepts(hub.solve(picture.task(), timeout=20).solution))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forking with threads is the point
@pytest.mark.parametrize("used", [True, False], ids=["used before", "new"])
def test_a_hub_created_before_a_fork_works_in_the_child_and_in_the_parent(
    used: bool, hub: Hub, sandbox: Sandbox
) -> None:
    picture = sandbox.draw_text()
    if used:
        hub.solve(picture.task())
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    children = [context.Process(target=solve_in_child, args=(hub, picture, answers)) for _ in range(3)]
    for child in children:
        child.start()
    assert picture.accepts(hub.solve(picture.task()).solution)
    for child in children:
        child.join(30)
        assert child.exitcode == 0
        assert answers.get()
    assert picture.accepts(hub.solve(picture.task()).solution)


def solve_though_the_journal_fails(hub: Hub, picture: DrawnText, journal: Path) -> None:
    for file in journal.parent.glob(f"{journal.name}*"):
        file.unlink()
    journal.write_text("not a journal")
    with pytest.raises(JournalError, match="it is not a journal"):
        hub.solve(picture.task())
    journal.unlink()
    assert picture.accepts(hub.solve(picture.task(), timeout=20).solution)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_gets_the_error_of_a_failing_journal_when_it_first_needs_it(
    mapping: dict[str, object], sandbox: Sandbox, tmp_path: Path, quick: object
) -> None:
    journal = tmp_path / "jobs.db"
    with Hub.from_mapping({**mapping, "journal": str(journal)}, plugins=[quick]) as hub:
        picture = sandbox.draw_text()
        hub.solve(picture.task())
        child = multiprocessing.get_context("fork").Process(
            target=solve_though_the_journal_fails, args=(hub, picture, journal)
        )
        child.start()
        child.join(30)
        assert child.exitcode == 0


def test_an_iterator_of_resume_that_is_dropped_does_not_hang_the_hub(
    mapping: dict[str, object], sandbox: Sandbox, tmp_path: Path
) -> None:
    """The garbage collector may end it in the hub's own thread, which cannot wait for itself."""
    settings = {**mapping, "journal": str(tmp_path / "jobs.db")}
    with Hub.from_mapping(settings) as hub:
        tickets = [hub.submit(sandbox.draw_text().task()) for _ in range(2)]
        sandbox.wait_for_jobs(2)
        while None in [ticket.token for ticket in tickets]:
            pass
    hub = Hub.from_mapping(settings)
    going = hub.resume()
    next(going)
    cycle: list[object] = [going]
    cycle.append(cycle)
    is_collected = threading.Event()

    def collect() -> None:
        gc.collect()
        is_collected.set()

    gc.disable()
    try:
        del going, cycle
        ticket = hub.submit(sandbox.draw_text().task())
        ticket.when_done(collect)
        assert is_collected.wait(20)
    finally:
        gc.enable()
    hub.close()


PROGRAM = """
import sys
from captchahub import Hub, Image, ImageToText
hub = Hub.from_mapping({{"providers": {{"omo": {{"plugin": "omocaptcha", **{settings!r}}}}}}})
task = ImageToText(Image.from_base64({picture!r}))
print("ready", flush=True)
{then}
"""


def program(sandbox: Sandbox, then: str) -> subprocess.Popen[str]:
    """A program of its own that uses a hub; every warning is shown."""
    picture = sandbox.draw_text().image.base64
    source = PROGRAM.format(settings=sandbox.settings(), picture=picture, then=then)
    command = [sys.executable, "-X", "dev", "-W", "always", "-c", source]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


class TestAProgram:
    def test_that_forgets_to_close_ends_silently(self, sandbox: Sandbox) -> None:
        running = program(sandbox, "print(hub.solve(task).provider)")
        out, err = running.communicate(timeout=30)
        assert (running.returncode, out, err) == (0, "ready\nomo\n", "")

    def test_that_ends_while_a_solve_hangs_does_not_wait_for_it(self, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.hang())
        running = program(sandbox, "hub.submit(task); sys.stdin.read()")
        sandbox.wait_for_calls("createJob", timeout=20)
        _, err = running.communicate(timeout=10)  # closes its input, so that it ends
        assert (running.returncode, err) == (0, "")

    def test_that_is_interrupted_while_it_waits_ends_at_once(self, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.hang())
        running = program(sandbox, "hub.solve(task)")
        sandbox.wait_for_calls("createJob", timeout=20)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=10)
        assert running.returncode == -signal.SIGINT
        assert err.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to a thread")
def test_ctrl_c_cancels_a_call_that_waits(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()

    async def hang(_engine: Engine) -> None:
        main_thread = threading.main_thread().ident
        assert main_thread is not None
        await asyncio.sleep(0.2)  # until the main thread waits
        signal.pthread_kill(main_thread, signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    monkeypatch.setattr(Engine, "balances", hang)
    with pytest.raises(KeyboardInterrupt):
        hub.balances()
    assert cancelled.wait(10)
