"""Environment variables override single keys of a file's configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from captchahub._config.near_variables import RESERVED_NAMES
from captchahub.config import load_mapping, load_yaml
from captchahub.errors import ConfigError
from captchahub.provider import Secret
from captchahub.settings import Budget, HubSettings, Otherwise
from tests.config.test_config import PLUGINS, START, EchoSettings, write
from tests.installed_distributions import PackageFolder

Load = Callable[..., HubSettings]
SENSITIVE = "Zx-9-very-private"

ROUTES = START + "  b-2.x: {plugin: echo, api_token: x}\nroutes:\n  image-to-text: {providers: [a]}\n"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a file while these variables, without their prefix, are set."""

    def loaded(text: str = ROUTES, **variables: str) -> HubSettings:
        for name, value in variables.items():
            monkeypatch.setenv(f"CAPTCHAHUB__{name}", value)
        return load_yaml(write(tmp_path, text), plugins=PLUGINS)

    return loaded


def problem_lines(load: Load, text: str = ROUTES, **variables: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, **variables)
    return str(caught.value).splitlines()


def test_a_variable_overrides_the_file(load: Load) -> None:
    configured = load(START + "    timeout: 5s\ntimeout: 10s\n", PROVIDERS__A__TIMEOUT="7s", TIMEOUT="1m")
    assert (configured.providers["a"].timeout, configured.timeout) == (7.0, 60.0)


@pytest.mark.parametrize("blocked", ["variable", "reference"])
def test_what_is_blocked_is_not_imported_for_the_names_of_its_keys(
    tmp_path: Path, packages: PackageFolder, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    module = f"sample_unwanted_{blocked}"
    packages.install("sample-unwanted", module, "raise RuntimeError('imported')", "unwanted")
    block = "plugins: {block: ['${env:UNWANTED}']}\n" if blocked == "reference" else ""
    monkeypatch.setenv("UNWANTED", "unwanted")
    if blocked == "variable":
        monkeypatch.setenv("CAPTCHAHUB__PLUGINS__BLOCK", "[unwanted]")
    monkeypatch.setenv("CAPTCHAHUB__PROVIDERS__U__WORD", "x")
    load_yaml(write(tmp_path, "providers: {u: {plugin: unwanted}}\n" + block))
    assert module not in sys.modules


def test_a_misspelt_section_is_reported_with_the_variable(load: Load) -> None:
    (line,) = problem_lines(load, PROVIDERS__A__HELTH__COOLDOWN="3s")
    assert line.startswith("$CAPTCHAHUB__PROVIDERS__A__HELTH__COOLDOWN: providers.a.helth: unknown key")


def test_keys_that_are_not_in_the_file_are_added(load: Load) -> None:
    configured = load(
        PROVIDERS__A__HEALTH__FAILURES="never",
        PROVIDERS__A__PRICES__ECHO_BACK="0.5",
        ROUTES__IMAGE_TO_TEXT__ON_TIMEOUT="fail",
        ROUTES__ECHO_BACK="[b-2.x, a]",
        BUDGET="{limit: 5, per: day}",
    )
    assert configured.providers["a"].health.failures == float("inf")
    assert list(configured.providers["a"].prices) == ["echo-back"]
    assert configured.routes["image-to-text"].on_timeout is Otherwise.FAIL
    assert configured.routes["echo-back"].names == ("b-2.x", "a")
    assert isinstance(configured.budget, Budget)


def test_names_are_written_in_any_case_with_underscores(load: Load) -> None:
    configured = load(PROVIDERS__b_2_X__timeout="7s")
    assert configured.providers["b-2.x"].timeout == 7.0


def test_a_variable_for_a_whole_goes_before_one_for_a_part(load: Load) -> None:
    configured = load(
        START + "    corner: {x: 1, y: 2}\n", PROVIDERS__A__CORNER__Y="4", PROVIDERS__A__CORNER="{x: 3, y: 3}"
    )
    read = configured.providers["a"].own
    assert isinstance(read, EchoSettings)
    assert read.corner is not None
    assert (read.corner.x, read.corner.y) == (3, 4)


def test_a_value_may_hold_references(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_TOKEN", "from-env")
    read = load(PROVIDERS__A__API_TOKEN="${env:ECHO_TOKEN}").providers["a"].own
    assert isinstance(read, EchoSettings)
    assert read.api_token == Secret("from-env")


def test_a_mapping_is_overridden_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTCHAHUB__TIMEOUT", "7s")
    mapping = {"providers": {"a": {"plugin": "echo", "api_token": "x"}}}
    assert load_mapping(mapping, plugins=PLUGINS).timeout == 120.0


WRONG: Mapping[str, tuple[dict[str, str], str, str]] = {
    "misspelt key": (
        {"PROVIDERS__A__TIMOUT": "5s"},
        "$CAPTCHAHUB__PROVIDERS__A__TIMOUT: providers.a.timout: unknown key; ",
        "did you mean 'timeout'?",
    ),
    "misspelt top key": ({"TIMOUT": "5s"}, "$CAPTCHAHUB__TIMOUT: timout: unknown key", "'timeout'"),
    "misspelt provider": (
        {"PROVIDERS__C__TIMEOUT": "5s"},
        "$CAPTCHAHUB__PROVIDERS__C__TIMEOUT: providers.c: there is no such provider to override",
        "defined in the file: a, b-2.x",
    ),
    "misspelt task kind": (
        {"ROUTES__IMAGE_TO_TXT": "[a]"},
        "$CAPTCHAHUB__ROUTES__IMAGE_TO_TXT: routes.image_to_txt: unknown task kind",
        "did you mean 'image-to-text'?",
    ),
    "wrong value": (
        {"TIMEOUT": "soon"},
        "$CAPTCHAHUB__TIMEOUT: timeout: expected a duration",
        "found the value of $CAPTCHAHUB__TIMEOUT",
    ),
    "bare number": ({"TIMEOUT": "60"}, "$CAPTCHAHUB__TIMEOUT: timeout: expected a duration", "write 60s"),
    "missing in what a variable holds": (
        {"PROVIDERS__A": "{plugin: echo}"},
        "$CAPTCHAHUB__PROVIDERS__A: providers.a.api_token: missing",
        "the plugin needs it",
    ),
    "empty": ({"TIMEOUT": " "}, "$CAPTCHAHUB__TIMEOUT: timeout: the variable is empty", "or unset it"),
    "comment": ({"TIMEOUT": "# 5s"}, "$CAPTCHAHUB__TIMEOUT: timeout: the variable is empty", "or unset it"),
    "no YAML": ({"TIMEOUT": "[5s"}, "$CAPTCHAHUB__TIMEOUT: timeout: not valid YAML", "end it with ']'"),
    "tag": ({"TIMEOUT": "!!binary x"}, "$CAPTCHAHUB__TIMEOUT: timeout: YAML tags can't", "plain value"),
    "key in a list": (
        {"ROUTES__IMAGE_TO_TEXT__PROVIDERS__0": "a"},
        "$CAPTCHAHUB__ROUTES__IMAGE_TO_TEXT__PROVIDERS__0: routes.image-to-text.providers: there is no m",
        "set the whole of it with CAPTCHAHUB__ROUTES__IMAGE_TO_TEXT__PROVIDERS",
    ),
    "two of one place": (
        {"TIMEOUT": "5s", "timeout": "6s"},
        "$CAPTCHAHUB__timeout: timeout: CAPTCHAHUB__TIMEOUT and CAPTCHAHUB__timeout both set it",
        "leave one of them out",
    ),
    "no key": ({"": "5s"}, "$CAPTCHAHUB__: the variable ends without a key", "CAPTCHAHUB__TIMEOUT"),
    "no key in the middle": (
        {"PROVIDERS____TIMEOUT": "5s"},
        "$CAPTCHAHUB__PROVIDERS____TIMEOUT: providers",
        "defined in the file: a, b-2.x",
    ),
    "no key at the end": (
        {"PROVIDERS__A__": "5s"},
        "$CAPTCHAHUB__PROVIDERS__A__: providers.a: the variable ends without a key",
        "",
    ),
    "reference to an unset variable": (
        {"PROVIDERS__A__API_TOKEN": "${env:NO_SUCH_X}"},
        "$CAPTCHAHUB__PROVIDERS__A__API_TOKEN: providers.a.api_token: the environment variable NO_SUCH_X",
        "is not set",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_reported_with_the_variable_in_place_of_a_line(load: Load, name: str) -> None:
    variables, beginning, advice = WRONG[name]
    (line,) = problem_lines(load, **variables)
    assert line.startswith(beginning)
    assert advice in line


def test_a_name_that_can_mean_two_keys_is_refused_with_both(load: Load) -> None:
    text = START + "  x-y: {plugin: echo, api_token: x}\n  x.y: {plugin: echo, api_token: x}\n"
    (line,) = problem_lines(load, text, PROVIDERS__X_Y__TIMEOUT="5s")
    assert line == (
        "$CAPTCHAHUB__PROVIDERS__X_Y__TIMEOUT: providers: the name can mean 'x-y' and 'x.y'; "
        "rename one of them, or write it in the file"
    )


def test_another_mistake_in_the_file_keeps_its_line(load: Load) -> None:
    lines = problem_lines(load, START + "    timout: 5s\n", TIMEOUT="soon")
    assert [line.partition(": ")[0].rpartition("/")[2] for line in lines] == [
        "$CAPTCHAHUB__TIMEOUT",
        "config.yaml:5",
    ]


@pytest.mark.parametrize(
    "value", ["314159: x", "{abc314159: 1, abc314159: 2}", "a: b: 314159", "*314159", "[314159"]
)
def test_a_secret_that_is_no_plain_text_does_not_show_either(load: Load, value: str) -> None:
    lines = problem_lines(load, PROVIDERS__A__API_TOKEN=value)
    assert lines[0].startswith("$CAPTCHAHUB__PROVIDERS__A__API_TOKEN: providers.a.api_token: ")
    assert "314159" not in "".join(lines)


def test_a_file_need_not_have_what_a_variable_gives(load: Load) -> None:
    read = (
        load(START.replace("tok-7", "${env:NO_SUCH_X}"), PROVIDERS__A__API_TOKEN="tok-9").providers["a"].own
    )
    assert isinstance(read, EchoSettings)
    assert read.api_token == Secret("tok-9")


@pytest.mark.parametrize(
    "key",
    [
        *("TIMEOUT", "PROVIDERS", "PROVIDERS__A", "PROVIDERS__A__PLUGIN", "PROVIDERS__A__MODE", "ROUTES"),
        *("PROVIDERS__A__PRICES", "PROVIDERS__A__PROXY", "PROVIDERS__A__BASE_URL", "ROUTES__IMAGE_TO_TEXT"),
        *("BUDGET", "JOURNAL", "PROVIDERS__A__CA_BUNDLE", "PROVIDERS__A__WORDS", "ROUTES__ECHO_BACK"),
    ],
)
@pytest.mark.parametrize("value", [SENSITIVE, f"[{SENSITIVE}]", f"http://{SENSITIVE}/"])
def test_a_value_from_the_environment_never_shows(load: Load, key: str, value: str) -> None:
    message = ""
    try:
        load(**{key: value})
    except ConfigError as error:
        message = str(error)
    assert SENSITIVE not in message


def test_a_variable_written_as_in_a_shell_is_no_secret_in_a_variable_either(load: Load) -> None:
    (line,) = problem_lines(load, PROVIDERS__A__API_TOKEN="$ECHO_TOKEN")
    assert "an environment variable is written ${env:NAME}" in line


def test_it_works_for_installed_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTCHAHUB__PROVIDERS__OMO__API_TOKEN", "tok-7")
    path = write(tmp_path, "providers: {omo: {plugin: omocaptcha}}\n")
    assert load_yaml(path).providers["omo"].plugin == "omocaptcha"


class TestAVariableThatIsNearlyOne:
    """It begins with CAPTCHAHUB, and lacks a "_" or has its letters small: nothing would read it."""

    @pytest.mark.parametrize(
        ("name", "right"),
        [
            ("CAPTCHAHUB_TIMEOUT", "CAPTCHAHUB__TIMEOUT"),
            ("captchahub__timeout", "CAPTCHAHUB__TIMEOUT"),
            ("Captchahub_Timeout", "CAPTCHAHUB__TIMEOUT"),
            ("CAPTCHAHUB_CACHE", "CAPTCHAHUB__CACHE"),
            ("CAPTCHAHUB_JOURNAL", "CAPTCHAHUB__JOURNAL"),
            ("CAPTCHAHUB_JOURNAL_PATH", "CAPTCHAHUB__JOURNAL__PATH"),
            ("CAPTCHAHUB_BUDGET_LIMIT", "CAPTCHAHUB__BUDGET__LIMIT"),
            ("CAPTCHAHUB_PLUGINS_BLOCK", "CAPTCHAHUB__PLUGINS__BLOCK"),
            ("CAPTCHAHUB_PROVIDERS_A_TIMEOUT", "CAPTCHAHUB__PROVIDERS__A__TIMEOUT"),
            ("CAPTCHAHUB_PROVIDERS__A__TIMEOUT", "CAPTCHAHUB__PROVIDERS__A__TIMEOUT"),
            ("CAPTCHAHUB_PROVIDERS_A_MAX_IN_FLIGHT", "CAPTCHAHUB__PROVIDERS__A__MAX_IN_FLIGHT"),
            ("CAPTCHAHUB_PROVIDERS_A_API_TOKEN", "CAPTCHAHUB__PROVIDERS__A__API_TOKEN"),
            ("CAPTCHAHUB_PROVIDERS_A_HEALTH_COOLDOWN", "CAPTCHAHUB__PROVIDERS__A__HEALTH__COOLDOWN"),
            ("CAPTCHAHUB_PROVIDERS_B_2_X_TIMEOUT", "CAPTCHAHUB__PROVIDERS__B_2_X__TIMEOUT"),
            ("CAPTCHAHUB_ROUTES_IMAGE_TO_TEXT", "CAPTCHAHUB__ROUTES__IMAGE_TO_TEXT"),
            ("CAPTCHAHUB_ROUTES_PHONE_SLIDE_ON_TIMEOUT", "CAPTCHAHUB__ROUTES__PHONE_SLIDE__ON_TIMEOUT"),
        ],
    )
    def test_is_reported_with_the_right_name(
        self, load: Load, monkeypatch: pytest.MonkeyPatch, name: str, right: str
    ) -> None:
        monkeypatch.setenv(name, SENSITIVE)
        (line,) = problem_lines(load)
        assert line == (
            f"${name}: nothing reads it; write {right}, or another name if it is your own program's"
        )

    @pytest.mark.parametrize("key", ["TIMEOUT", "API_TOKEN"])
    def test_belongs_to_the_provider_with_the_longest_name(
        self, load: Load, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        monkeypatch.setenv(f"CAPTCHAHUB_PROVIDERS_A_2_{key}", SENSITIVE)
        (line,) = problem_lines(load, START + "  a-2: {plugin: echo, api_token: x}\n")
        assert f"write CAPTCHAHUB__PROVIDERS__A_2__{key}, " in line

    @pytest.mark.parametrize(
        "name",
        [
            *sorted(RESERVED_NAMES),
            "CAPTCHAHUB_TOKEN",
            "CAPTCHAHUB_PROVIDERS_NOBODY_TIMEOUT",
            "CAPTCHAHUB_TIMEOUT_SECONDS",
            "MY_CAPTCHAHUB_TIMEOUT",
            "CAPTCHAHUB",
            "CAPTCHAHUB_",
        ],
    )
    def test_is_not_reported_if_it_names_no_key(
        self, load: Load, monkeypatch: pytest.MonkeyPatch, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv(name, "x")
        load()
        assert f"${name} is read by nothing" not in caplog.text

    def test_is_the_users_own_if_the_file_refers_to_it(
        self, load: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CAPTCHAHUB_TIMEOUT", "7s")
        assert load(START + "timeout: ${env:CAPTCHAHUB_TIMEOUT}\n").timeout == 7.0

    def test_is_logged_if_it_is_only_near_a_key(
        self, load: Load, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("CAPTCHAHUB_TIMOUT", SENSITIVE)
        load()
        assert caplog.messages == ["$CAPTCHAHUB_TIMOUT is read by nothing; did you mean CAPTCHAHUB__TIMEOUT?"]

    def test_is_ignored_for_a_mapping(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAPTCHAHUB_TIMEOUT", "7s")
        mapping = {"providers": {"a": {"plugin": "omocaptcha", "api_token": "t0ken"}}}
        assert load_mapping(mapping).timeout == 120.0
