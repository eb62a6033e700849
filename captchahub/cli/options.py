"""What options are given as: text from the shell → checked values."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
import yaml
from platformdirs import user_state_path

from captchahub._support.paths import expanded
from captchahub._support.wording import shown
from captchahub.errors import ConfigError
from captchahub.provider import money
from captchahub.settings import HubSettings

__all__ = [
    "UserPath",
    "Whole",
    "amount",
    "config_option",
    "directory",
    "find_config",
    "named_value",
    "positive_seconds",
    "seconds",
    "share",
    "token",
    "usual_config",
    "with_journal",
]


class Whole(click.IntRange):
    """A whole number of a range."""

    name = "whole number"


class UserPath(click.Path):
    """A path, where ``~`` is the home directory: shells leave that to the program in ``--config=~/a``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        return super().convert(expanded(value), param, ctx)


def directory(text: str) -> Path:
    """A directory, or where one can be made."""
    path = expanded(text)
    if path.exists() and not path.is_dir():
        raise click.BadParameter(f"{text} is a file, not a directory")
    return path


def token(text: str) -> str:
    """The token of an account, which can't be empty."""
    if not text.strip():
        raise click.BadParameter("the token is empty; leave the option out for one that works")
    return text


def seconds(text: str) -> float:
    """A time from 0, in seconds; ``2``, ``1.5`` and ``1.5s`` are fine."""
    value = _number(text.removesuffix("s"))
    if value is None or value < 0:
        raise click.BadParameter(f"{text!r} is not a number of seconds such as 1.5")
    return value


def positive_seconds(text: str) -> float:
    """A time above 0, in seconds."""
    value = seconds(text)
    if not value:
        raise click.BadParameter("give more than 0 seconds")
    return value


def share(text: str) -> float:
    """A share of the whole, from 0 to 1."""
    value = _number(text)
    if value is None or not 0 <= value <= 1:
        raise click.BadParameter(f"{text!r} is not a share from 0 (none) to 1 (all), such as 0.2")
    return value


def amount(text: str) -> Decimal:
    """An amount of money from 0."""
    value = money(text)
    if value is None or value < 0:
        raise click.BadParameter(f"{text!r} is not an amount such as 2.50")
    return value


def named_value(text: str) -> tuple[str, object]:
    """A name and a value, which is written as in a configuration: ``min_poll_interval=2``."""
    name, sign, written = text.partition("=")
    if not (sign and name):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE such as dialect=capsolver")
    try:
        value: object = yaml.safe_load(written)
    # ValueError: a number of thousands of digits, a day that no month has.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise click.BadParameter(
            f"the value of {name} is not YAML: {shown(written)}; put text in quotes"
        ) from error
    return name, value


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


F = TypeVar("F", bound=Callable[..., object])

_VARIABLE = "CAPTCHAHUB_CONFIG"

_USUAL = (Path("captchahub.yaml"), Path("config.yaml"))

_HOW_TO = """\
no configuration: neither ./captchahub.yaml nor ./config.yaml is there, and neither --config nor \
$CAPTCHAHUB_CONFIG names one.
Make a file captchahub.yaml such as

providers:
  omo:
    plugin: omocaptcha
    api_token: ${env:OMOCAPTCHA_TOKEN}

or let "captchahub config init" ask you and write it. Without an account, "captchahub sandbox" prints a \
configuration to try."""


def config_option(words: str) -> Callable[[F], F]:
    """The option ``--config`` of a command, with its help in these words."""
    return click.option("--config", type=UserPath(), envvar=_VARIABLE, help=words)


def find_config(given: Path | None) -> Path:
    """The file that was named, else the first of the usual ones in the working directory.

    Raises :class:`~captchahub.errors.ConfigError` that says how to make one.
    """
    if given is not None:
        return given
    found = _first_there()
    if found is None:
        raise ConfigError(_HOW_TO)
    return found


def usual_config() -> Path | None:
    """The file that a command would read which is given none, None where there is none."""
    named = os.environ.get(_VARIABLE)
    return expanded(named) if named else _first_there()


def _first_there() -> Path | None:
    return next((path for path in _USUAL if path.exists()), None)


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
