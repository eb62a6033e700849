"""A program in one file, as PyInstaller makes it: it has the modules, but not the metadata of packages."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import captchahub_omocaptcha
import pytest

import captchahub
from captchahub.testing import Sandbox

SCRIPT = """
import sys
from importlib.metadata import distributions
assert not list(distributions())

import captchahub_omocaptcha
from captchahub import ConfigError, Hub, Image, ImageToText

sys.frozen = True
config, picture = sys.argv[1:]
try:
    Hub.from_yaml(config)
except ConfigError as error:
    print(error)
with Hub.from_yaml(config, plugins=[captchahub_omocaptcha]) as hub:
    print(hub.solve(ImageToText(Image.open(picture))).solution.text)
    hub.reload()
    print([plugin.state.value for plugin in hub.plugins()])
"""


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A directory with every installed module and without metadata."""
    directory = tmp_path / "modules"
    directory.mkdir()
    ours = (Path(str(package.__file__)).parent for package in (captchahub, captchahub_omocaptcha))
    others = Path(sysconfig.get_path("purelib")).iterdir()
    for path in (*ours, *others):
        if path.suffix not in (".dist-info", ".egg-info", ".pth"):
            (directory / path.name).symlink_to(path)
    return directory


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_a_plugin_that_is_passed_in_needs_no_metadata(
    tmp_path: Path, modules: Path, sandbox: Sandbox
) -> None:
    picture = tmp_path / "captcha.png"
    picture.write_bytes(sandbox.draw_text("x7kp2").image.data)
    config = tmp_path / "captchahub.yaml"
    lines = "".join(f"    {key}: {value}\n" for key, value in sandbox.settings().items())
    config.write_text(f"providers:\n  omo:\n    plugin: omocaptcha\n{lines}")
    ended = subprocess.run(
        # Without the packages of this environment but for those linked.
        [sys.executable, "-S", "-c", SCRIPT, str(config), str(picture)],
        env={"PYTHONPATH": str(modules)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    refused, text, states = ended.stdout.splitlines()
    assert refused.endswith(
        "no plugin named 'omocaptcha' is installed; installed: none; or install the plugin that adds it, "
        "or pass its module: plugins=[...]"
    )
    assert (text, states, ended.stderr) == ("x7kp2", "['loaded']", "")
