"""One typed API for captcha recognition services: describe the picture, name the providers, get the answer.

This package exports everything that a program needs. Plugins also use :mod:`captchahub.provider` and
:mod:`captchahub.hookspecs`, and tests use :mod:`captchahub.testing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import captchahub._support.required_packages  # noqa: F401 # pyright: ignore[reportUnusedImport]  # first, because it checks what the other imports need
from captchahub._version import __version__

if TYPE_CHECKING:
    from captchahub.async_hub import AsyncHub
    from captchahub.errors import (
        AllProvidersFailed,
        AmbiguousCreate,
        Attempt,
        AuthenticationError,
        BudgetExceeded,
        CaptchaHubError,
        ConfigError,
        HubClosed,
        InsufficientBalance,
        JobFailed,
        JobRefused,
        JobTimeout,
        JobUnknown,
        JournalError,
        MalformedReply,
        NotAsked,
        NotOffered,
        Outvoted,
        Overtaken,
        PluginFault,
        PriceUnknown,
        ProviderError,
        RateLimited,
        ServiceBusy,
        ServiceUnavailable,
        SolveCancelled,
        SolveTimeout,
        TaskError,
        TaskRefused,
        TemporarilyBlocked,
        UnsupportedTask,
        WrongSolution,
    )
    from captchahub.files import tasks_from
    from captchahub.hub import Hub
    from captchahub.images import Image
    from captchahub.jobs import BudgetStatus, Collected, JobEntry, JobState, Period, Spend
    from captchahub.plugins import PluginRecord
    from captchahub.provider import Balance, Service
    from captchahub.results import HealthEntry, Outcome, ProviderHealth, ProviderState, Result, State, Vote
    from captchahub.tasks import (
        ImageToText,
        PhoneSlide,
        Point,
        Size,
        SlideSolution,
        Solution,
        Task,
        TextSolution,
    )
    from captchahub.tickets import AsyncTicket, Ticket

__all__ = [
    "AllProvidersFailed",
    "AmbiguousCreate",
    "AsyncHub",
    "AsyncTicket",
    "Attempt",
    "AuthenticationError",
    "Balance",
    "BudgetExceeded",
    "BudgetStatus",
    "CaptchaHubError",
    "Collected",
    "ConfigError",
    "HealthEntry",
    "Hub",
    "HubClosed",
    "Image",
    "ImageToText",
    "InsufficientBalance",
    "JobEntry",
    "JobFailed",
    "JobRefused",
    "JobState",
    "JobTimeout",
    "JobUnknown",
    "JournalError",
    "MalformedReply",
    "NotAsked",
    "NotOffered",
    "Outcome",
    "Outvoted",
    "Overtaken",
    "Period",
    "PhoneSlide",
    "PluginFault",
    "PluginRecord",
    "Point",
    "PriceUnknown",
    "ProviderError",
    "ProviderHealth",
    "ProviderState",
    "RateLimited",
    "Result",
    "Service",
    "ServiceBusy",
    "ServiceUnavailable",
    "Size",
    "SlideSolution",
    "Solution",
    "SolveCancelled",
    "SolveTimeout",
    "Spend",
    "State",
    "Task",
    "TaskError",
    "TaskRefused",
    "TemporarilyBlocked",
    "TextSolution",
    "Ticket",
    "UnsupportedTask",
    "Vote",
    "WrongSolution",
    "__version__",
    "tasks_from",
]

# A name is imported when it is first used, because importing a hub takes several times as long as importing
# requests. Type checkers and programs that freeze packages read the imports above instead.
_MODULES = {
    "async_hub": ("AsyncHub",),
    "errors": (
        "AllProvidersFailed",
        "AmbiguousCreate",
        "Attempt",
        "AuthenticationError",
        "BudgetExceeded",
        "CaptchaHubError",
        "ConfigError",
        "HubClosed",
        "InsufficientBalance",
        "JobFailed",
        "JobRefused",
        "JobTimeout",
        "JobUnknown",
        "JournalError",
        "MalformedReply",
        "NotAsked",
        "NotOffered",
        "Outvoted",
        "Overtaken",
        "PluginFault",
        "PriceUnknown",
        "ProviderError",
        "RateLimited",
        "ServiceBusy",
        "ServiceUnavailable",
        "SolveCancelled",
        "SolveTimeout",
        "TaskError",
        "TaskRefused",
        "TemporarilyBlocked",
        "UnsupportedTask",
        "WrongSolution",
    ),
    "files": ("tasks_from",),
    "hub": ("Hub",),
    "images": ("Image",),
    "jobs": ("BudgetStatus", "Collected", "JobEntry", "JobState", "Period", "Spend"),
    "plugins": ("PluginRecord",),
    "provider": ("Balance", "Service"),
    "results": ("HealthEntry", "Outcome", "ProviderHealth", "ProviderState", "Result", "State", "Vote"),
    "tasks": (
        "ImageToText",
        "PhoneSlide",
        "Point",
        "Size",
        "SlideSolution",
        "Solution",
        "Task",
        "TextSolution",
    ),
    "tickets": ("AsyncTicket", "Ticket"),
}

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Return a public name, or a module that has one, and import it first."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value  # so that this function is not called again for it
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
