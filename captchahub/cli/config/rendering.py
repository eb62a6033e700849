"""The effective configuration as YAML with comments, and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import yaml

from captchahub._config.problems import KeyPath, dotted
from captchahub.cli.config.effective import Entry
from captchahub.cli.text import printable


def yaml_lines(entries: Sequence[Entry], indent: str = "") -> Iterator[str]:
    """Yield lines that load as a configuration; each value has a comment that names its source."""
    for entry in entries:
        key = written(entry.key)
        if entry.children:
            yield f"{indent}{key}:"
            yield from yaml_lines(entry.children, f"{indent}  ")
            continue
        value = "not set" if entry.value is None else written(entry.value)
        mark = "" if entry.in_use else "# "
        yield f"{indent}{mark}{key}: {value}  # {printable(entry.source)}"


def written(value: object) -> str:
    """Return a plain value as YAML on one line."""
    # Only double quotes keep a line break on the same line, as an escape.
    style = '"' if isinstance(value, str) and "\n" in value else None
    text = yaml.safe_dump(
        value,
        default_flow_style=True,
        default_style=style,
        width=sys.maxsize,
        allow_unicode=True,
        sort_keys=False,
    )
    return text.removesuffix("\n").removesuffix("\n...")


def values_of(entries: Sequence[Entry]) -> dict[str, object]:
    """Return the values alone, as JSON can hold them; None for what is not set."""
    return {entry.key: values_of(entry.children) if entry.children else entry.value for entry in entries}


def sources_of(entries: Sequence[Entry], place: KeyPath = ()) -> dict[str, str]:
    """Return where each value came from, by its place as messages write it."""
    found: dict[str, str] = {}
    for entry in entries:
        here = (*place, entry.key)
        found.update(sources_of(entry.children, here) if entry.children else {dotted(here): entry.source})
    return found
