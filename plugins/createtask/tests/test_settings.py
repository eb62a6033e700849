from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, get_args

import captchahub_createtask
import pluggy
import pytest
from captchahub_createtask import CreateTaskProvider, CreateTaskSettings
from captchahub_createtask.dialects import DIALECTS, DialectName

from captchahub import Hub
from captchahub.errors import ConfigError
from captchahub.hookspecs import PROJECT, HookSpecs
from captchahub.provider import Secret
from captchahub.testing import load_emulation

KEY = Secret("k" * 32)
NAMED = [name for name in get_args(DialectName) if name != "custom"]


def refusal(**keys: object) -> str:
    provider = {"plugin": "createtask", "client_key": "k" * 32, **keys}
    with pytest.raises(ConfigError) as caught:
        Hub.from_mapping({"providers": {"backup": provider}})
    return str(caught.value)


@pytest.mark.parametrize(
    ("dialect", "address"),
    [
        ("anti-captcha", "https://api.anti-captcha.com"),
        ("2captcha", "https://api.2captcha.com"),
        ("capsolver", "https://api.capsolver.com"),
        ("capmonster", "https://api.capmonster.cloud"),
        ("yescaptcha", "https://api.yescaptcha.com"),
        ("omocaptcha-v2", "https://api.omocaptcha.com/v2"),
    ],
)
def test_a_named_dialect_knows_its_address(dialect: DialectName, address: str) -> None:
    assert CreateTaskSettings(dialect, KEY).spoken.base_url == address
    assert (
        CreateTaskSettings(dialect, KEY, "http://127.0.0.1:8000/").spoken.base_url == "http://127.0.0.1:8000"
    )


def test_every_name_of_a_dialect_has_its_facts() -> None:
    assert set(DIALECTS) == set(get_args(DialectName))


def test_any_other_service_is_named_by_its_address() -> None:
    assert CreateTaskSettings("custom", KEY, "https://solver.example/api/").spoken.base_url == (
        "https://solver.example/api"
    )
    assert "the dialect custom needs base_url, the URL of the service" in refusal(dialect="custom")


def test_a_dialect_has_to_be_one_of_those_there_are() -> None:
    assert "backup.dialect: missing" in refusal()
    assert "expected one of anti-captcha, 2captcha, capsolver" in refusal(dialect="3captcha")
    nobody: Any = "3captcha"
    with pytest.raises(ValueError, match="there is no dialect '3captcha', only anti-captcha, 2captcha"):
        CreateTaskSettings(nobody, KEY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_type", "ImageToTextTaskMuggle"),
        ("image_field", "picture"),
        ("options", {"hint": "remark"}),
        ("options", {}),
        ("numeric", (1,)),
        ("min_bytes", 1),
        ("max_bytes", 200_000),
        ("max_side", 1000),
        ("seconds_between_polls", 0.5),
        ("wrong_call", "complain"),
        ("right_call", "praise"),
    ],
)
def test_a_fact_that_is_given_takes_the_place_of_the_dialects_own(name: str, value: object) -> None:
    given: dict[str, Any] = {name: value}
    spoken = CreateTaskSettings("2captcha", KEY, **given).spoken
    assert getattr(spoken, name) == value
    others = [field for field in ("service", "base_url", "task_type", "max_side", "options") if field != name]
    assert all(getattr(spoken, field) == getattr(DIALECTS["2captcha"], field) for field in others)


@pytest.mark.parametrize("dialect", NAMED)
def test_the_facts_of_every_dialect_can_be_written_in_a_file_too(dialect: str) -> None:
    written = {
        "task_type": "ImageToTextTask",
        "image_field": "img",
        "options": {"min_length": "min", "charset": "numeric", "language": "lang"},
        "numeric": [1],
        "task_fields": {"module": "common", "recognizingThreshold": 80, "score": 0.9, "fast": True},
        "seconds_between_polls": 2.5,
    }
    provider = {"plugin": "createtask", "dialect": dialect, "client_key": "k" * 32, **written}
    Hub.from_mapping({"providers": {"backup": provider}}).close()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"options": {"length": "len"}}, "backup.options.length: expected one of min_length, max_length"),
        ({"options": {"hint": "a b"}}, "options must name fields of the service as plain words, not 'a b'"),
        ({"options": {"hint": "body"}}, "two things would be sent as body"),
        ({"options": {"language": "clientKey"}}, "two things would be sent as clientKey"),
        ({"options": {"min_length": "len", "max_length": "len"}}, "two things would be sent as len"),
        ({"options": {"hint": "comment"}, "numeric": [1]}, "options has no field for charset"),
        ({"dialect": "yescaptcha", "numeric": [1]}, "options has no field for charset"),
        ({"numeric": [3]}, "backup.numeric[0]: expected one of 1, 2, found 3"),
        ({"task_fields": {"type": "x"}}, "task_fields has type, which is filled in for every task"),
        ({"task_fields": {"case": True}}, "task_fields has case, which is filled in for every task"),
        ({"task_fields": {"": 1}}, "task_fields must name fields of the service as plain words, not ''"),
        ({"task_fields": {"module": []}}, "backup.task_fields.module: expected true or false or a whole"),
        ({"min_bytes": 200_000}, "min_bytes 200000 is more than max_bytes 100000"),
        ({"max_side": 0}, "max_side must be more than 0, not 0"),
        ({"seconds_between_polls": -1}, "seconds_between_polls must be more than 0"),
        ({"task_type": ""}, "task_type must be one plain word such as 'ImageToTextTask'"),
        ({"wrong_call": "../admin"}, "wrong_call must be one plain word such as 'reportIncorrect'"),
        ({"base_url": "http://api.2captcha.com"}, "backup.base_url: http to api.2captcha.com would send"),
        ({"report_call": "x"}, "backup.report_call: unknown key"),
    ],
)
def test_what_would_be_ignored_or_go_wrong_is_refused_at_its_place(
    keys: dict[str, object], message: str
) -> None:
    assert message in refusal(**({"dialect": "2captcha"} | keys))


def test_an_empty_key_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="client_key is empty: set it to the key shown in your account"):
        CreateTaskSettings("2captcha", Secret(""))


@pytest.mark.parametrize("key", [" secret99", "secret99\n", "sec ret99", "secret99\x00", "secret99\udcff"])
def test_a_key_that_was_copied_with_something_else_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="copy the key again") as caught:
        CreateTaskSettings("2captcha", Secret(key))
    assert "secret99" not in repr(caught.value)


def test_a_key_that_could_show_is_refused_and_not_shown() -> None:
    bare: Any = "secret99"
    with pytest.raises(ValueError, match="must be wrapped") as caught:
        CreateTaskSettings("2captcha", bare)
    assert "secret99" not in repr(caught.value)


def test_the_key_does_not_show_in_settings_or_provider() -> None:
    settings = CreateTaskSettings("2captcha", Secret("secret99"))
    provider = CreateTaskProvider(settings)
    assert "secret99" not in f"{settings!r} {settings} {provider!r} {provider} {settings.spoken}"


def test_the_plugin_adds_one_kind_of_provider_through_the_hook() -> None:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    manager.register(captchahub_createtask)
    manager.check_pending()
    [[kind]] = manager.hook.captchahub_provider_kinds()
    assert (kind.name, kind.settings) == ("createtask", CreateTaskSettings)
    assert isinstance(kind.build(CreateTaskSettings("2captcha", KEY)), CreateTaskProvider)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2captcha", "2captcha"),
        ("2Captcha.com", "2captcha"),
        ("twocaptcha", "2captcha"),
        ("rucaptcha", "2captcha"),
        ("RuCaptcha", "2captcha"),
        ("anticaptcha", "anti-captcha"),
        ("anti_captcha", "anti-captcha"),
        ("anti-captcha.com", "anti-captcha"),
        ("CapSolver", "capsolver"),
        ("capmonster.cloud", "capmonster"),
        ("capmonster-cloud", "capmonster"),
        ("YesCaptcha", "yescaptcha"),
        ("omocaptcha_v2", "omocaptcha-v2"),
    ],
)
def test_the_name_of_a_service_is_answered_with_its_dialect(written: str, meant: str) -> None:
    assert refusal(plugin=written).endswith(f"; write plugin: createtask, dialect: {meant}")
    if written != meant:
        assert refusal(dialect=written).endswith(f"found {written!r}; write {meant}")


def test_every_other_name_is_in_the_metadata_with_that_of_its_dialect() -> None:
    (kind,) = captchahub_createtask.captchahub_provider_kinds()
    assert {point.name for point in entry_points(group="captchahub.aliases")} == {*kind.aliases}
    assert {keys["dialect"] for keys in kind.aliases.values()} == {*DIALECTS} - {"custom"}


def test_the_sandbox_of_a_service_is_found_by_its_name() -> None:
    with pytest.raises(ConfigError, match="it belongs to createtask: use createtask, dialect=2captcha"):
        load_emulation("rucaptcha")
