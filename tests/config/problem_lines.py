"""What a refused configuration reports, line by line, and how tables of mistakes are compared with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from captchahub.errors import ConfigError

__all__ = ["fits", "problem_lines", "short"]

T = TypeVar("T")


def problem_lines(load: Callable[[Path, T], object], directory: Path, text: T) -> list[str]:
    """Return the lines of the error that loading a text raises, without the directory of its file."""
    with pytest.raises(ConfigError) as caught:
        load(directory, text)
    return str(caught.value).replace(f"{directory}/", "").splitlines()


def fits(message: str, line: str) -> bool:
    """Whether a line is the message of a table, in which ``...`` is any text."""
    return re.fullmatch(".*".join(map(re.escape, message.split("..."))), line) is not None


def short(text: object) -> str:
    """Return the beginning of a text, for the name of a test."""
    return str(text)[:60]
