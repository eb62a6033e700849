"""The keys there are, and the types of their values: what the loader reads and the schema tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from captchahub._config.scalars import (
    CertificatesPath,
    Count,
    Currency,
    Duration,
    FailureLimit,
    FilePath,
    HeaderText,
    Pause,
    Price,
    ProxyAddress,
    ShareLimit,
)
from captchahub.provider import ProviderKind
from captchahub.settings import Rate
from captchahub.tasks import Task

__all__ = ["KEY_TEXTS", "ROUTE_TEXTS"]

PROVIDER_NAME = r"[\w.-]+"
"""What the names of providers are made of."""

HTTP_KEYS: Mapping[str, Any] = {
    "ca_bundle": CertificatesPath,
    "proxy": ProxyAddress,
    "user_agent": HeaderText,
    "max_reply_bytes": Count,
}

LIMIT_KEYS: Mapping[str, Any] = {
    "timeout": Duration,
    "create_timeout": Duration,
    "poll_timeout": Duration,
    "poll_interval": Duration,
    "max_in_flight": Count,
    "rate": Rate,
    "report_wrong": bool,
    "prices": dict[str, Price],
    "currency": Currency,
    "journal_account": HeaderText,
}

HEALTH_KEYS: Mapping[str, Any] = {
    "failures": FailureLimit,
    "error_rate": ShareLimit,
    "window": Duration,
    "min_samples": Count,
    "cooldown": Pause,
    "busy_cooldown": Pause,
}

COMMON_KEYS = ("plugin", *LIMIT_KEYS, "health", "budget", *HTTP_KEYS)
"""What every provider takes, whatever its plugin."""

HUB_KEYS: Mapping[str, Any] = {"timeout": Duration, "cache": Pause}

TOP_KEYS = ("providers", "routes", "timeout", "budget", "journal", "cache", "plugins")

JOURNAL_KEYS: Mapping[str, Any] = {"path": FilePath, "keep": Pause}

PLUGIN_KEYS: Mapping[str, Any] = {"load": tuple[str, ...], "block": tuple[str, ...]}


def task_kinds(used: Iterable[ProviderKind[object]]) -> frozenset[str]:
    """The task kinds that can occur: of every task type in the program, and of the providers used.

    A provider is not built to learn its kinds; they are read from ``build`` where that is its class.
    """
    kinds = set(_subclass_kinds(Task))
    for kind in used:
        declared: object = getattr(kind.build, "kinds", None)
        # One that declares something else can't be built, which is told there.
        if isinstance(declared, (set, frozenset)):
            kinds |= {str(one) for one in declared}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # of anything
    return frozenset(kinds)


def _subclass_kinds(task_type: type[Any]) -> Iterable[str]:
    for subclass in task_type.__subclasses__():
        kind = getattr(subclass, "kind", None)
        if isinstance(kind, str):
            yield kind
        yield from _subclass_kinds(subclass)


KEY_TEXTS: Mapping[str, str] = {
    "providers": "The accounts, by the names that routes and results use.",
    "routes": "Who is asked for each task kind, in order; without a route, every provider that can take it.",
    "timeout": "How long a solve may take, every attempt together, such as 120s.",
    "budget": "The most that may be spent at all providers together, such as {limit: 100, per: month}.",
    "journal": "The file where jobs and money are written down, which several processes may share.",
    "cache": "How long an answer is given to an equal task again, without paying, such as 1h.",
    "plugins": "Which plugins are used beside those of the providers, and which must not be used.",
    "plugins.load": "Those to import for what else they do, such as to watch, by their names.",
    "plugins.block": "Those that must not be imported, by their names or those of their packages.",
    "journal.path": "The file, such as jobs.db; relative paths begin at the configuration.",
    "journal.keep": "How long jobs that have ended stay in it, such as 30d.",
    "budget.limit": "How much may be spent, such as 5.00; 0 is nothing at all.",
    "budget.per": "What the limit holds for.",
    "budget.zone": "Where days and months begin, as a name of the IANA database; without it, UTC.",
    "provider.plugin": "Which service this is: the name of an installed plugin.",
    "provider.timeout": "How long one job may take, such as 60s; without it, a share of what is left.",
    "provider.create_timeout": "How long the call that creates a job may take, such as 30s.",
    "provider.poll_timeout": "How long any other call may take, such as 10s.",
    "provider.poll_interval": "The least time between two questions for a job, instead of the service's own.",
    "provider.max_in_flight": "How many jobs may be open at once.",
    "provider.rate": "How many jobs may be ordered in a time, such as 20/second.",
    "provider.report_wrong": "Whether the service is told of answers that fail a check.",
    "provider.prices": "What one job costs, by task kind, where the service does not say so.",
    "provider.currency": "What the account counts in: three capital letters, such as USD.",
    "provider.journal_account": "What the journal calls the account, so that a new token is the same one.",
    "provider.budget": "The most that may be spent here, such as {limit: 5.00, per: day}.",
    "provider.health": "When a provider that fails is left alone, and for how long.",
    "provider.ca_bundle": "Certificates to trust instead of the usual ones: a PEM file, or a folder of them.",
    "provider.proxy": "The HTTP proxy of your own network, such as http://127.0.0.1:3128.",
    "provider.user_agent": "What the service sees as the client.",
    "provider.max_reply_bytes": "The largest reply that is read, in bytes.",
    "health.failures": "So many failures in a row, or never.",
    "health.error_rate": "More failures than this share of the attempts, such as 50%, or never.",
    "health.window": "The time over which that share is taken, such as 60s.",
    "health.min_samples": "The fewest attempts in that time for the share to say anything.",
    "health.cooldown": "How long it is left alone, where another provider can be asked, such as 30s.",
    "health.busy_cooldown": "The same after a busy answer, where the service does not say how long.",
}
"""By key, with the mapping around it before a dot; those of the hub itself alone."""

ROUTE_TEXTS: Mapping[str, str] = {
    "providers": "Who is asked, in order: names, or priorities such as {omo: 3, spare: 1} with weights.",
    "fallback_on": "The errors after which another provider is asked; ProviderError is every one of them.",
    "strategy": "The order within a priority.",
    "on_ambiguous": "After an order of which nobody knows whether it arrived: next may pay twice.",
    "on_timeout": "After a job that took too long, which may be paid for as well.",
    "max_attempts": "The most attempts of one solve.",
    "hedge_after": "When to ask a second provider while the first still works, such as 15s or p95.",
    "hedge_limit": "The largest share of solves for which that is done, such as 5%.",
    "agree": "How many providers must give the same answer; each is paid.",
}
"""By the rules of a route."""
