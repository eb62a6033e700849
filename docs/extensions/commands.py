"""The directive ``commands``: a section for each command of the program, from what ``--help`` is made of.

A command that is added to the program, or by an installed plugin, is in the next build without any change.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from captchahub.cli import cli
from captchahub.cli.plugin_commands import added_commands

_NAME = "captchahub"
# An option, or a text in quotes that begins with the name of the program.
_LITERAL = re.compile(rf'((?<![\w-])--?[a-z][\w-]*|"{_NAME} [^"]+")')
# A line of a command, a file or an object; other lines are prose.
_CODE = re.compile(rf"\s*({_NAME}|curl|[$#{{\[|]|[\w-]+:(\s|$))")
_ROW = re.compile(r" *(\S+(?: \S+)*) {2,}(\S.*)")


class Commands(SphinxDirective):
    """Inserts the sections."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each command, the commands of plugins last."""
        context = click.Context(cli, info_name=_NAME)
        names = [*cli.list_commands(context), *(name for name, _package in added_commands())]
        return [self._section(context, name, cli) for name in dict.fromkeys(names)]

    def _section(self, parent: click.Context, name: str, group: click.Group) -> nodes.section:
        # get_command() would return what stands for the command in the help.
        _, command, _ = group.resolve_command(parent, [name])
        if command is None:
            raise self.error(f"the program has no command {name!r}, which it lists")
        context = click.Context(command, info_name=name, parent=parent)
        title = context.command_path
        section = nodes.section(ids=[nodes.make_id(title)], names=[nodes.fully_normalize_name(title)])
        section += nodes.title(title, title)
        section += _described(command, context)
        # An explicit target can be linked from every page.
        self.state.document.note_explicit_target(section, section)
        if isinstance(command, click.Group):
            section += [self._section(context, one, command) for one in command.list_commands(context)]
        return section


def _described(command: click.Command, context: click.Context) -> Iterator[nodes.Node]:
    yield from _paragraphs(command.help or "")
    yield _code(" ".join([context.command_path, *command.collect_usage_pieces(context)]), "text")
    options = [_option(one, context) for one in command.params if isinstance(one, click.Option)]
    if options:
        yield nodes.rubric("", "Options")
        yield nodes.definition_list("", *options, classes=["keys"])
    yield from _paragraphs(command.epilog or "")


def _option(option: click.Option, context: click.Context) -> nodes.definition_list_item:
    names, text = option.get_help_record(context) or ("", "")
    # The values that an option can have may take more than one line.
    name, bracket, values = names.partition(" [")
    term = nodes.term("", "", nodes.literal(name, name))
    if bracket:
        term += [nodes.Text(" "), nodes.literal("", f"[{values}", classes=["values"])]
    return nodes.definition_list_item("", term, nodes.definition("", _paragraph(text)))


def _paragraphs(text: str) -> Iterator[nodes.Node]:
    """Return what a help text says; its paragraphs that begin with a backspace keep their lines."""
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text).partition("\f")[0]):
        if block.startswith("\b"):
            yield from _kept(block.removeprefix("\b").strip("\n").splitlines())
        elif block.strip():
            yield _paragraph(block)


def _paragraph(text: str) -> nodes.paragraph:
    pieces = _LITERAL.split(" ".join(text.split()))
    paragraph = nodes.paragraph()
    for number, piece in enumerate(pieces):
        bare = piece.strip('"')
        paragraph += nodes.literal(bare, bare) if number % 2 else nodes.Text(piece)
    return paragraph


def _kept(lines: Sequence[str]) -> Iterator[nodes.Node]:
    if len(_rows(lines)[0]) > 1:
        yield from _indented(lines)
        return
    for is_indented, run in groupby(lines, lambda line: line.startswith(" ")):
        block = list(run)
        if is_indented:
            yield from _indented(block)
        elif len(block) == 1 and block[0].endswith(":"):
            yield nodes.rubric("", block[0].removesuffix(":"))
        else:
            yield _paragraph(" ".join(block))


def _indented(lines: Sequence[str]) -> Iterator[nodes.Node]:
    rows, after = _rows(lines)
    if rows and not any(_NAME in first for first, _second in rows):
        yield nodes.definition_list("", *(_row(*row) for row in rows), classes=["keys", "compact"])
        if after:
            yield _paragraph(" ".join(after))
    elif any(map(_CODE.match, lines)):
        yield _code(inspect.cleandoc("\n" + "\n".join(lines)), "sh")
    else:
        yield _paragraph(" ".join(lines))


def _rows(lines: Iterable[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the rows of two columns, and the lines that follow them; no rows if a line fits neither."""
    rows: list[tuple[str, str]] = []
    after: list[str] = []
    margin = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        row = _ROW.fullmatch(line)
        if row is not None and indent == (margin if margin is not None else indent) and not after:
            margin = indent
            rows.append((row[1], row[2]))
        elif margin is not None and indent > margin:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line.strip()}")
        elif rows:
            after.append(line.strip())
        else:
            return [], []
    return rows, after


def _row(first: str, second: str) -> nodes.definition_list_item:
    return nodes.definition_list_item(
        "", nodes.term("", "", nodes.literal(first, first)), nodes.definition("", _paragraph(second))
    )


def _code(text: str, language: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.add_directive("commands", Commands)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
