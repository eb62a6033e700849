"""Listening for what a call does beside computing: files, sockets, processes, threads, words, sleep."""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

__all__ = ["log_lines", "noises"]

_LOUD = (
    *("open", "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"),
    *("sqlite3.connect", "urllib.", "http.client.", "_thread.start_new_thread", "os.remove"),
    *("time.sleep", "os.listdir", "os.scandir", "os.rename", "os.mkdir"),
)


class _Ear:
    """What is heard in the one thread that is listened to, while it is."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.heard: list[str] = []
        self.is_installed = False

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        if self.thread != threading.get_ident() or not event.startswith(_LOUD):
            return
        first = next((repr(arg) for arg in args if isinstance(arg, (str, int, float))), "")
        self.heard.append(f"{event} {first:.100}".strip())
        raise PermissionError(f"a provider does no I/O: {event}")


_ear = _Ear()


def _heard_sleep(seconds: Any, /) -> None:
    _ear.hear("time.sleep", (seconds,))


def noises(call: Callable[[], object]) -> list[str]:
    """What a call tried to do beside computing, each as ``open '/etc/hosts'``; it is kept from doing it."""
    if not _ear.is_installed:
        # A hook can't be taken away again, so there is one, which is deaf most of the time.
        sys.addaudithook(_ear.hear)
        _ear.is_installed = True
    _ear.heard = []
    _ear.thread = threading.get_ident()
    printed, sleep = io.StringIO(), time.sleep
    # Before Python 3.13 there is no event for it.
    time.sleep = _heard_sleep
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            call()
    finally:
        _ear.thread, time.sleep = None, sleep
    return _ear.heard + ([f"print {printed.getvalue()!r:.100}"] if printed.getvalue() else [])


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.NOTSET)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@contextmanager
def log_lines() -> Generator[list[str]]:
    """What is logged meanwhile, of any level."""
    lines: list[str] = []
    root, handler = logging.getLogger(), _Lines(lines)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
