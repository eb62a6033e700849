"""The HTTP server of ddddocr 1.6.1 as a provider. The server documents itself at ``/docs``.

It answers at once and keeps no jobs, so that nothing is polled.
"""

from __future__ import annotations

from captchahub.errors import JobFailed, JobRefused, JobUnknown, MalformedReply, NotOffered, UnsupportedTask
from captchahub.provider import Created, Job, Pending, Provider, Reply, Request, Solved
from captchahub.tasks import Solution, Task, TextSolution
from captchahub.words import Words, text_of

from captchahub_ddddocr.messages import SERVICE, error_class, message_of
from captchahub_ddddocr.settings import DdddocrSettings

__all__ = ["DdddocrProvider"]


class DdddocrProvider(Provider):
    """A ddddocr server: ``image-to-text``. It accepts no options."""

    kinds = frozenset({"image-to-text"})

    def __init__(self, settings: DdddocrSettings) -> None:
        model = "" if settings.model == "usual" else f"?{settings.model}=true"
        self._address = f"{settings.base_url}/ocr{model}"
        # Makes the server's texts safe for errors and logs: short, and on one line.
        self._words = Words(SERVICE)

    def create_job(self, task: Task[Solution]) -> Request:
        """Return the call ``/ocr``. Raises UnsupportedTask for any other kind of task."""
        if task.kind not in self.kinds:
            raise UnsupportedTask(f"{SERVICE} has no {task.kind!r}, only {', '.join(sorted(self.kinds))}")
        return Request.post_json(self._address, {"image": task.image})

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:  # noqa: ARG002 - the contract's
        """Return the answer. Raises JobFailed if the server reads no text in the picture."""
        answer = self._answer(reply)
        if not isinstance(answer.get("result"), str):
            raise MalformedReply(f"{SERVICE} returns {self._words.shown(answer.get('result'))} as the result")
        text = text_of(answer["result"])
        if not text:
            raise JobFailed(f"{SERVICE} reads nothing in the picture")
        return Created(None, TextSolution(text))

    def poll_job(self, job: Job) -> Request:  # noqa: ARG002 - the contract's
        """Raise NotOffered, because there are no jobs."""
        raise NotOffered(f"{SERVICE} answers at once, and has no jobs to poll")

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:  # noqa: ARG002 - the contract's
        """Raise JobUnknown, because there are no jobs."""
        raise JobUnknown(f"{SERVICE} answers at once, and keeps no jobs")

    def _answer(self, reply: Reply) -> dict[str, object]:
        answer = reply.json_object()
        if "detail" in answer:
            message = message_of(answer["detail"])
            # After any error, the server has no job in work.
            raise reply.failure(
                self._words.said(message), error_class(message), JobRefused, nothing_created=True
            )
        http_error = reply.http_error()
        if http_error is not None:
            raise http_error
        return answer
