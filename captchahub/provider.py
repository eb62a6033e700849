"""What a provider plugin implements, and the values it exchanges with the core.

A :class:`Provider` is a translation, not a program: it turns a task into a :class:`Request` and a
:class:`Reply` into a meaning. It does no I/O, keeps no state between calls, and is shared by threads. The
core sends the requests, owns the deadlines and decides what is tried again. A :class:`LocalProvider` is the
other shape: an engine in the same process. For reading what a service wrote there is :mod:`captchahub.words`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import urlsplit

import attrs

from captchahub._support.credentials import Secret, is_loopback, service_url, usable_secret
from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobRefused,
    MalformedReply,
    NotOffered,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
    bounded_pause,
)
from captchahub.tasks import Solution, Task
from captchahub.words import Words, money, reason_in, reason_in_page

__all__ = [
    "Balance",
    "Created",
    "Job",
    "JobId",
    "LocalProvider",
    "Pending",
    "Provider",
    "ProviderKind",
    "Reply",
    "Request",
    "Secret",
    "Service",
    "Solved",
    "is_loopback",
    "money",
    "service_url",
    "usable_secret",
]

JobId = int | str
"""A service's own job id, carried exactly as the service gave it: a number stays a number."""


@attrs.frozen
class Request:
    """One HTTP request. Body and headers may hold a token, so neither shows in ``repr``."""

    url: str
    body: bytes = attrs.field(default=b"", repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)

    @classmethod
    def post_json(cls, url: str, payload: Mapping[str, object]) -> Request:
        """A POST with a JSON body."""
        body = json.dumps(payload, separators=(",", ":")).encode()
        return cls(url, body, headers={"Content-Type": "application/json"})


# A reason longer than this, in characters, is no reason; it is cut before it is looked through.
_LONGEST_SAID = 20_000


def _lower_names(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@attrs.frozen
class Reply:
    """One whole HTTP reply. ``headers`` are looked up by lower-case name."""

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False, converter=_lower_names)
    hidden: Sequence[str] = attrs.field(default=(), repr=False, eq=False)
    """What must not show where the service repeats it: the secrets that the request was made with."""

    @property
    def reason(self) -> str:
        """The service's own words for a failure, in whatever shape it wrote them; empty where it gives none.

        They are short, on one line, and without what is ``hidden``.
        """
        try:
            said = reason_in(json.loads(self.body))
        except (ValueError, RecursionError):
            said = reason_in_page(self.body)
        said = said[:_LONGEST_SAID]
        for secret in self.hidden:
            # Before it is made short, which could leave a part of one.
            said = Words("", Secret(secret), longest=_LONGEST_SAID).of(said)
        return Words("").of(said)

    @property
    def retry_after(self) -> float | None:
        """The pause the service asks for, in seconds, or None (RFC 9110, section 10.2.3)."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        aware = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (aware - datetime.now(UTC)).total_seconds())

    def http_error(self) -> ProviderError | None:
        """What the status says, or None for 2xx: for replies that are not in the service's dialect.

        The service's own words stand beside it, where there are any.
        """
        error = self._by_status()
        if error is not None and self.status >= 400:
            said = self.reason
            error.args = (f"{error}; it says {said!r}" if said else str(error),)
        return error

    def _by_status(self) -> ProviderError | None:
        status = self.status
        if 200 <= status < 300:
            return None
        if status == 408 or status >= 500:
            return ServiceUnavailable(f"HTTP {status} from the service", retry_after=self.retry_after)
        if status >= 400:
            return self._refusal()
        return MalformedReply(f"HTTP {status}: not an answer of this service{self._where_to()}")

    def failure(
        self,
        said: str,
        error: type[ProviderError] | None,
        otherwise: type[ProviderError],
        *,
        nothing_created: bool = False,
        retry_after: float | None = None,
    ) -> ProviderError:
        """The error for a failure that the service tells of in its own dialect.

        ``said`` is what to show of its words, ``error`` what they stand for. Where that is None the status
        decides, and where the status says no more than that the call failed, ``otherwise``. A pause that the
        service asks for is kept, else ``retry_after`` is it, in seconds; ``nothing_created`` is for a
        ServiceUnavailable that the words stand for.
        """
        pause = retry_after if self.retry_after is None else self.retry_after
        if error is None and self.status == 401:
            return AuthenticationError(f"HTTP 401: the service refuses the account; {said}")
        if error is None:
            by_status = self._by_status()
            # Any other 4xx says no more than that the call failed.
            if by_status is not None and not isinstance(by_status, JobRefused):
                by_status.args = (f"{by_status}; {said}",)
                return by_status
            error = otherwise
        if issubclass(error, ServiceUnavailable):
            return error(said, nothing_created=nothing_created, retry_after=pause)
        if issubclass(error, RateLimited):
            return error(said, retry_after=pause)
        return error(said)

    def _refusal(self) -> ProviderError:
        said = f"HTTP {self.status}"
        if self.status == 429:
            return RateLimited(f"{said}: too many requests", retry_after=self.retry_after)
        if self.status == 402:
            return InsufficientBalance(f"{said}: the account has no money left")
        if self.status in (401, 403):
            # The account is refused by the service's own words alone: this may be a firewall in front of it.
            why = "something on the way refuses the request, such as a firewall"
            return ServiceUnavailable(
                f"{said}: {why}; where that lasts, check base_url and the token",
                nothing_created=True,
                retry_after=self.retry_after,
            )
        if self.status in (404, 405):
            return JobRefused(f"{said}: this address has no such call; check base_url")
        return JobRefused(f"{said}: the service refuses the request")

    def _where_to(self) -> str:
        try:
            host = urlsplit(self.headers.get("location", "")).hostname
        except ValueError:
            host = None
        return f" (it redirects to {host[:253]!r}, which is not followed)" if host else ""

    def json_object(self) -> dict[str, object]:
        """The body as a JSON object.

        Raises :class:`~captchahub.errors.MalformedReply` for anything else, and the :meth:`http_error` where
        the status already says what is wrong.
        """
        try:
            value: object = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            # JSON objects have text keys; pyright can't know it of json.loads.
            return value  # pyright: ignore[reportUnknownVariableType]
        raise self.http_error() or MalformedReply(f"HTTP {self.status} with a body that is not a JSON object")


def _id_or_answer(created: Created, _field: attrs.Attribute[Any], job_id: object) -> None:
    if job_id is None:
        if created.solution is None:
            raise ValueError("without a job id there has to be a solution: nobody could ask for one")
    elif isinstance(job_id, bool) or not isinstance(job_id, (int, str)):
        raise ValueError(f"a job id is a whole number or a text, not a {type(job_id).__name__}")


def _known(amount: object) -> Decimal | None:
    """An amount as it can be charged, or None: an answer is not lost for what its price looks like."""
    return amount if isinstance(amount, Decimal) and amount.is_finite() and amount >= 0 else None


def _finite(_balance: object, _field: attrs.Attribute[Any], amount: object) -> None:
    if not (isinstance(amount, Decimal) and amount.is_finite()):
        raise ValueError(f"a balance is a finite Decimal, not {amount!r:.40}")


@attrs.frozen
class Created:
    """The service took the job. ``solution`` and ``cost`` are set where it answered at once.

    ``job_id`` is None only where it answered at once and named no id. Raises ValueError for one that is None
    without a ``solution``, and for one that is no id.
    """

    job_id: JobId | None = attrs.field(validator=_id_or_answer)
    solution: Solution | None = None
    cost: Decimal | None = attrs.field(default=None, converter=_known)


@attrs.frozen
class Job:
    """A job to ask for: the service's id and the kind of the task it was created for."""

    id: JobId
    kind: str


@attrs.frozen
class Pending:
    """The job is not done. ``status`` is the service's own word for it.

    ``retry_after`` is when the service wants to be asked again, in seconds from now, None where it does not
    say so. ``is_known`` is False for a word that the plugin has never heard of, which is logged.
    """

    status: str = ""
    retry_after: float | None = attrs.field(default=None, converter=bounded_pause)
    is_known: bool = attrs.field(default=True, eq=False)


@attrs.frozen
class Solved:
    """The job is done. ``cost`` is what the reply says was charged, None where it does not say."""

    solution: Solution
    cost: Decimal | None = attrs.field(default=None, converter=_known)


@attrs.frozen
class Balance:
    """What is left on the account. ``currency`` is an ISO 4217 code, None where the service names none.

    ``in_kind`` is what the account can pay with beside money, by the service's own names: vouchers, the jobs
    that are left of a package. Raises ValueError for an amount that is no finite Decimal.
    """

    amount: Decimal = attrs.field(validator=_finite)
    currency: str | None = None
    in_kind: Mapping[str, Decimal] = attrs.field(
        factory=dict[str, Decimal],
        hash=False,
        validator=attrs.validators.deep_mapping(attrs.validators.instance_of(str), _finite),
    )

    @property
    def can_pay(self) -> bool:
        """Whether any of it is left."""
        return self.amount > 0 or any(amount > 0 for amount in self.in_kind.values())


@attrs.frozen
class Service:
    """One line of a service's price list; everything the service does not say is None.

    ``kind`` is the task type it serves. ``price`` is for one job. ``average_time`` is in seconds;
    ``success_rate`` is between 0 and 1.
    """

    id: str
    name: str
    kind: str | None = None
    price: Decimal | None = attrs.field(default=None, converter=_known)
    currency: str | None = None
    average_time: float | None = None
    success_rate: float | None = None
    is_open: bool | None = None


class Provider(ABC):
    """A service as seen by the core: the pairs of "make the request" and "read the reply".

    Every ``read_*`` is total: any reply gives its value or raises a
    :class:`~captchahub.errors.ProviderError`, never another exception.
    """

    kinds: ClassVar[frozenset[str]]
    """The task kinds this provider can take."""
    min_poll_interval: float = 1.0
    """The shortest time between two polls of one job that the service allows, in seconds."""
    min_first_poll_delay: float | None = None
    """The shortest time between the order and the first poll that it allows, in seconds.

    Nothing is ordered where less time than that is left. None where the service says nothing of it: the first
    poll then comes after ``min_poll_interval``, or sooner where little time is left.
    """

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        """The names of the task's options that reach the service; the others are reported as ignored."""
        return ()

    @abstractmethod
    def create_job(self, task: Task[Solution]) -> Request:
        """The order for a task. Raises UnsupportedTask for a task that this service can't be asked."""

    @abstractmethod
    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        """What the service made of the order. Raises a ProviderError."""

    @abstractmethod
    def poll_job(self, job: Job) -> Request:
        """The question for a job's answer; free, and safe to repeat."""

    @abstractmethod
    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        """The state of the job. Raises a ProviderError; JobFailed where it ended without an answer."""

    def ask_balance(self) -> Request:
        """The question for the balance. Raises NotOffered where the service has no such call."""
        raise NotOffered("this service does not tell a balance")

    def read_balance(self, reply: Reply) -> Balance:
        """The balance. Raises a ProviderError."""
        raise NotOffered("this service does not tell a balance")

    def ask_services(self) -> Request:
        """The question for the price list. Raises NotOffered where the service has no such call."""
        raise NotOffered("this service has no price list")

    def read_services(self, reply: Reply) -> Sequence[Service]:
        """The price list. Raises a ProviderError."""
        raise NotOffered("this service has no price list")

    def ask_report(self, job: Job, *, correct: bool) -> Request:
        """The call that tells the service whether a job's answer was right.

        Raises NotOffered where the service has no such call, or only one for wrong answers.
        """
        raise NotOffered("this service takes no reports of right or wrong answers")

    def read_report(self, reply: Reply) -> None:
        """Nothing where the service took the report. Raises a ProviderError."""
        raise NotOffered("this service takes no reports of right or wrong answers")


class LocalProvider(ABC):
    """An engine in the same process: the user's own OCR, or a person at a prompt.

    ``solve`` is called in a worker thread, so it may block; it is left alone when its time is up. Any
    exception it raises fails its attempt, and the next provider is tried.
    """

    kinds: ClassVar[frozenset[str]]
    """The task kinds this provider can take."""

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        """The names of the task's options that this engine honours."""
        return ()

    @abstractmethod
    def solve(self, task: Task[Solution]) -> Solution:
        """The answer to a task. Raises a ProviderError."""


C = TypeVar("C")


@attrs.frozen
class ProviderKind(Generic[C]):
    """A kind of provider that a plugin adds.

    ``name`` is what ``plugin:`` names in the configuration. ``settings`` is a frozen attrs class: its fields
    are the plugin's own keys, its field types what they must hold. ``build`` makes the provider from them.
    ``is_free`` says that its jobs cost nothing, unless the configuration or a reply names a price.
    ``aliases`` are other names that people may write, as the name or as the value of a key, each with the
    keys to write in place of it: ``{"twocaptcha": {"dialect": "2captcha"}}``. They are not valid; the error
    says what is. To be found before the plugin is imported, each is also the name of an entry point of the
    group ``captchahub.aliases``, with the value of the kind's own.
    """

    name: str
    settings: type[C]
    build: Callable[[C], Provider | LocalProvider]
    aliases: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict[str, Mapping[str, str]], eq=False)
    is_free: bool = attrs.field(default=False, kw_only=True)
