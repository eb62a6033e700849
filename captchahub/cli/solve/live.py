"""Shows on a terminal what the pictures wait for; the display disappears when the results are there."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from captchahub.cli.repeated import repeated
from captchahub.cli.solve.status import Status
from captchahub.events import Event
from captchahub.hookspecs import hookimpl

__all__ = ["LiveReporter"]

# In seconds; a terminal over a slow line can't show more than a few frames a second.
_REDRAW_INTERVAL = 0.2


class LiveReporter:
    """An observer that keeps a display of the solves in progress on a terminal."""

    def __init__(self, console: Console, total: int) -> None:
        self._status = Status(total)
        # Results go to stdout and stderr as they are: rich would wrap their lines and merge both streams.
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        # Events come in the observers' thread, frames in a thread of this reporter, results in the caller's.
        self._lock = threading.Lock()

    @hookimpl
    def captchahub_observe(self, event: Event) -> None:
        """Record an event."""
        with self._lock:
            self._status.record(event, time.monotonic())

    @contextmanager
    def reporting(self) -> Generator[None]:
        """Show the display in here."""
        with self._live:
            try:
                with repeated(self._redraw, _REDRAW_INTERVAL, thread_name="captchahub live status"):
                    yield
            finally:
                # Not a frame without lines: rich would leave an empty line behind.
                self._live.update(Text())

    @contextmanager
    def printing(self, *, is_solved: bool) -> Generator[None]:
        """Count a picture, and remove the display while its result is printed in here."""
        with self._lock:
            self._status.finish(is_solved=is_solved)
            self._live.update(Group(), refresh=True)
            yield

    def _redraw(self) -> None:
        with self._lock:
            lines = self._status.lines(time.monotonic())
            frame = Group(*(Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in lines))
            self._live.update(frame, refresh=True)
