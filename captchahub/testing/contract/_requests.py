"""Checks of a provider's requests, options and reports, and that it only translates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from urllib.parse import urlsplit

import attrs

from captchahub._support.credentials import is_loopback
from captchahub.errors import CaptchaHubError
from captchahub.provider import Job, JobId, Provider, Request
from captchahub.tasks import Solution, Task
from captchahub.testing.contract._base import Checks
from captchahub.testing.contract._conversation import Interaction, Session, conversations, job_of
from captchahub.testing.contract._purity import io_attempts
from captchahub.testing.contract._subject import Subject, fail

# When every job of an emulation has ended, in seconds.
_LONG_AFTER = 1000.0


class RequestChecks(Checks):
    """Checks of every request."""

    def test_every_request_goes_to_the_service_over_https_or_on_this_machine(self) -> None:
        for interaction in conversations(self.subject()):
            request = interaction.request
            address = urlsplit(request.url)
            if address.scheme != "https" and not (address.scheme == "http" and is_loopback(address.hostname)):
                fail(
                    f"the request of {interaction.situation} goes to {request.url}: build the address from a "
                    "setting with the converter service_url"
                )

    def test_an_option_is_sent_or_reported_as_ignored(self) -> None:
        provider, tasks = self.subject().remote(), self.subject().tasks
        for task in tasks:
            for name in task.options:
                # Options can contradict each other, but a task with one option is always valid.
                alone = attrs.evolve(task, **dict.fromkeys(set(task.options) - {name}))  # type: ignore[misc] # any task is an attrs class
                _check_option(provider, alone, name)
        for one, other, name in _pairs(tasks):
            both = name in provider.sent_options(one) and name in provider.sent_options(other)
            if both and _same(provider, one, other):
                fail(
                    f"sent_options names {name}, but {one.options[name]!r} and {other.options[name]!r} make "
                    "the same request: send the value, or do not name it"
                )

    def test_a_report_says_what_the_caller_says(self) -> None:
        for task in self.subject().first_tasks():
            requests: dict[bool, Request] = {}
            for correct in (True, False):
                request, reported = _report(self.subject(), task, correct=correct)
                if request is not None:
                    requests[correct] = request
                if (not correct) in reported:
                    fail(
                        f"ask_report(correct={correct}) makes the service record the opposite: send the "
                        "value of correct, or raise NotOffered if the service has no such report"
                    )
            if len(requests) > 1 and requests[True] == requests[False]:
                fail(
                    "ask_report makes the same request for right and for wrong answers: send the value of "
                    "correct, or raise NotOffered for the report that the service does not accept"
                )

    def test_nothing_is_kept_between_calls(self) -> None:
        subject = self.subject()
        tasks = [*subject.first_tasks(), *subject.tasks[1:3]]
        calls = [_create_call(task) for task in tasks] + [_poll_call(job_id) for job_id in (7, 8)]
        calls += [_read_call(interaction) for interaction in conversations(subject)]
        shared = subject.remote()
        together = [[call(shared) for call in calls], [call(shared) for call in calls[::-1]][::-1]]
        for number, call in enumerate(calls):
            alone = call(subject.remote())
            if not (together[0][number] == together[1][number] == alone):
                fail(
                    f"{call.__name__} returns another value after other calls: keep nothing in the provider, "
                    "because many tasks and threads share it"
                )

    def test_arguments_and_settings_are_left_alone(self) -> None:
        subject = self.subject()
        settings = subject.load().own
        provider = subject.remote(settings)
        for interaction in conversations(subject):
            arguments = interaction.reader.arguments
            reply = attrs.evolve(interaction.reply, headers={**interaction.reply.headers, "x-kept": "yes"})
            before = (repr(arguments), dict(reply.headers))
            _value_or_error(partial(interaction.reader.read, provider, reply))
            if (repr(arguments), dict(reply.headers)) != before:
                fail(f"{interaction.reader} changes its arguments: leave its arguments as they are")
        if settings != subject.load().own:
            fail("the provider changes its settings: leave them as they are, because they are shared")

    def test_the_provider_does_no_io(self) -> None:
        subject = self.subject()
        provider, job = subject.remote(), Job(7, subject.tasks[0].kind)
        calls: list[tuple[str, Callable[[], object]]] = [
            ("poll_job", partial(provider.poll_job, job)),
            ("ask_balance", provider.ask_balance),
            ("ask_services", provider.ask_services),
            ("ask_report", partial(provider.ask_report, job, correct=True)),
            ("ask_report", partial(provider.ask_report, job, correct=False)),
        ]
        for task in subject.tasks:
            calls.append(("create_job", partial(provider.create_job, task)))
            calls.append(("sent_options", partial(provider.sent_options, task)))
        calls += [
            (interaction.reader.method, partial(interaction.reader.read, provider, interaction.reply))
            for interaction in conversations(subject)
        ]
        for name, call in calls:
            # The first call may import modules, which reads files.
            _value_or_error(call)
            attempts = io_attempts(partial(_value_or_error, call))
            if attempts:
                fail(
                    f"{name} does {attempts[0]}: a provider only translates, so leave files, sockets, "
                    "processes, threads and sleeping to the engine, and print nothing"
                )


def _value_or_error(call: Callable[[], object]) -> object:
    """Return a call's value, or the type and text of its error."""
    try:
        return call()
    # Other checks report errors that a provider must not raise.
    except Exception as error:  # noqa: BLE001
        return type(error), str(error)


def _create_call(task: Task[Solution]) -> Callable[[Provider], object]:
    def create_job(provider: Provider) -> object:
        return _value_or_error(lambda: _without_unique_parts(lambda: provider.create_job(task)))

    return create_job


def _poll_call(job_id: JobId) -> Callable[[Provider], object]:
    def poll_job(provider: Provider) -> object:
        return _value_or_error(
            lambda: _without_unique_parts(lambda: provider.poll_job(Job(job_id, "image-to-text")))
        )

    return poll_job


def _read_call(interaction: Interaction) -> Callable[[Provider], object]:
    def read(provider: Provider) -> object:
        return _value_or_error(lambda: interaction.reader.read(provider, interaction.reply))

    read.__name__ = interaction.reader.method
    return read


def _request(provider: Provider, task: Task[Solution]) -> Request | None:
    try:
        return _without_unique_parts(lambda: provider.create_job(task))
    except CaptchaHubError:
        return None


def _without_unique_parts(make: Callable[[], Request]) -> Request:
    """Return a request without the parts that differ each time, such as a request id or a form's boundary."""
    one, other = make(), make()
    unique = [name for name, value in one.headers.items() if other.headers.get(name, value) != value]
    body = one.body
    for name in unique:
        boundary = re.search(r'boundary="?([^";]+)', one.headers[name])
        body = body.replace(boundary[1].encode(), b"") if boundary else body
    headers = {name: value for name, value in one.headers.items() if name not in unique}
    return attrs.evolve(one, headers=headers, body=body)


def _same(provider: Provider, one: Task[Solution], other: Task[Solution]) -> bool:
    requests = [_request(provider, task) for task in (one, other)]
    return None not in requests and requests[0] == requests[1]


def _check_option(provider: Provider, task: Task[Solution], name: str) -> None:
    without: Task[Solution] = attrs.evolve(task, **{name: None})  # type: ignore[misc] # any task is an attrs class
    if _request(provider, task) is None or _request(provider, without) is None:
        return
    is_sent = name in provider.sent_options(task)
    changes_request = not _same(provider, task, without)
    value = task.options[name]
    if is_sent and not changes_request:
        fail(
            f"sent_options says that {name}={value!r} reaches the service, but the request is the same "
            "without it: send it, or do not name it, so that it is reported as ignored"
        )
    if changes_request and not is_sent:
        fail(
            f"{name}={value!r} changes the request, but sent_options does not name it, so it is reported as "
            "ignored: name it there, or do not send it"
        )


def _pairs(tasks: Iterable[Task[Solution]]) -> Iterator[tuple[Task[Solution], Task[Solution], str]]:
    """Yield two tasks that differ in the value of one option, and the option's name."""
    listed = list(tasks)
    for number, one in enumerate(listed):
        for other in listed[number + 1 :]:
            differing = {
                name
                for name in one.options.keys() | other.options
                if one.options.get(name) != other.options.get(name)
            }
            if (
                one.kind == other.kind
                and len(differing) == 1
                and differing <= one.options.keys() & other.options.keys()
            ):
                yield one, other, differing.pop()


def _report(
    subject: Subject, task: Task[Solution], *, correct: bool
) -> tuple[Request | None, list[bool | None]]:
    """Return the request that reports a solved job, or None, and what the service recorded of it."""
    session = Session(subject)
    job = job_of(session.provider, task, session.create(task).reply)
    if job is None:
        return None, []
    session.now = _LONG_AFTER
    session.poll(job, "solved job")
    try:
        request = _without_unique_parts(lambda: session.provider.ask_report(job, correct=correct))
    except CaptchaHubError:
        return None, []
    session.send(request)
    return request, [record.reported for record in session.world.jobs.values()]
