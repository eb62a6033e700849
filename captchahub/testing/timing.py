"""Durations in the sandbox: fixed, or spread like those of real services."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import attrs

__all__ = ["LogNormal", "Seconds"]


def _not_negative(_owner: object, field: attrs.Attribute[float], value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{field.name} must be 0 or more, not {value}")


@attrs.frozen
class LogNormal:
    """Times with a long tail. Half are below ``median`` seconds; ``sigma`` is the spread of the logarithm."""

    median: float = attrs.field(validator=_not_negative)
    sigma: float = attrs.field(default=0.5, validator=_not_negative)

    def sample(self, chance: random.Random) -> float:
        """Return a random time, in seconds."""
        return self.median * math.exp(chance.gauss(0.0, self.sigma))


Seconds = float | LogNormal
"""A time in seconds, fixed or different for each use."""


def sampler(seconds: Seconds, seed: int) -> Callable[[], float]:
    """Return a source of times in seconds. The same seed yields the same times."""
    if isinstance(seconds, LogNormal):
        chance = random.Random(seed)
        return lambda: seconds.sample(chance)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"a time must be 0 seconds or more, not {seconds}")
    return lambda: seconds
