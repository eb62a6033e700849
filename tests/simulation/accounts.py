"""Which account a provider's name stands for: another one after a restart, say, or in another program."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import attrs

from captchahub.settings import ProviderSettings
from tests.simulation.service_types import ServiceType

__all__ = ["Account", "account_of", "others"]

_ELSEWHERE = "https://elsewhere.example"


@attrs.frozen
class Account:
    """An account: by the name of whom the client knows it, at which of the services, and with which token."""

    provider: str
    is_elsewhere: bool
    token: str = attrs.field(repr=False)


def account_of(settings: ProviderSettings, service_type: ServiceType) -> Account:
    """The account that some settings are of."""
    is_elsewhere = str(getattr(settings.own, "base_url", "")).startswith(_ELSEWHERE)
    return Account(settings.name, is_elsewhere, getattr(settings.own, service_type.token_key).reveal())


def others(chance: Random, makes: Mapping[str, ServiceType]) -> Mapping[str, Mapping[str, str]]:
    """What some of the providers are told instead, at least one of them: another token, or address."""
    changed = chance.sample(sorted(makes), chance.randint(1, len(makes)))
    return {
        name: chance.choice(
            ({"base_url": _ELSEWHERE + makes[name].base_path}, {makes[name].token_key: f"other-token-{name}"})
        )
        for name in changed
    }
