"""The targets, as ratios between what was measured in the same run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from benchmarks.compare.in_flight import LOADS, Load, Loaded, Measures
from benchmarks.compare.solves import SMALL, Costs, Measured
from benchmarks.compare.startup import HELP, IMPORT, REQUESTS, Start, own
from benchmarks.compare.table import SYNC_PEERS, TOGETHER
from benchmarks.compare.variants import TRANSPORTS

_AIOHTTP, _REQUESTS = "hand loop on aiohttp", "hand loop on requests"
_DEFAULT, *_OTHER_TRANSPORTS = TRANSPORTS

_THREADS, _CONNECTIONS = 32, 32
# That of the hub's event loop, that of the observers and that of the transport's runtime.
_THREADS_WITHOUT_POOL = 3


@attrs.frozen
class Target:
    """A figure that should not be above a limit. ``aim`` is what would be better."""

    what: str
    found: float
    limit: float
    unit: str = ""
    aim: float | None = None

    @property
    def is_reached(self) -> bool:
        """Whether it is not above the limit."""
        return self.found <= self.limit

    @property
    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        limit = f"≤ {self.limit:g}{self.unit}" + ("" if self.aim is None else f", aim at {self.aim:g}")
        return (
            self.what,
            f"{self.found:.2f}{self.unit}",
            limit,
            "reached" if self.is_reached else "not reached",
        )


def solve_targets(costs: Costs) -> Iterator[Target]:
    """Yield the targets for the CPU of a solve, over TLS with small pictures."""
    for way in ("sync", "async"):
        found = _cost(costs, f"{_DEFAULT}, {way}") / _cost(costs, _REQUESTS)
        yield Target(f"{_DEFAULT}, {way} / {_REQUESTS}", found, 1.0, aim=0.8)
    best = min(SYNC_PEERS, key=lambda peer: _cost(costs, peer.name)).name
    for name in _OTHER_TRANSPORTS:
        found = _cost(costs, f"{name}, sync") / _cost(costs, best)
        yield Target(f"{name}, sync / the best sync peer, {best}", found, 0.75)
        found = _cost(costs, f"{name}, async") / _cost(costs, _AIOHTTP)
        yield Target(f"{name}, async / {_AIOHTTP}", found, 1.5)


def load_targets(costs: Costs, loaded: Loaded) -> Iterator[Target]:
    """Yield the targets for many jobs in flight; that all are done is checked where they are measured."""
    for load in LOADS:
        for client in TOGETHER:
            if client.variant is None:
                continue
            found, what = loaded[client.name, load], f"{load}: {client.name}"
            if load.delay:
                yield Target(f"{what}, all created", found["all created, s"].median, 1.5, " s")
            elif load == max(LOADS, key=lambda one: one.jobs):
                way = "async" if client.name.endswith("async") else "sync"
                solve = _cost(costs, f"{client.variant}, {way}")
                yield Target(
                    f"{what}, CPU a job / a sequential solve", found["CPU a job, ms"].median / solve, 1.5
                )
                yield from _resources(client.variant, what, found, loaded[_AIOHTTP, load], load)


def _resources(variant: str, what: str, found: Measures, aiohttp: Measures, load: Load) -> Iterator[Target]:
    memory = aiohttp["memory, MB"].median + load.jobs * SMALL / (1 << 20)
    yield Target(f"{what}, memory / {_AIOHTTP} and the pictures", found["memory, MB"].median / memory, 1.0)
    most = _THREADS if variant == _DEFAULT else _THREADS_WITHOUT_POOL
    if "threads" in found:
        yield Target(f"{what}, threads", found["threads"].median, most)
    if variant == _DEFAULT:
        yield Target(f"{what}, connections", found["connections"].median, _CONNECTIONS)


def start_targets(starts: Mapping[str, Start]) -> Iterator[Target]:
    """Yield the targets for the time to start, without that of Python itself."""
    requests = own(starts, REQUESTS)
    yield Target(f"{IMPORT} / {REQUESTS}", own(starts, IMPORT) / requests, 0.5)
    yield Target(f"{HELP} / {REQUESTS}", own(starts, HELP) / requests, 1.5)


def _cost(costs: Costs, client: str) -> float:
    return costs[Measured(client, tls=True, size=SMALL)].median
