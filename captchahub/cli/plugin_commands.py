"""Commands of installed plugins: entry points of the group ``captchahub.commands``.

Their names come from the metadata of the installed packages. A plugin is imported when its command is used.
"""

from __future__ import annotations

import click

from captchahub._plugins.entry_points import BLOCKED, is_blocked_by_environment, package_of, points_in

GROUP = "captchahub.commands"


def added_commands() -> list[tuple[str, str]]:
    """Return the names of the plugins' commands, each with its package, sorted. Imports no plugin."""
    return sorted((point.name, package_of(point)) for point in points_in(GROUP))


def load_command(name: str) -> click.Command | None:
    """Return a plugin's command, or None if no plugin has a command with that name.

    Raises ClickException if it can't be used, or if two packages have a command with that name.
    """
    points = [point for point in points_in(GROUP) if point.name == name]
    if not points:
        return None
    package = " and ".join(sorted(map(package_of, points)))
    if len(points) > 1:
        raise click.ClickException(f"{package} both add the command {name!r}; uninstall one of them")
    label = f"the command {name!r} of {package}"
    if is_blocked_by_environment(name, package):
        raise click.ClickException(f"{label} is blocked by ${BLOCKED}; remove it there to use it")
    try:
        command: object = points[0].load()
    # SystemExit: a module that parses arguments when it is imported ends the program with it.
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        message = f"{label} can't be imported: {type(error).__name__}: {reason}; update or reinstall it"
        raise click.ClickException(message) from error
    if not isinstance(command, click.Command):
        raise click.ClickException(f"{label} is a {type(command).__name__}, not a click command; update it")
    return command
