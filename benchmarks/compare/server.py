"""Serve the service over HTTP/1.1, in a process of its own: ``python -m benchmarks.compare.server``.

It writes its port to the standard output. At the end of the standard input it writes what it counted, and
ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import ssl
import sys
from typing import cast

import attrs

from benchmarks.compare.cores import pin
from benchmarks.compare.service import Service

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Connection(asyncio.Protocol):
    """Reads requests and writes replies, without a library, so that the server is never the slower side."""

    def __init__(self, service: Service, open_ones: set[Connection]) -> None:
        self._service = service
        self._open_ones = open_ones
        self._buffer = bytearray()
        # Where the body of the request begins and ends, once its head has come.
        self._body: slice | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._open_ones.add(self)
        counts = self._service.counts
        counts.connections += 1
        counts.most_connections = max(counts.most_connections, len(self._open_ones))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as its base has it
        """Count it no more."""
        self._open_ones.discard(self)

    def data_received(self, data: bytes) -> None:
        """Reply to each request that is complete."""
        self._buffer += data
        if self._body is None:
            self._read_head()
        if self._body is not None and len(self._buffer) >= self._body.stop:
            path = bytes(self._buffer).split(b" ", 2)[1].decode()
            found = self._service.reply(path, bytes(self._buffer[self._body]))
            self._buffer.clear()
            self._body = None
            self._write(_REPLY % (len(found), found))

    def _read_head(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            self._body = slice(end + 4, end + 4 + (int(length[1]) if length else 0))

    def _write(self, reply: bytes) -> None:
        if self._service.delay:
            asyncio.get_running_loop().call_later(self._service.delay, self._transport.write, reply)
        else:
            self._transport.write(reply)


async def serve(service: Service, context: ssl.SSLContext | None) -> None:
    """Serve until the standard input ends."""
    open_ones = set[Connection]()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(service, open_ones), "127.0.0.1", 0, ssl=context, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(attrs.asdict(service.counts)), flush=True)


def main() -> None:
    """Serve with the options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", help="a PEM file with the key too; without it, plain HTTP")
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--job-seconds", type=float, nargs=2, default=(0.0, 0.0))
    parser.add_argument("--core", type=int)
    options = parser.parse_args()
    pin(options.core)
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    least, most = options.job_seconds
    asyncio.run(serve(Service((least, most), options.delay), context))


if __name__ == "__main__":
    main()
