"""aiohttp: a hand-written loop on its session, alone and with many in flight, and its floor."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import aiohttp

from benchmarks.compare.protocol import (
    AsyncSolve,
    Place,
    PostAll,
    SolveAll,
    SolveTogether,
    awaited,
    order,
    question,
    text,
)

# Seconds between two polls of a job, as long as captchahub waits at this service.
_INTERVAL = 2.0


def loop(place: Place) -> AbstractContextManager[SolveAll]:
    """Solve with a session, as programs do without a client library. It polls at once."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[AsyncSolve]:
        async with _session(place) as session:

            async def solve(picture: bytes) -> str:
                return await _solve(session, place, picture, interval=0.0)

            yield solve

    return awaited(opened())


@contextmanager
def together(place: Place) -> Generator[SolveTogether]:
    """Solve all at the same time with one session, as it is by default: with up to 100 connections."""

    async def solve_all(pictures: Sequence[bytes]) -> dict[str, float]:
        async with _session(place) as session:

            async def solve(picture: bytes) -> tuple[str, float]:
                return await _solve(session, place, picture, interval=_INTERVAL), time.monotonic()

            return dict(await asyncio.gather(*map(solve, pictures)))

    yield lambda pictures: asyncio.run(solve_all(pictures))


@contextmanager
def post(place: Place) -> Generator[PostAll]:
    """Post with a session."""
    with asyncio.Runner() as runner:
        session = runner.run(_opened(place))

        async def send_all(bodies: Sequence[bytes]) -> list[bytes]:
            return [await _post(session, place.create_at_once, body) for body in bodies]

        yield lambda bodies: runner.run(send_all(bodies))
        runner.run(session.close())


async def _opened(place: Place) -> aiohttp.ClientSession:
    return _session(place)


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> bytes:
    async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as reply:
        return bytes(await reply.read())


async def _call(session: aiohttp.ClientSession, url: str, fields: object) -> dict[str, Any]:
    async with session.post(url, json=fields) as reply:
        return dict(await reply.json())


async def _solve(session: aiohttp.ClientSession, place: Place, picture: bytes, interval: float) -> str:
    poll = question(await _call(session, place.create, order(picture)))
    while True:
        if interval:
            await asyncio.sleep(interval)
        answer = text(await _call(session, place.poll, poll))
        if answer is not None:
            return answer


def _session(place: Place) -> aiohttp.ClientSession:
    if place.authority is None:
        return aiohttp.ClientSession()
    context = ssl.create_default_context(cafile=place.authority)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
