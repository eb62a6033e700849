"""What the docstrings of a settings class say, read from its source: Python keeps none of its fields."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise

__all__ = ["class_doc", "documented_fields", "field_docs"]


def class_doc(target: type) -> str:
    """The first paragraph of a class's docstring, on one line; empty where there is none."""
    # What attrs writes where there is none is of no use to anybody.
    return _words((target.__dict__.get("__doc__") or "").partition("\n\n")[0])


def field_docs(target: type) -> Mapping[str, str]:
    """Return the first paragraph of each field's docstring, on one line; fields of base classes are included.

    Fields without a docstring are missing, and so are all of them if the source is not available.
    """
    found: dict[str, str] = {}
    for base in reversed(target.__mro__):
        found.update(_own_docs(base))
    return found


def _own_docs(target: type) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(target)))
    except (OSError, TypeError, SyntaxError):
        return
    for definition in tree.body:
        if isinstance(definition, ast.ClassDef):
            for field, below in zip(definition.body, definition.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    words = _docstring(below)
                    if words:
                        yield field.target.id, words


def _docstring(statement: ast.stmt) -> str:
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
        return ""
    written = statement.value.value
    return _words(written.partition("\n\n")[0]) if isinstance(written, str) else ""


def _words(written: str) -> str:
    return " ".join(written.replace("``", "`").split())


def documented_fields(kind: type) -> set[str]:
    """The names of fields that a class, or one that it inherits from, has words for."""
    found: set[str] = set()
    for one in kind.__mro__[:-1]:
        words = one.__doc__ or ""
        found |= {name for name in getattr(one, "__annotations__", {}) if _is_named(name, words)}
        found |= set(_docstrings(one))
    return found


def _is_named(name: str, words: str) -> bool:
    return name in words.replace("`", " ").replace(":", " ").replace(",", " ").split()


def _docstrings(kind: type) -> list[str]:
    try:
        (definition,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind))).body
    except (OSError, TypeError, SyntaxError):
        return []
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return [
        field.target.id
        for field, words in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_words(words)
    ]


def _is_words(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str) and bool(value.value.strip())
