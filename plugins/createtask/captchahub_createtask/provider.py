"""The createTask protocol as a provider, for the dialect that the settings name.

Sources: the services' pages on ``createTask``, ``getTaskResult``, ``getBalance`` and reports. The differences
between services are in :mod:`captchahub_createtask.dialects`.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from captchahub.errors import JobFailed, MalformedReply, NotOffered, UnsupportedTask
from captchahub.images import Image
from captchahub.provider import Balance, Created, Job, JobId, Pending, Provider, Reply, Request, Solved
from captchahub.tasks import ImageToText, Solution, Task, TextSolution
from captchahub.words import Words, job_id_of, money, says_failed, says_working
from captchahub_createtask.answers import cost, credits_in, is_failure, solution, word
from captchahub_createtask.dialects import BALANCE, CREATE, POLL, REPORT, Dialect
from captchahub_createtask.messages import failure, is_not_ready, reason
from captchahub_createtask.options import task_fields
from captchahub_createtask.settings import CreateTaskSettings

__all__ = ["CreateTaskProvider"]


class CreateTaskProvider(Provider):
    """An account at a service that speaks createTask: ``image-to-text`` with the options of its dialect."""

    kinds = frozenset({ImageToText.kind})

    def __init__(self, settings: CreateTaskSettings) -> None:
        self._settings = settings
        self._spoken = settings.spoken
        self._words = Words(self._spoken.service, settings.client_key)
        self.min_poll_interval = self._spoken.seconds_between_polls
        self.min_first_poll_delay = self._spoken.seconds_before_first_poll

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        """Return the names of the options that the request states in full.

        The protocol can state a ``charset`` only as "digits only" or "letters only", and a ``language`` only
        as a pool of workers.
        """
        return task_fields(task, self._spoken).sent if isinstance(task, ImageToText) else ()

    def create_job(self, task: Task[Solution]) -> Request:
        """Return the ``createTask`` call.

        Raises UnsupportedTask for any other kind of task, and for a picture outside the service's limits.
        """
        if not isinstance(task, ImageToText):
            raise UnsupportedTask(self._only(task.kind))
        excess = _excess(task.image, self._spoken)
        if excess is not None:
            raise UnsupportedTask(f"{self._spoken.service} takes no picture of {excess}")
        fields = task_fields(task, self._spoken)
        task_object = {
            "type": self._spoken.task_type,
            self._spoken.image_field: task.image,
            **fields.inside,
            **self._settings.task_fields,
        }
        return self._request(CREATE, task=task_object, **fields.beside)

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:  # noqa: ARG002 - the contract's
        """Return the job id, and the answer if the service sent it at once, as CapSolver does.

        An answer is paid for, so it is accepted without an id too. Raises MalformedReply if the service
        accepted the job but returned neither, and JobFailed if the job has already ended without an answer.
        """
        answer = self._answer(CREATE, reply)
        created = self._id(answer)
        status = word(answer.get("status"))
        if says_failed(status):
            raise JobFailed(self._ended(answer, status))
        # Without an id the job cannot be polled later, so an answer is taken even if the status is missing.
        is_over = status.lower() == "ready" or (created is None and not status)
        if is_over and answer.get("solution") is not None:
            return Created(created, self._solution(answer), cost(answer))
        if created is None:
            raise MalformedReply(
                f"createTask succeeded with {self._words.shown(answer.get('taskId'))} as taskId"
            )
        return Created(created)

    def poll_job(self, job: Job) -> Request:
        """Return the ``getTaskResult`` call, with the id as the service sent it."""
        return self._request(POLL, taskId=job.id)

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        """Return Pending for ``processing``, and for an unknown status unless it comes with a text.

        Raises JobFailed for ``failed`` (seen at CapSolver) and similar words. It also does if a finished job
        has no readable text, because the next poll would return the same.
        """
        if job.kind not in self.kinds:
            raise UnsupportedTask(self._only(job.kind))
        answer = reply.json_object()
        if is_not_ready(answer):
            return Pending("processing")
        self._check(POLL, answer, reply)
        status = word(answer.get("status"))
        if says_failed(status):
            raise JobFailed(self._ended(answer, status))
        is_working = says_working(status)
        if status.lower() == "ready" or (not is_working and solution(answer) is not None):
            return Solved(self._solution(answer), cost(answer))
        if not status:
            raise MalformedReply(f"getTaskResult has {self._words.shown(answer.get('status'))} as status")
        return Pending(self._words.of(status), is_known=is_working)

    def ask_balance(self) -> Request:
        """Return the ``getBalance`` call."""
        return self._request(BALANCE)

    def read_balance(self, reply: Reply) -> Balance:
        """Return the balance, sent as a number or a text, and what is left of packages; no currency."""
        answer = self._answer(BALANCE, reply)
        given, in_kind = answer.get("balance"), credits_in(answer)
        amount = money(given)
        if amount is None and not in_kind:
            raise MalformedReply(f"getBalance has {self._words.shown(given)} as balance")
        return Balance(amount or Decimal(0), in_kind=in_kind)

    def ask_report(self, job: Job, *, correct: bool) -> Request:
        """Return the dialect's call for wrong or right answers. Raises NotOffered if it has no such call."""
        wrong, right = self._spoken.wrong_call, self._spoken.right_call
        call = right if correct else wrong
        if call is None:
            raise NotOffered(self._no_report())
        verdict = {"result": {"invalid": not correct}} if wrong == right else {}
        return self._request(call, taskId=job.id, **verdict)

    def read_report(self, reply: Reply) -> None:
        """Return if the service accepted the report, else raise a ProviderError."""
        self._answer(REPORT, reply)

    def _request(self, call: str, **fields: object) -> Request:
        payload = {"clientKey": self._settings.client_key.reveal(), **fields}
        return Request.post_json(f"{self._spoken.base_url}/{call}", payload)

    def _answer(self, call: str, reply: Reply) -> dict[str, object]:
        answer = reply.json_object()
        self._check(call, answer, reply)
        return answer

    def _check(self, call: str, answer: dict[str, object], reply: Reply) -> None:
        failed = is_failure(answer)
        if failed:
            raise failure(call, answer, self._words, reply)
        # An object that says neither success nor failure may come from a proxy in front of the service.
        error = reply.http_error() if failed is None else None
        if error is not None:
            raise error

    def _id(self, answer: dict[str, object]) -> JobId | None:
        """Return the job id, or None if there is none that may be stored and sent."""
        found = job_id_of(answer.get("taskId"))
        return None if found is None or self._words.has_secret(found) else found

    def _solution(self, answer: dict[str, object]) -> TextSolution:
        found = solution(answer)
        if found is None:
            raise JobFailed(f"the job is done, but {self._words.shown(answer.get('solution'))} has no text")
        return found

    def _ended(self, answer: dict[str, object], status: str) -> str:
        return f"{self._words.said(reason(answer))}; the job's status is {self._words.shown(status)}"

    def _only(self, kind: str) -> str:
        return f"this provider does not offer {kind!r} at {self._spoken.service}, only {ImageToText.kind}"

    def _no_report(self) -> str:
        service, wrong, right = self._spoken.service, self._spoken.wrong_call, self._spoken.right_call
        if wrong is None and right is None:
            return f"{service} takes no reports of right or wrong answers"
        return f"{service} takes reports of {'wrong' if right is None else 'right'} answers only"


def _excess(image: Image, spoken: Dialect) -> str | None:
    """Return how a picture exceeds the limits of the service, or None if it does not."""
    size, side = len(image.data), max(image.width, image.height)
    if spoken.min_bytes is not None and size < spoken.min_bytes:
        return f"{size} bytes, at least {spoken.min_bytes} are required"
    if spoken.max_bytes is not None and size > spoken.max_bytes:
        return f"{size} bytes, the limit is {spoken.max_bytes}"
    if spoken.max_side is not None and side > spoken.max_side:
        return f"{image.width}x{image.height} pixels, the limit is {spoken.max_side} on a side"
    return None
