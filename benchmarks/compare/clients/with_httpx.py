"""httpx: a hand-written loop on its client."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextlib import contextmanager

import httpx

from benchmarks.compare.protocol import Place, SolveAll, by_hand


@contextmanager
def loop(place: Place) -> Generator[SolveAll]:
    """Solve with a client, as programs do without a client library."""
    with httpx.Client(verify=ssl.create_default_context(cafile=place.authority)) as client:
        yield by_hand(lambda url, fields: client.post(url, json=fields).json(), place)
