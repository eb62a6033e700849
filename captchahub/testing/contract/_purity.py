"""Detects I/O in a call: files, sockets, processes, threads, output and sleeping."""

from __future__ import annotations

import ast
import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

_IO_EVENTS = (
    *("open", "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"),
    *("sqlite3.connect", "urllib.", "http.client.", "_thread.start_new_thread", "os.remove"),
    *("time.sleep", "os.listdir", "os.scandir", "os.rename", "os.mkdir"),
)


class _AuditHook:
    """Records and refuses the I/O events of one thread, while a thread is set."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.events: list[str] = []
        self.is_installed = False

    def audit(self, event: str, args: tuple[object, ...]) -> None:
        if self.thread != threading.get_ident() or not event.startswith(_IO_EVENTS):
            return
        first = next((repr(arg) for arg in args if isinstance(arg, (str, int, float))), "")
        self.events.append(f"{event} {first:.100}".strip())
        raise PermissionError(f"a provider does no I/O: {event}")


_hook = _AuditHook()


def _audited_sleep(seconds: Any, /) -> None:
    _hook.audit("time.sleep", (seconds,))


def io_attempts(call: Callable[[], object]) -> list[str]:
    """Run a call, refuse its I/O, and return what it tried, such as ``open '/etc/hosts'``."""
    if not _hook.is_installed:
        # An audit hook can't be removed, so there is only one, which ignores events most of the time.
        sys.addaudithook(_hook.audit)
        _hook.is_installed = True
    _hook.events = []
    _hook.thread = threading.get_ident()
    printed, sleep = io.StringIO(), time.sleep
    # Before Python 3.13, sleeping raises no audit event.
    time.sleep = _audited_sleep
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            call()
    finally:
        _hook.thread, time.sleep = None, sleep
    return _hook.events + ([f"print {printed.getvalue()!r:.100}"] if printed.getvalue() else [])


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.NOTSET)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@contextmanager
def log_lines() -> Generator[list[str]]:
    """Collect the log lines of all levels."""
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
"""Modules that a plugin must not import."""


def client_imports(parts: Iterable[object]) -> list[tuple[str, int, str]]:
    """Return file, line and name of each import of a client in the packages that define these objects."""
    modules = sorted({getattr(part, "__module__", "") for part in parts} - {"", "builtins"})
    files = sorted({file for module in modules for file in _files_of(module)})
    return [(file.name, line, name) for file in files for line, name in _imports(file) if _is_client(name)]


def _files_of(module: str) -> Iterator[Path]:
    top = module.partition(".")[0]
    folders = getattr(sys.modules.get(top), "__path__", None)
    # All files of a package are read, loaded or not. A namespace package is skipped, because others share it.
    if folders is not None and getattr(sys.modules[top], "__file__", None) is not None:
        for folder in folders:
            files = Path(folder).rglob("*.py")
            yield from (file for file in files if "tests" not in file.relative_to(folder).parts)
    elif (file := getattr(sys.modules.get(module), "__file__", None)) is not None:
        yield Path(file)


def _is_client(name: str) -> bool:
    return any(name == client or name.startswith(f"{client}.") for client in _CLIENTS)


# Cached, because every provider of a package is checked with all files of the package.
@cache
def _imports(file: Path) -> Sequence[tuple[int, str]]:
    """Return line and name of each import of a file."""
    return list(_imports_in(file.read_bytes()))


def _imports_in(source: bytes) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
