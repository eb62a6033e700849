"""Finding plugins, passed in and installed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Generator, Iterable
from typing import cast

import attrs
import pytest

from captchahub._plugins.entry_points import points_in
from captchahub._plugins.manager import Plugins, Unusable
from captchahub.config import load_mapping
from captchahub.errors import ConfigError
from captchahub.hookspecs import hookimpl
from captchahub.plugins import PluginRecord, PluginState
from captchahub.provider import LocalProvider, ProviderKind
from captchahub.tasks import ImageToText, Solution, Task, TextSolution
from tests.installed_distributions import BROKEN, WORKING, PackageFolder


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
    """A plugin object that offers these kinds."""

    def __init__(self, *offered: object) -> None:
        self._offered = offered

    @hookimpl
    def captchahub_provider_kinds(self) -> Iterable[object]:
        return self._offered


def unusable(plugins: Plugins, name: str) -> PluginRecord:
    with pytest.raises(Unusable) as caught:
        plugins.kind(name)
    return caught.value.record


def error_of(plugins: Plugins, name: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        plugins.kind(name)
    return caught.value


def test_a_plugin_that_was_passed_in_needs_no_installation() -> None:
    kind = kind_named("mine")
    plugins = Plugins([Offering(kind)])
    assert plugins.kind("mine") is kind
    assert "mine" in plugins.kind_names()


def test_two_hubs_do_not_see_each_others_plugins() -> None:
    Plugins([Offering(kind_named("mine"))])
    assert "mine" not in Plugins().kind_names()


def test_an_installed_plugin_is_found_by_the_name_of_its_entry_point(packages: PackageFolder) -> None:
    packages.install("sample-alpha", "sample_alpha", WORKING.format(names=["alpha"]), "alpha")
    plugins = Plugins()
    assert plugins.kind("alpha").name == "alpha"
    assert plugins.kind("alpha") == plugins.kind("alpha")


def test_only_the_plugin_that_is_asked_for_is_imported(packages: PackageFolder) -> None:
    packages.install("sample-asked", "sample_asked", WORKING.format(names=["asked"]), "asked")
    packages.install("sample-idle", "sample_idle", "raise RuntimeError('imported')", "idle")
    plugins = Plugins()
    assert {"asked", "idle"} <= set(plugins.kind_names())
    assert "sample_asked" not in sys.modules
    plugins.kind("asked")
    assert "sample_asked" in sys.modules
    assert "sample_idle" not in sys.modules


def test_one_module_can_offer_several_kinds(packages: PackageFolder) -> None:
    packages.install("sample-both", "sample_both", WORKING.format(names=["left", "right"]), "left", "right")
    plugins = Plugins()
    assert [plugins.kind(name).name for name in ("left", "right")] == ["left", "right"]


def test_a_plugin_passed_in_goes_before_an_installed_one(packages: PackageFolder) -> None:
    packages.install("sample-beta", "sample_beta", "raise RuntimeError('imported')", "beta")
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


def test_two_distributions_of_one_name_are_both_named(packages: PackageFolder) -> None:
    packages.install("sample-one", "sample_one", WORKING.format(names=["twin"]), "twin")
    packages.install("sample-two", "sample_two", WORKING.format(names=["twin"]), "twin")
    message = str(error_of(Plugins(), "twin"))
    assert "sample-one and sample-two" in message
    assert "uninstall one" in message


class TestWhatCanNotBeUsed:
    def test_is_named_with_the_reason_and_the_traceback(self, packages: PackageFolder) -> None:
        packages.install("sample-broken", "sample_broken", "raise RuntimeError('no\\nengine')", "broken")
        record = unusable(Plugins(), "broken")
        assert (record.state, record.distribution, record.version) == (
            PluginState.FAILED,
            "sample-broken",
            "1.0",
        )
        assert record.error == (
            "the plugin 'broken' of sample-broken can't be imported: RuntimeError: no engine; "
            "update or reinstall it"
        )
        assert "sample_broken.py" in (record.traceback or "")

    def test_may_even_try_to_end_the_program(self, packages: PackageFolder) -> None:
        packages.install("sample-exits", "sample_exits", "import sys; sys.exit(3)", "exits")
        assert "SystemExit: 3" in (unusable(Plugins(), "exits").error or "")

    def test_stays_as_it_is_until_the_next_start(self, packages: PackageFolder) -> None:
        packages.install("sample-again", "sample_again", "raise RuntimeError('no engine')", "again")
        plugins = Plugins()
        assert unusable(plugins, "again") == unusable(plugins, "again")

    def test_names_what_it_adds_if_that_is_another_kind(self, packages: PackageFolder) -> None:
        packages.install("sample-other", "sample_other", WORKING.format(names=["another"]), "missing")
        message = unusable(Plugins(), "missing").error or ""
        assert "sample-other" in message
        assert "it adds: another" in message

    def test_may_be_a_module_without_hooks(self, packages: PackageFolder) -> None:
        packages.install("sample-bare", "sample_bare", "", "bare")
        assert "it adds: none" in (unusable(Plugins(), "bare").error or "")

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            (
                "captchahub_contract = 99",
                "was written for version 99 of the plugin contract, and this is version 1; update captchahub",
            ),
            (
                "captchahub_contract = 0",
                "was written for version 0 of the plugin contract, and this is version 1; update it",
            ),
            (
                "from captchahub.provider import Gone",
                "can't be imported: ImportError: cannot import name 'Gone'",
            ),
            ("import captchahub.gone", "No module named 'captchahub.gone'; update it, or captchahub"),
        ],
        ids=["newer", "older", "a name that is gone", "a module that is gone"],
    )
    def test_is_incompatible_if_it_was_written_for_another_version(
        self, packages: PackageFolder, source: str, said: str
    ) -> None:
        packages.install("sample-future", "sample_future", source, "future")
        record = unusable(Plugins(), "future")
        assert record.state is PluginState.INCOMPATIBLE
        assert said in (record.error or "")
        sys.modules.pop("sample_future", None)

    @pytest.mark.parametrize("version", ["'1'", "True", "None"])
    def test_says_its_version_as_a_whole_number(self, packages: PackageFolder, version: str) -> None:
        packages.install("sample-odd", "sample_odd", f"captchahub_contract = {version}", "odd-one")
        assert "as captchahub_contract, which must be a whole number" in (
            unusable(Plugins(), "odd-one").error or ""
        )
        sys.modules.pop("sample_odd", None)

    def test_takes_no_other_one_down(self, packages: PackageFolder) -> None:
        packages.install("sample-down", "sample_down", "raise RuntimeError('no engine')", "down")
        packages.install("sample-up", "sample_up", WORKING.format(names=["up"]), "up")
        plugins = Plugins()
        unusable(plugins, "down")
        assert plugins.kind("up").name == "up"

    @pytest.mark.parametrize(
        ("raised", "said"),
        [
            (
                "class E(Exception):\n    def __str__(self): return self.no\nraise E",
                "its message can't be read",
            ),
            ("raise ValueError('x' * 1_000_000)", "x" * 500 + "..."),
        ],
    )
    def test_its_words_need_not_be_fit_to_read(self, packages: PackageFolder, raised: str, said: str) -> None:
        module = f"sample_words_{len(raised)}"
        packages.install("sample-words", module, raised, "words")
        record = unusable(Plugins(), "words")
        assert said in (record.error or "")
        assert len((record.error or "") + (record.traceback or "")) < 5000


class TestBlocking:
    def test_keeps_one_from_being_imported_at_all(self, packages: PackageFolder) -> None:
        packages.install("sample-bad", "sample_bad", "raise RuntimeError('imported')", "bad")
        plugins = Plugins()
        assert plugins.block(["bad"], "plugins.block of the configuration") == []
        record = unusable(plugins, "bad")
        assert record.state is PluginState.BLOCKED
        assert record.error == (
            "the plugin 'bad' of sample-bad is blocked by plugins.block of the configuration; "
            "take it out there to use it"
        )
        assert "sample_bad" not in sys.modules

    @pytest.mark.parametrize("names", ["worse", "sample-worse", "other, worse", "other worse"])
    def test_can_be_set_by_the_environment(
        self, packages: PackageFolder, monkeypatch: pytest.MonkeyPatch, names: str
    ) -> None:
        monkeypatch.setenv("CAPTCHAHUB_BLOCK_PLUGINS", names)
        packages.install("sample-worse", "sample_worse", "raise RuntimeError('imported')", "worse")
        assert "is blocked by $CAPTCHAHUB_BLOCK_PLUGINS" in (unusable(Plugins(), "worse").error or "")

    def test_of_one_of_two_packages_leaves_the_other(self, packages: PackageFolder) -> None:
        packages.install("sample-left", "sample_left", WORKING.format(names=["pair"]), "pair")
        packages.install("sample-right", "sample_right", "raise RuntimeError('imported')", "pair")
        plugins = Plugins()
        plugins.block(["sample-right"], "this test")
        assert plugins.kind("pair").name == "pair"

    def test_reaches_one_that_was_passed_in_and_all_its_hooks(self) -> None:
        class Watching(Offering):
            @hookimpl
            def captchahub_observe(self) -> None:
                """Sees to it."""

        plugins = Plugins([Watching(kind_named("mine"))])
        assert [name for name, _ in plugins.hooks.observers] == ["Watching"]
        plugins.block(["mine"], "this test")
        assert "the plugin 'Watching' passed in is blocked by this test" in (
            unusable(plugins, "mine").error or ""
        )
        assert plugins.hooks.observers == []

    def test_returns_the_names_that_match_no_plugin(self) -> None:
        assert Plugins().block(["nobody", "omocaptcha"], "this test") == ["nobody"]

    def test_takes_names_of_packages_as_pip_does(self, packages: PackageFolder) -> None:
        packages.install("Sample_Odd.Name", "sample_odd_name", "raise RuntimeError('imported')", "odd")
        plugins = Plugins()
        assert plugins.block(["sample-odd-name"], "this test") == []
        assert unusable(plugins, "odd").state is PluginState.BLOCKED

    def test_a_name_in_the_environment_that_matches_no_plugin_is_logged(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("CAPTCHAHUB_BLOCK_PLUGINS", "omocaptch")
        Plugins()
        line = (
            "$CAPTCHAHUB_BLOCK_PLUGINS names 'omocaptch', and no plugin or package is called so; did you mean"
        )
        assert line in caplog.text


class TestLoading:
    def test_is_for_plugins_that_no_provider_names(self, packages: PackageFolder) -> None:
        source = "from captchahub.hookspecs import hookimpl\n@hookimpl\ndef captchahub_observe(event): pass"
        packages.install("sample-watch", "sample_watch", source, "watch", group="captchahub.plugins")
        plugins = Plugins()
        assert plugins.hooks.observers == []
        plugins.load("watch")
        assert [name for name, _ in plugins.hooks.observers] == ["sample_watch"]

    def test_repeats_what_settings_name(self, packages: PackageFolder) -> None:
        source = "from captchahub.hookspecs import hookimpl\n@hookimpl\ndef captchahub_observe(event): pass"
        packages.install("sample-watch", "sample_watch", source, "watch", group="captchahub.plugins")
        account = {"plugin": "omocaptcha", "api_token": "t0ken"}
        mapping = {"providers": {"a": account}, "plugins": {"load": ["watch"]}}
        plugins = Plugins.named_by(load_mapping(mapping))
        used = [record.name for record in plugins.records if record.state is PluginState.LOADED]
        assert sorted(used) == ["omocaptcha", "watch"]
        assert [name for name, _ in plugins.hooks.observers] == ["sample_watch"]

    def test_leaves_out_a_kind_that_was_passed_in(self) -> None:
        settings = load_mapping(
            {"providers": {"a": {"plugin": "mine"}}}, plugins=[Offering(kind_named("mine"))]
        )
        assert Plugins.named_by(settings).hooks.observers == []

    def test_gives_them_to_no_provider(self, packages: PackageFolder) -> None:
        packages.install("sample-eyes", "sample_eyes", BROKEN, "eyes", group="captchahub.plugins")
        assert "eyes" not in Plugins().kind_names()
        assert "eyes" not in str(error_of(Plugins(), "eyes")).partition("is installed")[2]

    def test_of_one_that_can_not_be_used_is_logged_and_no_more(
        self, packages: PackageFolder, caplog: pytest.LogCaptureFixture
    ) -> None:
        packages.install("sample-blind", "sample_blind", "raise RuntimeError('no eyes')", "blind")
        Plugins().load("blind")
        assert "the plugin 'blind' of sample-blind can't be imported: RuntimeError: no eyes" in caplog.text

    def test_of_one_that_is_not_there_is_a_wrong_configuration(self) -> None:
        with pytest.raises(ConfigError, match="no plugin named 'omocaptch' is installed; did you mean"):
            Plugins().load("omocaptch")

    def test_of_all_shows_the_state_of_each(self, packages: PackageFolder) -> None:
        packages.install("sample-works", "sample_works", WORKING.format(names=["works"]), "works")
        packages.install("sample-fails", "sample_fails", "raise RuntimeError('no engine')", "fails")
        plugins = Plugins()
        states = {record.name: record.state for record in plugins.records}
        assert states["works"] is states["fails"] is PluginState.INSTALLED
        plugins.load_all()
        records = {record.name: record for record in plugins.records}
        assert records["works"] == PluginRecord(
            "works",
            PluginState.LOADED,
            "sample-works",
            "1.0",
            kinds=("works",),
            hooks=("captchahub_provider_kinds",),
        )
        assert records["fails"].state is PluginState.FAILED


class TestTaskTypes:
    @attrs.frozen
    class Counting(Task[TextSolution]):
        kind = "count-things"
        solution_type = TextSolution

        def check(self, solution: Solution) -> str | None:
            return None

    class Adding:
        def __init__(self, *types: object) -> None:
            self.types = types

        @hookimpl
        def captchahub_task_types(self) -> Iterable[object]:
            return self.types

    def test_are_the_librarys_own_and_those_of_plugins(self) -> None:
        types = Plugins([self.Adding(self.Counting)]).task_types()
        assert set(types) == {"image-to-text", "phone-slide", "count-things"}

    def test_of_one_kind_can_not_be_two(self) -> None:
        @attrs.frozen
        class Other(Task[TextSolution]):
            kind = "image-to-text"
            solution_type = TextSolution

            def check(self, solution: Solution) -> str | None:
                return None

        with pytest.raises(ConfigError, match="adds the task kind 'image-to-text', which is there already"):
            Plugins([self.Adding(Other)])

    @pytest.mark.parametrize("offered", [5, "count", TextSolution, Task])
    def test_must_be_task_types(self, offered: object) -> None:
        with pytest.raises(ConfigError, match="the plugin Adding passed in offers"):
            Plugins([self.Adding(offered)])


class MisspeltHook:
    @hookimpl
    def captchahub_provider_kind(self) -> Iterable[object]:
        return []


class ForeignArgument:
    @hookimpl
    def captchahub_provider_kinds(self, hub: object) -> Iterable[object]:
        return []


class UnmarkedHook:
    def captchahub_provider_kinds(self) -> Iterable[object]:
        return []


class WrappingHook:
    @hookimpl(wrapper=True)
    def captchahub_provider_kinds(self) -> Generator[None, object, object]:
        return (yield)


class RaisingHook:
    @hookimpl
    def captchahub_provider_kinds(self) -> Iterable[object]:
        raise LookupError("no such engine")


class KeywordOnly:
    @hookimpl
    def captchahub_observe(self, *, event: object) -> None:
        """Would never be given it."""


class Defaulted:
    @hookimpl
    def captchahub_observe(self, event: object = None) -> None:
        """Would never be given it."""


class NamelessToAll:
    def __getattr__(self, name: str) -> object:
        raise RuntimeError("no such thing")


class TwiceTheSame:
    @hookimpl
    def captchahub_task_types(self) -> Iterable[object]:
        class One(ImageToText):
            kind = "same"

        class Other(ImageToText):
            kind = "same"

        return [One, Other]


class NoList:
    @hookimpl
    def captchahub_provider_kinds(self) -> object:
        return 5


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (MisspeltHook(), "there is no such hook; did you mean captchahub_provider_kinds?"),
        (UnmarkedHook(), "captchahub_provider_kinds without the mark @hookimpl"),
        (WrappingHook(), "wraps captchahub_provider_kinds, and hooks cannot be wrapped here"),
        (ForeignArgument(), "wants hub in captchahub_provider_kinds, which is passed nothing"),
        (RaisingHook(), "no such engine"),
        (NoList(), "not iterable"),
        (KeywordOnly(), "has event in captchahub_observe with a default or after '*'"),
        (Defaulted(), "has event in captchahub_observe with a default or after '*'"),
        (NamelessToAll(), "RuntimeError: no such thing"),
        (TwiceTheSame(), "adds two types of the task kind 'same'"),
        (Offering(kind_named("")), "offers a kind with the name ''; name it, such as"),
        (Offering(ProviderKind(cast("str", 5), NoSettings, lambda _: Answering())), "with the name 5"),
        (Offering("x"), "offers a str instead of a ProviderKind"),
        (Offering(kind_named("same"), kind_named("same")), "the kind 'same' twice"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_an_object_that_is_no_plugin_is_refused_with_the_reason(plugin: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Plugins([plugin])
    assert type(plugin).__name__ in str(caught.value)
    assert said in str(caught.value)
    assert "reinstall" not in str(caught.value)


def test_a_class_is_refused_instead_of_an_object() -> None:
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
    with pytest.raises(ConfigError, match="Offering passed in is there twice; leave one of them out"):
        Plugins([plugin, plugin])


@dataclasses.dataclass
class Comparable:
    """Two of these are equal, and none has a hash."""

    kind: str = "comparable"

    @hookimpl
    def captchahub_provider_kinds(self) -> Iterable[object]:
        return [kind_named(self.kind)]


def test_a_plugin_needs_no_hash_but_must_not_equal_another() -> None:
    assert "comparable" in Plugins([Comparable()]).kind_names()
    with pytest.raises(ConfigError, match=r"is equal to another plugin.*; give its class eq=False"):
        Plugins([Comparable(), Comparable()])


def test_settings_are_equal_if_a_plugin_makes_its_kind_again() -> None:
    class MakingAnew:
        @hookimpl
        def captchahub_provider_kinds(self) -> Iterable[object]:
            return [kind_named("anew")]

    mapping = {"providers": {"a": {"plugin": "anew"}}}
    one, other = (load_mapping(mapping, plugins=[MakingAnew()]).providers for _ in range(2))
    assert one == other


def test_one_module_can_be_named_in_both_groups(packages: PackageFolder) -> None:
    packages.install("sample-groups", "sample_groups", WORKING.format(names=["both"]), "both")
    points = "[captchahub]\nboth = sample_groups\n[captchahub.plugins]\nboth = sample_groups\n"
    (packages.root / "sample_groups-1.0.dist-info" / "entry_points.txt").write_text(points)
    plugins = Plugins()
    plugins.load("both")
    assert plugins.kind("both").name == "both"


def test_an_entry_point_must_not_name_a_class(packages: PackageFolder) -> None:
    packages.install("sample-class", "sample_class", "class Plugin: ...\n", "of-class")
    points = "[captchahub]\nof-class = sample_class:Plugin\n"
    (packages.root / "sample_class-1.0.dist-info" / "entry_points.txt").write_text(points)
    assert (
        "names a class, and hooks need an object: write `plugin = Plugin()` and name `sample_class:plugin`"
    ) in (unusable(Plugins(), "of-class").error or "")


class TestBrokenMetadata:
    """Of any installed package, also one that has nothing to do with the library."""

    @pytest.mark.parametrize(
        "points",
        [b"[console_scripts]\njust-a-word\n", "[x]\nä = b:c\n".encode("latin-1"), b"[captchahub]\nword\n"],
    )
    def test_hides_no_other_plugin(
        self, packages: PackageFolder, points: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        packages.install("sample-fine", "sample_fine", WORKING.format(names=["fine"]), "fine")
        packages.install("sample-broken", "sample_broken", "")
        (packages.root / "sample_broken-1.0.dist-info" / "entry_points.txt").write_bytes(points)
        assert {"fine", "omocaptcha"} <= {*Plugins().kind_names()}
        assert Plugins().kind("fine").name == "fine"
        lines = [
            line for line in caplog.messages if line.startswith("the metadata of sample-broken can't be read")
        ]
        assert len(lines) <= 1  # a process logs it once

    def test_of_a_plugin_itself_leaves_it_without_a_package(self, packages: PackageFolder) -> None:
        packages.install("sample-nameless", "sample_nameless", WORKING.format(names=["nameless"]), "nameless")
        (packages.root / "sample_nameless-1.0.dist-info" / "METADATA").write_bytes(b"\xff\xfe")
        plugins = Plugins()
        assert plugins.kind("nameless").name == "nameless"
        (record,) = (record for record in plugins.records if record.name == "nameless")
        assert record.version is None

    def test_is_read_once_also_beside_the_backport_of_importlib_metadata(
        self, packages: PackageFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backport = pytest.importorskip("importlib_metadata")
        monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, backport.MetadataPathFinder()])
        assert points_in("captchahub") is points_in("captchahub")
        packages.install("sample-later", "sample_later", WORKING.format(names=["later"]), "later")
        assert "later" in Plugins().kind_names()

    def test_a_finder_that_fails_hides_no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Failing:
            def find_spec(self, *_: object) -> None:
                return None

            def find_distributions(self, _context: object) -> object:
                raise RuntimeError("no list")

        monkeypatch.setattr(sys, "meta_path", [Failing(), *sys.meta_path])
        assert "omocaptcha" in Plugins().kind_names()


class TestAliases:
    """Names that users write instead of the valid one."""

    SOURCE = (
        "import attrs\nfrom captchahub.hookspecs import hookimpl\n"
        "from captchahub.provider import ProviderKind\nfrom typing import Literal\n\n"
        "@attrs.frozen\nclass Settings:\n    city: Literal['york', 'bath'] = 'york'\n\n"
        "@hookimpl\ndef captchahub_provider_kinds():\n"
        "    aliases = {'new-york': {'city': 'york'}, 'the.site': {}}\n"
        "    return [ProviderKind('post', Settings, lambda settings: None, aliases)]\n"
    )

    @pytest.fixture(autouse=True)
    def installed(self, packages: PackageFolder) -> None:
        packages.install("sample-post", "sample_post", self.SOURCE, "post")
        claimed = "new-york = sample_post\nthe.site = sample_post\n"
        points = f"[captchahub]\npost = sample_post\n[captchahub.aliases]\n{claimed}"
        (packages.root / "sample_post-1.0.dist-info" / "entry_points.txt").write_text(points)

    @staticmethod
    def message_for(**provider: object) -> str:
        with pytest.raises(ConfigError) as caught:
            load_mapping({"providers": {"a": provider}})
        return str(caught.value)

    @pytest.mark.parametrize("name", ["new-york", "New_York", "NEWYORK"])
    def test_of_a_plugin_say_what_to_write(self, name: str) -> None:
        assert f"no plugin named {name!r} is installed; write plugin: post, city: york" in self.message_for(
            plugin=name
        )

    def test_without_a_key_say_the_plugin(self) -> None:
        assert self.message_for(plugin="The-Site").endswith("write plugin: post")

    def test_of_a_value_say_what_to_write(self) -> None:
        said = self.message_for(plugin="post", city="New York")
        assert said.endswith("expected one of york, bath, found 'New York'; write york")

    def test_of_a_value_that_came_from_elsewhere_say_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CITY", "New York")
        assert self.message_for(plugin="post", city="${env:CITY}").endswith("found the value of ${env:CITY}")

    def test_of_a_plugin_that_is_blocked_say_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAPTCHAHUB_BLOCK_PLUGINS", "sample-post")
        assert "write" not in self.message_for(plugin="new-york")

    def test_import_only_the_plugin_that_has_them(self, packages: PackageFolder) -> None:
        packages.install("sample-loud", "sample_loud", BROKEN, "loud")
        plugins = Plugins()
        with pytest.raises(ConfigError):
            plugins.kind("new-york")
        states = {record.name: record.state for record in plugins.records}
        assert (states["post"], states["loud"]) == (PluginState.LOADED, PluginState.INSTALLED)

    def test_of_a_plugin_that_was_passed_in_are_known_too(self) -> None:
        class Passed:
            @hookimpl
            def captchahub_provider_kinds(self) -> Iterable[object]:
                kind = kind_named("passed")
                return [ProviderKind(kind.name, kind.settings, kind.build, {"handed-over": {"to": "me"}})]

        with pytest.raises(ConfigError, match="write plugin: passed, to: me"):
            Plugins([Passed()]).kind("Handed over")
