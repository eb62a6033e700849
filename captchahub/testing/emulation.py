"""The base class of emulated services, and the world that they answer from.

A plugin ships one :class:`Emulation` of its service and names it in the entry-point group
``captchahub.sandbox``, under the name of its provider kind. The :class:`~captchahub.testing.sandbox.Sandbox`
puts it behind a real HTTP server.
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
    """One HTTP request as the sandbox received it. ``received`` is in seconds of the world's time."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)
    received: float

    def json(self) -> dict[str, object]:
        """Return the body as a JSON object, or an empty one if the body is not a JSON object."""
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
        """Return a JSON reply."""
        body = json.dumps(payload, ensure_ascii=False).encode()
        return cls(status, body, {"Content-Type": "application/json; charset=utf-8"})


@attrs.define
class Account:
    """An account at the emulated service, found by its token.

    A client with an ``is_quick`` account may poll faster than the service allows, to keep tests short.
    """

    token: str = attrs.field(repr=False)
    balance: Decimal
    is_quick: bool = False


@attrs.define
class JobRecord:
    """A job as the emulated service stores it.

    Times are in seconds of the world's time. ``solution`` is None if the job will fail. ``delivered`` counts
    how often the answer was sent. ``asked_at`` is the time of the last poll, without polls that were refused
    because they came too soon. ``reported`` is the client's report, True for right and False for wrong.
    ``is_unknown`` says that the sandbox has never seen the picture; the job then fails.
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
    is_unknown: bool = False

    def state(self, now: float) -> Literal["working", "solved", "failed"]:
        """Return the job's state at a time."""
        if now < self.ready_at:
            return "working"
        return "failed" if self.solution is None else "solved"


UNKNOWN_PICTURE = "the sandbox does not know this picture; it knows those that it has drawn since its start"
"""What an emulation can say of a job whose picture is unknown, if the service has a place for a text."""


class World:
    """The state of an emulated service: its clock, accounts, jobs, and the answers to pictures.

    The sandbox uses it for one call at a time.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        read_picture: Callable[[str, bytes], Solution | None],
        job_seconds: Callable[[], float],
        usual_job_time: float = 15.0,
        failure_rate: float = 0.0,
        seed: int = 0,
        knows_picture: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.now = now
        self.jobs: dict[int, JobRecord] = {}
        self.accounts: dict[str, Account] = {}
        self.usual_job_time = usual_job_time
        """What a job takes according to a price list of the service, in seconds."""
        self._read_picture = read_picture
        self._knows_picture = knows_picture
        self._job_seconds = job_seconds
        self._failure_rate = failure_rate
        self._random = random.Random(seed)

    def add_account(self, token: str, balance: Decimal | str = "10") -> Account:
        """Open an account. A client must send its token."""
        account = self.accounts[token] = Account(token, Decimal(balance))
        return account

    def create_job(self, account: Account, kind: str, picture: bytes, price: Decimal) -> JobRecord | None:
        """Charge the account and create a job, or return None if the balance is too low.

        The job's answer is what the sandbox drew, or what the test scripted for the picture. The job will
        fail for any other picture, and by chance at ``failure_rate``.
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
            is_unknown=self._knows_picture is not None and not self._knows_picture(picture),
        )
        self.jobs[job.id] = job
        return job

    def find_job(self, account: Account, job_id: int) -> JobRecord | None:
        """Return the job with that number, or None if this account has no such job."""
        job = self.jobs.get(job_id)
        return job if job is not None and job.account.token == account.token else None


def unpack_base64(value: object) -> bytes | None:
    """Return the bytes in a base64 text without line breaks or a data-URL head. None for anything else."""
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, (str, bytes)) else None
    except ValueError:
        return None


def picture_hash(picture: bytes) -> str:
    """Return the key that a picture is found by: the SHA-256 of its bytes, in hexadecimal."""
    return hashlib.sha256(picture).hexdigest()


class Emulation(ABC):
    """The service's side of its dialect: answers each call as the service would."""

    base_path: ClassVar[str] = ""
    """The path before every call's name, such as ``/api``."""
    base_url_key: ClassVar[str] = "base_url"
    """The provider's settings key for the service's address."""
    token_key: ClassVar[str] = "api_token"  # noqa: S105 - the name of a key, not a token
    """The provider's settings key for an account's token. Empty if the service has no tokens."""
    create_call: ClassVar[str]
    """The name of the call that creates a job."""
    poll_call: ClassVar[str]
    """The name of the call that polls a job."""
    calls: ClassVar[frozenset[str]]
    """The names of all calls. A test that names another one gets an error."""
    prices: ClassVar[Mapping[str, Decimal]]
    """The price of one job, by task kind."""
    min_poll_interval: float | None = None
    """The minimum seconds between two polls of one job, in place of what the service allows.

    It applies to quick accounts too. 0 accepts every poll.
    """

    @property
    def provider_settings(self) -> Mapping[str, object]:
        """What the provider's settings need besides address and token: ``{"dialect": "capsolver"}``."""
        return {}

    def is_hasty(self, job: JobRecord, now: float, *, between: float, first: float = 0.0) -> bool:
        """Return whether a poll comes too soon after the last poll, or after the job was created.

        ``between`` and ``first`` are the minimum seconds that the service asks for. If it is set,
        :attr:`min_poll_interval` replaces both, and a quick account may poll at any time. A poll that is not
        too soon is recorded, so call this once for each poll.
        """
        if self.min_poll_interval is not None:
            between, first = self.min_poll_interval, 0.0
        elif job.account.is_quick:
            between, first = 0.0, 0.0
        since = job.created_at if job.asked_at is None else job.asked_at
        if now - since < (first if job.asked_at is None else between) - _SLACK:
            return True
        job.asked_at = now
        return False

    def name_of(self, call: Call) -> str:
        """Return the call's name (``createJob``), which fault rules use."""
        return call.path.partition("?")[0].removeprefix(self.base_path).strip("/")

    def token_of(self, call: Call) -> str | None:
        """Return the token that a call was made with, or None if it has none."""
        token = call.json().get(self.token_key) if self.token_key else None
        return token if isinstance(token, str) else None

    @abstractmethod
    def answer(self, call: Call, world: World) -> Answer:
        """Return the service's reply."""
