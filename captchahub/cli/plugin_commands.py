"""Commands that installed plugins add: entry points of the group ``captchahub.commands``.

Their names are read from the metadata of what is installed; a plugin is imported when its command is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint

import click

from captchahub._plugins.blocking import BLOCKED, is_blocked_by_environment
from captchahub._plugins.entry_points import package_of, points_in

__all__ = ["added_commands", "load_command"]

GROUP = "captchahub.commands"


def added_commands() -> list[tuple[str, str]]:
    """The names of the commands that plugins add, each with its package, sorted; nothing is imported."""
    return sorted((point.name, _package(point)) for point in points_in(GROUP))


def load_command(name: str) -> click.Command | None:
    """A plugin's command, None where there is none of that name.

    Raises a ClickException where it can't be used, or two packages have one of that name.
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
    who = f"the command {point.name!r} of {_package(point)}"
    if is_blocked_by_environment(point.name, _package(point)):
        raise click.ClickException(f"{who} is blocked by ${BLOCKED}; take it out there to use it")
    try:
        command: object = point.load()
    except (Exception, SystemExit) as error:
        words = " ".join(str(error).split())
        said = f"{who} can't be imported: {type(error).__name__}: {words}; update or reinstall it"
        raise click.ClickException(said) from error
    if not isinstance(command, click.Command):
        raise click.ClickException(f"{who} is a {type(command).__name__} and no click command; update it")
    return command


def _package(point: EntryPoint) -> str:
    return package_of(point) or "an unnamed package"
