"""The CPU that a solve costs: each client, over HTTP and TLS, with small and large pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import attrs

from benchmarks.compare.client import Part
from benchmarks.compare.figures import Figure, table
from benchmarks.compare.processes import Service, Site, run
from benchmarks.compare.table import (
    ASYNC_PEERS,
    FEATURE_CLIENTS,
    FLOORS,
    HAND_LOOPS,
    OURS,
    SYNC_PEERS,
    Client,
)

SMALL, LARGE = 4_000, 300_000

# More than solve_many has in flight, so that every connection is open before.
_WARM_UP = 40
_WARM_UP_LARGE = 5


@attrs.frozen
class Measured:
    """What was measured: a client, whether it had TLS, and the size of the pictures in bytes."""

    client: str
    tls: bool
    size: int


Costs = Mapping[Measured, Figure]
"""Milliseconds of CPU a solve, or a post."""


def measure(where: Site, rounds: int, solves: int) -> Costs:
    """Measure all clients in turn, several times."""
    parts = (Part(SMALL, _WARM_UP, solves), Part(LARGE, _WARM_UP_LARGE, max(solves // 5, 5)))
    return _measure(
        where, rounds, [*OURS, *HAND_LOOPS, *SYNC_PEERS, *ASYNC_PEERS, *FLOORS], parts, (False, True)
    )


def measure_features(where: Site, rounds: int, solves: int) -> Costs:
    """Measure captchahub with each feature, in turn, several times."""
    return _measure(where, rounds, FEATURE_CLIENTS, (Part(SMALL, _WARM_UP, solves),), (False,))


def _measure(
    where: Site, rounds: int, clients: Sequence[Client], parts: tuple[Part, ...], tls: Sequence[bool]
) -> Costs:
    found = defaultdict[Measured, list[float]](list)
    for _ in range(rounds):
        for client in clients:
            for has_tls in tls:
                if has_tls or client.has_http:
                    costs = run(where, client, Service(tls=has_tls), parts).costs
                    for part, cost in zip(parts, costs, strict=True):
                        found[Measured(client.name, has_tls, part.size)].append(cost.cpu * 1000 / part.count)
    return {measured: Figure(tuple(values)) for measured, values in found.items()}


def solve_table(costs: Costs) -> str:
    """Return the costs of a solve in Markdown, those of captchahub first."""
    clients = [*OURS, *HAND_LOOPS, *SYNC_PEERS, *ASYNC_PEERS]
    return table(["client", *_COLUMNS], [_row(costs, client) for client in clients])


def floor_table(costs: Costs) -> str:
    """Return the costs of a post in Markdown."""
    return table(["HTTP alone", *_COLUMNS], [_row(costs, client) for client in FLOORS])


def feature_table(costs: Costs) -> str:
    """Return the costs of the features in Markdown."""
    found = [(client.name, costs[Measured(client.name, tls=False, size=SMALL)]) for client in FEATURE_CLIENTS]
    plain = found[0][1].median
    return table(
        ["captchahub, async, with", "ms of CPU a solve", "more"],
        [(name, figure, f"{figure.median - plain:+.2f}") for name, figure in found],
    )


_COLUMNS = ("http, 4 kB", "TLS, 4 kB", "http, 300 kB", "TLS, 300 kB")


def _row(costs: Costs, client: Client) -> list[object]:
    cells = [Measured(client.name, tls, size) for size in (SMALL, LARGE) for tls in (False, True)]
    return [client.name, *(costs.get(cell, "-") for cell in cells)]
