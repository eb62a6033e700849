"""Metrics of captchahub for Prometheus.

Loaded by its name it uses the default registry; :class:`Prometheus` is for another one.
"""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry

from captchahub.events import Event
from captchahub.hookspecs import hookimpl
from captchahub_prometheus.metrics import metrics_in

__all__ = ["Prometheus", "captchahub_contract", "captchahub_observe"]

captchahub_contract = 1


@hookimpl
def captchahub_observe(event: Event) -> None:
    """Count an event in the default registry."""
    metrics_in(REGISTRY).note(event)


class Prometheus:
    """The plugin for a registry of one's own; several hubs, and several of these, can share one."""

    captchahub_contract = 1

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._metrics = metrics_in(registry)

    @hookimpl
    def captchahub_observe(self, event: Event) -> None:
        """Count an event."""
        self._metrics.note(event)
