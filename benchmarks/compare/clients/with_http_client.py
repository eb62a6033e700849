"""The floor of the standard library: http.client, which has no pool and no redirects."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit

from benchmarks.compare.protocol import Place, PostAll, post_each


@contextmanager
def post(place: Place) -> Generator[PostAll]:
    """Post over one connection."""
    path = urlsplit(place.create_at_once).path
    with closing(_connection(place)) as connection:

        def send(body: bytes) -> bytes:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            return connection.getresponse().read()

        yield post_each(send)


def _connection(place: Place) -> HTTPConnection:
    if place.authority is None:
        return HTTPConnection(place.host)
    return HTTPSConnection(place.host, context=ssl.create_default_context(cafile=place.authority))
