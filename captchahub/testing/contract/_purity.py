"""Listening for what a call does beside computing: files, sockets, processes, threads, words, sleep."""

from __future__ import annotations

import ast
import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

__all__ = ["clients_imported", "log_lines", "noises"]

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


_CLIENTS = (
    "requests",
    "urllib3",
    "httpx",
    "aiohttp",
    "http.client",
    "urllib.request",
    "socket",
    "websockets",
)
"""What only the core may use, or nobody."""


def clients_imported(parts: Iterable[object]) -> list[tuple[str, int, str]]:
    """File, line and name of each such import in the packages that define these classes and functions."""
    modules = sorted({getattr(part, "__module__", "") for part in parts} - {"", "builtins"})
    files = sorted({file for module in modules for file in _files_of(module)})
    return [(file.name, line, name) for file in files for line, name in _imports(file) if _is_client(name)]


def _files_of(module: str) -> Iterator[Path]:
    top = module.partition(".")[0]
    place = getattr(sys.modules.get(top), "__path__", None)
    # A package is looked at as a whole, whatever of it is loaded; a namespace belongs to nobody.
    if place is not None and getattr(sys.modules[top], "__file__", None) is not None:
        for folder in place:
            files = Path(folder).rglob("*.py")
            yield from (file for file in files if "tests" not in file.relative_to(folder).parts)
    elif (file := getattr(sys.modules.get(module), "__file__", None)) is not None:
        yield Path(file)


def _is_client(name: str) -> bool:
    return any(name == client or name.startswith(f"{client}.") for client in _CLIENTS)


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
