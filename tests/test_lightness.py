"""What ``import captchahub`` loads: little, although every public name can be used after it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import captchahub

PACKAGE = Path(captchahub.__file__)
HTTP = {"http.client", "requests", "urllib3"}
STORAGE = {"cattrs", "sqlite3", "yaml"}


def imported_by(code: str) -> set[str]:
    """The modules that a new process has after running some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        # coverage imports sqlite3 into each process that it measures.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import captchahub", {*HTTP, *STORAGE, "asyncio", "attrs", "email", "importlib.metadata", "ssl"}),
        (
            "from captchahub import ImageToText, SolveTimeout",
            {*HTTP, *STORAGE, "asyncio", "importlib.metadata"},
        ),
        ("from captchahub import AsyncHub, Hub", {*HTTP, *STORAGE, "captchahub._engine"}),
    ],
)
def test_an_import_loads_nothing_that_it_does_not_need(code: str, heavy: set[str]) -> None:
    assert imported_by(code) & heavy == set()


def test_a_name_is_imported_from_where_type_checkers_find_it() -> None:
    block = next(node for node in ast.parse(PACKAGE.read_text("utf-8")).body if isinstance(node, ast.If))
    origins = {
        alias.name: node.module or ""
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*origins, "__version__"} == set(captchahub.__all__)
    assert [
        name
        for name, module in origins.items()
        if getattr(captchahub, name) is not getattr(import_module(module), name)
    ] == []


def test_a_program_sees_no_difference_from_a_package_that_imports_everything() -> None:
    # In a process that has used no name yet.
    imported_by("""if True:
        import copy, pickle
        import captchahub
        assert {*captchahub.__all__, "__version__", "__name__"} <= set(dir(captchahub))
        assert captchahub.errors.JobFailed is captchahub.JobFailed
        assert pickle.loads(pickle.dumps(captchahub.Point(1, 2))) == captchahub.Point(1, 2)
        assert captchahub.Hub.__module__ == "captchahub.hub"
        assert vars(captchahub)["Hub"] is captchahub.Hub
        names = {}
        exec("from captchahub import *", names)
        assert names.keys() == {*captchahub.__all__, "__builtins__"}
    """)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(captchahub, "Hubb")
    with pytest.raises(ImportError, match="Hubb"):
        exec("from captchahub import Hubb")
