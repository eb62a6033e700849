"""Reads the docstrings of a settings class and of its fields.

Those of fields are read from the source, because Python does not keep them.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise


def class_doc(target: type) -> str:
    """Return the first paragraph of a class's docstring, on one line, or an empty text."""
    return _first_paragraph(target.__doc__ or "")


# Reading the source of a class takes a millisecond, and the schema looks at each of its fields.
@cache
def field_docs(target: type) -> Mapping[str, str]:
    """Return the first paragraph of each field's docstring, on one line; fields of base classes are included.

    Fields without a docstring are missing, and so are all of them if the source is not available.
    """
    found: dict[str, str] = {}
    for base in reversed(target.__mro__):
        for field, below in pairwise(_body_of(base)):
            match field, below:
                case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(written))):
                    found[name] = _first_paragraph(written)
                case _:
                    pass
    return found


def _body_of(target: type) -> list[ast.stmt]:
    try:
        # A class that is defined in a function is indented.
        tree = ast.parse(textwrap.dedent(inspect.getsource(target)))
    except (OSError, TypeError, SyntaxError):
        return []
    return [statement for part in tree.body if isinstance(part, ast.ClassDef) for statement in part.body]


def _first_paragraph(docstring: str) -> str:
    return " ".join(docstring.partition("\n\n")[0].replace("``", "`").split())


def documented_fields(target: type) -> set[str]:
    """Return the fields that have a docstring, or that the docstring of their class names."""
    found = set(field_docs(target))
    for base in target.__mro__[:-1]:
        words = re.sub("[`:,]", " ", base.__doc__ or "").split()
        found.update(name for name in getattr(base, "__annotations__", {}) if name in words)
    return found
