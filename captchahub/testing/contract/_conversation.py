"""Talking to the emulated service without HTTP, and what it says in each situation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from captchahub.errors import CaptchaHubError
from captchahub.provider import Balance, Created, Job, Pending, Provider, Reply, Request, Solved
from captchahub.tasks import Solution, Task
from captchahub.testing.contract._subject import Subject, fail, location
from captchahub.testing.emulation import World
from captchahub.testing.transport import received

__all__ = ["Exchange", "Line", "Reading", "beside", "conversation", "conversations", "job_of", "readings"]

_JOB_SECONDS = 10.0

_LONGEST_WAIT = 60.0


@attrs.frozen
class Reading:
    """One of a provider's readers, with what it is asked about and what it may give."""

    method: str
    about: tuple[object, ...]
    wanted: Any

    def of(self, provider: Provider, reply: Reply) -> object:
        """What the provider makes of a reply."""
        value: object = getattr(provider, self.method)(*self.about, reply)
        return value

    def __str__(self) -> str:
        return self.method


def _of_order(task: Task[Solution]) -> Reading:
    return Reading("read_created", (task,), Created)


def _of_job(job: Job) -> Reading:
    return Reading("read_result", (job,), (Pending, Solved))


@attrs.frozen
class Exchange:
    """One call to the service: the situation, what was sent, the reply, and who reads it."""

    situation: str
    request: Request
    reply: Reply
    reading: Reading


class Line:
    """A provider and its emulated service, with a clock that is set by hand.

    ``solves`` says whether jobs end with an answer, ``knows`` whether the account exists.
    """

    def __init__(
        self, subject: Subject, *, balance: str = "10", solves: bool = True, knows: bool = True
    ) -> None:
        self.now = 0.0
        self.provider = subject.remote()
        self.first_question = _first_question(self.provider)
        """When a job may be asked for, in seconds after the order."""
        self._emulation = subject.emulation()
        self.world = World(
            now=lambda: self.now,
            read_picture=lambda kind, _picture: subject.answer_to(kind) if solves else None,
            job_seconds=lambda: self.first_question + _JOB_SECONDS,
        )
        self.world.add_account(subject.token if knows else "somebody-elses", balance)

    def ask(self, request: Request) -> Reply:
        """The service's reply."""
        try:
            answer = self._emulation.answer(received(request, self.now), self.world)
        # An emulation is the author's code and can fail in any way.
        except Exception as error:  # noqa: BLE001 - told to the author
            raised = f"{type(error).__name__}: {error}{location(error)}"
            fail(f"the emulation raises {raised} on {request.method} {request.url}: let it answer every call")
        return Reply(answer.status, answer.body, answer.headers)

    def order(self, task: Task[Solution], situation: str = "order") -> Exchange:
        """The order for a task, and what came of it."""
        request = self.provider.create_job(task)
        return Exchange(situation, request, self.ask(request), _of_order(task))

    def poll(self, job: Job, situation: str) -> Exchange:
        """The question for a job, and what came of it."""
        request = self.provider.poll_job(job)
        return Exchange(situation, request, self.ask(request), _of_job(job))


def conversation(subject: Subject, task: Task[Solution]) -> list[Exchange]:
    """What is said in the life of a job, in good days and bad ones, and beside it.

    What the provider can't bring about, for it can't read the order's reply, is left out.
    """
    line, failing = Line(subject), Line(subject, solves=False)
    said = [line.order(task), *_refusals(subject, task), *beside(line)]
    job, is_over = _begun(line, task, said[0].reply)
    if job is not None:
        line.now = line.first_question
        said += [] if is_over else [line.poll(job, "job in work")]
        said.append(Line(subject).poll(job, "unknown job"))
        line.now = 2 * (line.first_question + _JOB_SECONDS)
        said += [line.poll(job, "solved job"), *_reports(line, job)]
    lost, is_over = _begun(failing, task, failing.order(task).reply)
    if lost is not None and not is_over:
        failing.now = 2 * (failing.first_question + _JOB_SECONDS)
        said.append(failing.poll(lost, "failed job"))
    return said


def _first_question(provider: Provider) -> float:
    # What is wrong with it, is what another check is about.
    wait: Any = provider.min_first_poll_delay
    return wait if isinstance(wait, (int, float)) and 0 < wait <= _LONGEST_WAIT else 0.0


def conversations(subject: Subject) -> list[Exchange]:
    """The conversation about one task of each kind."""
    return [exchange for task in subject.first_tasks() for exchange in conversation(subject, task)]


def job_of(provider: Provider, task: Task[Solution], reply: Reply) -> Job | None:
    """The job that a reply to an order tells of; None where it can't be read, or names none."""
    try:
        job_id = provider.read_created(task, reply).job_id
    # Why it can't be read is what another check is about.
    except Exception:  # noqa: BLE001
        return None
    return None if job_id is None else Job(job_id, task.kind)


def _refusals(subject: Subject, task: Task[Solution]) -> Iterator[Exchange]:
    emulation = subject.emulation()
    if emulation.token_key:
        yield Line(subject, knows=False).order(task, "order with a wrong token")
    # What is free can be had without money.
    if emulation.prices.get(task.kind) != 0:
        yield Line(subject, balance="0").order(task, "order on an empty account")


def _begun(line: Line, task: Task[Solution], reply: Reply) -> tuple[Job | None, bool]:
    """The job, and whether the service answered at once."""
    job = job_of(line.provider, task, reply)
    return job, job is not None and line.provider.read_created(task, reply).solution is not None


def readings(subject: Subject) -> list[Reading]:
    """Every reader that the provider has, for each kind of task and each shape of a job's id."""
    provider = subject.remote()
    found: list[Reading] = []
    for task in subject.first_tasks():
        found += [_of_order(task), _of_job(Job(123456, task.kind)), _of_job(Job("37223a89-06ed", task.kind))]
    beside = {"read_balance": Balance, "read_services": (list, tuple), "read_report": type(None)}
    return found + [Reading(name, (), kind) for name, kind in beside.items() if _is_own(provider, name)]


def _is_own(provider: Provider, name: str) -> bool:
    return getattr(type(provider), name, None) is not getattr(Provider, name)


def beside(line: Line) -> Iterator[Exchange]:
    """What is asked beside jobs, where the service has such calls."""
    for ask, name, kind in (
        ("ask_balance", "read_balance", Balance),
        ("ask_services", "read_services", (list, tuple)),
    ):
        try:
            request: Request = getattr(line.provider, ask)()
        except CaptchaHubError:
            continue
        yield Exchange(ask.removeprefix("ask_"), request, line.ask(request), Reading(name, (), kind))


def _reports(line: Line, job: Job) -> Iterator[Exchange]:
    for correct in (True, False):
        try:
            request = line.provider.ask_report(job, correct=correct)
        except CaptchaHubError:
            continue
        yield Exchange("report", request, line.ask(request), Reading("read_report", (), type(None)))
