"""Options and their types: convert text from the shell to checked values."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
import yaml
from platformdirs import user_config_path, user_state_path

from captchahub._support.database_address import is_address
from captchahub._support.paths import expanded
from captchahub._support.wording import shown
from captchahub.errors import ConfigError
from captchahub.provider import money
from captchahub.settings import HubSettings


class WholeNumber(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class UserPath(click.Path):
    """A path in which ``~`` is the home directory. Shells do not expand it in ``--config=~/a``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        return super().convert(expanded(value), param, ctx)


class JournalPath(UserPath):
    """The path of a journal. An address is refused, because it can hold a password."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if isinstance(value, str) and is_address(value):
            self.fail(
                "a file is needed: the password in an address would be seen by other users of this machine. "
                "Name the database in a configuration, under journal:, and give --config",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


def directory(text: str) -> Path:
    """Return the path of a directory, which need not exist."""
    path = expanded(text)
    if path.exists() and not path.is_dir():
        raise click.BadParameter(f"{text} is a file, not a directory")
    return path


def token(text: str) -> str:
    """Return the token of an account. Raises BadParameter if it is empty."""
    # It usually comes from a variable that is not set: --token "$TOKEN".
    if not text.strip():
        raise click.BadParameter("the token is empty; leave the option out to use the default")
    return text


def seconds(text: str) -> float:
    """Return a time of 0 or more, in seconds. ``2``, ``1.5`` and ``1.5s`` are accepted."""
    value = _number(text.removesuffix("s"))
    if value is None or value < 0:
        raise click.BadParameter(f"{text!r} is not a number of seconds such as 1.5")
    return value


def positive_seconds(text: str) -> float:
    """Return a time above 0, in seconds."""
    value = seconds(text)
    if not value:
        raise click.BadParameter("must be more than 0 seconds")
    return value


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    value = _number(text)
    if value is None or not 0 <= value <= 1:
        raise click.BadParameter(f"{text!r} is not a share from 0 (none) to 1 (all), such as 0.2")
    return value


def amount(text: str) -> Decimal:
    """Return an amount of money of 0 or more."""
    value = money(text)
    if value is None or value < 0:
        raise click.BadParameter(f"{text!r} is not an amount such as 2.50")
    return value


def named_value(text: str) -> tuple[str, object]:
    """Return a name and a value in YAML: ``min_poll_interval=2``."""
    name, sign, written = text.partition("=")
    if not (sign and name):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE such as dialect=capsolver")
    try:
        value: object = yaml.safe_load(written)
    # ValueError: a number with thousands of digits, or a date that does not exist.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise click.BadParameter(
            f"the value of {name} is not YAML: {shown(written)}; put text in quotes"
        ) from error
    return name, value


def local_zone() -> tzinfo:
    """Return the time zone of this machine."""
    return datetime.now().astimezone().tzinfo or UTC


_AGO = re.compile(r"([0-9]{1,4})([hd])")


def moment(text: str) -> datetime:
    """Return a time in the past: a date, a date with a time, ``today``, or ``7d`` or ``12h`` ago."""
    now = datetime.now().astimezone()
    if text == "today":
        return now.replace(hour=0, minute=0, second=0, microsecond=0)
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - timedelta(**{"d": {"days": int(ago[1])}, "h": {"hours": int(ago[1])}}[ago[2]])
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is not a time such as 2026-11-01, 2026-11-01T14:30, today, 7d or 12h"
        ) from error


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    # float() reads "nan" and "inf" as well, and no comparison with NaN is true.
    return value if math.isfinite(value) else None


F = TypeVar("F", bound=Callable[..., object])

_VARIABLE = "CAPTCHAHUB_CONFIG"

_DEFAULT_FILES = (Path("captchahub.yaml"), Path("config.yaml"))

_NO_CONFIGURATION = """\
no configuration: ./captchahub.yaml and ./config.yaml do not exist, and neither --config nor \
$CAPTCHAHUB_CONFIG names one.
Create a file captchahub.yaml such as

providers:
  omo:
    plugin: omocaptcha
    api_token: ${env:OMOCAPTCHA_TOKEN}

or let "captchahub config init" write it. Without an account, "captchahub sandbox" prints a \
configuration to try."""


def config_option(help_text: str) -> Callable[[F], F]:
    """Return the option ``--config`` with this help."""
    return click.option("--config", type=UserPath(), envvar=_VARIABLE, help=help_text)


def find_config(given: Path | None) -> Path:
    """Return the configuration file: the given one, or the first default file in the working directory.

    Raises :class:`~captchahub.errors.ConfigError`, which says how to create one, if there is none.
    """
    found = given or default_config()
    if found is None:
        raise ConfigError(_NO_CONFIGURATION)
    return found


def default_config() -> Path | None:
    """Return the file that commands read by default, or None if there is none."""
    named = os.environ.get(_VARIABLE)
    if named:
        return expanded(named)
    of_user = user_config_path("captchahub", appauthor=False) / "captchahub.yaml"
    return next((path for path in (*_DEFAULT_FILES, of_user) if path.exists()), None)


def with_journal(settings: HubSettings) -> HubSettings:
    """Return the settings with a journal file: by default jobs.db in the user's state folder.

    If that folder can't be created, as in a container without a home, the journal stays in memory.
    """
    # Without a file, every run of the program would have budgets of its own, and forget its open jobs.
    if settings.journal.place is not None:
        return settings
    path = default_journal()
    if path is None:
        return settings
    return attrs.evolve(settings, journal=attrs.evolve(settings.journal, path=path))


def default_journal() -> Path | None:
    """Return jobs.db in the user's state folder, or None if that folder can't be created."""
    try:
        return user_state_path("captchahub", appauthor=False, ensure_exists=True) / "jobs.db"
    except OSError:
        return None
