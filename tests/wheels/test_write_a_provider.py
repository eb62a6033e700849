"""The page "Write a provider" is true: who follows it has a plugin that passes its tests at the end."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "write-a-provider.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def script() -> Iterator[str]:
    """The page as one: its commands are run, its files are written, each where it stands."""
    for language, text in BLOCKS:
        named = re.match(r"# (\S+\.py)\n", text)
        if language == "sh":
            yield text
        elif language == "python" and named is not None:
            yield written(named[1], text.removeprefix(named[0]))
        elif language == "yaml":
            yield written("config.yaml", text)
        else:
            assert language == "text", f"nothing here runs a block that begins with {text[:40]!r}"


def written(path: str, text: str) -> str:
    return f"test -d $(dirname {path})\ncat > {path} <<'END-OF-BLOCK'\n{text}END-OF-BLOCK\n"


def environment(folder: Path) -> Path:
    """Where the programs are of an environment that has what this one has, and takes what is installed."""
    venv.create(folder)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # So what is editable here is there as well.
    (purelib / "ours.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    programs = folder / "bin"
    (programs / "captchahub").write_text(
        f"#!{programs / 'python'}\nfrom captchahub.__main__ import main\n\nmain()\n"
    )
    (programs / "captchahub").chmod(0o755)
    return programs


def variables(programs: Path) -> dict[str, str]:
    """What makes the page's commands those of that environment, without fetching anything, and quick."""
    path = os.pathsep.join((str(programs), sysconfig.get_path("scripts"), os.environ["PATH"]))
    # pip reads the last one the wrong way round: 0 builds without an environment of its own.
    pip = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    return {**os.environ, **pip, "PATH": path, "CAPTCHAHUB_CONTRACT_RUNS": "20", "COLUMNS": "120"}


@pytest.mark.timeout(240)  # it takes half a minute where nothing else runs
def test_following_it_gives_a_plugin_that_passes_its_tests(tmp_path: Path) -> None:
    ran = subprocess.run(
        ["bash", "-exc", "".join(script())],
        cwd=tmp_path,
        env=variables(environment(tmp_path / "environment")),
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(re.findall(r"^=+ \d+ passed", ran.stdout, re.MULTILINE)) == 2
    assert "config.yaml: fine: 1 provider (owl), 1 route (image-to-text)" in ran.stdout
    assert re.search(r"^owl +loaded +captchahub-owl 0.1.0 ", ran.stdout, re.MULTILINE)
