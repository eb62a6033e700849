"""Printed commands work where the program was started."""

import os
import sys
from pathlib import Path

import pytest

from captchahub.cli.invocation import command


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program in an environment below the working directory, which is not on the PATH."""
    path = tmp_path / ".venv" / "bin" / "captchahub"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(sys, "argv", [str(path)])
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
class TestCommand:
    def test_off_the_path_it_is_the_path_from_here(self, program: Path) -> None:
        assert command("solve", "a b.png") == ".venv/bin/captchahub solve 'a b.png'"
        os.chdir(program.parent)
        assert command("solve") == "./captchahub solve"
        os.chdir("/usr")
        assert command("solve") == f"{program} solve"

    def test_on_the_path_it_is_the_name(self, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(program.parent))
        assert command("demo") == "captchahub demo"

    def test_as_a_module_it_names_the_interpreter(
        self, program: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["/somewhere/captchahub/__main__.py"])
        monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
        assert command("demo") == ".venv/bin/python -m captchahub demo"
