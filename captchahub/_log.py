"""The library's one logger. It is silent until the application configures logging."""

from __future__ import annotations

import logging
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

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


class _Log(logging.LoggerAdapter[logging.Logger]):
    """Ends each line of a solve with its id, which is also ``solve`` of the record; None in all others."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """The line and its record's attributes."""
        solve = _solve.get()
        kwargs["extra"] = {"solve": solve}
        # The id is of hexadecimal digits, so that it holds no "%".
        return (msg if solve is None else f"{msg} [solve {solve}]"), kwargs


_logger = logging.getLogger("captchahub")
_logger.addHandler(logging.NullHandler())
log = _Log(_logger)
