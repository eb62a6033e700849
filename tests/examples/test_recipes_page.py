"""The guides show the files of examples/recipes, which tests run."""

from __future__ import annotations

import re
from pathlib import Path

TREE = Path(__file__).parents[2]
RECIPES = TREE / "examples" / "recipes"
# The site of the other recipes is linked and not shown.
SHOWN = {path.name for path in RECIPES.glob("*.py")} - {"login_site.py"}


def test_the_guides_show_every_recipe() -> None:
    guides = "".join(path.read_text() for path in (TREE / "docs" / "guides").glob("*.md"))
    included = re.findall(r"^```\{literalinclude\} \.\./\.\./examples/recipes/(\S+)$", guides, re.MULTILINE)
    assert sorted(included) == sorted(SHOWN)


def test_every_recipe_has_a_test() -> None:
    tested = "".join(
        path.read_text()
        for name in ("browser", "examples")
        for path in (TREE / "tests" / name).glob("test_*.py")
    )
    assert [name for name in SHOWN if name.removesuffix(".py") not in tested] == []
