"""Checks of whole solves with the plugin and its emulation, over HTTP and with every fault on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import attrs
import pytest

from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._journal.journal import JobFilter
from captchahub.errors import AllProvidersFailed, CaptchaHubError, PluginFault, ProviderError
from captchahub.hub import Hub
from captchahub.jobs import JobEntry, JobState
from captchahub.results import Result
from captchahub.tasks import Solution, Task
from captchahub.testing.clock import run_virtual
from captchahub.testing.contract._base import Checks
from captchahub.testing.contract._subject import NAME, Subject, fail, skip
from captchahub.testing.emulation import World
from captchahub.testing.faults import Fault, wire_faults
from captchahub.testing.sandbox import Sandbox
from captchahub.testing.transport import EmulatedTransport

_TIMEOUT = 600.0

_JOB_SECONDS = 5.0

_CALLS = ("create", "poll")


class SolvingChecks(Checks):
    """Checks of whole solves."""

    def test_the_engine_solves_each_kind_of_task_against_the_emulation(self) -> None:
        subject = self._pollable()
        for task in subject.first_tasks():
            solve = _run_solve(subject, task)
            if solve.result is None:
                fail(f"a {task.kind} task is not solved against the emulation: {solve.message}")
            if not task.agrees(solve.result.solution, subject.answer_to(task.kind)):
                fail(
                    f"the emulation answers a {task.kind} task with {subject.answer_to(task.kind)!r} and "
                    f"{solve.result.solution!r} arrives: read the answer from the reply unchanged"
                )

    def test_the_hub_solves_each_kind_of_task_over_http(self) -> None:
        subject = self._pollable()
        with Sandbox(subject.emulation()) as sandbox:
            keys = {**subject.keys, **sandbox.settings(subject.token)}
            settings = read_mapping({"providers": {NAME: keys}}, subject.plugins)
            with Hub(settings, plugins=subject.plugins) as hub:
                for task in subject.first_tasks():
                    sandbox.script(task.image, subject.answer_to(task.kind))
                    try:
                        result = hub.solve(task, timeout=20)
                    except CaptchaHubError as error:
                        fail(f"a {task.kind} task is not solved over HTTP: {_one_line(error)}")
                    if not task.agrees(result.solution, subject.answer_to(task.kind)):
                        fail(f"a {task.kind} task is answered over HTTP with {result.solution!r}")

    @pytest.mark.parametrize("fault", sorted(wire_faults()))
    @pytest.mark.parametrize("call", _CALLS)
    def test_no_job_is_lost_or_ordered_twice_when(self, call: str, fault: str) -> None:
        subject = self._pollable()
        emulation = subject.emulation()
        name = emulation.create_call if call == "create" else emulation.poll_call
        # A job is created once and polled several times.
        times = 1 if call == "create" else 3
        for task in subject.first_tasks():
            solve = _run_solve(subject, task, attrs.evolve(wire_faults()[fault], on=name, times=times))
            _check_accounting(solve, f"{fault} on {name}")

    def _pollable(self) -> Subject:
        """Return the subject. Skip it if its polls would never advance the virtual clock."""
        subject = self.subject()
        if not subject.remote().min_poll_interval > 0:
            skip("min_poll_interval is not more than 0")
        return subject


@attrs.frozen
class _Solve:
    """A finished solve, the journal's entries, and the state of the emulated service."""

    result: Result[Solution] | None
    error: Exception | None
    entries: Sequence[JobEntry]
    world: World

    @property
    def message(self) -> str:
        return _one_line(self.error)

    @property
    def faults(self) -> list[ProviderError]:
        """The errors of the plugin that the contract does not allow."""
        ended = self.result or self.error
        attempts = ended.attempts if isinstance(ended, (Result, AllProvidersFailed)) else ()
        return [one.error for one in attempts if isinstance(one.error, PluginFault)]


def _run_solve(subject: Subject, task: Task[Solution], *faults: Fault) -> _Solve:
    emulation = subject.emulation()
    world = World(
        now=lambda: asyncio.get_running_loop().time(),
        read_picture=lambda kind, _picture: subject.answer_to(kind),
        job_seconds=lambda: _JOB_SECONDS,
    )
    world.add_account(subject.token, "1000")
    transport = EmulatedTransport(emulation, world, faults=faults)
    prices = {kind: str(price) for kind, price in emulation.prices.items()}
    mapping = {"providers": {NAME: {**subject.keys, "prices": prices}}}

    async def run() -> _Solve:
        engine = Engine(
            read_mapping(mapping, subject.plugins),
            plugins=subject.plugins,
            connect=lambda _: transport,
            chance=lambda: 0.5,
        )
        result, failed = None, None
        try:
            result = await engine.solve(task, _TIMEOUT)
        # The checks look at the error.
        except Exception as error:  # noqa: BLE001
            failed = error
        entries = await engine.jobs(JobFilter(limit=10))
        await engine.aclose()
        return _Solve(result, failed, entries, world)

    return run_virtual(run())


def _check_accounting(solve: _Solve, when: str) -> None:
    if solve.error is not None and not isinstance(solve.error, CaptchaHubError):
        fail(f"with {when} the engine raises {type(solve.error).__name__}: {solve.message}")
    if solve.faults:
        fail(f"with {when} {solve.faults[0]}: return a value or raise a ProviderError for every reply")
    jobs = list(solve.world.jobs.values())
    if len(jobs) > 1:
        fail(
            f"with {when} the job is created and paid {len(jobs)} times: set nothing_created only if the "
            "service's reply says that it did not create a job"
        )
    charged = sum((job.price for job in jobs), Decimal(0))
    counted = sum((entry.charge for entry in solve.entries), Decimal(0))
    if counted < charged:
        fail(
            f"with {when} the service charges {charged} and {counted} is counted, because the reply was read "
            f"as {solve.message}: raise MalformedReply or ServiceUnavailable unless the service refused it"
        )
    open_states = (JobState.SOLVED, JobState.CREATED, JobState.AMBIGUOUS)
    if jobs and not any(entry.state in open_states for entry in solve.entries):
        fail(f"with {when} the job is abandoned, though the service has solved it: {solve.message}")


def _one_line(error: Exception | None) -> str:
    return " ".join(str(error).split())
