"""Where the configuration is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from captchahub._user_paths import expanded
from captchahub.cli._values import UserPath
from captchahub.errors import ConfigError

__all__ = ["config_option", "find_config", "usual_config"]

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
