"""An installed plugin is checked by naming it, without any test file."""

from __future__ import annotations

from pathlib import Path

from tests.testing.pytest_program import run_pytest


def run(where: Path, *arguments: str) -> tuple[int, str]:
    ended = run_pytest(where, "-q", "-p", "no:cacheprovider", *arguments)
    return ended.returncode, ended.stdout + ended.stderr


def test_an_installed_plugin_is_checked_with_settings_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("dialect: capsolver\n")
    named = ("--captchahub-plugin", "createtask", "--captchahub-settings", "mine.yaml")
    status, said = run(tmp_path, *named, "-k", "documented or against_the_emulation")
    assert status == 0, said
    assert "2 passed" in said


def test_a_plugin_that_is_not_installed_is_told_in_a_sentence(tmp_path: Path) -> None:
    status, said = run(tmp_path, "--captchahub-plugin", "createtsak")
    assert status == 4
    assert "did you mean 'createtask'?" in said


def test_settings_alone_are_no_plugin(tmp_path: Path) -> None:
    status, said = run(tmp_path, "--captchahub-settings", "mine.yaml")
    assert status == 4
    assert "--captchahub-settings needs --captchahub-plugin NAME" in said
