"""How much code the library has, how well it is commented, and how deep its imports go.

Run with ``make bench``. The sandbox and the other helpers in ``captchahub/testing`` are not counted.

A code line is a statement, or a clause such as ``else:``, however many lines it is wrapped over, because the
formatter decides where to wrap. The number of physical lines is printed beside it. Docstrings, comments and
blank lines are in neither.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import attrs

PACKAGE = Path(__file__).parent.parent / "captchahub"
LEFT_OUT = "testing"
# A hub imports its engine when it is created, and not when the module of the hub is imported.
HUB, ENGINE = "captchahub.hub", "captchahub._engine.engine"

_NO_CODE = (
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NL,
)
# Comments that are for a tool and explain nothing.
_DIRECTIVES = ("# noqa", "# pragma", "# pyright:", "# type:")


@attrs.define
class Size:
    """What there is in some modules: code lines, the physical lines that they take, lines with a comment."""

    code: int = 0
    physical: int = 0
    comments: int = 0

    def add(self, other: Size) -> None:
        """Count other modules in."""
        self.code += other.code
        self.physical += other.physical
        self.comments += other.comments

    def __str__(self) -> str:
        density = 100 * self.comments / max(self.code, 1)
        return f"{self.code:6} code lines ({self.physical:6} physical), {density:4.1f} comments per 100"


def docstring_lines(source: str) -> set[int]:
    """The lines of docstrings, of which an attribute may have one as well."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(ast.Constant(str())):
                lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            case _:
                pass
    return lines


def size_of(source: str) -> Size:
    """The size of one module."""
    docstrings = docstring_lines(source)
    size, physical, has_code = Size(), set[int](), False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        first, last = token.start[0], token.end[0]
        if token.type == tokenize.COMMENT:
            size.comments += not token.string.startswith(_DIRECTIVES)
        elif token.type == tokenize.NEWLINE:
            size.code += has_code
            has_code = False
        elif token.type not in _NO_CODE and not (token.type == tokenize.STRING and first in docstrings):
            physical.update(range(first, last + 1))
            has_code = True
    size.physical = len(physical)
    return size


def at_import(body: Iterable[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that are done when the module is imported; those for type checkers are not."""
    for statement in body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield statement
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from at_import(statement.orelse)
        elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            parts = list(ast.iter_child_nodes(statement))
            yield from at_import(part for part in parts if isinstance(part, ast.stmt))
            for part in parts:
                if isinstance(part, (ast.ExceptHandler, ast.match_case)):
                    yield from at_import(part.body)


def imported(path: Path, module: str, known: Iterable[str]) -> set[str]:
    """The modules of the package that a module imports by name, without the packages that hold them."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names: set[str] = set()
    for statement in at_import(ast.parse(path.read_text("utf-8")).body):
        if isinstance(statement, ast.Import):
            names.update(alias.name for alias in statement.names)
            continue
        origin = resolve_name("." * statement.level + (statement.module or ""), package)
        for alias in statement.names:
            submodule = f"{origin}.{alias.name}"
            names.add(submodule if submodule in known else origin)
    return names.intersection(known) - {module}


def module_name(path: Path) -> str:
    """The dotted name of the module in a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def longest_chain(beginning: str) -> list[str]:
    """The longest chain of imports from a module. Raises CycleError if imports go round in a circle."""
    paths = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    imports = {module: imported(path, module, paths.keys()) for module, path in paths.items()}
    chains: dict[str, list[str]] = {}
    for module in TopologicalSorter(imports).static_order():
        below = (chains[one] for one in sorted(imports[module]))
        chains[module] = [module, *max(below, key=len, default=())]
    return chains[beginning]


def main() -> None:
    """Print the figures."""
    total, sizes = Size(), defaultdict[str, Size](Size)
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE).parts
        part = inside[0] if len(inside) > 1 else "top-level modules"
        if part != LEFT_OUT:
            size = size_of(path.read_text("utf-8"))
            sizes[part].add(size)
            total.add(size)
    print(f"{'all but testing:':20}{total}")
    for part, size in sorted(sizes.items(), key=lambda one: -one[1].code):
        print(f"{part + ':':20}{size}")
    chain = [HUB, *longest_chain(ENGINE)]
    print(f"longest chain of imports: {len(chain)} modules, {' > '.join(chain)}")


if __name__ == "__main__":
    main()
