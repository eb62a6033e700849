"""Checks of what a provider asks: requests, options, reports, and that it only translates."""

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
from captchahub.testing.contract._conversation import Exchange, Line, conversations, job_of
from captchahub.testing.contract._purity import noises
from captchahub.testing.contract._subject import Subject, fail

__all__ = ["OrderChecks"]

# When every job of an emulation has ended, in seconds.
_LONG_AFTER = 1000.0


class OrderChecks(Checks):
    """What holds for every request."""

    def test_every_request_goes_to_the_service_over_https_or_on_this_machine(self) -> None:
        for exchange in conversations(self.subject()):
            request = exchange.request
            address = urlsplit(request.url)
            if address.scheme != "https" and not (address.scheme == "http" and is_loopback(address.hostname)):
                fail(
                    f"{exchange.situation} asks {request.url}: build the address from settings that have "
                    "the converter service_url"
                )

    def test_an_option_is_sent_or_reported_as_ignored(self) -> None:
        provider, tasks = self.subject().remote(), self.subject().tasks
        for task in tasks:
            for name in task.options:
                # Options can contradict each other, but one alone is always a task.
                alone = attrs.evolve(task, **dict.fromkeys(set(task.options) - {name}))  # type: ignore[misc] # any task is an attrs class
                _check_option(provider, alone, name)
        for one, other, name in _pairs(tasks):
            both = name in provider.sent_options(one) and name in provider.sent_options(other)
            if both and _same(provider, one, other):
                fail(
                    f"sent_options says that {name} is sent, but {one.options[name]!r} and "
                    f"{other.options[name]!r} make the same request: send the value, or leave it out there"
                )

    def test_a_report_says_what_the_caller_says(self) -> None:
        for task in self.subject().first_tasks():
            asked: dict[bool, Request] = {}
            for correct in (True, False):
                request, reported = _report(self.subject(), task, correct=correct)
                if request is not None:
                    asked[correct] = request
                if (not correct) in reported:
                    fail(
                        f"ask_report(correct={correct}) makes the service note the opposite: send what "
                        "correct says, or raise NotOffered where the service has no such report"
                    )
            if len(asked) > 1 and asked[True] == asked[False]:
                fail(
                    "ask_report makes the same request for right and for wrong answers: send what correct "
                    "says, or raise NotOffered for the one that the service does not take"
                )

    def test_nothing_is_kept_between_calls(self) -> None:
        subject = self.subject()
        tasks = [*subject.first_tasks(), *subject.tasks[1:3]]
        said = conversations(subject)
        asks = [_asking(task) for task in tasks] + [_polling(job_id) for job_id in (7, 8)]
        asks += [_reading(exchange) for exchange in said]
        shared = subject.remote()
        together = [[ask(shared) for ask in asks], [ask(shared) for ask in asks[::-1]][::-1]]
        for number, ask in enumerate(asks):
            alone = ask(subject.remote())
            if not (together[0][number] == together[1][number] == alone):
                fail(
                    f"{ask.__name__} gives another value after other calls than before them: keep nothing in "
                    "the provider, for many tasks and threads share it"
                )

    def test_arguments_and_settings_are_left_alone(self) -> None:
        subject = self.subject()
        settings = subject.load().own
        provider = subject.remote(settings)
        for exchange in conversations(subject):
            task = exchange.reading.about
            reply = attrs.evolve(exchange.reply, headers={**exchange.reply.headers, "x-kept": "yes"})
            kept = (repr(task), dict(reply.headers))
            _quietly(partial(exchange.reading.of, provider, reply))
            if (repr(task), dict(reply.headers)) != kept:
                fail(f"{exchange.reading} changes what it was given: leave its arguments as they are")
        if settings != subject.load().own:
            fail("the provider changes its settings: leave them as they are, they are shared")

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
            (exchange.reading.method, partial(exchange.reading.of, provider, exchange.reply))
            for exchange in conversations(subject)
        ]
        for name, call in calls:
            # Once before, so that what is imported late is there.
            _quietly(call)
            heard = noises(partial(_quietly, call))
            if heard:
                fail(
                    f"{name} does {heard[0]}: a provider only translates, so leave files, sockets, "
                    "processes, threads and sleeping to the core, and print nothing"
                )


def _quietly(call: Callable[[], object]) -> object:
    """What a call gives, or the error it raises."""
    try:
        return call()
    # What a provider raises is what other checks are about.
    except Exception as error:  # noqa: BLE001
        return type(error), str(error)


def _asking(task: Task[Solution]) -> Callable[[Provider], object]:
    def create_job(provider: Provider) -> object:
        return _quietly(lambda: _steady(lambda: provider.create_job(task)))

    return create_job


def _polling(job_id: JobId) -> Callable[[Provider], object]:
    def poll_job(provider: Provider) -> object:
        return _quietly(lambda: _steady(lambda: provider.poll_job(Job(job_id, "image-to-text"))))

    return poll_job


def _reading(exchange: Exchange) -> Callable[[Provider], object]:
    def read(provider: Provider) -> object:
        return _quietly(lambda: exchange.reading.of(provider, exchange.reply))

    read.__name__ = exchange.reading.method
    return read


def _request(provider: Provider, task: Task[Solution]) -> Request | None:
    try:
        return _steady(lambda: provider.create_job(task))
    except CaptchaHubError:
        return None


def _steady(make: Callable[[], Request]) -> Request:
    """A request without what is new each time, such as a request's id or the boundary of a form's parts."""
    one, other = make(), make()
    new = [name for name, value in one.headers.items() if other.headers.get(name, value) != value]
    body = one.body
    for name in new:
        mark = re.search(r'boundary="?([^";]+)', one.headers[name])
        body = body.replace(mark[1].encode(), b"") if mark else body
    headers = {name: value for name, value in one.headers.items() if name not in new}
    return attrs.evolve(one, headers=headers, body=body)


def _same(provider: Provider, one: Task[Solution], other: Task[Solution]) -> bool:
    requests = [_request(provider, task) for task in (one, other)]
    return None not in requests and requests[0] == requests[1]


def _check_option(provider: Provider, task: Task[Solution], name: str) -> None:
    without: Task[Solution] = attrs.evolve(task, **{name: None})  # type: ignore[misc] # any task is an attrs class
    if _request(provider, task) is None or _request(provider, without) is None:
        return
    is_sent = name in provider.sent_options(task)
    is_told = not _same(provider, task, without)
    value = task.options[name]
    if is_sent and not is_told:
        fail(
            f"sent_options says that {name}={value!r} reaches the service, but the request is the same "
            "without it: send it, or leave it out there so that it is reported as ignored"
        )
    if is_told and not is_sent:
        fail(
            f"{name}={value!r} changes the request, but sent_options does not name it, so that it is "
            "reported as ignored: name it there, or do not send it"
        )


def _pairs(tasks: Iterable[Task[Solution]]) -> Iterator[tuple[Task[Solution], Task[Solution], str]]:
    """Two tasks with different values of one option and the same of all others, and the option's name."""
    listed = list(tasks)
    for number, one in enumerate(listed):
        for other in listed[number + 1 :]:
            apart = {
                name
                for name in one.options.keys() | other.options
                if one.options.get(name) != other.options.get(name)
            }
            if (
                one.kind == other.kind
                and len(apart) == 1
                and apart <= one.options.keys() & other.options.keys()
            ):
                yield one, other, apart.pop()


def _report(
    subject: Subject, task: Task[Solution], *, correct: bool
) -> tuple[Request | None, list[bool | None]]:
    """Return the report of a solved job, None where there is none, and what the service noted of it."""
    line = Line(subject)
    job = job_of(line.provider, task, line.order(task).reply)
    if job is None:
        return None, []
    line.now = _LONG_AFTER
    line.poll(job, "solved job")
    try:
        request = _steady(lambda: line.provider.ask_report(job, correct=correct))
    except CaptchaHubError:
        return None, []
    line.ask(request)
    return request, [record.reported for record in line.world.jobs.values()]
