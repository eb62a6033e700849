"""Commands of installed plugins: entry points of the group ``captchahub.commands``.

Their names come from the metadata of the installed packages. A plugin is imported when its command is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint

import click

from captchahub._plugins.entry_points import BLOCKED, is_blocked_by_environment, package_of, points_in

__all__ = ["added_commands", "load_command"]

GROUP = "captchahub.commands"


def added_commands() -> list[tuple[str, str]]:
    """Return the names of the plugins' commands, each with its package, sorted. Imports no plugin."""
    return sorted((point.name, _package(point)) for point in points_in(GROUP))


def load_command(name: str) -> click.Command | None:
    """Return a plugin's command, or None if no plugin has a command with that name.

    Raises ClickException if it can't be used, or if two packages have a command with that name.
    """
    points = [point for point in points_in(GROUP) if point.name == name]
    return _loaded(_only(points)) if points else None


def _only(points: Sequence[EntryPoint]) -> EntryPoint:
    if len(points) > 1:
        packages = " and ".join(sorted(map(_package, points)))
        raise click.ClickException(
            f"{packages} both add the command {points[0].name!r}; uninstall one of them"
        )
    return points[0]


def _loaded(point: EntryPoint) -> click.Command:
    label = f"the command {point.name!r} of {_package(point)}"
    if is_blocked_by_environment(point.name, _package(point)):
        raise click.ClickException(f"{label} is blocked by ${BLOCKED}; remove it there to use it")
    try:
        command: object = point.load()
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        message = f"{label} can't be imported: {type(error).__name__}: {reason}; update or reinstall it"
        raise click.ClickException(message) from error
    if not isinstance(command, click.Command):
        raise click.ClickException(f"{label} is a {type(command).__name__}, not a click command; update it")
    return command


def _package(point: EntryPoint) -> str:
    return package_of(point) or "an unnamed package"
