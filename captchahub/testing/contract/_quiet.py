"""Listening for what a call does beside computing: files, sockets, processes, threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

__all__ = ["noises"]

_LOUD = (
    *("open", "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"),
    *("sqlite3.connect", "urllib.", "http.client.", "_thread.start_new_thread", "os.remove"),
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


def noises(call: Callable[[], object]) -> list[str]:
    """What a call tried to do beside computing, each as ``open '/etc/hosts'``; it is kept from doing it."""
    if not _ear.is_installed:
        # A hook can't be taken away again, so there is one, which is deaf most of the time.
        sys.addaudithook(_ear.hear)
        _ear.is_installed = True
    _ear.heard = []
    _ear.thread = threading.get_ident()
    try:
        call()
    finally:
        _ear.thread = None
    return _ear.heard
