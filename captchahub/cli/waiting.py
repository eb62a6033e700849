"""Says on a terminal for what a command waits."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from captchahub.cli.text import printable

__all__ = ["waiting_for"]


@contextmanager
def waiting_for(names: Iterable[str]) -> Generator[None]:
    """Show on stderr that these are waited for, as long as the block runs; nothing if it is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    # Imported late, because rich takes long to import and a pipe does not need it.
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    text = Text(f"waiting for {printable(', '.join(names))} …", "dim", no_wrap=True, overflow="ellipsis")
    with Console(stderr=True, highlight=False).status(text, spinner="line"):
        yield
