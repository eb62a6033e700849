"""The keys there are, and the types of their values: what the loader reads and the schema tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from captchahub._config.amounts import Currency, Price
from captchahub._config.scalars import (
    Count,
    Duration,
    ExistingPath,
    FailureLimit,
    FilePath,
    HeaderText,
    Pause,
    ProxyAddress,
    ShareLimit,
)
from captchahub.provider import ProviderKind
from captchahub.settings import Rate
from captchahub.tasks import Task

PROVIDER_NAME = r"[\w.-]+"
"""What the names of providers are made of."""

HTTP_KEYS: Mapping[str, Any] = {
    "ca_bundle": ExistingPath,
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
