"""Serves a sandbox until a signal, and prints how to use it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from types import FrameType

import click
import yaml

from captchahub.cli.invocation import command
from captchahub.cli.pictures import draw, save
from captchahub.cli.streams import put, writing_stdout
from captchahub.cli.text import counted, money_text
from captchahub.config import load_mapping
from captchahub.errors import NotOffered, TaskError
from captchahub.provider import LocalProvider
from captchahub.tasks import PhoneSlide, SlideSolution, Solution
from captchahub.testing import Sandbox
from captchahub.testing.answers import read_answers

# Windows hands out signals only between waits, so no wait is without end.
_TICK = 0.5

Configuration = Mapping[str, object]

# A picture and its answer.
Known = tuple[Path, Solution]

# Not captchahub.yaml: the directory can be the working directory, with a configuration of the user's own.
_FILE = "sandbox.yaml"

_OTHER_PICTURES = """
It can answer only the pictures that it has drawn since its start (with --pictures DIR) and those of --answers
FILE. Jobs for other pictures are accepted and charged, and fail."""


def add_answers(sandbox: Sandbox, files: Iterable[Path]) -> Sequence[Known]:
    """Add the answers in the files to the sandbox, and return their pictures with the answers."""
    known: list[Known] = []
    for file in files:
        try:
            for path, picture, solution in read_answers(file):
                sandbox.know(picture, solution)
                known.append((path, solution))
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
    known: Sequence[Known],
    as_json: bool,
) -> None:
    """Serve an account of ``plugin`` until SIGINT or SIGTERM.

    Draws ``count`` pictures into the directory, if there is one. ``known`` are the pictures from files
    of answers.
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
        configuration = _configuration(plugin, settings)
        drawn: Sequence[Known] = ()
        if directory is not None:
            drawn = _drawn(sandbox, count, directory, configuration)
        if as_json:
            pictures = [str(path) for path, _ in (*drawn, *known)]
            text = json.dumps({"url": sandbox.url, "pictures": pictures, **configuration})
        else:
            account = f"token: {token}, balance: {money_text(balance)}"
            lines = [account] if sandbox.emulation.token_key else []
            lines += _instructions(configuration, directory, drawn, known)
            text = "\n".join([f"A sandbox of {plugin} listens at {sandbox.url}", *lines])
        with writing_stdout():
            put(text)
        while not ended.wait(_TICK):
            pass
    if as_json:
        return
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


def _configuration(plugin: str, settings: Mapping[str, object]) -> Configuration:
    """Return a configuration with these settings of one provider."""
    # "${" starts a reference in a configuration, unless it is escaped as "$${".
    own = {
        key: value.replace("${", "$${") if isinstance(value, str) else value
        for key, value in settings.items()
    }
    return {"providers": {"sandbox": {"plugin": plugin, **own}}}


def _example(configuration: Configuration) -> Iterator[str]:
    """Yield the service's call for the balance as a command line of curl, if it has one."""
    settings = load_mapping(configuration).providers["sandbox"]
    provider = settings.kind.build(settings.own)
    if isinstance(provider, LocalProvider):
        return
    try:
        request = provider.ask_balance()
    except NotOffered:
        return
    headers = [part for name, value in request.headers.items() for part in ("-H", f"{name}: {value}")]
    body = ["-d", request.body.decode()] if request.body else []
    call = shlex.join(["curl", "-s", "-X", request.method, *headers, *body, request.url])
    yield f"\nTry it with any HTTP client:\n\n  {call}"


def _write(configuration: Configuration, file: Path) -> None:
    try:
        file.write_text(f"{_yaml(configuration)}\n", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror or error}") from error


def _drawn(sandbox: Sandbox, count: int, directory: Path, configuration: Configuration) -> Sequence[Known]:
    """Draw pictures into the directory, and write the configuration beside them."""
    drawn = draw(sandbox, count)
    save(drawn, directory)
    _write(configuration, directory / _FILE)
    return [(directory / f"{one.name}.png", one.drawn.solution) for one in drawn]


def _instructions(
    configuration: Configuration, directory: Path | None, drawn: Sequence[Known], known: Sequence[Known]
) -> Iterator[str]:
    """Yield how the sandbox can be called, and which pictures it can answer."""
    yield from _example(configuration)
    file = Path(_FILE) if directory is None else directory / _FILE
    yield f"\nOr use captchahub, in a second terminal:\n\n  {_command(file, [*drawn, *known])}"
    where = f"this {_FILE}" if directory is None else f"this configuration, which is in {file}"
    yield f"\nwith {where}:\n\n{_yaml(configuration)}"
    if drawn:
        count = len(drawn)
        yield f"\nPictures it can answer: {count} in {directory}, with the right answers in answers.json."
    if known:
        yield f"\nPictures of your own that it can answer: {len(known)}."
    yield f"{_OTHER_PICTURES}\n\nPress Ctrl-C to stop."


def _command(file: Path, pictures: Sequence[Known]) -> str:
    """Return the command that solves the first picture, or asks for the balance if there is none."""
    if not pictures:
        return command("accounts", "--config", str(file))
    picture, solution = pictures[0]
    kind = ["--type", PhoneSlide.kind] if isinstance(solution, SlideSolution) else []
    return command("solve", "--config", str(file), *kind, str(picture))


def _yaml(configuration: Configuration) -> str:
    return yaml.safe_dump(dict(configuration), sort_keys=False).rstrip()
