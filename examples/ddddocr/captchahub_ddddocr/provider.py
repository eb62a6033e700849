"""The HTTP server of ddddocr 1.6.1 as a provider; its pages are at ``/docs`` of the server itself.

It answers at once and keeps no jobs, so there is nothing to ask for later.
"""

from __future__ import annotations

from captchahub.errors import JobFailed, JobRefused, JobUnknown, MalformedReply, NotOffered, UnsupportedTask
from captchahub.provider import Created, Job, Pending, Provider, Reply, Request, Solved
from captchahub.tasks import Solution, Task, TextSolution
from captchahub.words import Words, text_of

from captchahub_ddddocr.messages import SERVICE, meaning, said
from captchahub_ddddocr.settings import DdddocrSettings

__all__ = ["DdddocrProvider"]


class DdddocrProvider(Provider):
    """A ddddocr server: ``image-to-text``. It can be told no options with a picture."""

    kinds = frozenset({"image-to-text"})

    def __init__(self, settings: DdddocrSettings) -> None:
        model = "" if settings.model == "usual" else f"?{settings.model}=true"
        self._address = f"{settings.base_url}/ocr{model}"
        # Makes what the server wrote fit for errors and logs: short, and on one line.
        self._words = Words(SERVICE)

    def create_job(self, task: Task[Solution]) -> Request:
        """``/ocr``. Raises UnsupportedTask for any other kind of task."""
        if task.kind not in self.kinds:
            raise UnsupportedTask(f"{SERVICE} has no {task.kind!r}, only {', '.join(sorted(self.kinds))}")
        return Request.post_json(self._address, {"image": task.image.base64})

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:  # noqa: ARG002 - the contract's
        """The answer itself. Raises JobFailed where the server reads no text in the picture."""
        answer = self._answer(reply)
        if not isinstance(answer.get("result"), str):
            raise MalformedReply(f"{SERVICE} gives {self._words.shown(answer.get('result'))} as the result")
        text = text_of(answer["result"])
        if not text:
            raise JobFailed(f"{SERVICE} reads nothing in the picture")
        return Created(None, TextSolution(text))

    def poll_job(self, job: Job) -> Request:  # noqa: ARG002 - the contract's
        """Raises NotOffered: there are no jobs."""
        raise NotOffered(f"{SERVICE} answers at once, and has no jobs to ask for")

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:  # noqa: ARG002 - the contract's
        """Raises JobUnknown: there are no jobs."""
        raise JobUnknown(f"{SERVICE} answers at once, and keeps no jobs")

    def _answer(self, reply: Reply) -> dict[str, object]:
        answer = reply.json_object()
        if "detail" in answer:
            words = said(answer["detail"])
            # Whatever the server says, it has no job that is still at work.
            raise reply.failure(self._words.said(words), meaning(words), JobRefused, nothing_created=True)
        broken = reply.http_error()
        if broken is not None:
            raise broken
        return answer
