"""The createTask protocol as a provider, for whichever dialect the settings name.

Sources: the services' pages on ``createTask``, ``getTaskResult``, ``getBalance`` and reports; what each
service does differently is in :mod:`captchahub_createtask.dialects`.
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
from captchahub_createtask.options import tell
from captchahub_createtask.settings import CreateTaskSettings

__all__ = ["CreateTaskProvider"]


class CreateTaskProvider(Provider):
    """An account at a service that speaks createTask: ``image-to-text``, with the options its dialect has."""

    kinds = frozenset({ImageToText.kind})

    def __init__(self, settings: CreateTaskSettings) -> None:
        self._settings = settings
        self._spoken = settings.spoken
        self._words = Words(self._spoken.service, settings.client_key)
        self.min_poll_interval = self._spoken.seconds_between_polls
        self.min_first_poll_delay = self._spoken.seconds_before_first_poll

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        """The options that the service is told in full.

        Of a ``charset`` it can be told "digits only" or "letters only", of a ``language`` a pool of workers.
        """
        return tell(task, self._spoken).sent if isinstance(task, ImageToText) else ()

    def create_job(self, task: Task[Solution]) -> Request:
        """``createTask``.

        Raises UnsupportedTask for any other kind of task, and for a picture beyond the service's limits:
        another service may take it.
        """
        if not isinstance(task, ImageToText):
            raise UnsupportedTask(self._only(task.kind))
        excess = _excess(task.image, self._spoken)
        if excess is not None:
            raise UnsupportedTask(f"{self._spoken.service} takes no picture of {excess}")
        telling = tell(task, self._spoken)
        order = {
            "type": self._spoken.task_type,
            self._spoken.image_field: task.image.base64,
            **telling.inside,
            **self._settings.task_fields,
        }
        return self._ask(CREATE, task=order, **telling.beside)

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:  # noqa: ARG002 - the contract's
        """The job's id, a number or a text, and its answer where the service gave it at once (CapSolver).

        An answer is paid for, so it is taken without an id too. Raises MalformedReply where the service took
        the job and gives neither, JobFailed where the job is already over without an answer.
        """
        answer = self._answer(CREATE, reply)
        created = self._id(answer)
        status = word(answer.get("status"))
        if says_failed(status):
            raise JobFailed(self._ended(answer, status))
        # Without an id nobody can ask later, so that a missing status does not matter.
        is_over = status.lower() == "ready" or (created is None and not status)
        if is_over and answer.get("solution") is not None:
            return Created(created, self._solution(answer), cost(answer))
        if created is None:
            raise MalformedReply(
                f"createTask succeeded with {self._words.shown(answer.get('taskId'))} as taskId"
            )
        return Created(created)

    def poll_job(self, job: Job) -> Request:
        """``getTaskResult``, with the id as the service wrote it."""
        return self._ask(POLL, taskId=job.id)

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        """``processing`` is Pending, and so is every word never seen before, unless a text comes with it.

        Raises JobFailed for ``failed`` (seen at CapSolver) and other words for such an end, and for a
        finished job whose text is empty or can't be read: it would be the same at the next poll.
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
        """``getBalance``."""
        return self._ask(BALANCE)

    def read_balance(self, reply: Reply) -> Balance:
        """The balance, written as a number or as text, and what is left of packages; it names no currency."""
        answer = self._answer(BALANCE, reply)
        given, in_kind = answer.get("balance"), credits_in(answer)
        amount = money(given)
        if amount is None and not in_kind:
            raise MalformedReply(f"getBalance has {self._words.shown(given)} as balance")
        return Balance(amount or Decimal(0), in_kind=in_kind)

    def ask_report(self, job: Job, *, correct: bool) -> Request:
        """The dialect's call for wrong answers or for right ones.

        Raises NotOffered where it has none for this one, with what it has.
        """
        wrong, right = self._spoken.wrong_call, self._spoken.right_call
        call = right if correct else wrong
        if call is None:
            raise NotOffered(self._no_report())
        verdict = {"result": {"invalid": not correct}} if wrong == right else {}
        return self._ask(call, taskId=job.id, **verdict)

    def read_report(self, reply: Reply) -> None:
        """Nothing where the service took the report."""
        self._answer(REPORT, reply)

    def _ask(self, call: str, **fields: object) -> Request:
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
        # An object that says neither yes nor no may come from something between us and the service.
        error = reply.http_error() if failed is None else None
        if error is not None:
            raise error

    def _id(self, answer: dict[str, object]) -> JobId | None:
        """The job's id, None where there is none that can be shown and sent back."""
        found = job_id_of(answer.get("taskId"))
        return None if found is None or self._words.has_secret(found) else found

    def _solution(self, answer: dict[str, object]) -> TextSolution:
        found = solution(answer)
        if found is None:
            raise JobFailed(f"the job is done, but {self._words.shown(answer.get('solution'))} holds no text")
        return found

    def _ended(self, answer: dict[str, object], status: str) -> str:
        return f"{self._words.said(reason(answer))}; the job's status is {self._words.shown(status)}"

    def _only(self, kind: str) -> str:
        return f"{self._spoken.service} is not asked for {kind!r} here, only for {ImageToText.kind}"

    def _no_report(self) -> str:
        service, wrong, right = self._spoken.service, self._spoken.wrong_call, self._spoken.right_call
        if wrong is None and right is None:
            return f"{service} takes no reports of right or wrong answers"
        return f"{service} takes reports of {'wrong' if right is None else 'right'} answers only"


def _excess(image: Image, spoken: Dialect) -> str | None:
    """What a picture has too much or too little of, with the limit; None where it is within the limits."""
    size, side = len(image.data), max(image.width, image.height)
    if spoken.min_bytes is not None and size < spoken.min_bytes:
        return f"{size} bytes, only from {spoken.min_bytes}"
    if spoken.max_bytes is not None and size > spoken.max_bytes:
        return f"{size} bytes, only up to {spoken.max_bytes}"
    if spoken.max_side is not None and side > spoken.max_side:
        return f"{image.width}x{image.height} pixels, only up to {spoken.max_side} on a side"
    return None
