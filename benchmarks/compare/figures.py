"""Figures of several rounds: the median, the least and the most."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import attrs


@attrs.frozen
class Figure:
    """One measure, in each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """What targets are compared with."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return _shown(self.median)
        return f"{_shown(self.median)} ({_shown(min(self.values))} to {_shown(max(self.values))})"


def _shown(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:,.0f}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
