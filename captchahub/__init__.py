"""One typed API for captcha recognition services: describe the picture, name the providers, get the answer.

This package exports everything that a program needs. Plugins also use :mod:`captchahub.provider` and
:mod:`captchahub.hookspecs`, and tests use :mod:`captchahub.testing`.
"""

from __future__ import annotations

import captchahub._support.required_packages  # noqa: F401 # pyright: ignore[reportUnusedImport]  # first, because it checks what the other imports need
from captchahub._version import __version__
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
from captchahub.tasks import ImageToText, PhoneSlide, Point, Size, SlideSolution, Solution, Task, TextSolution
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
