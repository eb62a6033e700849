"""The guides show the files of examples/recipes and examples/celery, which tests run."""

from __future__ import annotations

import re
from pathlib import Path

TREE = Path(__file__).parents[2]
EXAMPLES = TREE / "examples"
RECIPES = [*EXAMPLES.glob("recipes/*.py"), *EXAMPLES.glob("celery/*.py")]
# The site of the other recipes is linked and not shown.
SHOWN = {str(path.relative_to(EXAMPLES)) for path in RECIPES if path.name != "login_site.py"}


def test_the_guides_show_every_recipe() -> None:
    guides = "".join(path.read_text() for path in (TREE / "docs" / "guides").glob("*.md"))
    included = re.findall(r"^ *```\{literalinclude\} \.\./\.\./examples/(\S+)$", guides, re.MULTILINE)
    assert sorted(included) == sorted(SHOWN)


def test_every_recipe_has_a_test() -> None:
    tested = "".join(
        path.read_text()
        for name in ("browser", "examples")
        for path in (TREE / "tests" / name).glob("test_*.py")
    )
    assert [name for name in SHOWN if Path(name).stem not in tested] == []
