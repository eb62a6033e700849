"""What a hub is told: frozen settings, as :mod:`captchahub.config` makes them of a file or a mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import Path

import attrs

from captchahub.errors import ProviderError
from captchahub.provider import ProviderKind

__all__ = [
    "KEPT_IN_MEMORY",
    "Budget",
    "HealthSettings",
    "HttpSettings",
    "HubSettings",
    "JournalSettings",
    "Otherwise",
    "Percentile",
    "Period",
    "PluginSettings",
    "ProviderSettings",
    "Rate",
    "RouteSettings",
    "Strategy",
]

KEPT_IN_MEMORY = 3600.0
"""How long ended jobs are kept at most where the journal is in memory, in seconds."""


@attrs.frozen
class HttpSettings:
    """How requests to one provider travel."""

    ca_bundle: Path | None = None
    """The certificates to trust: a PEM file, or a folder made by ``openssl rehash``.

    None for those that the environment names: REQUESTS_CA_BUNDLE, else CURL_CA_BUNDLE, else SSL_CERT_FILE and
    SSL_CERT_DIR together; and else for those that come with requests.
    """
    proxy: str | None = attrs.field(default=None, repr=False)
    """The address of an HTTP proxy; it can hold a password, so it never shows.

    None for the one that HTTPS_PROXY or ALL_PROXY names, but for hosts that NO_PROXY names. What goes to this
    machine never goes through a proxy.
    """
    user_agent: str | None = None
    """The ``User-Agent`` to send; None for the library's own."""
    max_reply_bytes: int = 1_000_000
    """The largest reply that is read, in bytes."""


@attrs.frozen
class HealthSettings:
    """When a provider is left alone, and for how long."""

    failures: float = 5
    """So many failures in a row; infinite where their number does not matter."""
    error_rate: float = 0.5
    """A share of failures above this, from 0 to 1; infinite where it does not matter."""
    window: float = 60.0
    """The time over which that share is taken, in seconds."""
    min_samples: int = 20
    """The least number of attempts in that time for the share to say anything."""
    cooldown: float = 30.0
    """How long a provider that failed is left alone before one attempt tries it again, in seconds.

    A solve that has nobody else to ask does not wait as long.
    """
    busy_cooldown: float = 2.0
    """How long one that is busy, or asks for fewer requests, is, where it does not say so, in seconds."""


_RATE_UNITS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86_400.0: "day"}


@attrs.frozen
class Rate:
    """At most ``jobs`` orders in any ``seconds``."""

    jobs: int
    seconds: float

    def __str__(self) -> str:
        unit = _RATE_UNITS.get(self.seconds)
        return f"{self.jobs} in {self.seconds:g} s" if unit is None else f"{self.jobs}/{unit}"


class Period(Enum):
    """How long a budget lasts until it begins anew."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@attrs.frozen
class Budget:
    """The most that may be spent in a period; days and months are those of the zone."""

    limit: Decimal
    per: Period
    zone: tzinfo = UTC

    def __str__(self) -> str:
        per = "in total" if self.per is Period.TOTAL else f"per {self.per.value}"
        return f"{self.limit:f} {per}"


@attrs.frozen
class JournalSettings:
    """Where jobs and money are written down."""

    path: Path | None = None
    """The file, which several processes may share; None for memory, which is gone with the hub."""
    keep: float = 30 * 86_400.0
    """How long jobs that have ended stay in it, in seconds; what they cost stays for ever."""


@attrs.frozen
class ProviderSettings:
    """One configured account at one service."""

    name: str
    """What routes and results call it."""
    plugin: str
    """The name of the provider kind."""
    own: object = attrs.field(repr=False)
    """The plugin's own settings: an instance of ``kind.settings``."""
    kind: ProviderKind[object] = attrs.field(eq=False)
    timeout: float | None = None
    """How long one job may take, in seconds; None for a fair share of what the solve has left."""
    create_timeout: float = 30.0
    """How long the call that creates a job may take, in seconds."""
    poll_timeout: float = 10.0
    """How long any other call may take, in seconds."""
    poll_interval: float | None = None
    """The least time between two questions for one job, in seconds; None for what the plugin says."""
    max_in_flight: int = 50
    """How many jobs may be open at once."""
    rate: Rate | None = None
    """How many jobs may be ordered in a time."""
    health: HealthSettings = HealthSettings()
    report_wrong: bool = False
    """Whether the service is told of answers that fail a check."""
    prices: Mapping[str, Decimal] = attrs.field(factory=dict[str, Decimal])
    """What one job costs, by task kind, in the account's own currency."""
    currency: str | None = None
    """The account's currency, as an ISO 4217 code; None where it was not said."""
    budget: Budget | None = None
    """The most that may be spent at this provider."""
    http: HttpSettings = HttpSettings()
    journal_account: str | None = None
    """What the journal calls the account, in place of its token; None where the token tells which it is."""
    unusable: str | None = None
    """Why its plugin can't be used and what to do, so that it is never asked; None where it can."""


class Strategy(Enum):
    """In which order the providers of one priority are asked."""

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
    """A time that so many of a hundred finished jobs did not exceed."""

    rank: int

    def __str__(self) -> str:
        return f"p{self.rank}"


@attrs.frozen
class RouteSettings:
    """Who is asked for one kind of task, in which order, and what may follow."""

    groups: Sequence[Mapping[str, float]]
    """The priorities, first one first: each the names of its providers, with their weights."""
    strategy: Strategy = Strategy.ORDERED
    """The order within a priority. ``ordered`` and ``balanced`` draw it by weight."""
    fallback_on: tuple[type[ProviderError], ...] = (ProviderError,)
    """The errors after which another provider is asked."""
    on_ambiguous: Otherwise = Otherwise.NEXT
    """What follows an order of which nobody knows whether it arrived."""
    on_timeout: Otherwise = Otherwise.NEXT
    """What follows a job that took too long."""
    max_attempts: int | None = None
    """The most attempts of one solve, None for no such limit."""
    hedge_after: float | Percentile | None = None
    """When to ask a second provider while the first still works, in seconds; None for never."""
    hedge_limit: float = 0.05
    """The largest share of solves for which that is done, from 0 to 1."""
    agree: int = 1
    """How many providers must give the same answer."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every provider of the route."""
        return tuple(name for group in self.groups for name in group)


@attrs.frozen
class PluginSettings:
    """Which plugins are used beside those of the providers, and which must not be used at all."""

    load: tuple[str, ...] = ()
    """Those to import for their other hooks, by their names."""
    block: tuple[str, ...] = ()
    """Those that are never imported, by their names or those of their packages."""


@attrs.frozen
class HubSettings:
    """Everything a hub needs to know."""

    providers: Mapping[str, ProviderSettings]
    """By name, in the order of the file."""
    routes: Mapping[str, RouteSettings]
    """Who is asked for a task kind; a kind can be missing."""
    timeout: float = 120.0
    """How long a solve may take, every attempt together, in seconds."""
    budget: Budget | None = None
    """The most that may be spent at all providers together."""
    journal: JournalSettings = JournalSettings()
    cache: float = 0.0
    """How long an answer is given to equal tasks again, in seconds."""
    plugins: PluginSettings = PluginSettings()
