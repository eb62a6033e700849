"""The library's one logger. It is silent until the application configures logging."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["log", "of_solve"]

_solve: ContextVar[str | None] = ContextVar("captchahub_solve", default=None)


@contextmanager
def of_solve(solve: str) -> Generator[None]:
    """Have every line that is logged in here, and in the tasks begun in here, say of which solve it is."""
    before = _solve.set(solve)
    try:
        yield
    finally:
        _solve.reset(before)


def _note_solve(record: logging.LogRecord) -> bool:
    """End a line of a solve with its id, which is also ``solve`` of the record; in others that is None."""
    record.solve = solve = _solve.get()
    if solve is not None:
        # The id is of hexadecimal digits, so that it holds no "%".
        record.msg = f"{record.msg} [solve {solve}]"
    return True


log = logging.getLogger("captchahub")

log.addHandler(logging.NullHandler())

log.addFilter(_note_solve)
