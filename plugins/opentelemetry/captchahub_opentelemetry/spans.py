"""The spans of solves: those that are open, and of those that have ended what late attempts need."""

from __future__ import annotations

from collections import OrderedDict

from opentelemetry.trace import NonRecordingSpan, Span

__all__ = ["MOST", "Spans"]

MOST = 10_000
"""How many open spans are kept, and of how many ended ones it is known which they were.

The event that ends a solve may be lost, so without a limit some spans would stay open for ever.
"""


class Spans:
    """The spans of solves, by the ids of these."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: OrderedDict[str, Span] = OrderedDict()
        self._ended: OrderedDict[str, Span] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open) + len(self._ended)

    def open(self, solve: str, span: Span) -> None:
        """Keep the span of a solve that begins. Where there are too many, the oldest is ended."""
        self._open[solve] = span
        if len(self._open) > self._most:
            oldest, lost = self._open.popitem(last=False)
            self.remember(oldest, lost)
            lost.set_attribute("captchahub.outcome", "unknown")
            lost.end()

    def close(self, solve: str) -> Span | None:
        """The open span of a solve that ends, None where none is known."""
        span = self._open.pop(solve, None)
        if span is not None:
            self.remember(solve, span)
        return span

    def remember(self, solve: str, span: Span) -> None:
        """Know which one it was, for the attempts that end later."""
        # What only names the span holds none of its attributes.
        self._ended[solve] = NonRecordingSpan(span.get_span_context())
        if len(self._ended) > self._most:
            self._ended.popitem(last=False)

    def of(self, solve: str) -> Span | None:
        """The span of a solve, open or ended; None where none is known."""
        return self._open.get(solve) or self._ended.get(solve)
