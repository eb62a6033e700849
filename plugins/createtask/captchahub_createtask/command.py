"""``captchahub dialects``: the services that this plugin knows, as a help for writing a configuration.

This module may import click, because only the command line, captchahub[cli], imports it.
"""

from __future__ import annotations

import json

import attrs
import click

from captchahub_createtask.dialects import DIALECTS, Dialect

__all__ = ["dialects"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print all facts of all dialects as one JSON object.")
def dialects(*, as_json: bool) -> None:
    """List the services that the plugin createtask knows by name, with the options that each takes."""
    if as_json:
        click.echo(json.dumps({name: attrs.asdict(one) for name, one in DIALECTS.items()}, indent=2))
        return
    width = max(map(len, DIALECTS))
    for name, dialect in DIALECTS.items():
        click.echo(f"{name:{width}}  {_about(dialect)}")


def _about(dialect: Dialect) -> str:
    options = ", ".join(dialect.options) or "no options"
    return f"{dialect.base_url or 'base_url must be configured'}; takes {options}"
