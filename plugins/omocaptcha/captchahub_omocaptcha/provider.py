"""The OMOcaptcha API, version 1, as a provider.

Sources: the service's pages "Hình ảnh thành văn bản" (image to text) and "Kéo thả trên phone" (drag on a
phone). What is not on these pages but was received by programs in use is marked "seen in use".
"""

from __future__ import annotations

from collections.abc import Sequence

from captchahub.errors import JobFailed, MalformedReply, UnsupportedTask
from captchahub.provider import (
    Balance,
    Created,
    Job,
    Pending,
    Provider,
    Reply,
    Request,
    Service,
    Solved,
)
from captchahub.tasks import Solution, Task
from captchahub.words import Words, fields_of, money, reason_in, says_working
from captchahub_omocaptcha.dialect import BALANCE, CREATE, POLL, SERVICES, TYPE_IDS, is_failure, job_id
from captchahub_omocaptcha.messages import failure, is_end
from captchahub_omocaptcha.results import READERS
from captchahub_omocaptcha.services import read_line
from captchahub_omocaptcha.settings import OmoSettings

__all__ = ["OmoProvider"]


class OmoProvider(Provider):
    """An account at OMOcaptcha: ``image-to-text`` (type 30) and ``phone-slide`` (type 24).

    The service accepts no options with a picture, so none is sent.
    """

    kinds = frozenset(TYPE_IDS)
    # The service's pages say to wait 2 s before polling again.
    min_poll_interval = 2.0

    def __init__(self, settings: OmoSettings) -> None:
        self._settings = settings
        self._words = Words("OMOcaptcha", settings.api_token)

    def create_job(self, task: Task[Solution]) -> Request:
        """Return the ``createJob`` call. Raises UnsupportedTask for any other kind of task."""
        type_id = TYPE_IDS.get(task.kind)
        if type_id is None:
            raise UnsupportedTask(f"OMOcaptcha has no {task.kind!r}, only {' and '.join(TYPE_IDS)}")
        return self._request(CREATE, data={"type_job_id": type_id, "image_base64": task.image})

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:  # noqa: ARG002 - the contract's
        """Return the job id: a number, or (seen in use) a text of digits.

        Raises MalformedReply if the service accepted the job but returned no such id.
        """
        given = self._answer(CREATE, reply).get("job_id")
        created = job_id(given)
        if created is None:
            raise MalformedReply(f"createJob succeeded with {self._words.shown(given)} as job_id")
        return Created(created)

    def poll_job(self, job: Job) -> Request:
        """Return the ``getJobResult`` call, with the id as the service sent it."""
        return self._request(POLL, job_id=job.id)

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        """Return Pending for ``running`` and ``waiting``, and for an unknown status without a result.

        Raises JobFailed for ``fail`` and similar words. It also does if the result of a finished job cannot
        be read, because the next poll would return the same.
        """
        answer = self._answer(POLL, reply)
        status = answer.get("status")
        if not isinstance(status, str) or not status.strip():
            raise MalformedReply(f"getJobResult has {self._words.shown(status)} as status")
        if is_end(status):
            raise JobFailed(f"OMOcaptcha could not solve the picture{self._reason(answer)}")
        is_working = says_working(status)
        if status.strip().lower() == "success" or (not is_working and self._has_solution(job, answer)):
            return Solved(self._solution(job, answer.get("result")))
        return Pending(self._words.of(status), is_known=is_working)

    def ask_balance(self) -> Request:
        """Return the ``getBalance`` call."""
        return self._request(BALANCE)

    def read_balance(self, reply: Reply) -> Balance:
        """Return the balance, sent as a text or (seen in use) as a number. The service names no currency."""
        given = self._answer(BALANCE, reply).get("balance")
        amount = money(given)
        if amount is None:
            raise MalformedReply(f"getBalance has {self._words.shown(given)} as balance")
        return Balance(amount)

    def ask_services(self) -> Request:
        """Return the ``getService`` call."""
        return self._request(SERVICES)

    def read_services(self, reply: Reply) -> Sequence[Service]:
        """Return the price list without the lines that cannot be read."""
        lines = self._answer(SERVICES, reply).get("service")
        if not isinstance(lines, list):
            raise MalformedReply(f"getService has {self._words.shown(lines)} as service, not a list")
        read = (read_line(fields_of(line), self._words) for line in lines)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - any JSON
        return [service for service in read if service is not None]

    def _request(self, call: str, **fields: object) -> Request:
        payload = {"api_token": self._settings.api_token.reveal(), **fields}
        return Request.post_json(f"{self._settings.base_url}/{call}", payload)

    def _answer(self, call: str, reply: Reply) -> dict[str, object]:
        answer = reply.json_object()
        failed = is_failure(answer)
        if failed:
            raise failure(call, _message(answer), self._words, reply)
        # An object that says neither success nor failure may come from a proxy in front of the service.
        error = reply.http_error() if failed is None else None
        if error is not None:
            raise error
        return answer

    def _solution(self, job: Job, result: object) -> Solution:
        reader = READERS.get(job.kind)
        if reader is None:
            raise UnsupportedTask(f"OMOcaptcha has no {job.kind!r}, only {' and '.join(READERS)}")
        solution = reader(result)
        if solution is None:
            raise JobFailed(f"the job is done, but {self._words.shown(result)} is not a result of {job.kind}")
        return solution

    def _has_solution(self, job: Job, answer: dict[str, object]) -> bool:
        reader = READERS.get(job.kind)
        return reader is not None and reader(answer.get("result")) is not None

    def _reason(self, answer: dict[str, object]) -> str:
        said = self._words.of(_message(answer))
        return f": {said}" if said else ""


def _message(answer: dict[str, object]) -> str:
    return reason_in(answer)
