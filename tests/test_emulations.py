"""Emulations that plugins ship, and the fixture that serves them."""

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.request import urlopen

import pytest

from captchahub.errors import ConfigError
from captchahub.testing import (
    Answer,
    Call,
    Emulation,
    Fault,
    SandboxFactory,
    World,
    installed_emulations,
    load_emulation,
)

pytest_plugins = ["captchahub.testing.pytest_plugin"]


class Silent(Emulation):
    create_call = "order"
    poll_call = "ask"
    calls = frozenset({"order", "ask"})
    prices = {}

    def answer(self, call: Call, world: World) -> Answer:
        return Answer(200, b"")


def fetch(url: str) -> object:
    with urlopen(url, timeout=5) as reply:
        return json.load(reply)


def sandbox_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sandbox")]


STAMP = """
from captchahub.testing import Answer, Emulation

class Stamp(Emulation):
    create_call, poll_call, prices = "order", "ask", {}
    calls = frozenset({"order", "ask"})
    def answer(self, call, world):
        return Answer.json({"stamped": call.path})

not_one = dict
"""


class InstallPlugin(Protocol):
    def __call__(self, name: str, target: str, package: str = ...) -> None: ...


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstallPlugin:
    """Puts a package with an emulation on the import path, as an installer would."""
    (tmp_path / "stamp.py").write_text(STAMP)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "stamp", raising=False)

    def install(name: str, target: str, package: str = "post-office") -> None:
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[captchahub.sandbox]\n{name} = {target}\n")

    return install


def test_an_installed_emulation_is_found_by_its_name(install_plugin: InstallPlugin) -> None:
    install_plugin("postcard", "stamp:Stamp")
    assert "postcard" in installed_emulations()
    assert type(load_emulation("postcard")).__name__ == "Stamp"


def test_an_unknown_name_is_answered_with_the_known_ones(install_plugin: InstallPlugin) -> None:
    install_plugin("postcard", "stamp:Stamp")
    with pytest.raises(ConfigError, match=r"no installed plugin emulates 'pigeon'; installed: .*postcard"):
        load_emulation("pigeon")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("pigeon", "pip install captchahub-pigeon"), ("a; b", "install the plugin that adds it")],
)
def test_an_unknown_name_is_answered_with_how_to_install_it(name: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=f"Try: {advice}$"):
        load_emulation(name)


def test_two_packages_of_one_name_are_both_named(install_plugin: InstallPlugin) -> None:
    install_plugin("postcard", "stamp:Stamp")
    install_plugin("postcard", "stamp:Stamp", package="copycat")
    with pytest.raises(ConfigError, match="two packages, copycat and post-office: uninstall one"):
        load_emulation("postcard")


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("nowhere:Stamp", "nowhere:Stamp.*of post-office can't be loaded: ModuleNotFoundError"),
        ("stamp:Missing", "can't be loaded: AttributeError"),
        ("stamp:not_one", "is a dict, not an Emulation"),
    ],
)
def test_a_broken_emulation_is_named_with_its_package(
    install_plugin: InstallPlugin, target: str, complaint: str
) -> None:
    install_plugin("broken", target)
    with pytest.raises(ConfigError, match=complaint):
        load_emulation("broken")


def test_the_fixture_starts_sandboxes_by_name_and_by_emulation(
    captchahub_sandbox: SandboxFactory, install_plugin: InstallPlugin
) -> None:
    install_plugin("stamping", "stamp:Stamp")
    by_name = captchahub_sandbox("stamping")
    by_emulation = captchahub_sandbox(Silent(), faults=[Fault.reply(Answer.json({"mine": True}))])
    assert fetch(f"{by_name.url}/echo") == {"stamped": "/echo"}
    assert fetch(by_emulation.url) == {"mine": True}


@pytest.fixture
def sandboxes_are_gone_afterwards() -> Iterator[None]:
    yield
    assert sandbox_threads() == []


def test_the_fixture_stops_them_after_the_test(
    sandboxes_are_gone_afterwards: None, captchahub_sandbox: SandboxFactory
) -> None:
    captchahub_sandbox(Silent())
    assert sandbox_threads() == ["sandbox"]
