"""Where the command line keeps its journal: its solves end with the program, and their jobs must not."""

from __future__ import annotations

from pathlib import Path

import attrs
from platformdirs import user_state_path

from captchahub.settings import HubSettings

__all__ = ["with_journal"]


def with_journal(settings: HubSettings) -> HubSettings:
    """The settings with the journal in the user's state folder, where they name no file.

    Where that folder can't be made, as in a container without a home, the journal stays in memory.
    """
    if settings.journal.path is not None:
        return settings
    path = _usual_file()
    if path is None:
        return settings
    return attrs.evolve(settings, journal=attrs.evolve(settings.journal, path=path))


def _usual_file() -> Path | None:
    try:
        return user_state_path("captchahub", appauthor=False, ensure_exists=True) / "jobs.db"
    except OSError:
        return None
