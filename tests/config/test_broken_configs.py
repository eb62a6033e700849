"""Forty broken configurations, and the message for each: the file, the line, the place and the advice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from captchahub.config import load_yaml
from captchahub.errors import ConfigError

START = """\
providers:
  omo:
    plugin: omocaptcha
    api_token: tok-7
  backup:
    plugin: createtask
    dialect: 2captcha
    client_key: key-8
"""

# The file, or what follows START if it begins with '+'; the line, the place, a part of the advice.
BROKEN: Mapping[str, tuple[str, int | None, str, str]] = {
    "nothing in it": ("", None, "", "it needs at least a provider, as in: providers: {omo:"),
    "no mapping": ("- omo\n", 1, "", "expected a mapping, found a list"),
    "no providers": ("timeout: 60s\n", 1, "providers", "name at least one, as in: "),
    "providers misspelt": ("provider: {}\n", 1, "provider", "did you mean 'providers'?"),
    "tab": ("providers:\n\tomo: {}\n", 2, "", "indent with spaces, not with tabs"),
    "quote not closed": ("providers:\n  omo: 'x\n", 2, "", "end the text with the same quote"),
    "brace not closed": ("providers: {omo: {plugin: x}\n", 1, "", "a '{' is never closed"),
    "two documents": ("+---\nproviders: {}\n", 9, "", "keep one document in the file"),
    "key twice": ("+timeout: 60s\ntimeout: 90s\n", 10, "timeout", "first on line 9; keep one of the two"),
    "provider twice": ("+  omo: {plugin: omocaptcha}\n", 9, "providers.omo", "first on line 2; keep one"),
    "top key misspelt": ("+timout: 60s\n", 9, "timout", "did you mean 'timeout'? valid keys: budget, "),
    "common key misspelt": ("+    timout: 60s\n", 9, "providers.backup.timout", "did you mean 'timeout'?"),
    "own key misspelt": ("+    dialct: x\n", 9, "providers.backup.dialct", "did you mean 'dialect'?"),
    "health key misspelt": (
        "+    health:\n      failure: 3\n",
        10,
        "providers.backup.health.failure",
        "did you mean 'failures'? valid keys: ",
    ),
    "key of another plugin": ("+    api_token: x\n", 9, "providers.backup.api_token", "unknown key; valid"),
    "plugin misspelt": ("+  c: {plugin: omocaptch}\n", 9, "providers.c.plugin", "did you mean 'omocaptcha'?"),
    "plugin left out": (
        "+  c: {api_token: x}\n",
        9,
        "providers.c.plugin",
        "name the plugin to use; installed: ",
    ),
    "provider with a space": (
        "+  'c d': {plugin: omocaptcha, api_token: x}\n",
        9,
        "providers.'c d'",
        "made of letters, digits",
    ),
    "secret left out": ("+  c: {plugin: omocaptcha}\n", 9, "providers.c.api_token", "the plugin needs it"),
    "secret empty": (
        "+  c:\n    plugin: omocaptcha\n    api_token: ''\n",
        11,
        "providers.c.api_token",
        "give it a value, best as ${env:NAME}",
    ),
    "secret as in a shell": (
        "+  c: {plugin: omocaptcha, api_token: $OMO_TOKEN}\n",
        9,
        "providers.c.api_token",
        "an environment variable is written ${env:NAME}",
    ),
    "secret that is a number": (
        "+  c: {plugin: omocaptcha, api_token: 12345}\n",
        9,
        "providers.c.api_token",
        "put it in quotes",
    ),
    "variable not set": (
        "+  c: {plugin: omocaptcha, api_token: '${env:NO_SUCH_X}'}\n",
        9,
        "providers.c.api_token",
        "the environment variable NO_SUCH_X is not set; set it before the program starts",
    ),
    "file not there": (
        "+  c: {plugin: omocaptcha, api_token: '${file:none}'}\n",
        9,
        "providers.c.api_token",
        "${file:none} can't be read: No such file or directory; check the path",
    ),
    "reference of no kind": (
        "+  c: {plugin: omocaptcha, api_token: '${vault:x}'}\n",
        9,
        "providers.c.api_token",
        "write ${env:NAME}, ${file:PATH} or ${keyring:SERVICE/USER}",
    ),
    "half a keyring entry": (
        "+  c: {plugin: omocaptcha, api_token: '${keyring:omo}'}\n",
        9,
        "providers.c.api_token",
        "names no entry; write ${keyring:SERVICE/USER}",
    ),
    "time without a unit": ("+timeout: 60\n", 9, "timeout", "found 60; write 60s"),
    "time of nothing": ("+timeout: 0s\n", 9, "timeout", "a duration above 0s"),
    "count in quotes": (
        "+    max_in_flight: '5'\n",
        9,
        "providers.backup.max_in_flight",
        "write it without quot",
    ),
    "rate without a period": ("+    rate: 20\n", 9, "providers.backup.rate", "a rate such as 5/second"),
    "price below nothing": (
        "+    prices:\n      image-to-text: -1\n",
        10,
        "providers.backup.prices.image-to-text",
        "a price from 0, such as 0.0005",
    ),
    "price of no task kind": (
        "+    prices: {image-to-txt: 1}\n",
        9,
        "providers.backup.prices.image-to-txt",
        "did you mean 'image-to-text'?",
    ),
    "currency in words": (
        "+    currency: dollar\n",
        9,
        "providers.backup.currency",
        "three capital letters such",
    ),
    "budget without a period": ("+budget: {limit: 5}\n", 9, "budget.per", "hour, day, month, total"),
    "budget of a place": (
        "+budget:\n  limit: 5\n  per: day\n  zone: Berlin\n",
        12,
        "budget.zone",
        "did you mean 'Europe/Berlin'?",
    ),
    "proxy without a scheme": (
        "+    proxy: me:pass@h:1\n",
        9,
        "providers.backup.proxy",
        "such as http://127.0.",
    ),
    "address in the clear": (
        "+    base_url: http://api.example\n",
        9,
        "providers.backup.base_url",
        "would send the token in the clear; use https",
    ),
    "journal in no folder": (
        "+journal: none/jobs.db\n",
        9,
        "journal",
        "relative paths begin at the configuration",
    ),
    "route of no task kind": ("+routes:\n  phone-slid: [omo]\n", 10, "routes.phone-slid", "'phone-slide'"),
    "route to an undefined provider": (
        "+routes:\n  phone-slide:\n  - omo\n  - bakup\n",
        12,
        "routes.phone-slide[1]",
        "did you mean 'backup'? defined: backup, omo",
    ),
    "rule misspelt": (
        "+routes:\n  image-to-text:\n    providers: [omo]\n    stratgy: fastest\n",
        12,
        "routes.image-to-text.stratgy",
        "did you mean 'strategy'?",
    ),
    "more must agree than there are": (
        "+routes:\n  image-to-text: {providers: [omo], agree: 2}\n",
        10,
        "routes.image-to-text.agree",
        "name more, or lower it",
    ),
    "unknown error": (
        "+routes:\n  image-to-text: {providers: [omo], fallback_on: [RateLimit]}\n",
        10,
        "routes.image-to-text.fallback_on[0]",
        "did you mean 'RateLimited'?",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_reported_with_file_line_place_and_advice(
    tmp_path: Path, name: str
) -> None:
    text, line, place, advice = BROKEN[name]
    path = tmp_path / "config.yaml"
    path.write_text(START + text[1:] if text.startswith("+") else text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    (message,) = str(caught.value).splitlines()
    position = f"{path}:{line}: " if line else f"{path}: "
    assert message.startswith(position + (f"{place}: " if place else ""))
    assert advice in message
    assert not any(secret in message for secret in ("tok-7", "key-8", "12345", "pass"))


def test_there_are_forty_of_them_at_least() -> None:
    assert len(BROKEN) >= 40


def test_what_they_begin_with_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(START)
    assert list(load_yaml(path).providers) == ["omo", "backup"]
