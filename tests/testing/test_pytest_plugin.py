"""The fixtures ``captchahub_sandbox`` and ``captchahub_hub``: what they create, and what their errors say."""

import sys
from pathlib import Path
from typing import Any

import pytest

from captchahub.errors import ConfigError
from captchahub.testing import HubFactory, SandboxFactory, load_emulation
from tests.testing.pytest_program import run_pytest

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
    listed = run_pytest(tmp_path, "--fixtures")
    assert 'captchahub_sandbox("omocaptcha", job_time=0.2)' in listed.stdout


class TestAHub:
    def test_has_each_sandbox_as_a_provider_in_this_order(
        self, captchahub_sandbox: SandboxFactory, captchahub_hub: HubFactory
    ) -> None:
        first, second = captchahub_sandbox("omocaptcha"), captchahub_sandbox("omocaptcha")
        third = captchahub_sandbox(load_emulation("createtask", dialect="capsolver"))
        hub = captchahub_hub(first, second, third)
        assert list(hub.health()) == ["omocaptcha", "omocaptcha-2", "createtask"]
        for sandbox, name in ((first, "omocaptcha"), (third, "createtask")):
            picture = sandbox.draw_text("x7kp2")
            result = hub.solve(picture.task())
            assert (result.solution.text, result.provider) == ("x7kp2", name)

    def test_takes_other_keys_of_the_configuration(
        self, captchahub_sandbox: SandboxFactory, captchahub_hub: HubFactory
    ) -> None:
        sandbox = captchahub_sandbox("omocaptcha")
        with pytest.raises(ConfigError, match=r"providers.omocaptcha.max_in_flight(.|\n)*timeout"):
            captchahub_hub(sandbox, timeout="soon", providers={"omocaptcha": {"max_in_flight": 0}})
        prices = {"omocaptcha": {"prices": {"image-to-text": "0.25"}}}
        hub = captchahub_hub(sandbox, providers=prices)
        hub.solve(sandbox.draw_text().task())
        assert [str(job.price) for job in hub.jobs()] == ["0.25"]

    def test_says_what_it_takes(self, captchahub_sandbox: SandboxFactory, captchahub_hub: HubFactory) -> None:
        with pytest.raises(TypeError, match="takes the sandboxes to use"):
            captchahub_hub()
        with pytest.raises(ConfigError, match="providers maps names to values"):
            captchahub_hub(captchahub_sandbox("omocaptcha"), providers="omo")

    def test_on_an_emulation_that_is_not_installed_is_made_by_hand(
        self, captchahub_hub: HubFactory, captchahub_sandbox: SandboxFactory
    ) -> None:
        names: dict[str, Any] = {}
        exec(EMULATION, names)
        with pytest.raises(ConfigError, match="no installed plugin has the emulation Stamp: install it, or"):
            captchahub_hub(captchahub_sandbox(names["Stamp"]()))

    def test_is_closed_before_its_sandbox_stops(self, tmp_path: Path) -> None:
        (tmp_path / "test_it.py").write_text(CLOSING)
        ran = run_pytest(tmp_path, "-q")
        assert "2 passed" in ran.stdout, ran.stdout


CLOSING = """
import captchahub
made = []

def test_uses_it(captchahub_hub, captchahub_sandbox):
    sandbox = captchahub_sandbox("omocaptcha", job_time=1000)
    hub = captchahub_hub(sandbox)
    hub.submit(sandbox.draw_text().task())
    sandbox.wait_for_jobs()
    made.extend([hub, sandbox])

def test_comes_after():
    hub, sandbox = made
    try:
        hub.health()
    except captchahub.HubClosed:
        pass
    else:
        raise AssertionError("open")
    sandbox.start().stop()
"""
