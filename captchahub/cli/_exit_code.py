"""The exit codes."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """What a script can tell from the end of the program."""

    DONE = 0
    UNSOLVED = 1
    USAGE = 2
    CONFIGURATION = 3
    REFUSED = 4
    TIMEOUT = 5
    STDOUT = 6
    INTERRUPTED = 130
    TERMINATED = 143
