"""Penny Reader as a provider.

It translates tasks to requests and replies to values, and sends nothing itself. Every ``read_*`` method
accepts any reply: it returns a value or raises a ProviderError.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from captchahub.errors import JobFailed, JobRefused, MalformedReply, ProviderError, UnsupportedTask
from captchahub.provider import Balance, Created, Job, Pending, Provider, Reply, Request, Service, Solved
from captchahub.tasks import Solution, Task, TextSolution
from captchahub.words import Words, fields_of, job_id_of, money, text_of

from captchahub_penny_reader.messages import ERRORS, SERVICE
from captchahub_penny_reader.settings import PennyReaderSettings

__all__ = ["PennyReaderProvider"]

# CHANGE: the options of a task that the service accepts, and its names for them. It can be empty.
OPTIONS: Final[Mapping[str, str]] = {"length": "characters", "language": "lang"}


class PennyReaderProvider(Provider):
    """An account at Penny Reader: ``image-to-text``."""

    # CHANGE: the kinds of task that the service accepts. "phone-slide" is the other built-in kind.
    kinds = frozenset({"image-to-text"})
    # CHANGE: the minimum seconds between two polls of a job.
    min_poll_interval = 2.0

    def __init__(self, settings: PennyReaderSettings) -> None:
        self._settings = settings
        # Makes the service's texts safe for errors and logs: short, on one line, and without the key.
        self._words = Words(SERVICE, settings.api_key)

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        """Return the options that the service accepts. captchahub reports the others as ignored."""
        return OPTIONS.keys() & task.options

    # CHANGE: the request that creates a job, as documented. In post_json a picture becomes its base64.
    # task.image has data, base64, width and height.
    def create_job(self, task: Task[Solution]) -> Request:
        """Return the call ``order``. Raises UnsupportedTask for any other kind of task."""
        if task.kind not in self.kinds:
            raise UnsupportedTask(f"{SERVICE} has no {task.kind!r}, only {', '.join(sorted(self.kinds))}")
        options = {field: task.options[name] for name, field in OPTIONS.items() if name in task.options}
        return self._request("order", picture=task.image, **options)

    # CHANGE: the field with the job id. For a service that answers at once and has no jobs, return
    # Created(None, TextSolution(text)); then poll_job raises NotOffered, and read_result raises JobUnknown.
    def read_created(self, task: Task[Solution], reply: Reply) -> Created:  # noqa: ARG002 - the contract's
        """Return the job id. Raises MalformedReply if the service accepted the job but returned no id."""
        number = self._answer(reply, JobRefused).get("order")
        job_id = job_id_of(number)
        if job_id is None or self._words.has_secret(job_id):
            # The job may exist and be charged, but can't be polled. The journal records it as ambiguous.
            raise MalformedReply(f"{SERVICE} returns {self._words.shown(number)} as a job id")
        return Created(job_id)

    # CHANGE: the request that polls a job, with the id exactly as the service returned it.
    def poll_job(self, job: Job) -> Request:
        """Return the call ``answer``."""
        return self._request("answer", order=job.id)

    # CHANGE: the service's states of a job. An unknown state stays Pending, because the job is paid for.
    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:  # noqa: ARG002 - the contract's
        """Return the text and the price if the job is done. Raises JobFailed if it has failed."""
        answer = self._answer(reply, JobFailed)
        match answer.get("state"):
            case "done":
                text = text_of(answer.get("text"))
                if not text:
                    raise JobFailed(f"{SERVICE} finished the job without a text")
                return Solved(TextSolution(text), money(answer.get("price")))
            case "failed":
                raise JobFailed(f"{SERVICE} could not read the picture")
            case str(state):
                return Pending(self._words.of(state))
            case state:
                raise MalformedReply(f"{SERVICE} returns {self._words.shown(state)} as the state of a job")

    # CHANGE: each pair from here on is optional. Delete both methods if the service has no such call.
    def ask_balance(self) -> Request:
        """Return the call ``account``."""
        return self._request("account")

    def read_balance(self, reply: Reply) -> Balance:
        """Return the balance in US dollars."""
        credit = self._answer(reply, ProviderError).get("credit")
        amount = money(credit)
        if amount is None:
            raise MalformedReply(f"{SERVICE} returns {self._words.shown(credit)} as the credit")
        return Balance(amount, "USD")

    def ask_services(self) -> Request:
        """Return the call ``prices``."""
        return self._request("prices")

    def read_services(self, reply: Reply) -> Sequence[Service]:
        """Return the price list. The price is None if it can't be read."""
        prices = fields_of(self._answer(reply, ProviderError).get("prices"))
        named = [(self._words.of(name), money(price)) for name, price in prices.items()]
        return [Service(name, name, price=price, currency="USD") for name, price in named]

    def ask_report(self, job: Job, *, correct: bool) -> Request:
        """Return the call ``report``."""
        return self._request("report", order=job.id, correct=correct)

    def read_report(self, reply: Reply) -> None:
        """Check that the service accepted the report."""
        self._answer(reply, ProviderError)

    # CHANGE: where the service expects its key. For a header: Request(url, body, headers={...}).
    def _request(self, call: str, **fields: object) -> Request:
        payload = {"api_key": self._settings.api_key.reveal(), **fields}
        return Request.post_json(f"{self._settings.base_url}/{call}", payload)

    # CHANGE: how the service reports that a call failed.
    def _answer(self, reply: Reply, otherwise: type[ProviderError]) -> dict[str, object]:
        """Return the fields of a successful answer. ``otherwise`` is the error class of unknown codes."""
        answer = reply.json_object()
        code = answer.get("error")
        if isinstance(code, str):
            # Only the service's own error proves that no job was created. A gateway's web page does not.
            is_create = otherwise is JobRefused
            raise reply.failure(
                self._words.said(code), ERRORS.get(code), otherwise, nothing_created=is_create
            )
        if code is not None:
            raise MalformedReply(f"{SERVICE} returns {self._words.shown(code)} as an error")
        http_error = reply.http_error()
        if http_error is not None:
            raise http_error
        return answer
