"""The library's only logger. It is silent until the application configures logging."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_solve: ContextVar[str | None] = ContextVar("captchahub_solve", default=None)


@contextmanager
def of_solve(solve: str) -> Generator[None]:
    """Make every line logged in this block, and in tasks started in it, name the solve it belongs to."""
    before = _solve.set(solve)
    try:
        yield
    finally:
        _solve.reset(before)


def _note_solve(record: logging.LogRecord) -> bool:
    """Add the solve's id to the line, and to the record as ``solve``, which is None for other lines."""
    record.solve = solve = _solve.get()
    if solve is not None:
        # Safe to put into a format string: the id has hexadecimal digits only.
        record.msg = f"{record.msg} [solve {solve}]"
    return True


log = logging.getLogger("captchahub")

log.addHandler(logging.NullHandler())

log.addFilter(_note_solve)
