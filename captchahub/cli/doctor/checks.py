"""The checks of ``captchahub doctor``: what was found and, if something is wrong, what to do."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from captchahub._config.loader import inspect_yaml
from captchahub._http.choice import http_transport, transport_kind
from captchahub._plugins.manager import Plugins
from captchahub._policy.account_identity import polled_url
from captchahub.cli.config.check import problems_of, summary
from captchahub.cli.invocation import command
from captchahub.cli.options import find_config, with_journal
from captchahub.cli.text import amount_text, counted
from captchahub.cli.waiting import waiting_for
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

# Without this much, in bytes, not even one transaction can be written: SQLite writes whole pages of 4 KiB.
_JOB_SIZE = 64 * 2**10


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
        yield Check("configuration", Status.FAIL, str(error))
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
            yield from _account_checks(hub, settings)
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
                f"{command('plugins', '--verbose')} shows the traceback; uninstall it if you do not need it",
            )
    loaded = [record.name for record in plugins.records if record.error is None]
    yield Check("plugins", Status.OK, ", ".join(loaded) or "none")


def _account_checks(hub: Hub, settings: HubSettings) -> Iterator[Check]:
    """Yield the checks of the services and tokens; all services are asked at the same time."""
    # An engine in this process has no address.
    addresses = {name: url for name, one in settings.providers.items() if (url := _address(one)) is not None}
    with waiting_for(settings.providers), ThreadPoolExecutor(1 + len(addresses)) as threads:
        balances = threads.submit(hub.balances)
        probes = {
            name: threads.submit(_probe, settings.providers[name], address)
            for name, address in addresses.items()
        }
    for name, balance in balances.result().items():
        if name in probes:
            found, is_reachable = probes[name].result()
            yield from found
            # What it would say is the same once more.
            if not is_reachable:
                continue
        yield _token_check(name, balance, settings.providers[name].currency)


def _address(settings: ProviderSettings) -> str | None:
    provider: object = settings.kind.build(settings.own)
    url = polled_url(provider) if isinstance(provider, Provider) else None
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _probe(settings: ProviderSettings, address: str) -> tuple[Sequence[Check], bool]:
    """Return the checks of the way to a service, and whether it answers."""
    name = f"service {settings.name}"
    before = time.time()
    try:
        date = asyncio.run(_origin(settings, f"{address}/"))
    except ProviderError as error:
        return [Check(name, Status.FAIL, f"{address} can't be reached: {error}", error.advice)], False
    took = time.time() - before
    secured = " over TLS, with a trusted certificate" if address.startswith("https:") else ""
    found = f"{address} answers in {1000 * took:.0f} ms{secured}; transport {transport_kind(settings.http)}"
    return [Check(name, Status.OK, found), _clock_check(settings.name, date, before + took / 2)], True


async def _origin(settings: ProviderSettings, url: str) -> str:
    """Return the Date header of what stands at an address, or an empty text."""
    transport = http_transport(settings.name, settings.http)
    try:
        reply = await transport.send(Request(url, method="GET"), timeout=_PATIENCE)
    finally:
        await transport.aclose()
    return reply.headers.get("date", "")


def _clock_check(name: str, date: str, now: float) -> Check:
    """Compare the clock with that of a service, which names whole seconds."""
    try:
        difference = now - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return Check("clock", Status.NOTE, f"not checked, {name} sends no date")
    if abs(difference) <= _CLOCK_TOLERANCE:
        return Check("clock", Status.OK, f"agrees with that of {name}")
    direction = "ahead of" if difference > 0 else "behind"
    found = f"{abs(difference):.0f} s {direction} that of {name}"
    return Check(
        "clock", Status.NOTE, found, "set the clock, for example with NTP: budgets and the journal go by it"
    )


def _token_check(name: str, balance: Balance | CaptchaHubError, currency: str | None) -> Check:
    check = f"token {name}"
    match balance:
        case Balance():
            if balance.can_pay:
                amount = amount_text(balance.amount, balance.currency or currency)
                return Check(check, Status.OK, f"accepted; the balance is {amount}")
            return Check(check, Status.FAIL, "accepted, but the account has no money", "top the account up")
        case NotOffered():
            return Check(check, Status.NOTE, "not checked, because the service names no balance")
        case AuthenticationError() | InsufficientBalance() | ProviderError():
            return Check(check, Status.FAIL, f"{type(balance).__name__}: {balance}", balance.advice)
        case _:
            return Check(check, Status.FAIL, str(balance))


def _journal_checks(hub: Hub, settings: HubSettings) -> Iterator[Check]:
    path = settings.journal.path
    if settings.journal.place is None:
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
    if path is None:
        yield Check("journal", Status.OK, f"{settings.journal.place}: can be read and written")
    else:
        yield space_check(path, shutil.disk_usage(path.parent).free)
    yield from _left_behind(
        len([job for job in open_jobs if job.held_until is None]) + len(undelivered), len(ambiguous)
    )


def space_check(path: Path, free: int) -> Check:
    """Return the check of the free space, in bytes, on the disk of a journal that can be read."""
    advice = "free some space: without room in the journal no job is created"
    if free < _JOB_SIZE:
        return Check("journal", Status.FAIL, f"{path}: its disk is full", advice)
    found = f"{path}: can be read and written; {free / 2**30:.1f} GiB are free"
    if free < _LEAST_SPACE:
        return Check("journal", Status.NOTE, found, advice)
    return Check("journal", Status.OK, found)


def _left_behind(undelivered: int, ambiguous: int) -> Iterable[Check]:
    if undelivered:
        found = f"{counted(undelivered, 'job')} paid for and not delivered"
        yield Check("answers", Status.NOTE, found, f"{command('resume')} collects the answers")
    if ambiguous:
        found = f"{counted(ambiguous, 'job')} of unknown outcome; the full price is counted as spent"
        advice = (
            f"{command('jobs', 'list', '--state', 'ambiguous')} shows them; jobs resolve records what the "
            "service says"
        )
        yield Check("answers", Status.NOTE, found, advice)
