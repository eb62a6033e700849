"""The package that ``captchahub new-plugin`` begins: the files of ``_new_plugin/`` under other names.

Those files are a whole plugin for the made-up service "Penny Reader"; they are checked as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import attrs
import click

from captchahub._plugins.manager import Plugins

__all__ = ["Names", "free_name", "write_plugin"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

# With longer ones, lines of the package would have to be broken.
_LONGEST = 24

_LONGEST_SERVICE = 40

# It stands in texts, comments and strings of the package as it is.
_SERVICE = re.compile(r"[^\W_]([^\W_]|[ .-])*")


@attrs.frozen
class Names:
    """What a plugin, and what belongs to it, is called; ``plugin`` is what ``plugin:`` names."""

    plugin: str
    service: str

    @classmethod
    def of(cls, plugin: str, service: str | None) -> Names:
        """The names of a plugin; its service is called like it, unless another name is given.

        Raises a BadParameter for a name of the service that can't stand in the code.
        """
        words = " ".join(word.capitalize() for word in plugin.split("-")) if service is None else service
        if not _SERVICE.fullmatch(words) or len(words) > _LONGEST_SERVICE:
            raise click.BadParameter(
                f"{words!r} can't stand in code: take letters, digits, blanks, '-' and '.', "
                f"{_LONGEST_SERVICE} characters at most",
                param_hint="--service-name",
            )
        return cls(plugin, words)

    @property
    def package(self) -> str:
        """The distribution, and the folder that it is written to."""
        return f"captchahub-{self.plugin}"

    @property
    def spellings(self) -> Mapping[str, str]:
        """Each way that the templates write the name of theirs, and what stands for it."""
        words = self.plugin.split("-")
        return {
            "penny-reader": self.plugin,
            "penny_reader": "_".join(words),
            "PENNY_READER": "_".join(words).upper(),
            "PennyReader": "".join(word.capitalize() for word in words),
            "Penny Reader": self.service,
        }

    def rendered(self, text: str) -> str:
        """A template's text, or path, for this plugin."""
        spellings = self.spellings
        # All at once: a name can hold another one.
        return re.sub("|".join(spellings), lambda found: spellings[found[0]], text)


def free_name(name: str) -> str:
    """The name, where a plugin can have it. Raises a BadParameter that says which one can be had instead."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        near = _nearest(name)
        advice = f", such as {near!r}" if near else ""
        raise click.BadParameter(
            f"{name!r} is no name for a plugin: small letters and digits in words parted by '-', "
            f"a letter first, {_LONGEST} characters at most{advice}"
        )
    if name in Plugins().names() or _is_installed(f"captchahub-{name}"):
        raise click.BadParameter(
            f"{name!r} is taken by an installed plugin (captchahub plugins lists them): "
            "choose another name, or uninstall that one"
        )
    return name


def _nearest(name: str) -> str | None:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower().removeprefix("captchahub")
    near = re.sub(r"[^a-z0-9]+", "-", words).lstrip("-0123456789")[:_LONGEST].strip("-")
    return near if _NAME.fullmatch(near) else None


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def write_plugin(names: Names, into: Path) -> Path:
    """Write the package into a new folder below ``into``, and give that folder.

    Raises a UsageError where it is there already; OSError.
    """
    folder = into / names.package
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise click.UsageError(
            f"{folder} is there already, and nothing is overwritten: "
            "take another NAME or --into, or move it away"
        ) from None
    for path, text in _templates(files("captchahub.cli") / "_new_plugin"):
        file = folder / names.rendered(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(names.rendered(text), encoding="utf-8", newline="\n")
    return folder


def _templates(folder: Traversable, above: str = "") -> list[tuple[str, str]]:
    """Path and text of each template; what Python or a tool left beside them is none."""
    found: list[tuple[str, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{above}{entry.name}"
        if entry.is_file():
            found.append((path, entry.read_text(encoding="utf-8")))
        elif entry.name != "__pycache__" and not entry.name.endswith("_cache"):
            found += _templates(entry, f"{path}/")
    return found
