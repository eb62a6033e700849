"""The checks of ``captchahub doctor``: what was found and, if something is wrong, what to do."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from captchahub._config.loader import inspect_yaml
from captchahub._http.transport import HttpTransport
from captchahub._plugins.manager import Plugins
from captchahub._policy.account_identity import polled_url
from captchahub.cli.config.check import problems_of, summary
from captchahub.cli.options import find_config, with_journal
from captchahub.cli.text import counted, money_text
from captchahub.errors import (
    AuthenticationError,
    CaptchaHubError,
    ConfigError,
    InsufficientBalance,
    JournalError,
    NotOffered,
    ProviderError,
)
from captchahub.hub import Hub
from captchahub.jobs import JobState
from captchahub.provider import Balance, Provider, Request
from captchahub.settings import HubSettings, ProviderSettings

# How long each service may take to answer, in seconds.
_PATIENCE = 10.0

# A clock that is wrong by more than this, in seconds, may put a job into another day of a budget.
_CLOCK_TOLERANCE = 60.0

# Free space that a journal should have, in bytes. A job takes about a kilobyte.
_LEAST_SPACE = 100 * 2**20


class Status(Enum):
    """How a check ended: well, worth knowing, or so that a solve would fail."""

    OK = "ok"
    NOTE = "note"
    FAIL = "FAIL"


@attrs.frozen
class Check:
    """One thing that was checked: what was found, and what to do if that is not as it should be."""

    name: str
    status: Status
    found: str
    advice: str = ""


def checks(config: Path | None) -> Iterator[Check]:
    """Yield the checks one by one, because a service that does not answer takes seconds."""
    plugins = Plugins()
    try:
        file = find_config(config)
    except ConfigError as error:
        first, _, rest = str(error).partition("\n")
        yield Check("configuration", Status.FAIL, first, " ".join(rest.split("\n\n")[-1].split()))
        return
    inspected = inspect_yaml(file, plugins)
    problems = problems_of(inspected, plugins)
    for problem in problems:
        yield Check("configuration", Status.FAIL, str(problem))
    if problems or inspected.settings is None:
        return
    settings = with_journal(inspected.settings)
    yield Check("configuration", Status.OK, f"{file}: {summary(settings)}")
    yield from _plugin_checks(plugins)
    try:
        with Hub(settings, plugins=plugins) as hub:
            for name, balance in hub.balances().items():
                yield from _service_checks(settings.providers[name])
                yield _token_check(name, balance)
            yield from _journal_checks(hub, settings)
    except (ConfigError, JournalError) as error:
        yield Check("journal", Status.FAIL, str(error))


def _plugin_checks(plugins: Plugins) -> Iterator[Check]:
    plugins.load_all()
    for record in plugins.records:
        if record.error is not None:
            yield Check(
                f"plugin {record.name}",
                Status.NOTE,
                f"{record.state.value}: {record.error}",
                "captchahub plugins --verbose shows the traceback; uninstall it if you do not need it",
            )
    loaded = [record.name for record in plugins.records if record.error is None]
    yield Check("plugins", Status.OK, ", ".join(loaded) or "none")


def _service_checks(settings: ProviderSettings) -> Iterator[Check]:
    """Yield the checks of the way to a service; none for an engine in this process."""
    provider: object = settings.kind.build(settings.own)
    url = polled_url(provider) if isinstance(provider, Provider) else None
    if url is None:
        return
    parts = urlsplit(url)
    name, host = f"service {settings.name}", f"{parts.scheme}://{parts.netloc}"
    before = time.time()
    try:
        reply = asyncio.run(_origin(settings, f"{host}/"))
    except ProviderError as error:
        yield Check(name, Status.FAIL, f"{host} can't be reached: {error}", error.advice)
        return
    took = time.time() - before
    secured = " over TLS, with a trusted certificate" if parts.scheme == "https" else ""
    yield Check(name, Status.OK, f"{host} answers in {1000 * took:.0f} ms{secured}")
    yield from _clock_check(settings.name, reply, (before + time.time()) / 2)


async def _origin(settings: ProviderSettings, url: str) -> str:
    """Return the Date header of what stands at an address, or an empty text."""
    transport = HttpTransport(settings.name, settings.http)
    try:
        reply = await transport.send(Request(url, method="GET"), timeout=_PATIENCE)
    finally:
        await transport.aclose()
    return reply.headers.get("date", "")


def _clock_check(name: str, date: str, now: float) -> Iterator[Check]:
    """Compare the clock with that of a service, which names whole seconds."""
    try:
        difference = now - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return
    if abs(difference) <= _CLOCK_TOLERANCE:
        yield Check("clock", Status.OK, f"agrees with that of {name}")
    else:
        direction = "ahead of" if difference > 0 else "behind"
        found = f"{abs(difference):.0f} s {direction} that of {name}"
        advice = "set the clock, for example with NTP: budgets and the journal go by it"
        yield Check("clock", Status.NOTE, found, advice)


def _token_check(name: str, balance: Balance | CaptchaHubError) -> Check:
    check = f"token {name}"
    match balance:
        case Balance():
            currency = f" {balance.currency}" if balance.currency else ""
            if balance.can_pay:
                return Check(
                    check, Status.OK, f"accepted; the balance is {money_text(balance.amount)}{currency}"
                )
            return Check(check, Status.FAIL, "accepted, but the account has no money", "top the account up")
        case NotOffered():
            return Check(check, Status.NOTE, "not checked, because the service names no balance")
        case AuthenticationError() | InsufficientBalance() | ProviderError():
            return Check(check, Status.FAIL, f"{type(balance).__name__}: {balance}", balance.advice)
        case _:
            return Check(check, Status.FAIL, str(balance))


def _journal_checks(hub: Hub, settings: HubSettings) -> Iterator[Check]:
    path = settings.journal.path
    if path is None:
        yield Check(
            "journal",
            Status.NOTE,
            "in memory, so what a crash leaves at the services is lost",
            "name a file, as in journal: jobs.db",
        )
        return
    open_jobs = hub.jobs(state=JobState.CREATED, limit=1_000_000)
    undelivered = hub.jobs(is_given=False, limit=1_000_000)
    ambiguous = hub.jobs(state=JobState.AMBIGUOUS, limit=1_000_000)
    free = shutil.disk_usage(path.parent).free
    found = f"{path}: can be read and written; {free / 2**30:.1f} GiB are free"
    if free < _LEAST_SPACE:
        advice = "free some space: without room in the journal no job is created"
        yield Check("journal", Status.NOTE, found, advice)
    else:
        yield Check("journal", Status.OK, found)
    yield from _left_behind(
        len([job for job in open_jobs if job.held_until is None]) + len(undelivered), len(ambiguous)
    )


def _left_behind(undelivered: int, ambiguous: int) -> Iterable[Check]:
    if undelivered:
        found = f"{counted(undelivered, 'job')} paid for and not delivered"
        yield Check("answers", Status.NOTE, found, "captchahub resume collects the answers")
    if ambiguous:
        found = f"{counted(ambiguous, 'job')} of unknown outcome; the full price is counted as spent"
        advice = (
            "captchahub jobs list --state ambiguous shows them; jobs resolve records what the service says"
        )
        yield Check("answers", Status.NOTE, found, advice)
