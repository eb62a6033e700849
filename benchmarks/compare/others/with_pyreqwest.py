"""pyreqwest: hand-written loops on its clients, and their floors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from pyreqwest.client import Client, ClientBuilder, SyncClient, SyncClientBuilder

from benchmarks.compare.protocol import (
    AsyncSolve,
    Place,
    PostAll,
    SolveAll,
    awaited,
    by_hand,
    order,
    post_each,
    question,
    text,
)


@contextmanager
def loop(place: Place) -> Generator[SolveAll]:
    """Solve with the blocking client, as programs do without a client library."""
    with _blocking(place) as client:
        yield by_hand(lambda url, fields: client.post(url).body_json(fields).build().send().json(), place)


def loop_async(place: Place) -> AbstractContextManager[SolveAll]:
    """Solve with the asynchronous client. It polls at once."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[AsyncSolve]:
        async with _asynchronous(place) as client:

            async def call(url: str, fields: object) -> dict[str, Any]:
                reply = await client.post(url).body_json(fields).build().send()
                return dict(await reply.json())

            async def solve(picture: bytes) -> str:
                poll = question(await call(place.create, order(picture)))
                while True:
                    answer = text(await call(place.poll, poll))
                    if answer is not None:
                        return answer

            yield solve

    return awaited(opened())


@contextmanager
def post(place: Place) -> Generator[PostAll]:
    """Post with the blocking client."""
    with _blocking(place) as client:
        yield post_each(
            lambda body: bytes(client.post(place.create_at_once).body_bytes(body).build().send().bytes())
        )


@contextmanager
def post_async(place: Place) -> Generator[PostAll]:
    """Post with the asynchronous client."""
    with asyncio.Runner() as runner:
        client = runner.run(_opened(place))

        async def send_all(bodies: Sequence[bytes]) -> list[bytes]:
            return [await _post(client, place.create_at_once, body) for body in bodies]

        yield lambda bodies: runner.run(send_all(bodies))
        runner.run(client.close())


async def _opened(place: Place) -> Client:
    return _asynchronous(place)


async def _post(client: Client, url: str, body: bytes) -> bytes:
    reply = await client.post(url).body_bytes(body).build().send()
    return bytes(await reply.bytes())


def _blocking(place: Place) -> SyncClient:
    builder = SyncClientBuilder()
    if place.authority is not None:
        builder = builder.add_root_certificate_pem(Path(place.authority).read_bytes())
    return builder.build()


def _asynchronous(place: Place) -> Client:
    builder = ClientBuilder()
    if place.authority is not None:
        builder = builder.add_root_certificate_pem(Path(place.authority).read_bytes())
    return builder.build()
