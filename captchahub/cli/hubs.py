"""Opens the hub of the configuration, for commands that call the services."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import attrs

from captchahub._config.loader import read_yaml
from captchahub._plugins.manager import Plugins
from captchahub.cli.options import find_config, with_journal
from captchahub.hub import Hub
from captchahub.settings import HubSettings

__all__ = ["Spent", "open_hub", "spent_today"]


@attrs.frozen
class Spent:
    """What was spent, and the number of jobs without a known price, which ``amount`` does not contain.

    ``currency`` is None if it is unknown, or if there are several.
    """

    amount: Decimal = Decimal(0)
    unpriced: int = 0
    currency: str | None = None


def open_hub(config: Path | None, *observers: object) -> tuple[Hub, HubSettings]:
    """Return a hub with the providers of the configuration, and its settings.

    Raises :class:`~captchahub.errors.ConfigError` with every problem of the configuration.
    """
    plugins = Plugins(observers)
    settings = with_journal(read_yaml(find_config(config), plugins))
    return Hub(settings, plugins=plugins), settings


def spent_today(hub: Hub) -> dict[str, Spent]:
    """Return what was spent since midnight, local time, by provider. Currencies are ignored."""
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    today: dict[str, Spent] = {}
    for spend in hub.spend(since=midnight):
        before = today.get(spend.provider, Spent(currency=spend.currency))
        today[spend.provider] = Spent(
            before.amount + spend.amount,
            before.unpriced + spend.unpriced,
            spend.currency if spend.currency == before.currency else None,
        )
    return today
