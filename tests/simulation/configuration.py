"""The configurations of the hubs of a run, and their accounts and budgets as the simulation sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

import attrs

from captchahub._config.loader import read_mapping
from captchahub._plugins.manager import Plugins
from captchahub.settings import HubSettings
from tests.simulation.accounts import Account, account_of, others
from tests.simulation.budgets import Limit
from tests.simulation.service_types import CREATE_TASK, OMO, ServiceType

__all__ = ["Configuration", "any_configuration"]

# Finding the installed plugins takes longer than a run, and reading a configuration takes a good part of one.
INSTALLED = Plugins()
_CONFIGURATIONS = 96

_TEXT, _SLIDE = "image-to-text", "phone-slide"
# A zone whose hours begin at other times, and one whose clocks are set back during some runs.
_ZONES = ("UTC", "Asia/Kathmandu", "Europe/Berlin")


@attrs.frozen
class Configuration:
    """The settings of the hubs, the types of their services by provider, and the budgets.

    The ``versions`` have some other accounts under the same names. Most runs use the first one only.
    """

    versions: Sequence[HubSettings]
    service_types: Mapping[str, ServiceType]
    limits: Sequence[Limit]

    @property
    def settings(self) -> HubSettings:
        """What all versions have in common, with the accounts of the first one."""
        return self.versions[0]

    @property
    def accounts(self) -> Sequence[Mapping[str, Account]]:
        """The accounts of each version, by name."""
        return [
            {name: account_of(own, self.service_types[name]) for name, own in version.providers.items()}
            for version in self.versions
        ]


def any_configuration(chance: Random, *, changes: bool) -> Configuration:
    """Return a random configuration, in two versions if accounts change."""
    return _configuration(chance.randrange(_CONFIGURATIONS), changes=changes)


@cache
def _configuration(number: int, *, changes: bool) -> Configuration:
    chance = Random(number)
    service_types = _service_types(chance)
    limits: list[Limit] = []
    # A journal in memory would keep jobs for a shorter time; this one acts as a file.
    journal = {"path": "jobs.db"}
    top: dict[str, object] = {"timeout": "60s", "journal": journal}
    if chance.random() < 0.25:
        journal["keep"] = chance.choice(("1s", "30s", "120s"))
    if chance.random() < 0.3:
        top["cache"] = chance.choice(("20s", "300s"))
    if chance.random() < 0.2:
        limits.append(limit := _limit(chance, None))
        top["budget"] = _written(limit)
    providers: dict[str, dict[str, object]] = {}
    for name, service_type in service_types.items():
        own = _provider(chance, name, service_type)
        if chance.random() < (0.6 if changes else 0.3):
            limits.append(limit := _limit(chance, name))
            own["budget"] = _written(limit)
        has_list = service_type is OMO and ("budget" in own or "budget" in top)
        if not has_list or chance.random() < 0.5:
            # Without a price the engine does not know what a job costs, and promises nothing.
            own["prices"] = _prices(chance, service_type)
        providers[name] = own
    # A route with a single provider, which is called again and again.
    readers = [chance.choice(list(service_types))] if chance.random() < 0.2 else list(service_types)
    routes = {_TEXT: _route(chance, readers)}
    routes[_SLIDE] = _route(
        chance, [name for name, service_type in service_types.items() if _SLIDE in service_type.prices]
    )
    other = others(chance, service_types)
    changed = {name: {**own, **other.get(name, {})} for name, own in providers.items()}
    versions = [
        read_mapping({"providers": these, "routes": routes, **top}, INSTALLED)
        for these in ((providers, changed) if changes else (providers,))
    ]
    return Configuration(versions, service_types, limits)


def _service_types(chance: Random) -> Mapping[str, ServiceType]:
    """Return the types of the services by name. The first one takes every kind of task."""
    names = ["a", "b", "c"][: chance.choice((1, 2, 2, 3))]
    others = {name: chance.choice((OMO, chance.choice(CREATE_TASK))) for name in names[1:]}
    service_types = {names[0]: OMO, **others}
    # The first provider of a route solves the most.
    return dict(sorted(service_types.items(), key=lambda _: chance.random()))


def _limit(chance: Random, provider: str | None) -> Limit:
    amount = chance.choice((1, 4, 10, 30)) * OMO.prices[_TEXT] + Decimal("0.0002")
    per = chance.choice(("hour", "hour", "day", "day", "total"))
    return Limit(provider, amount, per, ZoneInfo(chance.choice(_ZONES)))


def _written(limit: Limit) -> Mapping[str, str]:
    return {"limit": str(limit.amount), "per": limit.per, "zone": str(limit.zone)}


def _prices(chance: Random, service_type: ServiceType) -> Mapping[str, str]:
    # A configured price may be too high; it only takes more of the budget.
    factor = chance.choice((Decimal(1), Decimal("1.3")))
    return {kind: str(price * factor) for kind, price in service_type.prices.items()}


def _provider(chance: Random, name: str, service_type: ServiceType) -> dict[str, object]:
    own: dict[str, object] = {
        **service_type.settings,
        service_type.token_key: f"token-{name}",
        "create_timeout": chance.choice(("2s", "10s", "30s")),
        "poll_timeout": chance.choice(("1s", "5s", "10s")),
        "max_in_flight": chance.choice((1, 3, 50, 50)),
        "health": {"failures": chance.choice((2, 2, 5)), "cooldown": chance.choice(("5s", "30s"))},
    }
    if chance.random() < 0.4:
        own["timeout"] = chance.choice(("4s", "8s", "20s", "60s"))
    if chance.random() < 0.2:
        own["rate"] = chance.choice(("1/second", "3/minute"))
    return own


def _route(chance: Random, names: Sequence[str]) -> Mapping[str, object]:
    strategy = chance.choice(("ordered", "ordered", "cheapest", "fastest", "balanced"))
    route: dict[str, object] = {"providers": list(names), "strategy": strategy}
    manner = chance.random()
    if len(names) > 1 and manner < 0.3:
        route |= {"hedge_after": chance.choice(("3s", "10s")), "hedge_limit": 1}
    elif len(names) > 1 and manner < 0.45:
        route["agree"] = 2
    elif manner < 0.55:
        route["max_attempts"] = 2
    if chance.random() < 0.2:
        route["on_ambiguous"] = "fail"
    if chance.random() < 0.2:
        route["on_timeout"] = "fail"
    return route
