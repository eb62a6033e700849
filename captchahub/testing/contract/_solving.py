"""Checks of the whole engine with the plugin against its emulation: over HTTP, and under every fault."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import attrs
import pytest

from captchahub._engine.engine import Engine
from captchahub.config import load_mapping
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

__all__ = ["SolvingChecks"]

_TIMEOUT = 600.0

_JOB_SECONDS = 5.0

_CALLS = ("order", "poll")


class SolvingChecks(Checks):
    """What holds for whole solves."""

    def test_the_engine_solves_each_kind_of_task_against_the_emulation(self) -> None:
        subject = self._paced()
        for task in subject.first_tasks():
            trial = _solve(subject, task)
            if trial.result is None:
                fail(f"a {task.kind} task is not solved against the emulation: {trial.told}")
            if not task.agrees(trial.result.solution, subject.answer_to(task.kind)):
                fail(
                    f"the emulation answers a {task.kind} task with {subject.answer_to(task.kind)!r} and "
                    f"{trial.result.solution!r} arrives: read the answer as it stands in the reply"
                )

    def test_the_hub_solves_each_kind_of_task_over_http(self) -> None:
        subject = self._paced()
        with Sandbox(subject.emulation()) as sandbox:
            keys = {**subject.keys, **sandbox.settings(subject.token)}
            settings = load_mapping({"providers": {NAME: keys}}, subject.plugins)
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
        subject = self._paced()
        emulation = subject.emulation()
        name = emulation.create_call if call == "order" else emulation.poll_call
        # An order is sent once, and a question again and again.
        times = 1 if call == "order" else 3
        for task in subject.first_tasks():
            trial = _solve(subject, task, attrs.evolve(wire_faults()[fault], on=name, times=times))
            _check_books(trial, f"{fault} on {name}")

    def _paced(self) -> Subject:
        """The subject, unless the engine would ask for ever at one moment of the virtual clock."""
        subject = self.subject()
        if not subject.remote().min_poll_interval > 0:
            skip("min_poll_interval is not more than 0")
        return subject


@attrs.frozen
class _Trial:
    """A solve that has ended, and the books of both sides."""

    result: Result[Solution] | None
    error: Exception | None
    entries: Sequence[JobEntry]
    world: World

    @property
    def told(self) -> str:
        return _one_line(self.error)

    @property
    def faults(self) -> list[ProviderError]:
        """What the plugin raised that it may not."""
        ended = self.result or self.error
        attempts = ended.attempts if isinstance(ended, (Result, AllProvidersFailed)) else ()
        return [one.error for one in attempts if isinstance(one.error, PluginFault)]


def _solve(subject: Subject, task: Task[Solution], *faults: Fault) -> _Trial:
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

    async def run() -> _Trial:
        engine = Engine(
            load_mapping(mapping, subject.plugins),
            plugins=subject.plugins,
            connect=lambda _: transport,
            chance=lambda: 0.5,
        )
        result, failed = None, None
        try:
            result = await engine.solve(task, _TIMEOUT)
        # What it is, is what is looked at.
        except Exception as error:  # noqa: BLE001
            failed = error
        entries = await engine.jobs(None, 10)
        await engine.aclose()
        return _Trial(result, failed, entries, world)

    return run_virtual(run())


def _check_books(trial: _Trial, when: str) -> None:
    if trial.error is not None and not isinstance(trial.error, CaptchaHubError):
        fail(f"with {when} the engine raises {type(trial.error).__name__}: {trial.told}")
    if trial.faults:
        fail(f"with {when} {trial.faults[0]}: let every reply give a value or a ProviderError")
    jobs = list(trial.world.jobs.values())
    if len(jobs) > 1:
        fail(
            f"with {when} the job is ordered {len(jobs)} times and paid for as often: set nothing_created "
            "only where the service's words say that it took no order"
        )
    charged = sum((job.price for job in jobs), Decimal(0))
    counted = sum((entry.charge for entry in trial.entries), Decimal(0))
    if counted < charged:
        fail(
            f"with {when} the service charges {charged} and {counted} is counted, for the order was read as "
            f"{trial.told}: raise MalformedReply or ServiceUnavailable where nobody says that it was refused"
        )
    open_states = (JobState.SOLVED, JobState.CREATED, JobState.AMBIGUOUS)
    if jobs and not any(entry.state in open_states for entry in trial.entries):
        fail(f"with {when} the job is given up, though the service has solved it: {trial.told}")


def _one_line(error: Exception | None) -> str:
    return " ".join(str(error).split())
