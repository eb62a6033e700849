"""What a plugin writes to stand in for its service: the emulation, and the world it answers from.

A plugin ships one :class:`Emulation` and names it in the entry-point group ``captchahub.sandbox``, under the
name of its provider kind. The :class:`~captchahub.testing.sandbox.Sandbox` puts it behind a real HTTP server.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import ClassVar, Literal

import attrs

from captchahub.tasks import Solution
from captchahub.words import fields_of

__all__ = ["Account", "Answer", "Call", "Emulation", "JobRecord", "World", "unpack_base64"]

# A timer may fire a moment early, in seconds.
_SLACK = 0.005


@attrs.frozen
class Call:
    """One HTTP request as the sandbox received it. ``received`` is the world's time, in seconds."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)
    received: float

    def json(self) -> dict[str, object]:
        """The body as a JSON object, empty where it is none."""
        try:
            return fields_of(json.loads(self.body))
        except (ValueError, RecursionError):
            return {}


@attrs.frozen
class Answer:
    """One HTTP reply for the sandbox to send."""

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])

    @classmethod
    def json(cls, payload: object, status: int = 200) -> Answer:
        """A JSON reply."""
        body = json.dumps(payload, ensure_ascii=False).encode()
        return cls(status, body, {"Content-Type": "application/json; charset=utf-8"})


@attrs.define
class Account:
    """An account at the emulated service, found by its token.

    ``is_quick`` where its client may ask faster than the service allows, as a suite of tests does.
    """

    token: str = attrs.field(repr=False)
    balance: Decimal
    is_quick: bool = False


@attrs.define
class JobRecord:
    """A job as the emulated service keeps it: the sandbox's own books.

    ``ready_at`` is the world's time in seconds; ``solution`` is None where the job ends in failure.
    ``delivered`` counts how often the answer was given out; ``asked_at`` is when it was last asked for,
    without the questions that were refused for their haste; ``reported`` is what the client said of it, True
    for right and False for wrong.
    """

    id: int
    kind: str
    picture: str
    account: Account
    price: Decimal
    created_at: float
    ready_at: float
    solution: Solution | None
    delivered: int = 0
    asked_at: float | None = None
    reported: bool | None = None

    def state(self, now: float) -> Literal["working", "solved", "failed"]:
        """What the job is at a time."""
        if now < self.ready_at:
            return "working"
        return "failed" if self.solution is None else "solved"


class World:
    """Everything an emulation answers from: time, chance, the accounts, the jobs, and what pictures show.

    It is used by one call at a time; the sandbox sees to that.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        read_picture: Callable[[str, bytes], Solution | None],
        job_seconds: Callable[[], float],
        failure_rate: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.now = now
        self.jobs: dict[int, JobRecord] = {}
        self.accounts: dict[str, Account] = {}
        self._read_picture = read_picture
        self._job_seconds = job_seconds
        self._failure_rate = failure_rate
        self._random = random.Random(seed)

    def add_account(self, token: str, balance: Decimal | str = "10") -> Account:
        """Open an account; the token is what a client must send."""
        account = self.accounts[token] = Account(token, Decimal(balance))
        return account

    def create_job(self, account: Account, kind: str, picture: bytes, price: Decimal) -> JobRecord | None:
        """Charge the account and take the job, or None where the balance does not reach.

        The answer is the truth of a picture that the sandbox drew, or what the test scripted for it;
        for any other picture, and at ``failure_rate``, the job will fail.
        """
        if account.balance < price:
            return None
        account.balance -= price
        now = self.now()
        unlucky = self._random.random() < self._failure_rate
        job = JobRecord(
            id=100_000 + len(self.jobs),
            kind=kind,
            picture=picture_hash(picture),
            account=account,
            price=price,
            created_at=now,
            ready_at=now + self._job_seconds(),
            solution=None if unlucky else self._read_picture(kind, picture),
        )
        self.jobs[job.id] = job
        return job

    def find_job(self, account: Account, job_id: int) -> JobRecord | None:
        """The job of that number, None where there is none that this account has paid for."""
        job = self.jobs.get(job_id)
        return job if job is not None and job.account.token == account.token else None


def unpack_base64(value: object) -> bytes | None:
    """The bytes in a plain base64 text: no line breaks, no data-URL head. None for anything else."""
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, (str, bytes)) else None
    except ValueError:
        return None


def picture_hash(picture: bytes) -> str:
    """The name under which a picture is known: the SHA-256 of its bytes, in hexadecimal."""
    return hashlib.sha256(picture).hexdigest()


class Emulation(ABC):
    """A service's side of its own dialect: a call in, an answer out."""

    base_path: ClassVar[str] = ""
    """What stands before every call's name, such as ``/api``."""
    base_url_key: ClassVar[str] = "base_url"
    """The settings key under which the provider takes the sandbox's address."""
    token_key: ClassVar[str] = "api_token"  # noqa: S105 - the name of a key, not a token
    """The settings key under which the provider takes an account's token; empty where there are no tokens."""
    create_call: ClassVar[str]
    """The name of the call that creates a job."""
    poll_call: ClassVar[str]
    """The name of the call that asks for a job's answer."""
    calls: ClassVar[frozenset[str]]
    """The names of all calls there are, so that a misspelt one in a test is refused."""
    prices: ClassVar[Mapping[str, Decimal]]
    """The price of one job, by task kind."""
    least_gap: float | None = None
    """The least time between two questions for one job, in seconds, in place of what the service allows.

    Quick accounts keep to it as well. 0 refuses none.
    """

    @property
    def provider_settings(self) -> Mapping[str, str]:
        """What its provider's settings need beside address and token: ``{"dialect": "capsolver"}``."""
        return {}

    def is_hasty(self, job: JobRecord, now: float, *, between: float, first: float = 0.0) -> bool:
        """Return whether a question for a job comes too soon after the one before, or after the order.

        ``between`` and ``first`` are what the service allows, in seconds. :attr:`least_gap` takes their place
        if it is set; a quick account may ask at any pace. A question that is not hasty is noted, so call this
        once for each question.
        """
        if self.least_gap is not None:
            between, first = self.least_gap, 0.0
        elif job.account.is_quick:
            between, first = 0.0, 0.0
        since = job.created_at if job.asked_at is None else job.asked_at
        if now - since < (first if job.asked_at is None else between) - _SLACK:
            return True
        job.asked_at = now
        return False

    def name_of(self, call: Call) -> str:
        """What the service calls this call (``createJob``); fault rules are written with it."""
        return call.path.partition("?")[0].removeprefix(self.base_path).strip("/")

    def token_of(self, call: Call) -> str | None:
        """The token a call was made with; None where there is none."""
        token = call.json().get(self.token_key) if self.token_key else None
        return token if isinstance(token, str) else None

    @abstractmethod
    def answer(self, call: Call, world: World) -> Answer:
        """What the service replies."""
