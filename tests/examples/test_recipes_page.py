"""The page of recipes shows the files of examples/recipes, which other tests run."""

from __future__ import annotations

import re
from pathlib import Path

TREE = Path(__file__).parents[2]
RECIPES = TREE / "examples" / "recipes"
PAGE = (TREE / "docs" / "guides" / "recipes.md").read_text()


def test_its_blocks_are_the_files() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    files = {path.name: path.read_text() for path in sorted(RECIPES.glob("*.py"))}
    # The site is linked and not shown.
    del files["login_site.py"]
    assert sorted(blocks) == sorted(files.values())


def test_every_recipe_has_a_test() -> None:
    tested = "".join(
        path.read_text() for name in ("browser", "examples") for path in (TREE / "tests" / name).glob("*.py")
    )
    assert [path.stem for path in RECIPES.glob("*.py") if path.stem not in tested] == []
