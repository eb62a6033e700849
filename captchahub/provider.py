"""The interface that a provider plugin implements, and the values it exchanges with the engine.

A :class:`Provider` only translates: it turns a task into a :class:`Request`, and a :class:`Reply` into a
value or an error. It does no I/O, keeps no state between calls, and is shared by threads. The engine sends
the requests, keeps the deadlines and decides what is repeated. A :class:`LocalProvider` solves tasks in the
same process instead. :mod:`captchahub.words` has functions for reading replies.
"""

from __future__ import annotations

import base64
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
from captchahub.images import Image
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
"""A service's own job id, exactly as the service sent it: a number stays a number."""


@attrs.frozen
class Request:
    """One HTTP request. ``repr`` leaves out body and headers, which may hold a token."""

    url: str
    body: bytes = attrs.field(default=b"", repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)

    @classmethod
    def post_json(
        cls, url: str, payload: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> Request:
        """Return a POST request with a JSON body. ``headers`` are sent besides ``Content-Type``.

        An :class:`~captchahub.images.Image` anywhere in the payload is written as the text of its plain
        base64: ``{"picture": task.image}``. That is several times as fast as ``task.image.base64``, which
        has to be searched for characters to escape.
        """
        return cls(url, _json_body(payload), headers={"Content-Type": "application/json", **(headers or {})})


# Stands for a picture in JSON. It is random, so that no text in a payload can be equal to it.
_PICTURE = os.urandom(16).hex()


def _stand_in(value: object) -> str:
    if isinstance(value, Image):
        return _PICTURE
    raise TypeError(f"a {type(value).__name__} can't be written as JSON")


# Made once, because json.dumps() makes one for each call with separators.
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_stand_in)


def _json_body(payload: Mapping[str, object]) -> bytes:
    first, *others = _ENCODER.encode(payload).encode().split(_PICTURE.encode())
    if not others:
        return first
    parts = [first]
    for picture, following in zip(_pictures_in(payload), others, strict=True):
        parts += (base64.b64encode(picture.data), following)
    return b"".join(parts)


def _pictures_in(value: object) -> Iterator[Image]:
    """Yield the pictures in a JSON value, in the order in which they are written."""
    if isinstance(value, Image):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:  # pyright: ignore[reportUnknownVariableType] - any JSON
            yield from _pictures_in(item)  # pyright: ignore[reportUnknownArgumentType]


# In characters. A body can be megabytes; it is cut before each secret is searched for in it.
_LONGEST_REASON = 20_000


def _lower_names(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@attrs.frozen
class Reply:
    """One complete HTTP reply. The names in ``headers`` are in lower case."""

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False, converter=_lower_names)
    hidden: Sequence[str] = attrs.field(default=(), repr=False, eq=False)
    """The secrets that the request was made with. They are masked if the service repeats them."""

    @property
    def reason(self) -> str:
        """The service's own words for a failure, found in JSON, HTML or plain text; empty if there are none.

        They are short, on one line, and without the ``hidden`` secrets.
        """
        try:
            reason = reason_in(json.loads(self.body))
        except (ValueError, RecursionError):
            reason = reason_in_page(self.body)
        reason = reason[:_LONGEST_REASON]
        for secret in self.hidden:
            # Masked before the text is shortened, because the cut could leave a part of a secret.
            reason = Words("", Secret(secret), longest=_LONGEST_REASON).of(reason)
        return Words("").of(reason)

    @property
    def retry_after(self) -> float | None:
        """The pause in the ``Retry-After`` header, in seconds, or None (RFC 9110, section 10.2.3)."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            # Nine digits are 31 years; a float of more than 308 digits would be infinite.
            return float(text[:9])
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        aware = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (aware - datetime.now(UTC)).total_seconds())

    def http_error(self) -> ProviderError | None:
        """Return the error that the status code stands for, or None for 2xx.

        It is meant for replies that are not in the service's own format. The message includes the service's
        own words, if there are any.
        """
        error = self._status_error()
        if error is not None and self.status >= 400:
            reason = self.reason
            error.args = (f"{error}; it says {reason!r}" if reason else str(error),)
        return error

    def _status_error(self) -> ProviderError | None:
        status = self.status
        if 200 <= status < 300:
            return None
        if status == 408 or status >= 500:
            return ServiceUnavailable(f"HTTP {status} from the service", retry_after=self.retry_after)
        if status >= 400:
            return self._refusal()
        return MalformedReply(f"HTTP {status}: not an answer of this service{self._redirect()}")

    def failure(
        self,
        said: str,
        error: type[ProviderError] | None,
        otherwise: type[ProviderError],
        *,
        nothing_created: bool = False,
        retry_after: float | None = None,
    ) -> ProviderError:
        """Return the error for a failure that the service reports in its own format.

        ``said`` is the message: the service's words, as they may be shown. ``error`` is the class that these
        words stand for. If it is None, the status code decides; if the code only says that the call failed,
        the class is ``otherwise``. ``retry_after`` is the pause in seconds if the reply has no
        ``Retry-After`` header. ``nothing_created`` is passed on to a
        :class:`~captchahub.errors.ServiceUnavailable`.
        """
        pause = retry_after if self.retry_after is None else self.retry_after
        if error is None and self.status == 401:
            return AuthenticationError(f"HTTP 401: the service refuses the account; {said}")
        if error is None:
            status_error = self._status_error()
            # JobRefused stands for the 4xx codes that only say that the call failed.
            if status_error is not None and not isinstance(status_error, JobRefused):
                status_error.args = (f"{status_error}; {said}",)
                return status_error
            error = otherwise
        if issubclass(error, ServiceUnavailable):
            return error(said, nothing_created=nothing_created, retry_after=pause)
        if issubclass(error, RateLimited):
            return error(said, retry_after=pause)
        return error(said)

    def _refusal(self) -> ProviderError:
        code = f"HTTP {self.status}"
        if self.status == 429:
            return RateLimited(f"{code}: too many requests", retry_after=self.retry_after)
        if self.status == 402:
            return InsufficientBalance(f"{code}: the account has no money left")
        if self.status in (401, 403):
            # Not an AuthenticationError, which takes the provider out until someone intervenes: without words
            # of the service it may come from a firewall in front of it, and end by itself.
            why = "something in between, such as a firewall, refuses the request"
            return ServiceUnavailable(
                f"{code}: {why}; if this persists, check base_url and the token",
                nothing_created=True,
                retry_after=self.retry_after,
            )
        if self.status in (404, 405):
            return JobRefused(f"{code}: this address has no such call; check base_url")
        return JobRefused(f"{code}: the service refuses the request")

    def _redirect(self) -> str:
        # Only the host, because the rest of the address may repeat a secret.
        try:
            host = urlsplit(self.headers.get("location", "")).hostname
        except ValueError:
            host = None
        return f" (it redirects to {host[:253]!r}, which is not followed)" if host else ""

    def json_object(self) -> dict[str, object]:
        """Return the body as a JSON object.

        If the body is anything else, raises the :meth:`http_error` of the status, or
        :class:`~captchahub.errors.MalformedReply` for 2xx.
        """
        try:
            value: object = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            # The keys of a JSON object are strings, but json.loads returns Any.
            return value  # pyright: ignore[reportUnknownVariableType]
        raise self.http_error() or MalformedReply(f"HTTP {self.status} with a body that is not a JSON object")


def _id_or_answer(created: Created, _field: attrs.Attribute[Any], job_id: object) -> None:
    if job_id is None:
        if created.solution is None:
            raise ValueError("without a job id there must be a solution, because the job could not be polled")
    elif isinstance(job_id, bool) or not isinstance(job_id, (int, str)):
        raise ValueError(f"a job id must be an integer or a text, not a {type(job_id).__name__}")


def _known(amount: object) -> Decimal | None:
    """Return an amount that can be charged, or None.

    It does not raise, because an unreadable price must not lose an answer that is paid for.
    """
    return amount if isinstance(amount, Decimal) and amount.is_finite() and amount >= 0 else None


def _finite(_balance: object, _field: attrs.Attribute[Any], amount: object) -> None:
    if not (isinstance(amount, Decimal) and amount.is_finite()):
        raise ValueError(f"a balance must be a finite Decimal, not {amount!r:.40}")


@attrs.frozen
class Created:
    """The service accepted the job. ``solution`` and ``cost`` are set if it answered at once.

    ``job_id`` may be None only if the service answered at once and named no id. Raises ValueError if it is
    None without a ``solution``, or neither an integer nor a text.
    """

    job_id: JobId | None = attrs.field(validator=_id_or_answer)
    solution: Solution | None = None
    cost: Decimal | None = attrs.field(default=None, converter=_known)


@attrs.frozen
class Job:
    """A job to poll: the service's id, and the kind of the task it was created for."""

    id: JobId
    kind: str


@attrs.frozen
class Pending:
    """The job is not done. ``status`` is the service's own word for its state.

    ``retry_after`` is the time until the next poll that the service asks for, in seconds, or None if it names
    none. ``is_known`` is False for a word that the plugin does not know: the job is polled on, and the word
    is logged.
    """

    status: str = ""
    retry_after: float | None = attrs.field(default=None, converter=bounded_pause)
    is_known: bool = attrs.field(default=True, eq=False)


@attrs.frozen
class Solved:
    """The job is done. ``cost`` is what was charged according to the reply, or None if it does not say."""

    solution: Solution
    cost: Decimal | None = attrs.field(default=None, converter=_known)


@attrs.frozen
class Balance:
    """What is left on the account. ``currency`` is an ISO 4217 code, or None if the service names none.

    ``in_kind`` is what the account can pay with besides money, by the service's own names: vouchers, or the
    jobs left in a package. Raises ValueError for an amount that is not a finite Decimal.
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
        """Whether the account can pay for another job, with money or in kind."""
        return self.amount > 0 or any(amount > 0 for amount in self.in_kind.values())


@attrs.frozen
class Service:
    """One line of a service's price list. What the list does not say is None.

    ``kind`` is the kind of task that the line is for. ``price`` is for one job, in ``currency``.
    ``average_time`` is in seconds; ``success_rate`` is between 0 and 1.
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
    """A service as the engine sees it: pairs of methods, one makes a request and one reads its reply.

    For any reply at all, a ``read_*`` method returns its value or raises a
    :class:`~captchahub.errors.ProviderError`. Any other exception counts as a
    :class:`~captchahub.errors.PluginFault`.
    """

    kinds: ClassVar[frozenset[str]]
    """The kinds of task that this provider accepts."""
    min_poll_interval: float = 1.0
    """The shortest time between two polls of one job that the service allows, in seconds."""
    min_first_poll_delay: float | None = None
    """The shortest time between the create call and the first poll that the service allows, in seconds.

    No job is created if less time than that is left. None means that the service names no such time: the
    first poll then comes when jobs are usually done, and after ``min_poll_interval`` while that is unknown.
    """
    usual_job_time: float | None = None
    """What a job usually takes, in seconds, or None if unknown. Polling starts from it, and learns."""

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        """Return the names of the options that are sent to the service; results list the rest as ignored."""
        return ()

    @abstractmethod
    def create_job(self, task: Task[Solution]) -> Request:
        """Return the request that creates a job. Raises UnsupportedTask if the service cannot do the task."""

    @abstractmethod
    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        """Read the reply to :meth:`create_job`. Raises a ProviderError if no job was created."""

    @abstractmethod
    def poll_job(self, job: Job) -> Request:
        """Return the request that polls a job. The call must be free of charge and safe to repeat."""

    @abstractmethod
    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        """Read the reply to :meth:`poll_job`.

        Raises a ProviderError: JobFailed if the job ended without an answer.
        """

    def ask_balance(self) -> Request:
        """Return the request for the balance. Raises NotOffered if the service has no such call."""
        raise NotOffered("this service has no call for the balance")

    def read_balance(self, reply: Reply) -> Balance:
        """Read the reply to :meth:`ask_balance`. Raises a ProviderError."""
        raise NotOffered("this service has no call for the balance")

    def ask_services(self) -> Request:
        """Return the request for the price list. Raises NotOffered if the service has no such call."""
        raise NotOffered("this service has no price list")

    def read_services(self, reply: Reply) -> Sequence[Service]:
        """Read the reply to :meth:`ask_services`. Raises a ProviderError."""
        raise NotOffered("this service has no price list")

    def ask_report(self, job: Job, *, correct: bool) -> Request:
        """Return the request that reports whether the answer of a job was right.

        Raises NotOffered if the service has no such call, or only one for the other case.
        """
        raise NotOffered("this service takes no reports of right or wrong answers")

    def read_report(self, reply: Reply) -> None:
        """Read the reply to :meth:`ask_report`. Raises a ProviderError if the report was not accepted."""
        raise NotOffered("this service takes no reports of right or wrong answers")


class LocalProvider(ABC):
    """A solver in the same process: the user's own OCR, or a person at a prompt.

    :meth:`solve` is called in a worker thread, so it may block. A call whose time is up is not interrupted;
    its answer is dropped.
    """

    kinds: ClassVar[frozenset[str]]
    """The kinds of task that this provider accepts."""

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        """Return the names of the options that this provider uses; results name the others as ignored."""
        return ()

    @abstractmethod
    def solve(self, task: Task[Solution]) -> Solution:
        """Solve a task. Any exception ends the attempt, and the next provider is called."""


C = TypeVar("C")


@attrs.frozen
class ProviderKind(Generic[C]):
    """A kind of provider that a plugin adds.

    ``name`` is the value of ``plugin:`` in the configuration. ``settings`` is a frozen attrs class; its
    fields are the plugin's own keys, with the types of their values. ``build`` creates the provider from
    them. ``is_free`` means that jobs cost nothing, unless the configuration or a reply names a price.

    ``aliases`` are other names that users may write as the name or as the value of a key, each with the keys
    to write instead: ``{"twocaptcha": {"dialect": "2captcha"}}``. An alias is not accepted; the error says
    what to write. Each alias must also be the name of an entry point in the group ``captchahub.aliases``,
    with the same value as the entry point of the kind, because the plugin is not imported to look for
    aliases.
    """

    name: str
    settings: type[C]
    build: Callable[[C], Provider | LocalProvider]
    aliases: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict[str, Mapping[str, str]], eq=False)
    is_free: bool = attrs.field(default=False, kw_only=True)
