"""Opens the journal for commands that only read it, so that they need neither tokens nor providers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from captchahub._config.loader import read_journal
from captchahub.cli.options import UserPath, config_option, default_config, default_journal
from captchahub.cli.streams import say
from captchahub.errors import ConfigError
from captchahub.hub import Hub
from captchahub.settings import HubSettings, JournalSettings

__all__ = ["journal_hub", "journal_options", "journal_path", "say_journal"]

F = TypeVar("F", bound=Callable[..., object])


def journal_options(command: F) -> F:
    """Add the options ``--journal`` and ``--config``, which name the journal."""
    journal = click.option(
        "--journal",
        type=UserPath(),
        metavar="FILE",
        help="The journal; by default that of the configuration, or else jobs.db in the user's state folder.",
    )
    return config_option("The YAML file that may name the journal; found as by captchahub solve.")(
        journal(command)
    )


def journal_path(config: Path | None, journal: Path | None) -> Path:
    """Return the journal that the options name. Raises ConfigError if it does not exist."""
    path = journal or _configured(config) or default_journal()
    if path is None:
        raise ConfigError("the journal is in memory and ends with each program; name a file under journal:")
    if not path.exists():
        raise ConfigError(f"{path}: there is no journal yet; the first job that is created makes it")
    return path


def _configured(config: Path | None) -> Path | None:
    file = config or default_config()
    return None if file is None else read_journal(file).path


def journal_hub(config: Path | None, journal: Path | None) -> Hub:
    """Return a hub without providers on the journal that the options name."""
    path = journal_path(config, journal)
    return Hub(HubSettings(providers={}, routes={}, journal=JournalSettings(path)))


def say_journal(path: Path | None) -> None:
    """Name on stderr the journal that a result comes from; None if it is in memory."""
    say(f"journal: {'in memory' if path is None else path}")
