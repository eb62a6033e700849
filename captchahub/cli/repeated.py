"""Does something again and again in a thread, while a block of code runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["repeated"]


@contextmanager
def repeated(work: Callable[[], None], interval: float, *, thread_name: str) -> Generator[None]:
    """Call ``work()`` every ``interval`` seconds in a thread, as long as the block runs."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.wait(interval):
            work()

    thread = threading.Thread(target=run, name=thread_name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
