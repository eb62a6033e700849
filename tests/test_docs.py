"""The documentation is true: its code runs, its configuration loads, what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import mypy.api
import pytest

import captchahub
from captchahub import Hub
from captchahub._plugins import Plugins
from captchahub.config import load_yaml
from captchahub.testing import Sandbox

TREE = Path(__file__).parents[1]
README = (TREE / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def at_work(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with what the README takes for granted: a configuration and two pictures."""
    own = "".join(f"    {key}: {value}\n" for key, value in sandbox.settings().items())
    (tmp_path / "config.yaml").write_text(f"providers:\n  omo:\n    plugin: omocaptcha\n{own}")
    (tmp_path / "captcha.png").write_bytes(sandbox.draw_text("x7kp2").image.data)
    (tmp_path / "screen.png").write_bytes(sandbox.draw_slide().image.data)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("at_work")
@pytest.mark.parametrize(
    "code", [pytest.param(code, id=f"block-{n}") for n, code in enumerate(blocks("python"))]
)
def test_every_block_of_code_runs(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})


def test_every_block_of_code_is_typed(tmp_path: Path) -> None:
    files = [tmp_path / f"block_{number}.py" for number, _ in enumerate(blocks("python"))]
    for file, code in zip(files, blocks("python"), strict=True):
        file.write_text(code)
    out, err, status = mypy.api.run(["--strict", "--cache-dir", str(tmp_path), *map(str, files)])
    assert (status, err) == (0, ""), out


def test_the_configuration_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMOCAPTCHA_TOKEN", "first")
    monkeypatch.setenv("OMOCAPTCHA_TOKEN_2", "second")
    (shown,) = blocks("yaml")
    path = tmp_path / "config.yaml"
    path.write_text(shown)
    settings = load_yaml(path, Plugins())
    assert list(settings.providers) == ["omo", "backup"]
    Hub(settings).close()


def test_every_file_it_points_to_is_there() -> None:
    targets = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert targets
    assert [target for target in targets if not (TREE / target).exists()] == []


def test_every_public_name_is_described() -> None:
    bare = [name for name in captchahub.__all__ if not getattr(captchahub, name).__doc__]
    assert bare == []


def test_the_changelog_has_a_place_for_what_is_new() -> None:
    assert "## [Unreleased]" in (TREE / "CHANGELOG.md").read_text()
