"""Which HTTP clients a plugin's own code imports, read from its source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["clients_imported"]

_CLIENTS = (
    "requests",
    "urllib3",
    "httpx",
    "aiohttp",
    "http.client",
    "urllib.request",
    "socket",
    "websockets",
)
"""What only the core may use, or nobody."""


def clients_imported(parts: Iterable[object]) -> list[tuple[str, int, str]]:
    """File, line and name of each such import in the packages that define these classes and functions."""
    modules = sorted({getattr(part, "__module__", "") for part in parts} - {"", "builtins"})
    files = sorted({file for module in modules for file in _files_of(module)})
    return [(file.name, line, name) for file in files for line, name in _imports(file) if _is_client(name)]


def _files_of(module: str) -> Iterator[Path]:
    top = module.partition(".")[0]
    place = getattr(sys.modules.get(top), "__path__", None)
    # A package is looked at as a whole, whatever of it is loaded; a namespace belongs to nobody.
    if place is not None and getattr(sys.modules[top], "__file__", None) is not None:
        for folder in place:
            files = Path(folder).rglob("*.py")
            yield from (file for file in files if "tests" not in file.relative_to(folder).parts)
    elif (file := getattr(sys.modules.get(module), "__file__", None)) is not None:
        yield Path(file)


def _is_client(name: str) -> bool:
    return any(name == client or name.startswith(f"{client}.") for client in _CLIENTS)


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
