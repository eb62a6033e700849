"""requests: a hand-written loop on a session, and the floors of a session and of its adapter."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import requests
from requests.adapters import HTTPAdapter

from benchmarks.compare.protocol import Place, PostAll, SolveAll, by_hand, post_each


@contextmanager
def loop(place: Place) -> Generator[SolveAll]:
    """Solve with a session, as programs do without a client library."""
    with _session(place) as session:
        yield by_hand(lambda url, fields: session.post(url, json=fields, timeout=30).json(), place)


@contextmanager
def post(place: Place) -> Generator[PostAll]:
    """Post with a session."""
    with _session(place) as session:
        headers = {"Content-Type": "application/json"}

        def send(body: bytes) -> bytes:
            return session.post(place.create_at_once, data=body, headers=headers, timeout=30).content

        yield post_each(send)


@contextmanager
def adapter(place: Place) -> Generator[PostAll]:
    """Post with the adapter of requests, without a session."""
    sender = HTTPAdapter()
    verify = True if place.authority is None else place.authority

    def send(body: bytes) -> bytes:
        message = requests.Request("POST", place.create_at_once, data=body)
        message.headers = {"Content-Type": "application/json"}
        return sender.send(message.prepare(), timeout=30, verify=verify).content

    yield post_each(send)
    sender.close()


def _session(place: Place) -> requests.Session:
    session = requests.Session()
    if place.authority is not None:
        session.verify = place.authority
    return session
