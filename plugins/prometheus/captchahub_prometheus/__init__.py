"""Metrics of captchahub for Prometheus.

The plugin uses the default registry if the configuration loads it by name. Pass a :class:`Prometheus` to the
hub to use another one.
"""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry

from captchahub.events import Event
from captchahub.extending import HubStatus
from captchahub.hookspecs import hookimpl
from captchahub_prometheus.metrics import metrics_in

__all__ = ["Prometheus", "captchahub_contract", "captchahub_observe", "captchahub_watch"]

captchahub_contract = 1


@hookimpl
def captchahub_observe(event: Event) -> None:
    """Count an event in the default registry."""
    metrics_in(REGISTRY).note(event)


@hookimpl
def captchahub_watch(hub: HubStatus) -> None:
    """Show the state of a hub in the default registry."""
    metrics_in(REGISTRY).watch(hub)


class Prometheus:
    """The plugin with a given registry. Several hubs, and several of these plugins, can share one."""

    captchahub_contract = 1

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._metrics = metrics_in(registry)

    @hookimpl
    def captchahub_observe(self, event: Event) -> None:
        """Count an event."""
        self._metrics.note(event)

    @hookimpl
    def captchahub_watch(self, hub: HubStatus) -> None:
        """Show the state of a hub."""
        self._metrics.watch(hub)
