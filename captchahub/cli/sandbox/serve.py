"""Serves a sandbox until a signal, and prints how to use it."""

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

# Windows hands out signals only between waits, so no wait is without end.
_TICK = 0.5

_OTHER_PICTURES = """
It can answer only the pictures that it has drawn since its start (with --pictures DIR) and those of --answers
FILE. Jobs for other pictures are accepted and charged, and fail."""


@attrs.frozen
class AccountOptions:
    """The sandbox's account, and the plugin that can use it."""

    plugin: str
    token: str = attrs.field(repr=False)
    balance: Decimal


def add_answers(sandbox: Sandbox, files: Iterable[Path]) -> int:
    """Add the answers in the files to the sandbox, and return the number of pictures."""
    known = 0
    for file in files:
        try:
            for picture, solution in read_answers(file):
                sandbox.know(picture, solution)
                known += 1
        except (OSError, TaskError, ValueError) as error:
            message = f"{file}: {error.strerror}" if isinstance(error, OSError) else str(error)
            raise click.BadParameter(message, param_hint="--answers") from error
    return known


def serve(
    sandbox: Sandbox, account: AccountOptions, directory: Path | None, count: int, *, known: int
) -> None:
    """Serve until SIGINT or SIGTERM. Draw ``count`` pictures into the directory, if there is one.

    ``known`` is the number of pictures from files of answers.
    """
    with _ended_by_signals() as ended, _started(sandbox):
        configuration = _configuration(sandbox, account)
        # Everything that can fail is done before the first line is printed.
        lines = [*_introduction(sandbox, account, configuration)]
        if directory is not None:
            save(draw(sandbox, count), directory)
            lines.append(
                f"\nPictures it can answer: {count} in {directory}, with the right answers in answers.json."
            )
        if known:
            lines.append(f"\nPictures of your own that it can answer: {known}.")
        lines.append(_OTHER_PICTURES)
        with writing_stdout():
            put("\n".join([*lines, "\nPress Ctrl-C to stop."]))
        while not ended.wait(_TICK):
            pass
    with writing_stdout():
        put(_totals(sandbox))


@contextmanager
def _ended_by_signals() -> Generator[threading.Event]:
    """Provide an event that SIGINT and SIGTERM set."""
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
            f"cannot listen on that port: {reason}; use another --port, or leave it out for a free one"
        ) from error
    try:
        yield
    finally:
        sandbox.stop()


def _configuration(sandbox: Sandbox, account: AccountOptions) -> dict[str, object]:
    """Return a configuration that uses the sandbox."""
    settings = sandbox.settings(account.token, balance=account.balance, quick=False)
    # "${" starts a reference in a configuration, unless it is escaped as "$${".
    own = {key: value.replace("${", "$${") for key, value in settings.items()}
    return {"providers": {"sandbox": {"plugin": account.plugin, **own}}}


def _introduction(
    sandbox: Sandbox, account: AccountOptions, configuration: dict[str, object]
) -> Iterator[str]:
    yield f"A sandbox of {account.plugin} listens at {sandbox.url}"
    if sandbox.emulation.token_key:
        yield f"token: {account.token}, balance: {money_text(account.balance)}"
    example = _example(configuration)
    if example is not None:
        yield f"\nTry it with any HTTP client:\n\n  {_curl(example)}"
    yield "\nOr use captchahub with this captchahub.yaml:\n"
    yield yaml.safe_dump(configuration, sort_keys=False).rstrip()


def _example(configuration: dict[str, object]) -> Request | None:
    """Return the service's call for the balance, or None if it has none."""
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


def _totals(sandbox: Sandbox) -> str:
    jobs = sandbox.jobs
    charged = money_text(sum((job.price for job in jobs), Decimal(0)))
    calls = counted(len(sandbox.calls), "call")
    return f"\nStopped. {calls}, {counted(len(jobs), 'job')}, {charged} charged."
