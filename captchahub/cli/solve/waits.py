"""What keeps solves waiting, told on stderr while they wait: a long silence looks like a hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import attrs

from captchahub.cli.streams import say
from captchahub.cli.text import counted
from captchahub.errors import ProviderError
from captchahub.events import (
    Cancelled,
    Event,
    Failed,
    FellBack,
    JobCreated,
    Polled,
    Retrying,
    Solved,
    SolveEvent,
    Submitted,
)
from captchahub.hookspecs import hookimpl

__all__ = ["WaitReporter", "Waits"]

_INTERVAL = 5.0

_TICK = 0.5


@attrs.frozen
class _Trouble:
    reason: str
    since: float


class Waits:
    """What the solves under way wait for: pure, and the caller passes the time, in seconds.

    A provider is told of at once where it is the only one to try, or has failed for a second time; and then
    every ``interval`` seconds, however many solves wait for it.
    """

    def __init__(self, interval: float = _INTERVAL) -> None:
        self._interval = interval
        self._open: dict[str, dict[str, _Trouble]] = {}
        self._told: dict[str, float] = {}

    def note(self, event: Event, now: float) -> list[str]:
        """Take note of an event; the lines that it is worth."""
        match event:
            case Submitted():
                self._open[event.solve] = {}
            case Retrying() | FellBack():
                return self._failed(
                    event, event.provider, event.error, now, is_sole=isinstance(event, Retrying)
                )
            case Polled(error=ProviderError() as error):
                return self._failed(event, event.provider, error, now, is_sole=False)
            case Polled() | JobCreated():
                # Somebody works on it.
                self._open.get(event.solve, {}).clear()
            case Solved() | Failed() | Cancelled():
                self._open.pop(event.solve, None)
            case _:
                pass
        return []

    def _failed(
        self, event: SolveEvent, provider: str, error: ProviderError, now: float, *, is_sole: bool
    ) -> list[str]:
        troubles = self._open.get(event.solve)
        if troubles is None:
            return []  # it ended
        before = troubles.get(provider)
        troubles[provider] = _Trouble(str(error), now if before is None else before.since)
        if (before is None and not is_sole) or not self._may_tell(provider, now):
            return []
        self._told[provider] = now
        return [f"{provider}: {error}; trying again"]

    def _may_tell(self, provider: str, now: float) -> bool:
        told = self._told.get(provider)
        return told is None or now - told >= self._interval

    def again(self, now: float) -> Iterator[str]:
        """The lines that are due by now: of each provider that solves still wait for."""
        waiting: dict[str, list[_Trouble]] = {}
        for troubles in self._open.values():
            for provider, trouble in troubles.items():
                waiting.setdefault(provider, []).append(trouble)
        for provider, alike in waiting.items():
            first = min(trouble.since for trouble in alike)
            if now - first >= self._interval and self._may_tell(provider, now):
                self._told[provider] = now
                many = f", {counted(len(alike), 'picture')} wait" if len(alike) > 1 else ""
                yield f"{provider}: still trying after {now - first:.0f} s{many}: {alike[-1].reason}"


class WaitReporter:
    """An observer that tells on stderr what solves wait for."""

    def __init__(self) -> None:
        self._waits = Waits()
        self._lock = threading.Lock()
        self._is_over = threading.Event()

    @hookimpl
    def captchahub_observe(self, event: Event) -> None:
        """Take note of an event."""
        with self._lock:
            self._say(self._waits.note(event, time.monotonic()))

    @contextmanager
    def reporting(self) -> Generator[None]:
        """Tell again and again in here, as long as there is anything to wait for."""
        thread = threading.Thread(target=self._run, name="captchahub waits", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(_TICK):
            with self._lock:
                self._say(list(self._waits.again(time.monotonic())))

    @staticmethod
    def _say(lines: list[str]) -> None:
        if lines:
            say("\n".join(lines))
