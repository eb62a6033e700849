"""Traces of captchahub for OpenTelemetry.

The plugin uses the global tracer provider if the configuration loads it by name. Pass an
:class:`OpenTelemetry` to the hub to use another one.
"""

from __future__ import annotations

from functools import cache

from opentelemetry.trace import TracerProvider

from captchahub.events import Event
from captchahub.hookspecs import hookimpl
from captchahub_opentelemetry.tracing import Tracing

__all__ = ["OpenTelemetry", "captchahub_contract", "captchahub_observe"]

captchahub_contract = 1

# Created at the first event and not on import, so that the program can set its tracer provider in between.
_tracing = cache(Tracing)


@hookimpl
def captchahub_observe(event: Event) -> None:
    """Trace an event with the global tracer provider."""
    _tracing().note(event)


class OpenTelemetry:
    """The plugin with a given tracer provider, or with the global one if it is None."""

    captchahub_contract = 1

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracing = Tracing(tracer_provider)

    @hookimpl
    def captchahub_observe(self, event: Event) -> None:
        """Trace an event."""
        self._tracing.note(event)
