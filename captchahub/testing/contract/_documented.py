"""Which fields of a settings class have words for whoever writes a configuration."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise

__all__ = ["documented_fields"]


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
