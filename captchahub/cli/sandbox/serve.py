"""Serves a sandbox until a signal, and prints how to use it."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from types import FrameType

import click
import yaml

from captchahub.cli.pictures import draw, save
from captchahub.cli.streams import put, writing_stdout
from captchahub.cli.text import counted, money_text
from captchahub.config import load_mapping
from captchahub.errors import NotOffered, TaskError
from captchahub.provider import LocalProvider
from captchahub.testing import Sandbox
from captchahub.testing.answers import read_answers

# Windows hands out signals only between waits, so no wait is without end.
_TICK = 0.5

_OTHER_PICTURES = """
It can answer only the pictures that it has drawn since its start (with --pictures DIR) and those of --answers
FILE. Jobs for other pictures are accepted and charged, and fail."""


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
    sandbox: Sandbox,
    *,
    plugin: str,
    token: str,
    balance: Decimal,
    directory: Path | None,
    count: int,
    known: int,
) -> None:
    """Serve an account of ``plugin`` until SIGINT or SIGTERM.

    Draws ``count`` pictures into the directory, if there is one. ``known`` is the number of pictures from
    files of answers.
    """
    with _ended_by_signals() as ended, ExitStack() as stack:
        try:
            stack.enter_context(sandbox)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else error
            raise click.ClickException(
                f"cannot listen on that port: {reason}; use another --port, or leave it out for a free one"
            ) from error
        # Everything that can fail is done before the first line is printed.
        settings = sandbox.settings(token, balance=balance, quick=False)
        lines = [f"A sandbox of {plugin} listens at {sandbox.url}"]
        if sandbox.emulation.token_key:
            lines.append(f"token: {token}, balance: {money_text(balance)}")
        lines += _instructions(plugin, settings)
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
    jobs = sandbox.jobs
    charged = money_text(sum((job.price for job in jobs), Decimal(0)))
    calls = counted(len(sandbox.calls), "call")
    with writing_stdout():
        put(f"\nStopped. {calls}, {counted(len(jobs), 'job')}, {charged} charged.")


@contextmanager
def _ended_by_signals() -> Generator[threading.Event]:
    """Provide an event that SIGINT and SIGTERM set."""
    # Handlers of its own, because a signal is the normal end of a sandbox, with exit code 0.
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


def _instructions(plugin: str, settings: Mapping[str, str]) -> Iterator[str]:
    """Yield an example of a call, if there is one, and a configuration with these settings."""
    # "${" starts a reference in a configuration, unless it is escaped as "$${".
    own = {key: value.replace("${", "$${") for key, value in settings.items()}
    configuration: dict[str, object] = {"providers": {"sandbox": {"plugin": plugin, **own}}}
    example = _example(configuration)
    if example is not None:
        yield f"\nTry it with any HTTP client:\n\n  {example}"
    yield "\nOr use captchahub with this captchahub.yaml:\n"
    yield yaml.safe_dump(configuration, sort_keys=False).rstrip()


def _example(configuration: dict[str, object]) -> str | None:
    """Return the service's call for the balance as a command line of curl, or None if it has none."""
    settings = load_mapping(configuration).providers["sandbox"]
    provider = settings.kind.build(settings.own)
    if isinstance(provider, LocalProvider):
        return None
    try:
        request = provider.ask_balance()
    except NotOffered:
        return None
    headers = [part for name, value in request.headers.items() for part in ("-H", f"{name}: {value}")]
    body = ["-d", request.body.decode()] if request.body else []
    return shlex.join(["curl", "-s", "-X", request.method, *headers, *body, request.url])
