"""``captchahub plugins``: list the installed plugins and their state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from captchahub._config.loader import read_yaml
from captchahub._plugins.manager import Plugins
from captchahub.cli.options import config_option, find_config
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import need_stdout, put, say, writing_stdout
from captchahub.cli.text import printable
from captchahub.errors import ConfigError
from captchahub.plugins import PluginRecord, PluginState

_EPILOG = """
\b
Examples:
  captchahub plugins
  captchahub plugins --json | jq 'select(.state == "failed")'

\b
States:
  loaded        can be used
  failed        can't be imported, or breaks the plugin contract; --verbose shows the traceback
  blocked       not imported, because the configuration or $CAPTCHAHUB_BLOCK_PLUGINS blocks it
  incompatible  written for another version of captchahub
"""

_COLUMNS = ("plugin", "state", "package", "adds")


@click.command(cls=Subcommand, epilog=_EPILOG)
@config_option("A YAML file that may block plugins. Optional; found as by captchahub solve.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("-v", "--verbose", is_flag=True, help="Show the tracebacks of failed plugins.")
def plugins(config: Path | None, *, as_json: bool, verbose: bool) -> None:
    """Import every installed plugin, and list what each one adds or why it can't be used."""
    need_stdout()
    records = _records(config)
    with writing_stdout():
        if as_json:
            for record in records:
                put(json.dumps({**attrs.asdict(record), "state": record.state.value}))
        else:
            _show(records, verbose=verbose)


def _records(config: Path | None) -> Sequence[PluginRecord]:
    known = Plugins()
    try:
        read_yaml(find_config(config), known)
    except ConfigError as error:
        # A configuration with errors must not hide the plugins, which may be what is needed to fix them.
        if config is not None:
            say(f"{error}\nthe plugins are listed nevertheless")
    # Only after the configuration was read, which can block plugins.
    known.load_all()
    return sorted(known.records, key=lambda record: (record.name, record.distribution or ""))


def _show(records: Sequence[PluginRecord], *, verbose: bool) -> None:
    if not records:
        put("no plugin is installed; each service is one, such as: pip install captchahub-omocaptcha")
        return
    # Imported late, because rich takes long to import and help does not need it.
    from rich.text import Text  # noqa: PLC0415

    from captchahub.cli.tables import fitted, new_console  # noqa: PLC0415

    console = new_console()
    rows: list[Sequence[Text]] = []
    for record in records:
        package = f"{record.distribution} {record.version}" if record.distribution else ""
        state = Text(record.state.value, "green" if record.state is PluginState.LOADED else "bold red")
        rows.append((Text(record.name), state, Text(package), Text(_adds(record))))
    console.print(fitted(_COLUMNS, rows, console.width))
    for record in records:
        if record.error is not None:
            console.print(Text(f"{record.name}: {printable(record.error)}"))
            if verbose and record.traceback is not None:
                for line in record.traceback.splitlines():
                    console.print(Text(printable(line)))


def _adds(record: PluginRecord) -> str:
    """Return what a plugin adds: kinds of providers and tasks, and other hooks."""
    adding = {"captchahub_provider_kinds", "captchahub_task_types"}
    hooks = (
        name.removeprefix("captchahub_").replace("_", " ") for name in record.hooks if name not in adding
    )
    return ", ".join([*record.kinds, *record.tasks, *hooks])
