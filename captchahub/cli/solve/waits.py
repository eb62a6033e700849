"""Reports on stderr why solves wait, because a long silence looks like a hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from captchahub.cli.repeated import repeated
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

# In seconds: long enough to read a line, short enough that no one takes the program for hung.
_INTERVAL = 5.0

# In seconds: how late a line can be.
_TICK = 0.5


class Waits:
    """The failing providers that solves wait for. Pure: the caller passes the time, in seconds.

    A provider is reported when it fails twice, or at once if no other provider is left. After that it is
    reported every five seconds, however many solves wait for it.
    """

    def __init__(self) -> None:
        # By solve and provider: the time of the first failure, and the reason of the last.
        self._open: dict[str, dict[str, tuple[float, str]]] = {}
        self._reported: dict[str, float] = {}

    def record(self, event: Event, now: float) -> list[str]:
        """Record an event, and return the lines to print."""
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
                # A service works on the task again.
                self._open.get(event.solve, {}).clear()
            case Solved() | Failed() | Cancelled():
                self._open.pop(event.solve, None)
            case _:
                pass
        return []

    def _failed(
        self, event: SolveEvent, provider: str, error: ProviderError, now: float, *, is_sole: bool
    ) -> list[str]:
        failing = self._open.get(event.solve)
        if failing is None:
            return []  # the solve has ended
        is_first = provider not in failing
        since = now if is_first else failing[provider][0]
        failing[provider] = since, str(error)
        if (is_first and not is_sole) or not self._may_report(provider, now):
            return []
        self._reported[provider] = now
        return [f"{provider}: {error}; trying again"]

    def _may_report(self, provider: str, now: float) -> bool:
        reported = self._reported.get(provider)
        return reported is None or now - reported >= _INTERVAL

    def due(self, now: float) -> Iterator[str]:
        """Yield the lines that are due: one for each provider that solves still wait for."""
        waiting: dict[str, list[tuple[float, str]]] = {}
        for failing in self._open.values():
            for provider, one in failing.items():
                waiting.setdefault(provider, []).append(one)
        for provider, waits in waiting.items():
            first = min(since for since, _ in waits)
            if now - first >= _INTERVAL and self._may_report(provider, now):
                self._reported[provider] = now
                many = f", {counted(len(waits), 'picture')} wait" if len(waits) > 1 else ""
                yield f"{provider}: still trying after {now - first:.0f} s{many}: {waits[-1][1]}"


class WaitReporter:
    """An observer that prints on stderr what solves wait for."""

    def __init__(self) -> None:
        self._waits = Waits()
        # Events come in the observers' thread, and the repeated lines in a thread of this reporter.
        self._lock = threading.Lock()

    @hookimpl
    def captchahub_observe(self, event: Event) -> None:
        """Record an event."""
        with self._lock:
            self._say(self._waits.record(event, time.monotonic()))

    @contextmanager
    def reporting(self) -> Generator[None]:
        """Print repeated lines in here, as long as solves wait."""
        with repeated(self._say_due, _TICK, thread_name="captchahub waits"):
            yield

    @contextmanager
    def printing(self, *, is_solved: bool) -> Generator[None]:  # noqa: ARG002 - as LiveReporter
        """Print no line while a result is printed in here."""
        with self._lock:
            yield

    def _say_due(self) -> None:
        with self._lock:
            self._say(list(self._waits.due(time.monotonic())))

    @staticmethod
    def _say(lines: list[str]) -> None:
        if lines:
            say("\n".join(lines))
