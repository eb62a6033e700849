"""A transport that replies from a script, on whatever clock its event loop has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable

import attrs

from captchahub.errors import ProviderError, ServiceUnavailable
from captchahub.provider import Reply, Request

__all__ = ["Hang", "ScriptedTransport", "Sent", "Slow", "json_reply"]


def json_reply(payload: object, status: int = 200, **headers: str) -> Reply:
    """A reply with a JSON body; a header ``Retry-After`` is written ``retry_after``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(payload).encode(), named)


@attrs.frozen
class Hang:
    """The service takes the request and never replies."""


@attrs.frozen
class Slow:
    """The service replies after some seconds."""

    seconds: float
    reply: Reply | ProviderError


Step = Reply | ProviderError | Hang | Slow


@attrs.frozen
class Sent:
    """A request that was sent, and when, in seconds of the loop's clock."""

    at: float
    request: Request

    @property
    def json(self) -> dict[str, object]:
        """The request's JSON body."""
        body: dict[str, object] = json.loads(self.request.body)
        return body


class ScriptedTransport:
    """Answers each request with the script's next step, or with what a function makes of the request.

    An error in the script is raised as the real transport would raise it. ``sent`` is what was sent so far.
    """

    def __init__(self, script: Iterable[Step] | Callable[[Request], Step]) -> None:
        self.sent: list[Sent] = []
        self.is_closed = False
        self._step = script if callable(script) else _one_after_another(script)

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """The next reply of the script."""
        self.sent.append(Sent(asyncio.get_running_loop().time(), request))
        step = self._step(request)
        if isinstance(step, Hang):
            step = Slow(float("inf"), ServiceUnavailable("never"))
        if isinstance(step, Slow):
            await asyncio.sleep(min(step.seconds, timeout))
            late = ServiceUnavailable(f"no whole reply within {timeout:.1f} s")
            step = step.reply if step.seconds < timeout else late
        if isinstance(step, ProviderError):
            raise step
        return step

    async def aclose(self) -> None:
        """Nothing is held; the closing is noted in ``is_closed``."""
        self.is_closed = True


def _one_after_another(script: Iterable[Step]) -> Callable[[Request], Step]:
    steps = iter(script)

    def step(request: Request) -> Step:
        following = next(steps, None)
        if following is None:
            raise AssertionError(f"the script has no reply for another {request.method} {request.url}")
        return following

    return step
