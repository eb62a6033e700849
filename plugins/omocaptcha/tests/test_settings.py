from __future__ import annotations

from typing import Any

import captchahub_omocaptcha
import pluggy
import pytest
from captchahub_omocaptcha import OmoProvider, OmoSettings

from captchahub.hookspecs import PROJECT, HookSpecs
from captchahub.provider import Secret


def test_the_base_address_is_the_service_unless_another_is_given() -> None:
    assert OmoSettings(Secret("t")).base_url == "https://omocaptcha.com/api"
    assert OmoSettings(Secret("t"), "http://127.0.0.1:8000/api/").base_url == "http://127.0.0.1:8000/api"


def test_an_address_that_would_send_the_token_in_the_clear_is_refused() -> None:
    with pytest.raises(ValueError, match="use https"):
        OmoSettings(Secret("t"), "http://omocaptcha.com/api")


def test_an_empty_token_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="api_token is empty: set it to the token shown in your account"):
        OmoSettings(Secret(""))


@pytest.mark.parametrize("token", [" secret99", "secret99\n", "sec ret99", "secret99\x00", "secret99\udcff"])
def test_a_token_that_was_copied_with_something_else_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match="copy the token again") as caught:
        OmoSettings(Secret(token))
    assert "secret99" not in repr(caught.value)


def test_a_token_that_could_show_is_refused_and_not_shown() -> None:
    bare: Any = "secret99"
    with pytest.raises(ValueError, match="must be wrapped") as caught:
        OmoSettings(bare)
    assert "secret99" not in repr(caught.value)


def test_the_token_does_not_show_in_settings_or_provider() -> None:
    settings = OmoSettings(Secret("secret99"))
    provider = OmoProvider(settings)
    assert "secret99" not in f"{settings!r} {settings} {provider!r} {provider}"


def test_the_plugin_adds_one_kind_of_provider_through_the_hook() -> None:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    manager.register(captchahub_omocaptcha)
    manager.check_pending()
    [[kind]] = manager.hook.captchahub_provider_kinds()
    assert (kind.name, kind.settings) == ("omocaptcha", OmoSettings)
    assert isinstance(kind.build(OmoSettings(Secret("t"))), OmoProvider)
