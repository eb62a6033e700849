"""What options are given as: text from the shell → checked values."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import yaml

from captchahub._config.problems import shown
from captchahub._user_paths import expanded
from captchahub.provider import money

__all__ = [
    "UserPath",
    "Whole",
    "amount",
    "directory",
    "named_value",
    "positive_seconds",
    "seconds",
    "share",
    "token",
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
    """A name and a value, which is written as in a configuration: ``least_gap=2``."""
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
