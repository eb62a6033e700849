"""The README is correct: its code runs, its configuration loads, and its table matches the code."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest
from captchahub_createtask import CreateTaskSettings
from captchahub_createtask.dialects import DIALECTS, Dialect, DialectName

from captchahub import Hub

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", blocks("python"))
def test_its_code_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == "x7kp2\n"


@pytest.mark.parametrize("text", blocks("yaml"))
def test_its_configuration_loads(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"env:(\w+)", text):
        monkeypatch.setenv(name, "k" * 32)
    path = tmp_path / "config.yaml"
    path.write_text(text)
    Hub.from_yaml(path).close()


def test_every_key_is_explained() -> None:
    keys = {field.name for field in attrs.fields(CreateTaskSettings)}
    assert keys <= set(re.findall(r"`(\w+)`", README))


def limits(dialect: Dialect) -> str:
    if dialect.max_bytes is None:
        return ""
    size = f"{dialect.min_bytes} to {dialect.max_bytes:,} bytes".replace(",", " ")
    return size + (f", up to {dialect.max_side} pixels on a side" if dialect.max_side else "")


@pytest.mark.parametrize("name", DIALECTS)
def test_the_table_of_dialects_is_that_of_the_code(name: DialectName) -> None:
    dialect = DIALECTS[name]
    calls = {"wrong": dialect.wrong_call, "right": dialect.right_call}
    reports = ", ".join(answers for answers, call in calls.items() if call)
    [row] = re.findall(rf"^\| `{name}` \|(.*)\|$", README, re.MULTILINE)
    _options, pictures, told = (cell.strip() for cell in row.split("|"))
    assert (pictures, told) == (limits(dialect), reports)
