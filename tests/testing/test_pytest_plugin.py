"""The fixture ``captchahub_sandbox``: which service it emulates if none is named, and its help."""

import subprocess
import sys
from pathlib import Path

import pytest

from captchahub.errors import ConfigError
from captchahub.testing import SandboxFactory

pytest_plugins = ["captchahub.testing.pytest_plugin"]

EMULATION = """
from captchahub.testing import Answer, Emulation

class Stamp(Emulation):
    create_call, poll_call, prices = "order", "ask", {}
    calls = frozenset({"order", "ask"})
    def answer(self, call, world):
        return Answer(200, b"")
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, the only one in which packages count as installed."""
    (tmp_path / "stamp_office.py").write_text(EMULATION)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "stamp_office", raising=False)
    return tmp_path


def install(packages: Path, name: str) -> None:
    about = packages / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[captchahub.sandbox]\n{name} = stamp_office:Stamp\n")


def test_without_a_name_it_is_the_only_installed_emulation(
    packages: Path, captchahub_sandbox: SandboxFactory
) -> None:
    install(packages, "stamp")
    assert type(captchahub_sandbox(job_time=0.2).emulation).__name__ == "Stamp"


def test_with_several_installed_a_name_is_asked_for(
    packages: Path, captchahub_sandbox: SandboxFactory
) -> None:
    install(packages, "stamp")
    install(packages, "seal")
    with pytest.raises(
        ConfigError, match=r"installed \(seal, stamp\): name one, as in captchahub_sandbox\('seal'\)"
    ):
        captchahub_sandbox()


def test_with_none_installed_it_is_told(packages: Path, captchahub_sandbox: SandboxFactory) -> None:
    with pytest.raises(ConfigError, match="no emulation is installed: install a plugin"):
        captchahub_sandbox()


def test_pytests_list_of_fixtures_shows_the_call(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--fixtures", "-p", "captchahub.testing.pytest_plugin"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert 'captchahub_sandbox("omocaptcha", job_time=0.2)' in listed.stdout
