"""The settings of a hub, as :mod:`captchahub.config` reads them from a file or a mapping.

These classes are the list of keys. A field is a key of the configuration, its type says how the value is
written there, and the first paragraph of its docstring describes it in the JSON Schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import attrs

from captchahub._support import database_address
from captchahub._support.notation import (
    CertificatesPath,
    Count,
    Currency,
    DatabaseAddress,
    Duration,
    FailureLimit,
    FilePath,
    HeaderText,
    HedgeDelay,
    Inline,
    Internal,
    Key,
    Limit,
    Pause,
    Price,
    ProxyAddress,
    Share,
    ShareLimit,
    TimeZone,
)
from captchahub.errors import ProviderError
from captchahub.jobs import Period
from captchahub.provider import ProviderKind, Secret

__all__ = [
    "KEPT_IN_MEMORY",
    "Budget",
    "FurtherBudget",
    "HealthSettings",
    "HttpSettings",
    "HubSettings",
    "JournalSettings",
    "Otherwise",
    "Percentile",
    "Period",
    "PluginSettings",
    "PollAim",
    "PollSettings",
    "ProviderSettings",
    "Rate",
    "RouteSettings",
    "Strategy",
]

KEPT_IN_MEMORY = 3600.0
"""The longest time for which a journal in memory keeps ended jobs, in seconds."""


@attrs.frozen
class HttpSettings:
    """How requests to one provider travel."""

    ca_bundle: Annotated[Path | None, CertificatesPath] = None
    """Certificates to trust instead of the usual ones: a PEM file, or a folder made by `openssl rehash`.

    None for those that the environment names: REQUESTS_CA_BUNDLE, else CURL_CA_BUNDLE, else SSL_CERT_FILE and
    SSL_CERT_DIR together; and else for those that come with requests.
    """
    proxy: Annotated[str | None, ProxyAddress] = attrs.field(default=None, repr=False)
    """The HTTP proxy of your own network, such as http://127.0.0.1:3128.

    None for the one that HTTPS_PROXY or ALL_PROXY names, except for hosts that NO_PROXY names. Requests to
    this machine never go through a proxy. The address can hold a password, so it never shows.
    """
    user_agent: Annotated[str | None, HeaderText] = None
    """The User-Agent that the service sees; without it, the library's own."""
    max_reply_bytes: Annotated[int, Count] = 1_000_000
    """The largest reply that is read, in bytes."""
    transport: Literal["requests", "fast"] | None = None
    """What sends the requests: requests, in threads; or fast, in the event loop, with the extra `fast`.

    None for fast if it is installed, and else for requests.
    """


@attrs.frozen
class HealthSettings:
    """When a failing provider gets a cooldown, and for how long. Times are in seconds."""

    failures: Annotated[float, FailureLimit] = 5
    """How many failures in a row cause a cooldown, or never.

    Infinite if their number does not matter.
    """
    error_rate: Annotated[float, ShareLimit] = 0.5
    """The share of failed attempts above which a cooldown begins, such as 50%, or never.

    From 0 to 1; infinite if it does not matter.
    """
    window: Annotated[float, Duration] = 60.0
    """The time over which that share is taken, such as 60s."""
    min_samples: Annotated[int, Count] = 20
    """The fewest attempts in that time for the share to count."""
    cooldown: Annotated[float, Pause] = 30.0
    """How long the provider gets no jobs while another one can be used, such as 30s.

    Then one attempt tries it again. A solve that has no other provider does not wait as long.
    """
    busy_cooldown: Annotated[float, Pause] = 2.0
    """The same after a busy answer, if the service does not say how long.

    It also follows an answer that asks for fewer requests.
    """


_RATE_UNITS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86_400.0: "day"}


@attrs.frozen
class Rate:
    """At most ``jobs`` new jobs in any ``seconds``."""

    jobs: int
    seconds: float

    def __str__(self) -> str:
        unit = _RATE_UNITS.get(self.seconds)
        return f"{self.jobs} in {self.seconds:g} s" if unit is None else f"{self.jobs}/{unit}"


@attrs.frozen
class Budget:
    """The most that may be spent in a period; days and months are those of the zone."""

    limit: Annotated[Decimal, Limit]
    """How much may be spent, such as 5.00; 0 is nothing at all."""
    per: Period
    """The period that the limit is for."""
    zone: Annotated[tzinfo, TimeZone] = UTC
    """Where days and months begin, as a name of the IANA database; without it, UTC."""

    def __str__(self) -> str:
        per = "in total" if self.per is Period.TOTAL else f"per {self.per.value}"
        return f"{self.limit:f} {per}"


@attrs.frozen
class FurtherBudget:
    """The most that all providers together may spend after a moment, and ``name``, what it is the budget of.

    ``spent_before`` is what they had ever spent at that moment.
    """

    name: str
    limit: Decimal
    spent_before: Decimal = Decimal(0)


# Not public, where an application may have tables with the same names, such as jobs and accounts.
_SCHEMA = "captchahub"

_ADDRESS_EXAMPLE = (
    "postgresql://user:password@host/database, where special characters of the password are percent-encoded"
)


@attrs.frozen
class JournalSettings:
    """Where jobs and costs are recorded."""

    path: Annotated[Path | None, FilePath] = None
    """The file, such as jobs.db; relative paths begin at the configuration.

    Several processes may share it. None for memory, which is gone with the hub.
    """
    keep: Annotated[float, Pause] = 30 * 86_400.0
    """How long ended jobs stay in it, such as 30d.

    In seconds. What they cost stays for ever.
    """
    url: Annotated[Secret | None, DatabaseAddress] = None
    """A PostgreSQL database instead of a file, such as postgresql://user:password@host/database.

    Hubs on many machines may share it. It needs captchahub[postgres].
    """
    schema: str = _SCHEMA
    """The schema of the tables in that database; it is made if it is missing."""
    pooler: bool | None = None
    """Whether a pooler such as PgBouncer stands before that database, in transaction mode.

    Without it, the hub finds out, and takes a pooler in session mode for one in transaction mode as well.
    """

    def __attrs_post_init__(self) -> None:
        # PostgreSQL cuts longer names off, and reserves those with its own prefix.
        if not 1 <= len(self.schema.encode()) <= 63 or "\0" in self.schema or self.schema.startswith("pg_"):
            raise ValueError("schema is a name of up to 63 bytes that does not begin with pg_")
        # Not shown: it can hold a password.
        if self.path is not None and database_address.is_address(str(self.path)):
            raise ValueError("path is the address of a database; give it as url")
        if self.url is None:
            if self.pooler is not None or self.schema != _SCHEMA:
                raise ValueError(
                    "schema and pooler are keys of a journal in a database; give its url as well"
                )
            return
        if not database_address.is_valid(self.url.reveal()):
            raise ValueError(f"url is not an address such as {_ADDRESS_EXAMPLE}")
        if self.path is not None:
            raise ValueError("a journal has a path or a url, not both")

    @property
    def place(self) -> str | None:
        """Where it is, for people: a file, or a database without its user and password; None in memory."""
        if self.url is None:
            return None if self.path is None else str(self.path)
        database = database_address.shown(self.url.reveal())
        return database if self.schema == _SCHEMA else f"{database} (schema {self.schema})"


class PollAim(Enum):
    """What learned polls save."""

    LAG = "lag"
    CALLS = "calls"


@attrs.frozen
class PollSettings:
    """When a job is polled, as far as that is not learned. Times are in seconds."""

    first: Annotated[float | None, Duration] = None
    """When a job is polled for the first time, such as 3s; without it, when jobs are usually done."""
    every: Annotated[float | None, Duration] = None
    """The time between two polls of a job, such as 2s; without it, a learned one.

    A job that is older than ten times that is polled after a tenth of its age.
    """
    aim: PollAim = PollAim.LAG
    """What learned polls save: the time until an answer is found, or calls.

    ``lag`` finds answers soon, and ``calls`` needs fewer polls.
    """


@attrs.frozen
class ProviderSettings:
    """One configured account at one service. Times are in seconds."""

    name: Annotated[str, Internal]
    """The name of the account in routes and results."""
    plugin: str
    """Which service this is: the name of an installed plugin."""
    own: Annotated[object, Internal] = attrs.field(repr=False)
    """The plugin's own settings: an instance of ``kind.settings``."""
    kind: Annotated[ProviderKind[object], Internal] = attrs.field(eq=False)
    """What the plugin registered under that name."""
    timeout: Annotated[float | None, Duration] = None
    """How long one job may take, such as 60s; without it, a share of the time that is left."""
    create_timeout: Annotated[float, Duration] = 30.0
    """How long the call that creates a job may take, such as 30s."""
    poll_timeout: Annotated[float, Duration] = 10.0
    """How long any other call may take, such as 10s."""
    poll: PollSettings = PollSettings()
    """When a job is polled, such as {first: 3s, every: 2s}; without it, at learned times."""
    max_in_flight: Annotated[int, Count] = 50
    """How many jobs may be open at once."""
    rate: Annotated[Rate | None, Rate] = None
    """How many jobs may be created in a time, such as 20/second."""
    report_wrong: bool = False
    """Whether answers that fail a check are reported to the service."""
    prices: Mapping[str, Annotated[Decimal, Price]] = attrs.field(factory=dict[str, Decimal])
    """What one job costs, by task kind, if the service does not publish it.

    In the currency of the account.
    """
    currency: Annotated[str | None, Currency] = None
    """The currency of the account: three capital letters, such as USD."""
    journal_account: Annotated[str | None, HeaderText] = None
    """The name of the account in the journal, so that a new token is still the same account.

    None if the token identifies the account.
    """
    health: HealthSettings = HealthSettings()
    """When a failing provider gets a cooldown, and for how long."""
    budget: Budget | None = None
    """The most that may be spent here, such as {limit: 5.00, per: day}."""
    http: Annotated[HttpSettings, Inline] = HttpSettings()
    unusable: Annotated[str | None, Internal] = None
    """Why its plugin can't be used and what to do, or None. A provider that has it is never called."""


class Strategy(Enum):
    """The order in which the providers of one priority are called."""

    ORDERED = "ordered"
    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    BALANCED = "balanced"


class Otherwise(Enum):
    """What follows a failed attempt."""

    NEXT = "next"
    FAIL = "fail"


@attrs.frozen
class Percentile:
    """The time within which ``rank`` percent of the finished jobs were done."""

    rank: int

    def __str__(self) -> str:
        return f"p{self.rank}"


@attrs.frozen
class RouteSettings:
    """Which providers are called for one kind of task, in which order, and what may follow a failure."""

    groups: Annotated[Sequence[Mapping[str, float]], Key("providers")]
    """The providers to call, in order: names, or priorities such as {omo: 3, spare: 1} with weights.

    The priorities, first one first: each maps the names of its providers to their weights.
    """
    strategy: Strategy = Strategy.ORDERED
    """The order within a priority.

    ``ordered`` and ``balanced`` draw it by weight.
    """
    fallback_on: tuple[type[ProviderError], ...] = (ProviderError,)
    """The errors after which another provider is called; ProviderError is every one of them."""
    on_ambiguous: Otherwise = Otherwise.NEXT
    """What follows if a job may or may not have been created: next may pay twice."""
    on_timeout: Otherwise = Otherwise.NEXT
    """What follows a job that took too long, which may have to be paid for as well."""
    max_attempts: Annotated[int | None, Count] = None
    """The most attempts of one solve."""
    hedge_after: Annotated[float | Percentile | None, HedgeDelay] = None
    """When to call a second provider while the first still works, such as 15s or p95.

    In seconds; None for never.
    """
    hedge_limit: Annotated[float, Share] = 0.05
    """The largest share of solves for which that is done, such as 5%.

    From 0 to 1.
    """
    agree: Annotated[int, Count] = 1
    """How many providers must return the same answer; each is paid."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every provider of the route."""
        return tuple(name for group in self.groups for name in group)


@attrs.frozen
class PluginSettings:
    """Which plugins are used besides those of the providers, and which must not be used at all."""

    load: tuple[str, ...] = ()
    """Plugins to import for their other hooks, such as observers, by their names."""
    block: tuple[str, ...] = ()
    """Plugins that must not be imported, by their names or those of their packages."""


@attrs.frozen
class HubSettings:
    """Everything a hub needs to know. Times are in seconds."""

    providers: Mapping[str, ProviderSettings]
    """The accounts, by the names that routes and results use.

    In the order of the file.
    """
    routes: Mapping[str, RouteSettings]
    """The providers for each task kind, in order; without a route, every provider that can do it."""
    timeout: Annotated[float, Duration] = 120.0
    """How long a solve may take, every attempt together, such as 120s."""
    budget: Budget | None = None
    """The most that may be spent at all providers together, such as {limit: 100, per: month}."""
    journal: JournalSettings = JournalSettings()
    """The file in which jobs and costs are recorded, which several processes may share."""
    shared_limits: bool = True
    """Whether processes that share the journal's file keep to the limits of an account together.

    If one of them finds that an account is refused or empty, the others do not call it either. False if each
    of them has the limits, and its own view of the account, for itself.
    """
    further_budgets: Annotated[Sequence[FurtherBudget], Internal] = ()
    """Budgets of all providers together besides ``budget``, such as that of a batch."""
    reuse_since: Annotated[float, Internal] = math.inf
    """From when on answers to equal tasks are reused, whatever ``cache`` says, in seconds since 1970.

    A batch that goes on after a crash finds the answers so that it has paid for.
    """
    cache: Annotated[float, Pause] = 0.0
    """How long an answer is reused for an equal task, without paying, such as 1h."""
    plugins: PluginSettings = PluginSettings()
    """Which plugins are used besides those of the providers, and which must not be used."""
