"""Serving a sandbox until a signal ends it, and telling how to use it."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import FrameType

import attrs
import click
import yaml

from captchahub.cli.pictures import draw, save
from captchahub.cli.streams import put, writing_stdout
from captchahub.cli.text import counted, money_text
from captchahub.config import load_mapping
from captchahub.errors import NotOffered, TaskError
from captchahub.provider import LocalProvider, Request
from captchahub.testing import Sandbox
from captchahub.testing.answers import read_answers

__all__ = ["AccountOptions", "serve", "teach"]

# Windows hands out signals only between waits, so no wait is without end.
_TICK = 0.5

_ONLY_ITS_OWN = """
It can answer only pictures that it drew itself, with --pictures DIR and since this start, and those of
--answers FILE; a job for any other picture is taken, and ends as failed."""


@attrs.frozen
class AccountOptions:
    """The one account at the sandbox, and the plugin that can use it."""

    plugin: str
    token: str = attrs.field(repr=False)
    balance: Decimal


def teach(sandbox: Sandbox, files: Iterable[Path]) -> int:
    """Let the sandbox know the pictures that the files name; how many there are."""
    known = 0
    for file in files:
        try:
            for picture, solution in read_answers(file):
                sandbox.know(picture, solution)
                known += 1
        except (OSError, TaskError, ValueError) as error:
            said = f"{file}: {error.strerror}" if isinstance(error, OSError) else str(error)
            raise click.BadParameter(said, param_hint="--answers") from error
    return known


def serve(
    sandbox: Sandbox, account: AccountOptions, directory: Path | None, count: int, *, known: int
) -> None:
    """Serve until SIGINT or SIGTERM; draw ``count`` pictures into the directory, where one is given.

    ``known`` is the number of pictures that it knows already.
    """
    with _ended_by_signals() as ended, _started(sandbox):
        configuration = _configuration(sandbox, account)
        # Everything that can go wrong comes before the first line.
        lines = [*_introduction(sandbox, account, configuration)]
        if directory is not None:
            save(draw(sandbox, count), directory)
            lines.append(f"\nPictures it can answer: {count} in {directory}, with the truth in answers.json.")
        if known:
            lines.append(f"\nPictures of your own that it can answer: {known}.")
        lines.append(_ONLY_ITS_OWN)
        with writing_stdout():
            put("\n".join([*lines, "\nCtrl-C ends it."]))
        while not ended.wait(_TICK):
            pass
    with writing_stdout():
        put(_books(sandbox))


@contextmanager
def _ended_by_signals() -> Generator[threading.Event]:
    """An event that SIGINT and SIGTERM set, for as long as this lasts."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, end) for number in signals]
    try:
        yield ended
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _started(sandbox: Sandbox) -> Generator[None]:
    try:
        sandbox.start()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise click.ClickException(
            f"cannot listen on that port: {reason}; give another --port, or none to take a free one"
        ) from error
    try:
        yield
    finally:
        sandbox.stop()


def _configuration(sandbox: Sandbox, account: AccountOptions) -> dict[str, object]:
    """What a user would write to use the sandbox."""
    settings = sandbox.settings(account.token, balance=account.balance, quick=False)
    # A literal "${" is written "$${" in a configuration.
    own = {key: value.replace("${", "$${") for key, value in settings.items()}
    return {"providers": {"sandbox": {"plugin": account.plugin, **own}}}


def _introduction(
    sandbox: Sandbox, account: AccountOptions, configuration: dict[str, object]
) -> Iterator[str]:
    yield f"A sandbox of {account.plugin} serves {sandbox.url}"
    if sandbox.emulation.token_key:
        yield f"token: {account.token}, balance: {money_text(account.balance)}"
    example = _example(configuration)
    if example is not None:
        yield f"\nTry it with any HTTP client:\n\n  {_curl(example)}"
    yield "\nOr with captchahub; put this into captchahub.yaml:\n"
    yield yaml.safe_dump(configuration, sort_keys=False).rstrip()


def _example(configuration: dict[str, object]) -> Request | None:
    """A call that any client can make, in the service's own dialect; None where it tells no balance."""
    settings = load_mapping(configuration).providers["sandbox"]
    provider = settings.kind.build(settings.own)
    if isinstance(provider, LocalProvider):
        return None
    try:
        return provider.ask_balance()
    except NotOffered:
        return None


def _curl(request: Request) -> str:
    headers = [part for name, value in request.headers.items() for part in ("-H", f"{name}: {value}")]
    body = ["-d", request.body.decode()] if request.body else []
    return shlex.join(["curl", "-s", "-X", request.method, *headers, *body, request.url])


def _books(sandbox: Sandbox) -> str:
    jobs = sandbox.jobs
    charged = money_text(sum((job.price for job in jobs), Decimal(0)))
    calls = counted(len(sandbox.calls), "call")
    return f"\nEnded. {calls}, {counted(len(jobs), 'job')}, {charged} charged."
