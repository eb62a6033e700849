"""A service, and a folder with a configuration for it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from captchahub.testing import DrawnText, Painter, Sandbox, load_emulation
from tests.cli.running import TOKEN


# Many tests use the same pictures, and to draw one takes 10 ms.
@cache
def _drawn(text: str) -> DrawnText:
    return Painter().text(text)


@pytest.fixture
def service() -> Iterator[Sandbox]:
    with Sandbox(load_emulation("omocaptcha"), job_time=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def home(service: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a configuration with one account, omo, and a journal, jobs.db."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAPTCHAHUB_CONFIG", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    prices = {"image-to-text": 0.00055}
    account = {"plugin": "omocaptcha", "prices": prices, **service.settings(TOKEN)}
    configuration = {"providers": {"omo": account}, "journal": "jobs.db"}
    (tmp_path / "captchahub.yaml").write_text(yaml.safe_dump(configuration))
    return tmp_path


@pytest.fixture
def shots(home: Path, service: Sandbox) -> Path:
    """A folder with three pictures and their right answers."""
    folder = home / "shots"
    folder.mkdir()
    for text in ("ABC", "DEF", "GHI"):
        (folder / f"{text}.png").write_bytes(service.know(_drawn(text)).image.data)
    (folder / "answers.json").write_text('{"ABC.png": "ABC", "DEF.png": "DEF", "GHI.png": "other"}')
    return folder
