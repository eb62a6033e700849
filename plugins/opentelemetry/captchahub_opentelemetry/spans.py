"""The open spans of solves, and the contexts of ended ones for attempts that end later."""

from __future__ import annotations

from collections import OrderedDict

from opentelemetry.trace import NonRecordingSpan, Span

__all__ = ["MOST", "Spans"]

MOST = 10_000
"""The limit for open spans, and for the contexts of ended ones.

The event that ends a solve can be lost, so without a limit some spans would stay open forever.
"""


class Spans:
    """The spans of solves by the ids of the solves."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: OrderedDict[str, Span] = OrderedDict()
        self._ended: OrderedDict[str, Span] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open) + len(self._ended)

    def open(self, solve: str, span: Span) -> None:
        """Add the span of a solve that starts. If there are too many, end the oldest."""
        self._open[solve] = span
        if len(self._open) > self._most:
            oldest, lost = self._open.popitem(last=False)
            self.remember(oldest, lost)
            lost.set_attribute("captchahub.outcome", "unknown")
            lost.end()

    def close(self, solve: str) -> Span | None:
        """Remove and return the open span of a solve that ends, or None if it is unknown."""
        span = self._open.pop(solve, None)
        if span is not None:
            self.remember(solve, span)
        return span

    def remember(self, solve: str, span: Span) -> None:
        """Keep the context of an ended span, for attempts that end later."""
        # A NonRecordingSpan has the ids of the span but none of its attributes, which take memory.
        self._ended[solve] = NonRecordingSpan(span.get_span_context())
        if len(self._ended) > self._most:
            self._ended.popitem(last=False)

    def of(self, solve: str) -> Span | None:
        """Return the span of a solve, open or ended, or None if it is unknown."""
        return self._open.get(solve) or self._ended.get(solve)
