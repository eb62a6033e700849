"""Penny Reader as a provider.

Tasks become requests, and replies become meanings; nothing is sent from here. Every ``read_*`` is total:
whatever bytes come, it gives a value or raises a ProviderError.
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

# CHANGE: the options of a task that the service can be told, and what it calls them. None at all is fine.
OPTIONS: Final[Mapping[str, str]] = {"length": "characters", "language": "lang"}


class PennyReaderProvider(Provider):
    """An account at Penny Reader: ``image-to-text``."""

    # CHANGE: the kinds of task that the service takes; "phone-slide" is the library's other one.
    kinds = frozenset({"image-to-text"})
    # CHANGE: the least seconds between two questions for one job.
    min_poll_interval = 2.0

    def __init__(self, settings: PennyReaderSettings) -> None:
        self._settings = settings
        # Makes what the service wrote fit for errors and logs: short, on one line, never with the key in it.
        self._words = Words(SERVICE, settings.api_key)

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        """Those that the service can be told; captchahub reports the others as ignored."""
        return OPTIONS.keys() & task.options

    # CHANGE: the order, as the service's pages show it. task.image has data, base64, width and height.
    def create_job(self, task: Task[Solution]) -> Request:
        """``order``. Raises UnsupportedTask for any other kind of task."""
        if task.kind not in self.kinds:
            raise UnsupportedTask(f"{SERVICE} has no {task.kind!r}, only {', '.join(sorted(self.kinds))}")
        told = {field: task.options[name] for name, field in OPTIONS.items() if name in task.options}
        return self._ask("order", picture=task.image.base64, **told)

    # CHANGE: where the job's id stands. A service that answers at once and keeps no job has its answer here,
    # Created(None, TextSolution(text)); its poll_job raises NotOffered, and its read_result JobUnknown.
    def read_created(self, task: Task[Solution], reply: Reply) -> Created:  # noqa: ARG002 - the contract's
        """The order's number. Raises MalformedReply where the service took the order and gives none."""
        given = self._answer(reply, JobRefused).get("order")
        job_id = job_id_of(given)
        if job_id is None or self._words.has_secret(job_id):
            # The job may exist and be paid for, and nobody can ask for it: the core remembers it as such.
            raise MalformedReply(f"{SERVICE} gives {self._words.shown(given)} as the number of an order")
        return Created(job_id)

    # CHANGE: the question for the answer, with the id exactly as the service gave it.
    def poll_job(self, job: Job) -> Request:
        """``answer``."""
        return self._ask("answer", order=job.id)

    # CHANGE: the service's words for the states of a job. One never seen before stays Pending: it is paid.
    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:  # noqa: ARG002 - the contract's
        """``done`` with the text and the price, ``failed``, or still at work."""
        answer = self._answer(reply, JobFailed)
        match answer.get("state"):
            case "done":
                text = text_of(answer.get("text"))
                if not text:
                    raise JobFailed(f"{SERVICE} is done, and gives no text")
                return Solved(TextSolution(text), money(answer.get("price")))
            case "failed":
                raise JobFailed(f"{SERVICE} could not read the picture")
            case str(state):
                return Pending(self._words.of(state))
            case state:
                raise MalformedReply(f"{SERVICE} gives {self._words.shown(state)} as the state of a job")

    # CHANGE: each pair from here on is optional: delete both methods where the service has no such call.
    def ask_balance(self) -> Request:
        """``account``."""
        return self._ask("account")

    def read_balance(self, reply: Reply) -> Balance:
        """What is left, in US dollars."""
        given = self._answer(reply, ProviderError).get("credit")
        amount = money(given)
        if amount is None:
            raise MalformedReply(f"{SERVICE} gives {self._words.shown(given)} as the credit")
        return Balance(amount, "USD")

    def ask_services(self) -> Request:
        """``prices``."""
        return self._ask("prices")

    def read_services(self, reply: Reply) -> Sequence[Service]:
        """The price list: a price for each kind of picture, None where it can't be read."""
        prices = fields_of(self._answer(reply, ProviderError).get("prices"))
        named = [(self._words.of(name), money(price)) for name, price in prices.items()]
        return [Service(name, name, price=price, currency="USD") for name, price in named]

    def ask_report(self, job: Job, *, correct: bool) -> Request:
        """``report``."""
        return self._ask("report", order=job.id, correct=correct)

    def read_report(self, reply: Reply) -> None:
        """Nothing, where the service took the report."""
        self._answer(reply, ProviderError)

    # CHANGE: where the service wants its key. In a header: Request(url, body, headers={...}).
    def _ask(self, call: str, **fields: object) -> Request:
        payload = {"api_key": self._settings.api_key.reveal(), **fields}
        return Request.post_json(f"{self._settings.base_url}/{call}", payload)

    # CHANGE: how the service says that a call failed.
    def _answer(self, reply: Reply, otherwise: type[ProviderError]) -> dict[str, object]:
        """The fields of a good answer; ``otherwise`` is what an error that nobody knows stands for."""
        answer = reply.json_object()
        code = answer.get("error")
        if isinstance(code, str):
            # Only what the service says itself tells that it took no order; silence and web pages never do.
            is_order = otherwise is JobRefused
            raise reply.failure(self._words.said(code), ERRORS.get(code), otherwise, nothing_created=is_order)
        if code is not None:
            raise MalformedReply(f"{SERVICE} gives {self._words.shown(code)} as an error")
        broken = reply.http_error()
        if broken is not None:
            raise broken
        return answer
