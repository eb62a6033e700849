"""How the program was started, so that the commands it prints work where it was started."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

__all__ = ["command"]


def command(*words: str) -> str:
    """Return a command line of this program: ``captchahub``, its path, or ``python -m captchahub``."""
    return " ".join([_program(), *map(shlex.quote, words)])


def _program() -> str:
    started = Path(sys.argv[0])
    if started.stem == "__main__":
        return f"{shlex.quote(_short(Path(sys.executable)))} -m captchahub"
    found = shutil.which("captchahub")
    # Without it on the PATH, as in an environment that is not activated, the path is needed.
    if started.stem != "captchahub" or (found is not None and Path(found).resolve() == started.resolve()):
        return "captchahub"
    return shlex.quote(_short(started))


def _short(path: Path) -> str:
    """Return a path relative to the working directory if it is below that."""
    here = Path.cwd()
    if not (path.is_absolute() and path.is_relative_to(here)):
        return str(path)
    # A shell looks for a name without a slash on the PATH only.
    return f"./{path.name}" if path.parent == here else str(path.relative_to(here))
