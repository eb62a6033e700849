"""Transports without a network: they answer from a script or an emulation, in the event loop's time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import attrs

from captchahub.errors import ProviderError, ServiceUnavailable
from captchahub.provider import Reply, Request
from captchahub.testing._wire.client_view import Hang, Slow, Step, client_view
from captchahub.testing.emulation import Answer, Call, Emulation, World
from captchahub.testing.faults import Fault, FaultRules

__all__ = [
    "EmulatedTransport",
    "Hang",
    "Mishap",
    "ScriptedTransport",
    "Sent",
    "Slow",
    "Step",
    "json_reply",
    "received",
]


def json_reply(payload: object, status: int = 200, **headers: str) -> Reply:
    """Return a reply with a JSON body. The header ``Retry-After`` is passed as ``retry_after``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(payload).encode(), named)


@attrs.frozen
class Sent:
    """A request, and the time when it was sent, in seconds of the loop's clock."""

    at: float
    request: Request

    @property
    def json(self) -> dict[str, object]:
        """The request's JSON body."""
        body: dict[str, object] = json.loads(self.request.body)
        return body


class ScriptedTransport:
    """Answers each request with the next step of a script, or with the step that a function returns.

    An error in the script is raised as the real transport would raise it. ``sent`` lists the requests so far.
    A request after the end of the script raises AssertionError, and so does closing the transport then,
    because the engine may have swallowed the first error.
    """

    def __init__(self, script: Iterable[Step] | Callable[[Request], Step]) -> None:
        self.sent: list[Sent] = []
        self.is_closed = False
        self._error: AssertionError | None = None
        self._step = script if callable(script) else _steps_of(script)

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """Return the next reply of the script."""
        self.sent.append(Sent(asyncio.get_running_loop().time(), request))
        try:
            return await _play(self._step(request), timeout)
        except AssertionError as error:
            self._error = error
            raise

    async def aclose(self) -> None:
        """Set ``is_closed``."""
        self.is_closed = True
        if self._error is not None:
            raise self._error


@attrs.frozen
class Mishap:
    """The step that replaces a call's reply. ``handled`` says whether the service handles the call first."""

    step: Step
    handled: bool = False


class EmulatedTransport:
    """Answers each request as an emulated service does, in the event loop's time.

    ``world`` is the state of the service; its ``now`` should return the loop's time. ``mishap`` is called
    with the name of each call and returns what replaces its reply, or None. ``faults`` are faults on the
    wire, as a client would see them. ``latency`` is the round-trip time in seconds. ``sent`` lists the
    requests so far.
    """

    def __init__(
        self,
        emulation: Emulation,
        world: World,
        *,
        mishap: Callable[[str], Mishap | None] = lambda _name: None,
        faults: Iterable[Fault] = (),
        latency: float = 0.0,
    ) -> None:
        self.sent: list[Sent] = []
        self.is_closed = False
        self._rules = FaultRules(faults)
        self._emulation = emulation
        self._world = world
        self._mishap = mishap
        self._latency = latency

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """Return the service's reply, or fail as the fault or mishap says."""
        begun = asyncio.get_running_loop().time()
        self.sent.append(Sent(begun, request))
        step = self._step_for(received(request, begun))
        await asyncio.sleep(min(self._latency, timeout))
        try:
            return await _play(step, timeout - self._latency)
        finally:
            del step

    def _step_for(self, call: Call) -> Step:
        name = self._emulation.name_of(call)
        mishap = self._mishap(name)
        if mishap is not None:
            if mishap.handled:
                self._emulation.answer(call, self._world)
            return mishap.step
        fault = self._rules.pick(name, self._emulation.token_of(call))
        is_handled = fault is None or fault.handled
        own = self._emulation.answer(call, self._world) if is_handled else Answer(200, b"")
        return Reply(own.status, own.body, own.headers) if fault is None else client_view(fault, own)

    def calls_to(self, name: str) -> list[Sent]:
        """Return the requests of one call, by its name."""
        return [one for one in self.sent if one.request.url.rpartition("/")[2] == name]

    async def aclose(self) -> None:
        """Set ``is_closed``."""
        self.is_closed = True


def received(request: Request, at: float) -> Call:
    """Return the request as the service receives it."""
    address = urlsplit(request.url)
    target = f"{address.path}?{address.query}" if address.query else address.path
    return Call(request.method, target, request.headers, request.body, at)


async def _play(step: Step, timeout: float) -> Reply:
    """Return the reply of a step, or raise its error.

    An error is in a reference cycle with each frame on its way whose variable holds it, so callers hold none.
    """
    if isinstance(step, Hang):
        step = Slow(float("inf"), ServiceUnavailable("never"))
    if isinstance(step, Slow):
        await asyncio.sleep(max(0.0, min(step.seconds, timeout)))
        late = ServiceUnavailable(f"no complete reply within {timeout:.1f} s")
        step = step.reply if step.seconds < timeout else late
    try:
        if isinstance(step, ProviderError):
            # A script can have one error for many calls, which would collect the frames of all of them.
            raise step.with_traceback(None)
        return step
    finally:
        del step


def _steps_of(script: Iterable[Step]) -> Callable[[Request], Step]:
    steps = iter(script)

    def step(request: Request) -> Step:
        following = next(steps, None)
        if following is None:
            raise AssertionError(f"the script has no reply for another {request.method} {request.url}")
        return following

    return step
