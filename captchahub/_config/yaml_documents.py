"""YAML text → plain values, with the line of each. No tag of the text is ever constructed or run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import yaml

from captchahub._config.problems import EXAMPLE, KeyPath, Problems
from captchahub._support.text_files import decoded
from captchahub._support.wording import shown

MAX_BYTES = 1_000_000
"""The largest configuration file that is read, in bytes."""

MAX_VALUES = 50_000
"""The most values a file may hold, counted after aliases are followed: a "billion laughs" is small before."""

MAX_DEPTH = 50
"""How deep values may be nested."""

_TOO_DEEP = f"this is nested too deeply; at most {MAX_DEPTH} levels are read"

_TAG = "tag:yaml.org,2002:"

_SCALARS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "str", "timestamp"))

_MERGE = _TAG + "merge"

Pair = tuple[yaml.Node, yaml.Node]


@attrs.frozen
class Document:
    """The content of a file. ``lines`` are those of the keys and list items, counted from 1."""

    value: object = attrs.field(repr=False)
    lines: dict[KeyPath, int]


class Unreadable(Exception):
    """The whole is no configuration; the message says why, and ``line`` where, if that is one place."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class _ShallowLoader(yaml.SafeLoader):
    """Stops at deep nesting before it costs anything; PyYAML's faster loader, in C, would crash there."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self._depth > MAX_DEPTH:
            raise Unreadable(_TOO_DEEP, int(self.line) + 1)
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def read_document(path: Path, problems: Problems) -> Document | None:
    """Return the document in a file, or None if it can't be read; report what is wrong to ``problems``."""
    text = _text(path, problems)
    return None if text is None else parse_document(text, problems)


def parse_document(text: str, problems: Problems) -> Document | None:
    """Return the document in a text, or None if it is not one; report what is wrong to ``problems``."""
    reader = _NodeReader(problems)
    try:
        return Document(reader.value(_compose(text), ()), reader.lines)
    except Unreadable as error:
        problems.add((), str(error), error.line)
        return None


def _text(path: Path, problems: Problems) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        # Before decoding, because the last character may be cut in two.
        if len(data) > MAX_BYTES:
            problems.add((), f"the file is larger than {MAX_BYTES} bytes; is it the right one?")
            return None
        return decoded(data)
    except FileNotFoundError:
        problems.add((), f"there is no such file; give another path, or write one such as: {EXAMPLE}")
    except IsADirectoryError:
        problems.add((), "this is a directory; give the path of the file in it")
    except UnicodeDecodeError as error:
        problems.add((), f"byte {error.start} is not UTF-8 text; save the file as UTF-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a possible path"
        problems.add((), f"the file can't be read: {reason}; check its path and its permissions")
    return None


def _compose(text: str) -> yaml.Node:
    loader: _ShallowLoader | None = None
    try:
        loader = _ShallowLoader(text)
        node: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        said = f"{error.problem} {error.context}"
        advice = next((advice for fragment, advice in _ADVICE.items() if fragment in said), _ELSE)
        # Something never closed is noticed at the end, and fixed where it begins.
        mark = error.context_mark if error.context in _OPENED else error.problem_mark
        line = None if mark is None else int(mark.line) + 1
        raise Unreadable(f"not valid YAML: {advice}", line) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"character U+{ord(text[error.position]):04X} can't be in YAML; remove it"
        raise Unreadable(message, line) from None
    # PyYAML lets these through from int() and chr(), for "%YAML 1.99…" and "\UFFFFFFFF".
    except (ValueError, OverflowError):
        here = None if loader is None else int(loader.line) + 1
        message = "an escape or a directive here has a number that is too large; correct it"
        raise Unreadable(message, here) from None
    if node is None:
        raise Unreadable(f"the file is empty; it needs at least a provider, as in: {EXAMPLE}")
    return node


# What the parser says → what to do. Its own words are never shown: they can quote a part of a token.
_ADVICE = {
    "found undefined alias": "a value that begins with '*' means a YAML alias; put it in quotes",
    "while scanning an alias": "a value that begins with '*' means a YAML alias; put it in quotes",
    "while scanning an anchor": "a value that begins with '&' means a YAML anchor; put it in quotes",
    "found undefined tag handle": "a value that begins with '!' means a YAML tag; put it in quotes",
    "while parsing a tag": "a value that begins with '!' means a YAML tag; put it in quotes",
    "but found another document": "keep one document in the file: remove the '---' and what follows",
    "found character '\\t'": "indent with spaces, not with tabs",
    "that cannot start any token": "a value can't begin with '@', '%' or a backtick; put it in quotes",
    "mapping values are not allowed": "check the indentation, and quote a value that holds ': '",
    "sequence entries are not allowed": "begin a list on a line of its own, after its key",
    "could not find expected ':'": "each key ends with ': '",
    "or '}', but got '<stream end>'": "a '{' is never closed; end it with '}'",
    "or ']', but got '<stream end>'": "a '[' is never closed; end it with ']'",
    "expected ',' or '}'": "a '{' is not closed by its '}', or a ',' is missing after it",
    "expected ',' or ']'": "a '[' is not closed by its ']', or a ',' is missing after it",
    "while scanning a quoted scalar": "a quote is never closed; end the text with the same quote",
    "found unknown escape": "an unknown escape in a text in double quotes; use single quotes",
    "while scanning a block scalar": "begin the text on the line after '|' or '>'",
    "found '<block mapping start>'": "this line's indentation fits nothing above it; align it with a key",
    "<block end>, but found '<scalar>'": "something follows a value that has ended; put the whole in quotes",
    "<block end>, but found '-'": "list items and keys are mixed; indent one of them further",
    "<block end>, but found '?'": "list items and keys are mixed; indent one of them further",
    "<block end>, but found '}'": "a '}' that no '{' began; remove it, or put the value in quotes",
    "<block end>, but found ']'": "a ']' that no '[' began; remove it, or put the value in quotes",
    "expected the node content": "a bracket or a comma where a value belongs; put it in quotes if it is text",
}

_ELSE = "something here can't be read; check the indentation, the quotes and the brackets"

_OPENED = ("while parsing a flow mapping", "while parsing a flow sequence", "while scanning a quoted scalar")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _NodeReader:
    """Reads the nodes of a document in one pass."""

    def __init__(self, problems: Problems) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._problems = problems
        self._count = 0
        self._open: list[yaml.Node] = []
        # It constructs one scalar at a time here, so it needs no text of its own.
        self._constructor: Any = yaml.SafeLoader("")

    def value(self, node: yaml.Node, place: KeyPath) -> object:
        """Return the plain value of a node."""
        self._enter(node)
        # The line of a key goes before that of its value, which may begin further down.
        self.lines.setdefault(place, _line(node))
        value: object = None
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            value = self._mapping(node, place)
        elif isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            value = [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            value = self._scalar(node, place)
        else:
            message = "YAML tags can't be used here; write the plain value, in quotes if it is text"
            self._problems.add_unreadable(place, message)
        self._open.pop()
        return value

    def _enter(self, node: yaml.Node) -> None:
        """Count a node, and keep it as one of those that hold the next ones, until it is popped."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise Unreadable(f"more than {MAX_VALUES} values, counting what aliases repeat", _line(node))
        if any(node is other for other in self._open):
            raise Unreadable("an alias that contains itself; remove it", _line(node))
        # Once more after _ShallowLoader, because an alias can hold nodes that are deep themselves.
        if len(self._open) >= MAX_DEPTH:
            raise Unreadable(_TOO_DEEP, _line(node))
        self._open.append(node)

    def _scalar(self, node: yaml.ScalarNode, place: KeyPath) -> object:
        try:
            return self._constructor.construct_object(node)
        # What looks like a number or a date need not be one, such as 2024-99-99.
        except (ValueError, KeyError, IndexError, OverflowError):
            kind = node.tag.removeprefix(_TAG)
            message = f"YAML takes this for a {kind}, and it is none; put it in quotes"
            self._problems.add_unreadable(place, message)
            return None

    def _mapping(self, node: yaml.MappingNode, place: KeyPath) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = None if key_node.tag == _MERGE else self._key(key_node, place)
            if key in result:
                # PyYAML would take the last one, and a provider written twice would be lost.
                first = self.lines[*place, key]
                message = f"duplicate key, first on line {first}; keep one of the two"
                self._problems.add((*place, key), message, _line(key_node))
            elif key is not None:
                self.lines[*place, key] = _line(key_node)
                result[key] = self.value(value_node, (*place, key))
        for key, (key_node, value_node) in self._inherited(node, place).items():
            if key not in result:
                self.lines[*place, key] = _line(key_node)
                result[key] = self.value(value_node, (*place, key))
        return result

    def _key(self, node: yaml.Node, place: KeyPath) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "str":
            return str(node.value)
        written = f" {shown(node.value)}" if isinstance(node, yaml.ScalarNode) else ""
        self._problems.add(place, f"the key{written} is not text; put it in quotes", _line(node))
        return None

    def _inherited(self, node: yaml.MappingNode, place: KeyPath) -> dict[str, Pair]:
        """Return the keys that '<<' brings into a mapping; earlier sources go before later ones."""
        found: dict[str, Pair] = {}
        merges = [pair for pair in node.value if pair[0].tag == _MERGE]
        for key_node, _value in merges[1:]:
            self._problems.add(place, "a second '<<'; write one, with a list of aliases", _line(key_node))
        for key_node, value_node in merges[:1]:
            for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                if isinstance(source, yaml.MappingNode):
                    found = {**self._merged(source, place), **found}
                else:
                    advice = "'<<' takes an alias of a mapping, such as '<<: *common'"
                    self._problems.add(place, advice, _line(key_node))
        return found

    def _merged(self, source: yaml.MappingNode, place: KeyPath) -> dict[str, Pair]:
        """Return the keys of a mapping that another one merges, and those that it inherits itself."""
        self._enter(source)
        # Merges of merges grow as fast as aliases of aliases, though no value is read here yet.
        self._count += len(source.value)
        # Of a key that is there twice, the first one counts; it is reported in the mapping itself.
        own = {
            str(key.value): (key, value) for key, value in reversed(source.value) if key.tag == _TAG + "str"
        }
        found = {**self._inherited(source, place), **own}
        self._open.pop()
        return found
