"""Hubs created before a fork: each process has its own owner id, engine and connections."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urlsplit

import attrs
import pytest

from captchahub import (
    AsyncHub,
    AsyncTicket,
    BudgetExceeded,
    Hub,
    HubClosed,
    ImageToText,
    JobState,
    Result,
    TextSolution,
)
from captchahub.testing import DrawnText, JobRecord, Sandbox, load_emulation
from tests.quick_omo import QuickOmo

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Forking with threads is the point.
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]

T = TypeVar("T")
Tell = Callable[[], None]


class Child(Generic[T]):
    """A forked process that runs ``work``, which makes a call when it has started."""

    def __init__(self, work: Callable[[Tell], T]) -> None:
        self._begun, begun = os.pipe()
        self._made, made = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _live(lambda: work(lambda: _write(begun, b"!")), made)
        os.close(begun)
        os.close(made)
        self._is_over = False

    def wait_until_begun(self) -> None:
        """Wait until ``work`` has started."""
        assert os.read(self._begun, 1) == b"!"

    def result(self) -> T:
        """Return what ``work`` returned, or raise what it raised."""
        with os.fdopen(self._made, "rb", closefd=False) as made:
            told = made.read()
        self._reap()
        value: T | BaseException = pickle.loads(told)
        if isinstance(value, BaseException):
            raise value
        return value

    def kill(self) -> None:
        """Kill the process if it has not ended."""
        if not self._is_over:
            os.kill(self.pid, signal.SIGKILL)
            self._reap()

    def _reap(self) -> None:
        os.waitpid(self.pid, 0)
        self._is_over = True
        for pipe in (self._begun, self._made):
            os.close(pipe)


def _live(work: Callable[[], object], made: int) -> None:
    # Not pytest's handler, which belongs to the parent's test.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(60)
    try:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - the parent raises it
            traceback.print_exc()
            value = error
        _write(made, pickle.dumps(value))
    finally:
        os._exit(0)


def _write(pipe: int, told: bytes) -> None:
    while told:
        told = told[os.write(pipe, told) :]


class Forks:
    """Forks children, and kills those that still run at the end of the test."""

    def __init__(self) -> None:
        self._children: list[Child[Any]] = []

    def fork(self, work: Callable[[Tell], T]) -> Child[T]:
        """Return a child that runs ``work``."""
        child = Child(work)
        self._children.append(child)
        return child

    def end(self) -> None:
        """Kill the children that still run."""
        for child in self._children:
            child.kill()


@pytest.fixture
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.end()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """An emulation whose jobs end when the test says so."""
    with Sandbox(load_emulation("omocaptcha"), job_time=1000) as running:
        yield running


@pytest.fixture
def mapping(configured: Callable[..., dict[str, object]], tmp_path: Path) -> dict[str, object]:
    return {**configured("main"), "journal": str(tmp_path / "jobs.db")}


def finish(job: JobRecord) -> None:
    """End one job now."""
    job.ready_at = 0.0


@attrs.frozen
class Preloaded:
    """A hub of a process and its children, used as a Hub or as an AsyncHub."""

    hub: Hub | AsyncHub
    _runners: dict[int, asyncio.Runner] = attrs.field(factory=dict[int, asyncio.Runner])

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of a coroutine in the loop of this process. A child has its own."""
        return self._runners.setdefault(os.getpid(), asyncio.Runner()).run(work())

    def solve(self, task: ImageToText, tell: Tell = lambda: None) -> Result[TextSolution]:
        """Solve a task. ``tell`` is called when the solve has started."""
        hub = self.hub
        if isinstance(hub, Hub):
            ticket = hub.submit(task, timeout=40)
            hub.health()  # comes after the beginning of the solve
            tell()
            return ticket.result()

        async def solve() -> Result[TextSolution]:
            ticket = hub.submit(task, timeout=40)
            await asyncio.sleep(0)
            tell()
            return await ticket

        return self.run(solve)

    def close(self) -> None:
        """Close it."""
        hub = self.hub
        if isinstance(hub, Hub):
            hub.close()
        else:
            self.run(hub.close)

    def end(self) -> None:
        """Close it, and this process's loop."""
        self.close()
        for runner in self._runners.values():
            runner.close()

    def reload(self) -> None:
        """Read its file again."""
        hub = self.hub
        if isinstance(hub, Hub):
            hub.reload()
        else:
            self.run(hub.reload)

    def look(self) -> None:
        """Make a call that costs nothing."""
        hub = self.hub
        assert hub.plugins()
        if isinstance(hub, Hub):
            hub.health()
        else:
            self.run(hub.health)


Preload = Callable[..., Preloaded]


@pytest.fixture(params=[Hub, AsyncHub])
def face(request: pytest.FixtureRequest) -> type[Hub | AsyncHub]:
    found: type[Hub | AsyncHub] = request.param
    return found


@pytest.fixture
def preload(face: type[Hub | AsyncHub], mapping: dict[str, object], quick: QuickOmo) -> Iterator[Preload]:
    """Creates hubs that are closed after the test. Keyword arguments are keys of the configuration."""
    with ExitStack() as stack:

        def preload(**keys: object) -> Preloaded:
            made = Preloaded(face.from_mapping({**mapping, **keys}, plugins=[quick]))
            stack.callback(made.end)
            return made

        yield preload


@pytest.fixture(params=["unused", "looked at", "used"])
def preloaded(request: pytest.FixtureRequest, preload: Preload, sandbox: Sandbox) -> Preloaded:
    """A hub that the parent has not used, has used for a free call, or for a solve."""
    made = preload()
    if request.param == "looked at":
        made.look()
    elif request.param == "used":
        use(made, sandbox)
    return made


def use(preloaded: Preloaded, sandbox: Sandbox) -> None:
    """Solve one task."""
    jobs = len(sandbox.jobs) + 1
    finishing = threading.Thread(target=lambda: finish(sandbox.wait_for_jobs(jobs)[-1]))
    finishing.start()
    preloaded.solve(sandbox.draw_text().task())
    finishing.join()


def solving(preloaded: Preloaded, picture: DrawnText) -> Callable[[Tell], Result[TextSolution]]:
    """The work of a child that solves one picture."""
    return lambda tell: preloaded.solve(picture.task(), tell)


@pytest.fixture
def outsider(mapping: Mapping[str, object], quick: QuickOmo) -> Iterator[Hub]:
    """A hub of the same journal in a process that is not forked."""
    with Hub.from_mapping(mapping, plugins=[quick]) as hub:
        yield hub


def paid_once(preloaded: Preloaded, sandbox: Sandbox, forks: Forks) -> list[Result[TextSolution]]:
    """Return the results of four children with equal tasks, which share one job."""
    picture, before = sandbox.draw_text(), len(sandbox.jobs)
    children = [forks.fork(solving(preloaded, picture)) for _ in range(4)]
    for child in children:
        child.wait_until_begun()
    sandbox.wait_for_jobs(before + 1)
    sandbox.finish_jobs()
    results = [child.result() for child in children]
    assert all(picture.accepts(result.solution) for result in results)
    assert len(sandbox.jobs) == before + 1
    return results


@attrs.frozen
class AtWork:
    """A child that works on a job."""

    child: Child[Result[TextSolution]]
    picture: DrawnText
    job: JobRecord


def begin_work(preloaded: Preloaded, sandbox: Sandbox, forks: Forks, outsider: Hub) -> AtWork:
    """A new child whose job has its id in the journal."""
    picture, before = sandbox.draw_text(), len(sandbox.jobs)
    known = len(outsider.jobs(state=JobState.CREATED))
    child = forks.fork(solving(preloaded, picture))
    job = sandbox.wait_for_jobs(before + 1)[-1]
    while len(outsider.jobs(state=JobState.CREATED)) == known:
        pass
    return AtWork(child, picture, job)


def resumed(hub: Hub, *among: AtWork) -> Sequence[AtWork]:
    """Return the jobs that a hub collects now."""
    return [one for collected in hub.resume() for one in among if collected.solution == one.picture.solution]


class TestChildren:
    def test_pay_once_for_equal_tasks(self, preloaded: Preloaded, sandbox: Sandbox, forks: Forks) -> None:
        results = paid_once(preloaded, sandbox, forks)
        assert sorted(result.is_shared for result in results) == [False, True, True, True]

    def test_leave_each_others_jobs_alone_when_one_closes_its_hub(
        self, preloaded: Preloaded, sandbox: Sandbox, forks: Forks, outsider: Hub
    ) -> None:
        at_work = begin_work(preloaded, sandbox, forks, outsider)

        def solve_and_close(tell: Tell) -> Result[TextSolution]:
            result = preloaded.solve(picture.task(), tell)
            preloaded.close()
            return result

        picture, before = sandbox.draw_text(), len(sandbox.jobs)
        closing = forks.fork(solve_and_close)
        finish(sandbox.wait_for_jobs(before + 1)[-1])
        assert picture.accepts(closing.result().solution)
        assert list(outsider.resume()) == []
        finish(at_work.job)
        assert at_work.picture.accepts(at_work.child.result().solution)
        assert list(outsider.resume()) == []

    def test_leave_a_job_that_can_be_collected_at_once_after_a_kill(
        self, preloaded: Preloaded, sandbox: Sandbox, forks: Forks, outsider: Hub
    ) -> None:
        sibling = begin_work(preloaded, sandbox, forks, outsider)
        killed = begin_work(preloaded, sandbox, forks, outsider)
        killed.child.kill()
        finish(killed.job)
        assert [one.job for one in resumed(outsider, sibling, killed)] == [killed.job]
        finish(sibling.job)
        assert sibling.picture.accepts(sibling.child.result().solution)
        assert list(outsider.resume()) == []

    def test_continue_the_job_of_a_killed_process(
        self, preloaded: Preloaded, sandbox: Sandbox, forks: Forks, outsider: Hub
    ) -> None:
        killed, before = begin_work(preloaded, sandbox, forks, outsider), len(sandbox.jobs)
        sibling = forks.fork(solving(preloaded, killed.picture))
        sibling.wait_until_begun()
        killed.child.kill()
        finish(killed.job)
        assert killed.picture.accepts(sibling.result().solution)
        assert len(sandbox.jobs) == before

    def test_keep_to_one_budget(self, preload: Preload, sandbox: Sandbox, forks: Forks) -> None:
        price = sandbox.emulation.prices["image-to-text"]
        preloaded = preload(budget={"limit": str(3 * price), "per": "total"})

        def is_solved(picture: DrawnText) -> Callable[[Tell], bool]:
            def work(tell: Tell) -> bool:
                result = None
                try:
                    result = preloaded.solve(picture.task(), tell)
                except* BudgetExceeded:
                    pass
                return result is not None and picture.accepts(result.solution)

            return work

        children = [forks.fork(is_solved(sandbox.draw_text())) for _ in range(4)]
        sandbox.wait_for_jobs(3)
        for child in children:
            child.wait_until_begun()
        sandbox.finish_jobs()
        assert sorted(child.result() for child in children) == [False, True, True, True]
        assert len(sandbox.jobs) == 3

    def test_share_with_their_parent_which_continues(
        self, preloaded: Preloaded, sandbox: Sandbox, forks: Forks
    ) -> None:
        picture, before = sandbox.draw_text(), len(sandbox.jobs)
        children = [forks.fork(solving(preloaded, picture)) for _ in range(2)]
        for child in children:
            child.wait_until_begun()
        sandbox.wait_for_jobs(before + 1)
        assert picture.accepts(preloaded.solve(picture.task(), sandbox.finish_jobs).solution)
        assert all(picture.accepts(child.result().solution) for child in children)
        assert len(sandbox.jobs) == before + 1
        use(preloaded, sandbox)

    def test_can_have_children(self, preloaded: Preloaded, sandbox: Sandbox, forks: Forks) -> None:
        picture, before = sandbox.draw_text(), len(sandbox.jobs)

        def fork_once_more(tell: Tell) -> Sequence[Result[TextSolution]]:
            preloaded.look()
            grandchild = Child(solving(preloaded, picture))
            grandchild.wait_until_begun()
            return [preloaded.solve(picture.task(), tell), grandchild.result()]

        child = forks.fork(fork_once_more)
        child.wait_until_begun()
        sandbox.wait_for_jobs(before + 1)
        sandbox.finish_jobs()
        assert all(picture.accepts(result.solution) for result in child.result())
        assert len(sandbox.jobs) == before + 1

    def test_can_be_forked_by_any_thread(self, preloaded: Preloaded, sandbox: Sandbox, forks: Forks) -> None:
        picture, before = sandbox.draw_text(), len(sandbox.jobs)
        children: list[Child[Result[TextSolution]]] = []
        threads = [
            threading.Thread(target=lambda: children.append(forks.fork(solving(preloaded, picture))))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for child in children:
            child.wait_until_begun()
        sandbox.wait_for_jobs(before + 1)
        sandbox.finish_jobs()
        assert all(picture.accepts(child.result().solution) for child in children)
        assert len(sandbox.jobs) == before + 1

    def test_inherit_a_hub_that_was_closed_before_as_closed(
        self, preloaded: Preloaded, sandbox: Sandbox, forks: Forks
    ) -> None:
        task, before = sandbox.draw_text().task(), len(sandbox.jobs)
        preloaded.close()

        def solve(tell: Tell) -> bool:
            with pytest.raises(HubClosed):
                preloaded.solve(task, tell)
            preloaded.close()
            return bool(preloaded.hub.plugins())

        assert forks.fork(solve).result()
        assert len(sandbox.jobs) == before

    def test_keep_a_hub_that_their_parent_closes(
        self, preloaded: Preloaded, sandbox: Sandbox, forks: Forks
    ) -> None:
        picture, before = sandbox.draw_text(), len(sandbox.jobs)
        is_closed, tell_closed = os.pipe()

        def wait_and_solve(tell: Tell) -> Result[TextSolution]:
            os.read(is_closed, 1)
            return preloaded.solve(picture.task(), tell)

        child = forks.fork(wait_and_solve)
        preloaded.close()
        os.write(tell_closed, b"!")
        sandbox.wait_for_jobs(before + 1)
        sandbox.finish_jobs()
        assert picture.accepts(child.result().solution)
        for pipe in (is_closed, tell_closed):
            os.close(pipe)

    def test_leave_their_parents_hub_open(self, preloaded: Preloaded, sandbox: Sandbox, forks: Forks) -> None:
        assert forks.fork(lambda _: preloaded.close()).result() is None
        use(preloaded, sandbox)

    @pytest.mark.parametrize("is_used", [False, True])
    def test_have_a_journal_of_their_own_if_it_is_in_memory(
        self, preload: Preload, sandbox: Sandbox, forks: Forks, is_used: bool
    ) -> None:
        preloaded = preload(journal={"keep": "1h"})
        if is_used:
            use(preloaded, sandbox)
        picture, before = sandbox.draw_text(), len(sandbox.jobs)
        children = [forks.fork(solving(preloaded, picture)) for _ in range(2)]
        sandbox.wait_for_jobs(before + 2)
        sandbox.finish_jobs()
        assert all(picture.accepts(child.result().solution) for child in children)
        use(preloaded, sandbox)

    def test_find_the_journal_from_any_working_directory(
        self,
        preload: Preload,
        sandbox: Sandbox,
        forks: Forks,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path)
        preloaded, picture = preload(journal="jobs.db"), sandbox.draw_text()

        def solve_elsewhere(tell: Tell) -> Result[TextSolution]:
            os.chdir("elsewhere")
            return preloaded.solve(picture.task(), tell)

        child = forks.fork(solve_elsewhere)
        sandbox.wait_for_jobs(1)
        sandbox.finish_jobs()
        assert picture.accepts(child.result().solution)
        assert not list(tmp_path.glob("elsewhere/*"))

    def test_start_with_the_reloaded_configuration(
        self,
        face: type[Hub | AsyncHub],
        mapping: Mapping[str, str],
        sandbox: Sandbox,
        quick: QuickOmo,
        forks: Forks,
    ) -> None:
        path, picture = Path(mapping["journal"]).with_name("config.yaml"), sandbox.draw_text()
        path.write_text(json.dumps(mapping))
        preloaded = Preloaded(face.from_yaml(path, plugins=[quick]))
        path.write_text(json.dumps(mapping).replace('"main": {', '"renamed": {'))
        preloaded.reload()
        child = forks.fork(solving(preloaded, picture))
        sandbox.wait_for_jobs(1)
        sandbox.finish_jobs()
        assert child.result().provider == "renamed"
        preloaded.end()


def test_a_process_can_fork_while_its_event_loop_runs(
    preload: Preload, sandbox: Sandbox, forks: Forks, face: type[Hub | AsyncHub]
) -> None:
    preloaded, picture = preload(), sandbox.draw_text()

    async def main() -> Result[TextSolution]:
        if isinstance(preloaded.hub, AsyncHub):
            await preloaded.hub.health()
        child = forks.fork(solving(preloaded, picture))
        await asyncio.to_thread(sandbox.wait_for_jobs, 1)
        sandbox.finish_jobs()
        return await asyncio.to_thread(child.result)

    assert picture.accepts(preloaded.run(main).solution)
    use(preloaded, sandbox)


class TestWhatAParentHasBegun:
    """It stays with the parent. A child gets an error and does not wait forever."""

    @pytest.fixture
    def hub(self, mapping: Mapping[str, object], quick: QuickOmo) -> Iterator[Hub]:
        with Hub.from_mapping(mapping, plugins=[quick]) as hub:
            yield hub

    def test_a_ticket(self, hub: Hub, sandbox: Sandbox, forks: Forks) -> None:
        picture = sandbox.draw_text()
        ticket = hub.submit(picture.task())

        def wait(_: Tell) -> bool:
            with pytest.raises(RuntimeError, match="a ticket belongs to the process that created it"):
                ticket.result()
            with pytest.raises(RuntimeError, match="a ticket belongs to the process that created it"):
                ticket.when_done(lambda: None)
            return ticket.cancel()

        assert forks.fork(wait).result() is False
        sandbox.wait_for_jobs(1)
        sandbox.finish_jobs()
        assert picture.accepts(ticket.result().solution)

    def test_a_ticket_of_an_event_loop(
        self, mapping: Mapping[str, object], quick: QuickOmo, sandbox: Sandbox, forks: Forks
    ) -> None:
        async def main() -> None:
            async with AsyncHub.from_mapping(mapping, plugins=[quick]) as hub:
                ticket = hub.submit(picture.task())
                assert forks.fork(lambda _: wait(ticket)).result() is False
                await asyncio.to_thread(sandbox.wait_for_jobs, 1)
                sandbox.finish_jobs()
                assert picture.accepts((await ticket).solution)

        def wait(ticket: AsyncTicket[TextSolution]) -> bool:
            with pytest.raises(RuntimeError, match="a ticket belongs to the process that created it"):
                asyncio.run(ticket.result())
            return ticket.cancel()

        picture = sandbox.draw_text()
        asyncio.run(main())

    def test_an_iterator_of_solve_many(self, hub: Hub, sandbox: Sandbox, forks: Forks) -> None:
        pictures = [sandbox.draw_text() for _ in range(2)]
        outcomes = hub.solve_many([picture.task() for picture in pictures])
        finishing = threading.Thread(target=lambda: finish(sandbox.wait_for_jobs(2)[0]))
        finishing.start()
        next(outcomes)
        finishing.join()

        def go_on(_: Tell) -> None:
            with pytest.raises(RuntimeError, match="an iterator of solve_many belongs to the process"):
                next(outcomes)

        forks.fork(go_on).result()
        forks.fork(lambda _: cast("Generator[object]", outcomes).close()).result()
        sandbox.finish_jobs()
        assert next(outcomes).error is None

    def test_an_iterator_of_resume(
        self, preload: Preload, hub: Hub, sandbox: Sandbox, forks: Forks, outsider: Hub
    ) -> None:
        left = [begin_work(preload(), sandbox, forks, outsider) for _ in range(2)]
        for one in left:
            one.child.kill()
            finish(one.job)
        collected = hub.resume()
        taken = [next(collected)]

        def go_on(_: Tell) -> None:
            with pytest.raises(RuntimeError, match="an iterator of resume belongs to the process"):
                next(collected)

        forks.fork(go_on).result()
        forks.fork(lambda _: cast("Generator[object]", collected).close()).result()
        taken += collected
        assert {one.solution for one in taken} == {one.picture.solution for one in left}
        assert len(taken) == 2


class TestASandbox:
    def test_keeps_serving_if_a_child_stops_it(
        self, preload: Preload, sandbox: Sandbox, forks: Forks
    ) -> None:
        preloaded = preload()
        use(preloaded, sandbox)
        forks.fork(lambda _: sandbox.stop()).result()
        use(preloaded, sandbox)
        assert sandbox.connections == 1

    def test_stops_listening_although_a_child_lives_on(self, sandbox: Sandbox, forks: Forks) -> None:
        may_end, end = os.pipe()

        def live_on(tell: Tell) -> None:
            tell()
            os.read(may_end, 1)

        forks.fork(live_on).wait_until_begun()
        port = urlsplit(sandbox.url).port
        sandbox.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port or 0)).close()
        sandbox.start()
        for pipe in (may_end, end):
            os.close(pipe)


PROGRAM = """
import asyncio, logging, os, sys
from captchahub import AsyncHub, Hub
from captchahub.testing import Sandbox, load_emulation

# The development mode also reports slow callbacks, of which there are some on a busy machine.
logging.getLogger("asyncio").addFilter(lambda record: not record.msg.startswith("Executing "))
face = {"Hub": Hub, "AsyncHub": AsyncHub}[sys.argv[1]]
sandbox = Sandbox(load_emulation("omocaptcha")).start()
mapping = {"journal": "jobs.db", "providers": {"main": {"plugin": "omocaptcha", **sandbox.settings()}}}


def fork_a_hub(is_used):
    hub = face.from_mapping(mapping)
    pictures = [sandbox.draw_text() for _ in range(2)]
    runners = []

    def solve(picture):
        if isinstance(hub, Hub):
            result = hub.solve(picture.task())
        else:
            runners.append(asyncio.Runner())
            result = runners[-1].run(hub.solve(picture.task()))
        assert picture.accepts(result.solution)

    if is_used:
        solve(pictures[0])
    if not os.fork():
        solve(pictures[1])
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
    if isinstance(hub, Hub):
        hub.close()
    else:
        runners += [] if runners else [asyncio.Runner()]
        runners[0].run(hub.close())
    for runner in runners:
        runner.close()


# One process for both, because the development mode takes a second to import the library.
for is_used in (False, True):
    fork_a_hub(is_used)
sandbox.stop()
"""


@pytest.mark.parametrize("face", ["Hub", "AsyncHub"])
def test_nothing_warns_or_complains_at_the_end_of_a_child(face: str, tmp_path: Path) -> None:
    warn = ["-X", "dev", "-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, *warn, "-c", PROGRAM, face],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
