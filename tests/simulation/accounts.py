"""The account that a provider's name means: another one after a restart, say, or in another program."""

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
    """An account at a service, with the name of its provider."""

    provider: str
    is_elsewhere: bool
    token: str = attrs.field(repr=False)


def account_of(settings: ProviderSettings, service_type: ServiceType) -> Account:
    """Return the account of a provider's settings."""
    is_elsewhere = str(getattr(settings.own, "base_url", "")).startswith(_ELSEWHERE)
    return Account(settings.name, is_elsewhere, getattr(settings.own, service_type.token_key).reveal())


def others(chance: Random, service_types: Mapping[str, ServiceType]) -> Mapping[str, Mapping[str, str]]:
    """Return another token or address for some of the providers, at least one."""
    changed = chance.sample(sorted(service_types), chance.randint(1, len(service_types)))
    return {
        name: chance.choice(
            (
                {"base_url": _ELSEWHERE + service_types[name].base_path},
                {service_types[name].token_key: f"other-token-{name}"},
            )
        )
        for name in changed
    }
