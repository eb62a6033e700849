"""Measure one client, in a process of its own: ``python -m benchmarks.compare.client``.

It reads a plan as JSON from the standard input, and writes the figures as JSON to the standard output.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import attrs
import cattrs

from benchmarks.compare.cores import pin
from benchmarks.compare.pictures import answer, picture
from benchmarks.compare.protocol import Kind, Place, ready_body

_PER_MB = 1 << 20 if sys.platform == "darwin" else 1 << 10


@attrs.frozen
class Part:
    """Pictures of one size in bytes: a number of them to warm up, and a number to measure."""

    size: int
    warm_up: int
    count: int


@attrs.frozen
class Plan:
    """What a client's process does."""

    function: str
    kind: str
    variant: str | None
    place: Place
    core: int | None
    parts: tuple[Part, ...]


@attrs.define
class Cost:
    """What some pictures cost. Times are in seconds, and those of the process in all its threads."""

    cpu: float
    wall: float
    began: float
    """When it began, by the monotonic clock."""
    memory: float
    """By how many megabytes the most that was ever used has grown."""
    came: dict[str, float]
    """When each answer came, for those that were solved at the same time."""


def opened(plan: Plan) -> AbstractContextManager[Callable[[Sequence[bytes]], Any]]:
    """Open the client of a plan. No other client is imported, so none pays for what another needs."""
    function: Callable[..., AbstractContextManager[Callable[[Sequence[bytes]], Any]]]
    function = pkgutil.resolve_name(plan.function)
    return function(plan.place) if plan.variant is None else function(plan.place, plan.variant)


def measure(act: Callable[[Sequence[bytes]], Any], kind: Kind, part: Part) -> Cost:
    """Warm up and measure, and check every answer."""
    pictures = [picture(number, part.size) for number in range(part.warm_up + part.count)]
    bodies = [ready_body(data) for data in pictures] if kind is Kind.POST else pictures
    if part.warm_up:
        act(bodies[: part.warm_up])
    measured = bodies[part.warm_up :]
    gc.collect()
    memory = _most_memory()
    began, cpu = time.monotonic(), time.process_time()
    found = act(measured)
    cpu, wall = time.process_time() - cpu, time.monotonic() - began
    cost = Cost(cpu, wall, began, _most_memory() - memory, found if kind is Kind.TOGETHER else {})
    expected = [answer(data) for data in pictures[part.warm_up :]]
    if kind is Kind.TOGETHER:
        check(sorted(found), sorted(expected))
    elif kind is Kind.POST:
        check([json.loads(reply)["solution"]["text"] for reply in found], expected)
    else:
        check(list(found), expected)
    return cost


def check(found: Sequence[str], expected: Sequence[str]) -> None:
    """Raise RuntimeError if an answer is missing or wrong."""
    if found != expected:
        wrong = sum(one != other for one, other in zip(found, expected, strict=False))
        raise RuntimeError(f"{len(found)} answers of {len(expected)} came, and {wrong} of them are wrong")


def _most_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _PER_MB


def main() -> None:
    """Carry out the plan."""
    plan = cattrs.structure(json.loads(sys.stdin.read()), Plan)
    pin(plan.core)
    with opened(plan) as act:
        costs = [measure(act, Kind(plan.kind), part) for part in plan.parts]
    print(json.dumps([attrs.asdict(cost) for cost in costs]), flush=True)
    # A thread of pyreqwest 0.15 can abort Python while it shuts down, and by then everything is measured.
    os._exit(0)


if __name__ == "__main__":
    main()
