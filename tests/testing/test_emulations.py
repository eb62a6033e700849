"""Emulations that plugins ship, and the fixture that serves them."""

import datetime as dt
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
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
import datetime
from collections.abc import Sequence
from typing import Any, Literal, Protocol
from captchahub.testing import Answer, Emulation

class Stamp(Emulation):
    create_call, poll_call, prices = "order", "ask", {}
    calls = frozenset({"order", "ask"})
    def answer(self, call, world):
        return Answer.json({"stamped": call.path})

not_one = dict
GROUP = "stamps"

def print_stamp(*, ink: "Ink", paper="white", copies: int = 1):
    return Stamp()

class Ticking(Protocol): ...

class Franking(Stamp):
    def __init__(
        self, colour: Literal["red", "blue"] = "red", *, edge: float = 0.5, copies: int = 1,
        dry: bool = False, word: str = "", motifs: Sequence[str] = (), clock: Ticking = None,
        shape: Any = None, when: datetime.date = datetime.date.min,
    ):
        if shape == "round":
            raise ValueError("shape is square,\\nnever round")
        self.given = colour, edge, copies, dry, word, motifs, clock, shape, when

class Anything(Stamp):
    def __init__(self, **options):
        self.given = options
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


def test_an_unknown_name_is_answered_with_the_nearest_and_all_the_known_ones(
    install_plugin: InstallPlugin,
) -> None:
    install_plugin("postcard", "stamp:Stamp")
    near = r"no installed plugin emulates 'postcrad'; did you mean 'postcard'\? installed: .*postcard"
    with pytest.raises(ConfigError, match=near):
        load_emulation("postcrad")


@pytest.mark.parametrize("name", ["somesolver", "a; b"])
def test_no_package_is_advised_that_may_be_anybodys(name: str) -> None:
    with pytest.raises(ConfigError, match=r"; or install the plugin that adds it$") as caught:
        load_emulation(name)
    assert "pip" not in str(caught.value)


def test_options_go_to_the_emulation(install_plugin: InstallPlugin) -> None:
    install_plugin("franking", "stamp:Franking")
    more: dict[str, object] = {"dry": True, "word": "x", "motifs": ["y"], "clock": 5, "shape": 4}
    made = load_emulation("franking", colour="blue", edge=2, copies=3, **more)
    assert getattr(made, "given", None) == ("blue", 2, 3, True, "x", ["y"], 5, 4, dt.date.min)


def test_an_emulation_can_take_any_options(install_plugin: InstallPlugin) -> None:
    install_plugin("anything", "stamp:Anything")
    made = load_emulation("anything", name="x", colour=["blue"])
    assert getattr(made, "given", None) == {"name": "x", "colour": ["blue"]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"color": "red"}, r"no option 'color'; did you mean 'colour'\?$"),
        ({"colour": "blu"}, r"colour can't be 'blu'; did you mean 'blue'\? valid: blue, red$"),
        ({"colour": None}, r"colour can't be nothing; valid: blue, red$"),
        ({"edge": True}, "edge must be a number, not true$"),
        ({"edge": "2"}, "edge must be a number, not '2'$"),
        ({"copies": 1.5}, "copies must be a whole number, not 1.5$"),
        ({"copies": False}, "copies must be a whole number, not false$"),
        ({"dry": "no"}, "dry must be true or false, not 'no'$"),
        ({"word": 5}, "word must be text, not 5$"),
        ({"when": "today"}, "when must be a date, not 'today'$"),
        ({"shape": "round"}, "it refuses shape: shape is square, never round$"),
    ],
)
def test_an_option_that_can_not_be_is_answered_with_those_that_can(
    install_plugin: InstallPlugin, options: dict[str, Any], said: str
) -> None:
    install_plugin("franking", "stamp:Franking")
    with pytest.raises(ConfigError, match=f"the emulation 'franking' .*of post-office: .*{said}"):
        load_emulation("franking", **options)


def test_an_emulation_without_options_says_so(install_plugin: InstallPlugin) -> None:
    install_plugin("postcard", "stamp:Stamp")
    with pytest.raises(ConfigError, match="it has no option 'colour'; options: none"):
        load_emulation("postcard", colour="red")


def test_where_annotations_can_not_be_read_the_names_still_are_checked(install_plugin: InstallPlugin) -> None:
    install_plugin("printed", "stamp:print_stamp")
    assert type(load_emulation("printed", ink=1, paper=2)).__name__ == "Stamp"
    with pytest.raises(ConfigError, match=r"it has no option 'inc'; did you mean 'ink'\?"):
        load_emulation("printed", inc=1)


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
        ("stamp:GROUP", "can't be loaded: TypeError"),
    ],
)
def test_a_broken_emulation_is_named_with_its_package(
    install_plugin: InstallPlugin, target: str, complaint: str
) -> None:
    install_plugin("broken", target)
    with pytest.raises(ConfigError, match=complaint):
        load_emulation("broken")


@pytest.mark.parametrize("name", ["postcard", "Post_Office"])
def test_one_that_the_environment_blocks_is_not_imported(
    install_plugin: InstallPlugin, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    install_plugin("postcard", "stamp:Stamp")
    monkeypatch.setenv("CAPTCHAHUB_BLOCK_PLUGINS", name)
    with pytest.raises(ConfigError, match=r"is blocked by \$CAPTCHAHUB_BLOCK_PLUGINS"):
        load_emulation("postcard")
    assert "stamp" not in sys.modules


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
