"""What a client is to this benchmark, and the createTask protocol as a hand-written loop speaks it."""

from __future__ import annotations

import base64
import json
from asyncio import Runner
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from enum import Enum
from typing import Any, TypeAlias

import attrs

KEY = "0123456789abcdef0123456789abcdef"


class Kind(Enum):
    """What a client does with the pictures."""

    SOLVE = "solve"
    """Creates a job and polls it once, one picture after the other."""
    POST = "post"
    """Posts a ready body and reads the reply: what HTTP costs at least."""
    TOGETHER = "together"
    """Solves all pictures at the same time."""


SolveAll: TypeAlias = Callable[[Sequence[bytes]], Sequence[str]]
"""Solves pictures one after the other, and returns their answers in order."""

PostAll: TypeAlias = Callable[[Sequence[bytes]], Sequence[bytes]]
"""Posts bodies one after the other, and returns the bodies of the replies in order."""

SolveTogether: TypeAlias = Callable[[Sequence[bytes]], Mapping[str, float]]
"""Solves pictures at the same time, and returns when each answer came, by the monotonic clock."""


AsyncSolve: TypeAlias = Callable[[bytes], Awaitable[str]]
"""Solves a picture."""


@attrs.frozen
class Place:
    """Where the service is, and the file of the authority that it is trusted by, if it has TLS."""

    url: str
    authority: str | None = None

    @property
    def create(self) -> str:
        """The URL that creates a job."""
        return f"{self.url}/createTask"

    @property
    def poll(self) -> str:
        """The URL that polls a job."""
        return f"{self.url}/getTaskResult"

    @property
    def create_at_once(self) -> str:
        """The URL that creates a job and returns the answer in the same reply."""
        return f"{self.url}/at-once/createTask"

    @property
    def host(self) -> str:
        """The address without scheme."""
        return self.url.partition("://")[2]


def order(picture: bytes) -> dict[str, object]:
    """Return what a create sends."""
    body = base64.b64encode(picture).decode()
    return {"clientKey": KEY, "task": {"type": "ImageToTextTask", "body": body}}


def question(created: Mapping[str, Any]) -> dict[str, object]:
    """Return what a poll sends, from the reply to the create."""
    if created["errorId"]:
        raise RuntimeError(str(created))
    return {"clientKey": KEY, "taskId": created["taskId"]}


def text(found: Mapping[str, Any]) -> str | None:
    """Return the answer in the reply to a poll, or None if it is not ready."""
    if found["errorId"]:
        raise RuntimeError(str(found))
    return str(found["solution"]["text"]) if found["status"] == "ready" else None


def ready_body(picture: bytes) -> bytes:
    """Return the body of a create."""
    return json.dumps(order(picture)).encode()


def by_hand(post: Callable[[str, object], Any], place: Place) -> SolveAll:
    """Return a hand-written loop around a function that posts an object and returns another, as JSON."""

    def solve(picture: bytes) -> str:
        poll = question(post(place.create, order(picture)))
        while True:
            answer = text(post(place.poll, poll))
            if answer is not None:
                return answer

    return one_by_one(solve)


def one_by_one(solve: Callable[[bytes], str]) -> SolveAll:
    """Return a function that solves pictures one after the other."""
    return lambda pictures: [solve(picture) for picture in pictures]


def post_each(post: Callable[[bytes], bytes]) -> PostAll:
    """Return a function that posts bodies one after the other."""
    return lambda bodies: [post(body) for body in bodies]


@contextmanager
def awaited(opened: AbstractAsyncContextManager[AsyncSolve]) -> Generator[SolveAll]:
    """Open an asynchronous client, and yield a function that solves one picture after the other."""
    with Runner() as runner:
        solve = runner.run(_entered(opened))

        async def solve_all(pictures: Sequence[bytes]) -> list[str]:
            return [await solve(picture) for picture in pictures]

        yield lambda pictures: runner.run(solve_all(pictures))
        runner.run(_left(opened))


async def _entered(opened: AbstractAsyncContextManager[AsyncSolve]) -> AsyncSolve:
    return await opened.__aenter__()


async def _left(opened: AbstractAsyncContextManager[AsyncSolve]) -> None:
    await opened.__aexit__(None, None, None)
