"""ARCHITECTURE.md is true: each file and function it names exists, and it draws the wings that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[1]
PACKAGE = TREE / "captchahub"
PAGE = (TREE / "ARCHITECTURE.md").read_text()
_ROW = re.compile(r"^\| (?P<question>[^|]+\?) \| (?P<answer>.+) \|$", re.MULTILINE)
ANSWERS = {row["question"]: row["answer"] for row in _ROW.finditer(PAGE)}


def definitions(path: Path) -> set[str]:
    """The classes, functions and constants of a module, with their methods as ``Class.method``."""
    found: set[str] = set()

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    visit(ast.parse(path.read_text()).body, "")
    return found


def test_it_answers_fourteen_questions() -> None:
    assert len(ANSWERS) == 14


@pytest.mark.parametrize("question", ANSWERS)
def test_each_answer_names_files_and_what_is_in_them(question: str) -> None:
    known: set[str] = set()
    named = re.findall(r"`([^`]+)`", ANSWERS[question])
    assert named
    for name in named:
        if name.endswith(".py"):
            # A name that follows is looked for in this file.
            known = definitions(PACKAGE / name)
        else:
            assert name in known, f"{name} is not defined in the file named before it"
    assert known, "an answer names a file and a function"


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py)`", PAGE))))
def test_every_file_that_it_names_exists(name: str) -> None:
    assert (PACKAGE / name).is_file()


def test_the_picture_and_the_text_name_every_wing() -> None:
    wings = {path.parent.name for path in PACKAGE.glob("_*/__init__.py")}
    picture = re.search(r"```mermaid\n(.+?)```", PAGE, re.DOTALL)
    assert picture is not None
    assert set(re.findall(r"\b(_[a-z]+)/", picture[1])) == wings
    assert set(re.findall(r"\*\*`(_[a-z]+)/`\*\*", PAGE)) == wings


def test_the_root_of_the_package_has_public_modules_and_wings_only() -> None:
    private = {path.name for path in PACKAGE.glob("_*.py")}
    assert private == {"__init__.py", "__main__.py", "_version.py"}
