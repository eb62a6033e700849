"""``captchahub new-plugin``: what it writes, which names can be had, and what it says.

That the package installs and passes its own tests is seen in a clean environment: tests/wheels/check.py.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from captchahub.cli import cli
from tests.installed_distributions import BROKEN, PackageFolder

FILES = {
    ".github/workflows/ci.yml",
    ".gitignore",
    "README.md",
    "captchahub_acme_reader/__init__.py",
    "captchahub_acme_reader/emulation.py",
    "captchahub_acme_reader/messages.py",
    "captchahub_acme_reader/provider.py",
    "captchahub_acme_reader/py.typed",
    "captchahub_acme_reader/settings.py",
    "pyproject.toml",
    "tests/test_contract.py",
    "tests/test_provider.py",
}
LONGEST = "a-name-of-24-characters-"[:23] + "x"


def new(*arguments: str | Path) -> Ran:
    return CliRunner().invoke(cli, ["new-plugin", *map(str, arguments)], prog_name="captchahub")


def refused(*arguments: str | Path) -> str:
    ran = new(*arguments)
    assert ran.exit_code == 2, ran.output
    return " ".join(ran.stderr.split())


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


class TestThePackage:
    def test_is_whole(self, here: Path) -> None:
        assert new("acme-reader").exit_code == 0
        assert texts(here / "captchahub-acme-reader").keys() == FILES

    def test_is_called_by_its_name_everywhere(self, here: Path) -> None:
        new("acme-reader")
        written = texts(here / "captchahub-acme-reader")
        assert [name for name, text in written.items() if "penny" in (name + text).lower()] == []
        assert "class AcmeReaderProvider(Provider)" in written["captchahub_acme_reader/provider.py"]
        assert 'SERVICE: Final = "Acme Reader"' in written["captchahub_acme_reader/messages.py"]
        assert "${env:ACME_READER_KEY}" in written["README.md"]
        project = tomllib.loads(written["pyproject.toml"])["project"]
        assert project["name"] == "captchahub-acme-reader"
        assert project["entry-points"] == {
            "captchahub": {"acme-reader": "captchahub_acme_reader"},
            "captchahub.sandbox": {"acme-reader": "captchahub_acme_reader.emulation:AcmeReaderEmulation"},
        }

    def test_says_what_to_change_in_every_file_that_is_about_the_service(self, here: Path) -> None:
        new("acme-reader")
        written = texts(here / "captchahub-acme-reader")
        silent = {name for name, text in written.items() if "CHANGE: " not in text}
        assert silent == {
            ".gitignore",
            "captchahub_acme_reader/__init__.py",
            "captchahub_acme_reader/py.typed",
        }

    @pytest.mark.parametrize("name", ["x", LONGEST])
    def test_is_in_order_whatever_its_name(self, here: Path, name: str) -> None:
        new(name, "--service-name", "W" * 40)
        folder = here / f"captchahub-{name}"
        for check in (["format", "--check"], ["check"]):
            command = [sys.executable, "-m", "ruff", *check, "--no-cache", str(folder)]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert ran.returncode == 0, ran.stdout

    def test_uses_the_given_service_name(self, here: Path) -> None:
        new("acme", "--service-name", "ACME Reader 2.0")
        assert (
            'SERVICE: Final = "ACME Reader 2.0"'
            in texts(here / "captchahub-acme")["captchahub_acme/messages.py"]
        )

    def test_goes_into_the_given_folder(self, here: Path) -> None:
        new("acme", "--into", here / "code" / "new")
        assert (here / "code" / "new" / "captchahub-acme" / "pyproject.toml").is_file()


class TestNames:
    @pytest.mark.parametrize(
        ("name", "advice"),
        [
            ("MyService", "such as 'my-service'"),
            ("my_service", "such as 'my-service'"),
            ("captchahub-acme!", "such as 'acme'"),
            ("2captcha", "such as 'captcha'"),
            ("-", "at most 24 characters"),
            ("ключ", "at most 24 characters"),
            (LONGEST + "y", f"such as '{LONGEST}'"),
        ],
    )
    def test_one_that_can_not_be_had_is_answered_with_one_that_can(
        self, here: Path, name: str, advice: str
    ) -> None:
        said = refused("--", name)
        assert f"{name!r} is not a name for a plugin: use lower-case words" in said
        assert advice in said
        assert list(here.iterdir()) == []

    def test_that_of_an_installed_plugin_is_taken(self, here: Path) -> None:
        assert "'omocaptcha' is taken by an installed plugin" in refused("omocaptcha")
        assert list(here.iterdir()) == []

    def test_so_is_that_of_an_installed_package_and_nothing_is_imported_to_find_out(
        self, packages: PackageFolder
    ) -> None:
        packages.install("captchahub-acme", "captchahub_acme", BROKEN, "other-name")
        assert "'acme' is taken" in refused("acme")
        assert "'other-name' is taken" in refused("other-name")
        assert "captchahub_acme" not in sys.modules

    @pytest.mark.parametrize("service", ['"', "a\nb", "{x}", "\\", "", " x", "W" * 41])
    def test_that_of_the_service_has_to_fit_into_code(self, here: Path, service: str) -> None:
        assert "can't be inserted into code: use letters, digits" in refused(
            "acme", "--service-name", service
        )
        assert list(here.iterdir()) == []


class TestWhatIsThere:
    def test_is_not_overwritten(self, here: Path) -> None:
        new("acme")
        (here / "captchahub-acme" / "README.md").write_text("mine")
        before = texts(here)
        assert "captchahub-acme already exists and is not overwritten" in refused("acme")
        assert texts(here) == before

    def test_a_folder_that_is_a_file_is_reported(self, here: Path) -> None:
        (here / "notes").write_text("mine")
        assert "notes is a file, not a directory" in refused("acme", "--into", "notes")


def test_it_ends_with_the_commands_that_come_next(here: Path) -> None:
    said = new("acme", "--into", "my code").stdout
    assert said.startswith("my code/captchahub-acme: a provider for Acme, with a fictional API.")
    commands = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    assert commands == [
        "cd 'my code/captchahub-acme'",
        "python -m pip install -e '.[dev]'",
        "python -m pytest",
        "grep -rn CHANGE: .",
    ]
