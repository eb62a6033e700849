"""Opens the journal for commands that only read it, so that they need neither tokens nor providers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from captchahub._config.loader import read_journal
from captchahub.cli.options import JournalPath, config_option, default_config, default_journal
from captchahub.cli.streams import say
from captchahub.errors import ConfigError
from captchahub.hub import Hub
from captchahub.settings import HubSettings, JournalSettings

__all__ = ["chosen_journal", "journal_hub", "journal_options", "say_journal"]

F = TypeVar("F", bound=Callable[..., object])


def journal_options(command: F) -> F:
    """Add the options ``--journal`` and ``--config``, which name the journal."""
    journal = click.option(
        "--journal",
        type=JournalPath(),
        metavar="FILE",
        help="The journal; by default that of the configuration, or else jobs.db in the user's state folder.",
    )
    return config_option("The YAML file that may name the journal; found as by captchahub solve.")(
        journal(command)
    )


def chosen_journal(config: Path | None, journal: Path | None) -> JournalSettings:
    """Return the journal that the options name. Raises ConfigError if it does not exist."""
    chosen = JournalSettings(journal) if journal is not None else _configured(config)
    if chosen.place is None:
        chosen = JournalSettings(default_journal())
    if chosen.place is None:
        raise ConfigError("the journal is in memory and ends with each program; name a file under journal:")
    if chosen.path is not None and not chosen.path.exists():
        raise ConfigError(f"{chosen.path}: there is no journal yet; the first job that is created makes it")
    return chosen


def _configured(config: Path | None) -> JournalSettings:
    file = config or default_config()
    return JournalSettings() if file is None else read_journal(file)


def journal_hub(journal: JournalSettings) -> Hub:
    """Return a hub without providers on a journal."""
    return Hub(HubSettings(providers={}, routes={}, journal=journal))


def say_journal(journal: JournalSettings) -> None:
    """Name on stderr the journal that a result comes from."""
    say(f"journal: {journal.place or 'in memory'}")
