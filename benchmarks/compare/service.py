"""The service that the clients use: jobs, their answers, and what was called how often.

It speaks two protocols: createTask, and the older API of 2Captcha that only 2captcha-python uses.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from urllib.parse import parse_qs

import attrs

from benchmarks.compare.pictures import answer


@attrs.define
class Job:
    """One job: the answer, and when it is ready, by the monotonic clock."""

    answer: str
    ready: float


@attrs.define
class Counts:
    """What was called, and when. Times are of the monotonic clock, which all processes of a machine share."""

    connections: int = 0
    most_connections: int = 0
    """The most that were open at one time."""
    polls: int = 0
    last_created: float = 0.0
    """When the reply to the last create was sent."""
    answers: dict[str, float] = attrs.field(factory=dict[str, float])
    """When each answer was ready."""
    jobs: int = 0
    most_open: int = 0
    """The most jobs at one time whose answer had not been sent."""
    refused: int = 0
    """The requests that no client should send."""


class Service:
    """An account at the service.

    A job takes a time between the two of ``job_seconds``. The time follows from the picture, so it is the
    same for each client. ``delay`` is the time in seconds from a request to its reply.
    """

    def __init__(self, job_seconds: tuple[float, float], delay: float) -> None:
        self.counts = Counts()
        self.delay = delay
        self._job_seconds = job_seconds
        self._jobs: dict[int, Job] = {}
        self._open = set[int]()

    def reply(self, path: str, body: bytes) -> bytes:
        """Return the body of the reply to a request."""
        call, _, query = path.rpartition("/")[2].partition("?")
        if call == "createTask":
            return self._create_task(path, body)
        if call == "getTaskResult":
            return self._task_result(int(json.loads(body)["taskId"]))
        if call == "in.php":
            fields = parse_qs(body.decode())
            return b"OK|%d" % self._create(base64.b64decode(fields["body"][0]))
        if call == "res.php":
            job = self._poll(int(parse_qs(query)["id"][0]))
            return b"CAPCHA_NOT_READY" if job is None else f"OK|{job.answer}".encode()
        self.counts.refused += 1
        return b"ERROR_WRONG_CALL"

    def _create_task(self, path: str, body: bytes) -> bytes:
        number = self._create(base64.b64decode(json.loads(body)["task"]["body"]))
        created: dict[str, object] = {"errorId": 0, "taskId": number}
        if path.startswith("/at-once/"):
            created |= _ready(self._jobs[number])
        return json.dumps(created).encode()

    def _task_result(self, number: int) -> bytes:
        job = self._poll(number)
        found = {"status": "processing"} if job is None else _ready(job)
        return json.dumps({"errorId": 0, **found}).encode()

    def _create(self, picture: bytes) -> int:
        self.counts.jobs += 1
        number, now = self.counts.jobs, time.monotonic()
        least, most = self._job_seconds
        part = hashlib.sha256(picture).digest()[-1] / 255
        job = self._jobs[number] = Job(answer(picture), now + least + part * (most - least))
        self._open.add(number)
        self.counts.most_open = max(self.counts.most_open, len(self._open))
        self.counts.answers[job.answer] = job.ready
        self.counts.last_created = now + self.delay
        return number

    def _poll(self, number: int) -> Job | None:
        """Return the job if its answer is ready."""
        self.counts.polls += 1
        job = self._jobs[number]
        if time.monotonic() < job.ready:
            return None
        self._open.discard(number)
        return job


def _ready(job: Job) -> dict[str, object]:
    return {"status": "ready", "solution": {"text": job.answer, "url": ""}, "cost": "0.0007"}
