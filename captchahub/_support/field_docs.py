"""Reads the docstrings of a settings class and of its fields.

Those of fields are read from the source, because Python does not keep them.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping

__all__ = ["class_doc", "documented_fields", "field_docs"]


def class_doc(target: type) -> str:
    """Return the first paragraph of a class's docstring, on one line, or an empty text."""
    return _words((target.__doc__ or "").partition("\n\n")[0])


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


def documented_fields(target: type) -> set[str]:
    """Return the fields that have a docstring, or that the docstring of their class names."""
    found = set(field_docs(target))
    for base in target.__mro__[:-1]:
        words = re.sub("[`:,]", " ", base.__doc__ or "").split()
        found.update(name for name in getattr(base, "__annotations__", {}) if name in words)
    return found
