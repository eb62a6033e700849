"""Writes the package of ``captchahub new-plugin``: the files of ``_new_plugin/`` under other names.

Those files are a complete plugin for the fictional service "Penny Reader", whose tests run as they are.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import capwords

import click

from captchahub._plugins.manager import Plugins

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

# With longer ones, lines of the package would have to be broken.
_MAX_LENGTH = 24

_MAX_SERVICE_LENGTH = 40

# It stands in texts, comments and strings of the package as it is.
_SERVICE = re.compile(r"[^\W_]([^\W_]|[ .-])*")


def service_name(plugin: str, given: str | None) -> str:
    """Return the name of a plugin's service in texts. It is derived from the plugin's name by default.

    Raises BadParameter for a name that can't be inserted into code.
    """
    name = capwords(plugin.replace("-", " ")) if given is None else given
    if not _SERVICE.fullmatch(name) or len(name) > _MAX_SERVICE_LENGTH:
        raise click.BadParameter(
            f"{name!r} can't be inserted into code: use letters, digits, spaces, '-' and '.', "
            f"at most {_MAX_SERVICE_LENGTH} characters",
            param_hint="--service-name",
        )
    return name


def free_name(name: str) -> str:
    """Return the name if a plugin may have it. Raises BadParameter, with a valid name if there is one."""
    if not _NAME.fullmatch(name) or len(name) > _MAX_LENGTH:
        near = _nearest(name)
        advice = f", such as {near!r}" if near else ""
        raise click.BadParameter(
            f"{name!r} is not a name for a plugin: use lower-case words, with digits, separated by '-', "
            f"starting with a letter, at most {_MAX_LENGTH} characters{advice}"
        )
    if name in Plugins().names() or _is_installed(f"captchahub-{name}"):
        raise click.BadParameter(
            f"{name!r} is taken by an installed plugin (captchahub plugins lists them): "
            "choose another name, or uninstall that one"
        )
    return name


def _nearest(name: str) -> str | None:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower().removeprefix("captchahub")
    near = re.sub(r"[^a-z0-9]+", "-", words).lstrip("-0123456789")[:_MAX_LENGTH].strip("-")
    return near if _NAME.fullmatch(near) else None


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def write_plugin(plugin: str, service: str, into: Path) -> Path:
    """Write the package of a plugin into a new folder below ``into``, and return that folder.

    Raises UsageError if that folder exists, and OSError if it can't be written.
    """
    words = plugin.split("-")
    spellings = {
        "penny-reader": plugin,
        "penny_reader": "_".join(words),
        "PENNY_READER": "_".join(words).upper(),
        "PennyReader": "".join(word.capitalize() for word in words),
        "Penny Reader": service,
    }

    def rendered(text: str) -> str:
        # Replaced in one pass, because a replacement can contain another spelling.
        return re.sub("|".join(spellings), lambda found: spellings[found[0]], text)

    folder = into / f"captchahub-{plugin}"
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise click.UsageError(
            f"{folder} already exists and is not overwritten: "
            "choose another NAME or --into, or move the folder"
        ) from None
    for path, text in _templates(files("captchahub.cli") / "_new_plugin"):
        file = folder / rendered(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(rendered(text), encoding="utf-8", newline="\n")
    return folder


def _templates(folder: Traversable, above: str = "") -> list[tuple[str, str]]:
    """Return path and text of each template. Skips caches of Python and of tools."""
    found: list[tuple[str, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{above}{entry.name}"
        if entry.is_file():
            found.append((path, entry.read_text(encoding="utf-8")))
        elif entry.name != "__pycache__" and not entry.name.endswith("_cache"):
            found += _templates(entry, f"{path}/")
    return found
