"""A real tracer provider for each test, which keeps its spans in memory."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext


class Traces:
    """The provider, and the spans that have ended."""

    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._memory))

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._memory.get_finished_spans())

    @staticmethod
    def context_of(span: ReadableSpan) -> SpanContext:
        """Return the ids of the trace and of the span."""
        context = span.get_span_context()
        assert context is not None
        return context

    def named(self, name: str) -> ReadableSpan:
        """Return the only span with a name."""
        [span] = [one for one in self.spans if one.name == name]
        return span


@pytest.fixture
def traces() -> Traces:
    return Traces()
