"""Finding plugins, passed in and installed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import attrs
import pytest

from captchahub._plugins import Plugins
from captchahub.errors import ConfigError
from captchahub.hookspecs import hookimpl
from captchahub.provider import LocalProvider, ProviderKind
from captchahub.tasks import Solution, Task, TextSolution


@attrs.frozen
class NoSettings:
    """A plugin without keys of its own."""


class Answering(LocalProvider):
    kinds = frozenset({"image-to-text"})

    def solve(self, task: Task[Solution]) -> Solution:
        return TextSolution("x7kp2")


def kind_named(name: str) -> ProviderKind[object]:
    return ProviderKind(name, NoSettings, lambda _settings: Answering())


class Offering:
    """A plugin object that offers what it was given."""

    def __init__(self, *offered: object) -> None:
        self._offered = offered

    @hookimpl
    def captchahub_provider_kinds(self) -> Iterable[object]:
        return self._offered


WORKING = """
import attrs
from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind

@attrs.frozen
class Settings:
    word: str = ""

@hookimpl
def captchahub_provider_kinds():
    return [ProviderKind(name, Settings, lambda settings: None) for name in {names!r}]
"""


class Shelf:
    """A directory on the import path in which distributions can be put."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def install(self, distribution: str, module: str, source: str, *names: str) -> None:
        (self._root / f"{module}.py").write_text(source)
        metadata = self._root / f"{distribution.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {module}\n" for name in names)
        (metadata / "entry_points.txt").write_text(f"[captchahub]\n{lines}")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.syspath_prepend(str(tmp_path))  # pyright: ignore[reportUnknownMemberType]  # pytest's gap
    return Shelf(tmp_path)


def error_of(plugins: Plugins, name: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        plugins.kind(name)
    return caught.value


def test_a_plugin_that_was_passed_in_needs_no_installation() -> None:
    kind = kind_named("mine")
    plugins = Plugins([Offering(kind)])
    assert plugins.kind("mine") is kind
    assert "mine" in plugins.names()


def test_two_hubs_do_not_see_each_others_plugins() -> None:
    Plugins([Offering(kind_named("mine"))])
    assert "mine" not in Plugins().names()


def test_an_installed_plugin_is_found_by_the_name_of_its_entry_point(shelf: Shelf) -> None:
    shelf.install("shelf-alpha", "shelf_alpha", WORKING.format(names=["alpha"]), "alpha")
    plugins = Plugins()
    assert plugins.kind("alpha").name == "alpha"
    assert plugins.kind("alpha") == plugins.kind("alpha")


def test_only_the_plugin_that_is_asked_for_is_imported(shelf: Shelf) -> None:
    shelf.install("shelf-asked", "shelf_asked", WORKING.format(names=["asked"]), "asked")
    shelf.install("shelf-idle", "shelf_idle", "raise RuntimeError('imported')", "idle")
    plugins = Plugins()
    assert {"asked", "idle"} <= set(plugins.names())
    assert "shelf_asked" not in sys.modules
    plugins.kind("asked")
    assert "shelf_asked" in sys.modules
    assert "shelf_idle" not in sys.modules


def test_one_module_can_offer_several_kinds(shelf: Shelf) -> None:
    shelf.install("shelf-both", "shelf_both", WORKING.format(names=["left", "right"]), "left", "right")
    plugins = Plugins()
    assert [plugins.kind(name).name for name in ("left", "right")] == ["left", "right"]


def test_a_plugin_passed_in_goes_before_an_installed_one(shelf: Shelf) -> None:
    shelf.install("shelf-beta", "shelf_beta", "raise RuntimeError('imported')", "beta")
    kind = kind_named("beta")
    assert Plugins([Offering(kind)]).kind("beta") is kind


def test_an_unknown_kind_names_the_nearest_and_the_installed() -> None:
    message = str(error_of(Plugins([Offering(kind_named("shadow"), kind_named("echo"))]), "shadwo"))
    assert "did you mean 'shadow'?" in message
    assert "echo" in message
    assert message.endswith("; or install the plugin that adds it")


@pytest.mark.parametrize("name", ["capsolver", "x; rm -rf /"])
def test_no_package_is_advised_that_may_be_anybodys(name: str) -> None:
    assert "pip" not in str(error_of(Plugins(), name))


def test_two_distributions_of_one_name_are_both_named(shelf: Shelf) -> None:
    shelf.install("shelf-one", "shelf_one", WORKING.format(names=["twin"]), "twin")
    shelf.install("shelf-two", "shelf_two", WORKING.format(names=["twin"]), "twin")
    message = str(error_of(Plugins(), "twin"))
    assert "shelf-one and shelf-two" in message
    assert "uninstall one" in message


def test_a_plugin_that_fails_on_import_is_named_with_the_reason(shelf: Shelf) -> None:
    shelf.install("shelf-broken", "shelf_broken", "raise RuntimeError('no\\nengine')", "broken")
    error = error_of(Plugins(), "broken")
    assert "shelf-broken" in str(error)
    assert "RuntimeError: no engine; update or reinstall it" in str(error)
    assert isinstance(error.__cause__, RuntimeError)


def test_a_plugin_that_does_not_add_its_kind_is_named_with_what_it_adds(shelf: Shelf) -> None:
    shelf.install("shelf-other", "shelf_other", WORKING.format(names=["another"]), "missing")
    message = str(error_of(Plugins(), "missing"))
    assert "shelf-other" in message
    assert "it adds: another" in message


def test_a_plugin_without_hooks_adds_nothing(shelf: Shelf) -> None:
    shelf.install("shelf-bare", "shelf_bare", "", "bare")
    assert "it adds: none" in str(error_of(Plugins(), "bare"))


class MisspeltHook:
    @hookimpl
    def captchahub_provider_kind(self) -> Iterable[object]:
        return []


class ForeignArgument:
    @hookimpl
    def captchahub_provider_kinds(self, hub: object) -> Iterable[object]:
        return []


class RaisingHook:
    @hookimpl
    def captchahub_provider_kinds(self) -> Iterable[object]:
        raise LookupError("no such engine")


class NoList:
    @hookimpl
    def captchahub_provider_kinds(self) -> object:
        return 5


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (MisspeltHook(), "captchahub_provider_kind"),
        (ForeignArgument(), "hub"),
        (RaisingHook(), "no such engine"),
        (NoList(), "not iterable"),
        (Offering("x"), "offers a str where a ProviderKind belongs"),
        (Offering(kind_named("same"), kind_named("same")), "the kind 'same', which is there already"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_an_object_that_is_no_plugin_is_refused_with_the_reason(plugin: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Plugins([plugin])
    assert type(plugin).__name__ in str(caught.value)
    assert said in str(caught.value)
    assert "reinstall" not in str(caught.value)


def test_a_class_is_refused_where_an_object_belongs() -> None:
    with pytest.raises(ConfigError) as caught:
        Plugins([RaisingHook])
    assert str(caught.value) == (
        "the plugin RaisingHook passed in is a class, and its hooks need an object: write RaisingHook()"
    )


def test_two_plugins_passed_in_can_not_share_a_name() -> None:
    with pytest.raises(ConfigError, match="there already"):
        Plugins([Offering(kind_named("same")), Offering(kind_named("same"))])


def test_passing_one_plugin_twice_is_refused() -> None:
    plugin = Offering(kind_named("same"))
    with pytest.raises(ConfigError, match="there already"):
        Plugins([plugin, plugin])
