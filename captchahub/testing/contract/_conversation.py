"""Calls to the emulated service without HTTP, in every situation of a job."""

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

_JOB_SECONDS = 10.0

_LONGEST_WAIT = 60.0


@attrs.frozen
class Reader:
    """One of a provider's ``read_*`` methods, with its first arguments and the types it may return."""

    method: str
    arguments: tuple[object, ...]
    expected: Any

    def read(self, provider: Provider, reply: Reply) -> object:
        """Return what the provider reads from a reply."""
        value: object = getattr(provider, self.method)(*self.arguments, reply)
        return value

    def __str__(self) -> str:
        return self.method


def _created_reader(task: Task[Solution]) -> Reader:
    return Reader("read_created", (task,), Created)


def _result_reader(job: Job) -> Reader:
    return Reader("read_result", (job,), (Pending, Solved))


@attrs.frozen
class Interaction:
    """One call to the service: its situation, the request, the reply, and the method that reads it."""

    situation: str
    request: Request
    reply: Reply
    reader: Reader


class Session:
    """A provider and its emulated service, with a clock that the checks set.

    ``own`` are the plugin's settings, by default new ones. ``solves`` says whether jobs end with an answer,
    and ``knows`` whether the account exists.
    """

    def __init__(
        self,
        subject: Subject,
        own: object = None,
        *,
        balance: str = "10",
        solves: bool = True,
        knows: bool = True,
    ) -> None:
        self.now = 0.0
        self.provider = subject.remote(own)
        self.first_poll = _first_poll_delay(self.provider)
        """The time of the first poll, in seconds after the job was created."""
        self._emulation = subject.emulation()
        self.world = World(
            now=lambda: self.now,
            read_picture=lambda kind, _picture: subject.answer_to(kind) if solves else None,
            job_seconds=lambda: self.first_poll + _JOB_SECONDS,
        )
        self.world.add_account(subject.token if knows else "another-account", balance)

    def send(self, request: Request) -> Reply:
        """Return the service's reply."""
        try:
            answer = self._emulation.answer(received(request, self.now), self.world)
        # An emulation is the author's code and can fail in any way.
        except Exception as error:  # noqa: BLE001 - reported to the author
            raised = f"{type(error).__name__}: {error}{location(error)}"
            fail(
                f"the emulation raises {raised} on {request.method} {request.url}: it must answer every call"
            )
        return Reply(answer.status, answer.body, answer.headers)

    def create(self, task: Task[Solution], situation: str = "create") -> Interaction:
        """Create a job for a task."""
        request = self.provider.create_job(task)
        return Interaction(situation, request, self.send(request), _created_reader(task))

    def poll(self, job: Job, situation: str) -> Interaction:
        """Poll a job."""
        request = self.provider.poll_job(job)
        return Interaction(situation, request, self.send(request), _result_reader(job))


def conversation(subject: Subject, task: Task[Solution]) -> list[Interaction]:
    """Return the calls for a task in every situation: refused, in work, solved, failed and unknown.

    The calls that need a job id are left out if the service answers without one, or if the provider can't
    read it.
    """
    # Reading the configuration for each session would take half the time of all checks.
    own = subject.own_settings
    session, failing = Session(subject, own), Session(subject, own, solves=False)
    calls = [session.create(task), *_refusals(subject, own, task), *other_calls(session)]
    job, is_answered = _created_job(session, task, calls[0].reply)
    if job is not None:
        session.now = session.first_poll
        calls += [] if is_answered else [session.poll(job, "job in work")]
        calls.append(Session(subject, own).poll(job, "unknown job"))
        session.now = 2 * (session.first_poll + _JOB_SECONDS)
        calls += [session.poll(job, "solved job"), *_reports(session, job)]
    failed, is_answered = _created_job(failing, task, failing.create(task).reply)
    if failed is not None and not is_answered:
        failing.now = 2 * (failing.first_poll + _JOB_SECONDS)
        calls.append(failing.poll(failed, "failed job"))
    return calls


def _first_poll_delay(provider: Provider) -> float:
    # Another check reports an invalid value.
    wait: Any = provider.min_first_poll_delay
    return wait if isinstance(wait, (int, float)) and 0 < wait <= _LONGEST_WAIT else 0.0


def conversations(subject: Subject) -> list[Interaction]:
    """Return the calls for one task of each kind."""
    return [interaction for task in subject.first_tasks() for interaction in conversation(subject, task)]


def job_of(provider: Provider, task: Task[Solution], reply: Reply) -> Job | None:
    """Return the job that a reply creates, or None if it can't be read or has no job id."""
    try:
        job_id = provider.read_created(task, reply).job_id
    # Other checks report why it can't be read.
    except Exception:  # noqa: BLE001
        return None
    return None if job_id is None else Job(job_id, task.kind)


def _refusals(subject: Subject, own: object, task: Task[Solution]) -> Iterator[Interaction]:
    emulation = subject.emulation()
    if emulation.token_key:
        yield Session(subject, own, knows=False).create(task, "create with a wrong token")
    # A free job needs no balance.
    if emulation.prices.get(task.kind) != 0:
        yield Session(subject, own, balance="0").create(task, "create on an empty account")


def _created_job(session: Session, task: Task[Solution], reply: Reply) -> tuple[Job | None, bool]:
    """Return the job, and whether the service answered at once."""
    job = job_of(session.provider, task, reply)
    return job, job is not None and session.provider.read_created(task, reply).solution is not None


def all_readers(subject: Subject) -> list[Reader]:
    """Return all readers of the provider, for each kind of task and each type of job id."""
    provider = subject.remote()
    found: list[Reader] = []
    for task in subject.first_tasks():
        found += [
            _created_reader(task),
            _result_reader(Job(123456, task.kind)),
            _result_reader(Job("37223a89-06ed", task.kind)),
        ]
    optional = {"read_balance": Balance, "read_services": (list, tuple), "read_report": type(None)}
    return found + [Reader(name, (), kind) for name, kind in optional.items() if _is_own(provider, name)]


def _is_own(provider: Provider, name: str) -> bool:
    return getattr(type(provider), name, None) is not getattr(Provider, name)


def other_calls(session: Session) -> Iterator[Interaction]:
    """Yield the calls that need no job, such as for the balance, if the service has them."""
    for request_method, name, kind in (
        ("ask_balance", "read_balance", Balance),
        ("ask_services", "read_services", (list, tuple)),
    ):
        try:
            request: Request = getattr(session.provider, request_method)()
        except CaptchaHubError:
            continue
        situation = request_method.removeprefix("ask_")
        yield Interaction(situation, request, session.send(request), Reader(name, (), kind))


def _reports(session: Session, job: Job) -> Iterator[Interaction]:
    for correct in (True, False):
        try:
            request = session.provider.ask_report(job, correct=correct)
        except CaptchaHubError:
            continue
        yield Interaction("report", request, session.send(request), Reader("read_report", (), type(None)))
