"""Checks that a job id passes unchanged from the service's reply into the next request."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from captchahub.provider import Job, JobId, Provider, Reply, Request
from captchahub.tasks import Solution, Task
from captchahub.testing._documents import BinaryBody, JsonBody, read_document
from captchahub.testing.contract._base import Checks
from captchahub.testing.contract._conversation import conversation, job_of
from captchahub.testing.contract._subject import Subject, fail, skip

# Numbers too large for a double, a text whose leading zeros matter, a UUID, and characters that a URL, a form
# or XML must quote.
_IDS: tuple[JobId, ...] = (
    2**53 + 1,
    str(2**53 + 1),
    "00123456",
    "37223a89-06ed-442c-a0b8-22067b79c5b4",
    "a/b?c=1&d#e f%2f<g>",
)


class JobIdChecks(Checks):
    """Checks of every job id."""

    def test_a_job_id_comes_out_of_the_reply_exactly_as_the_service_gave_it(self) -> None:
        for _, given, read in _ids(self.subject()):
            if type(read) is not type(given) or read != given:
                fail(
                    f"the service sent the job id {given!r} and read_created makes {read!r} of it: "
                    "keep it unchanged, a number as a number and a text as a text"
                )

    def test_a_job_id_goes_into_the_next_request_exactly_as_it_was(self) -> None:
        provider = self.subject().remote()
        for kind, _, job_id in _ids(self.subject()):
            request = provider.poll_job(Job(job_id, kind))
            if not _contains(request, job_id):
                fail(
                    f"the request of poll_job does not contain the job id {job_id!r} unchanged: "
                    "send Job.id unchanged, a number as a number and a text as a text"
                )


def _ids(subject: Subject) -> Iterator[tuple[str, JobId, JobId]]:
    """Yield the task kind, an id in a reply, and the id that was read, for real replies and changed ones."""
    provider = subject.remote()
    for task in subject.first_tasks():
        reply = conversation(subject, task)[0].reply
        job = job_of(provider, task, reply)
        if job is None:
            skip("the service answers at once, without a job id")
        yield from _ids_in(provider, task, reply, job)


def _ids_in(
    provider: Provider, task: Task[Solution], reply: Reply, job: Job
) -> Iterator[tuple[str, JobId, JobId]]:
    document = read_document(reply.body)
    places = [(place, value) for place, value in document.values() if str(value) == str(job.id)]
    if not places:
        if isinstance(document, BinaryBody):
            # The id may be encoded in any way.
            return
        fail(f"read_created returns the job id {job.id!r}, which is not in the reply: keep it unchanged")
    place, given = places[0]
    for one in (given, *_IDS):
        other = job_of(provider, task, attrs.evolve(reply, body=document.changed(place, one)))
        # A provider may refuse values that are never an id at its service.
        if other is not None and isinstance(one, (int, str)):
            # In formats where every value is text, a number cannot be distinguished from a text.
            is_same = not isinstance(document, JsonBody) and str(one) == str(other.id)
            yield task.kind, other.id if is_same else one, other.id


def _contains(request: Request, job_id: JobId) -> bool:
    """Return whether the request's URL or body contains the job id."""
    address = urlsplit(request.url)
    # An id that is not quoted is split here, and not found.
    texts = [unquote(step) for step in address.path.split("/")]
    texts += [value for _, value in parse_qsl(address.query, keep_blank_values=True)]
    if any(str(job_id) in text for text in texts):
        return True
    document = read_document(request.body)
    if isinstance(document, JsonBody):
        values = [value for _, value in document.values()]
        return any(type(value) is type(job_id) and value == job_id for value in values)
    if any(value == str(job_id) for _, value in document.values()):
        return True
    return isinstance(document, BinaryBody) or str(job_id) in request.body.decode(errors="replace")
