"""Faults of the wire on a transport without one: a client sees the same as over real HTTP."""

from __future__ import annotations

import asyncio
import gc
import traceback
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest

from captchahub._http.transport import HttpTransport, Transport
from captchahub.errors import MalformedReply, ProviderError, ServiceUnavailable
from captchahub.provider import Reply, Request
from captchahub.settings import HttpSettings
from captchahub.testing import (
    Answer,
    Call,
    EmulatedTransport,
    Emulation,
    Fault,
    Mishap,
    Sandbox,
    ScriptedTransport,
    World,
    run_virtual,
    wire_faults,
)


class Counter(Emulation):
    """Gives the same answer to every call, and records the paths."""

    create_call = "create"
    poll_call = "poll"
    calls = frozenset({"create", "poll"})
    prices = {}

    def __init__(self) -> None:
        self.paths: list[str] = []

    def answer(self, call: Call, world: World) -> Answer:
        self.paths.append(call.path)
        return Answer.json({"who": "the service itself", "count": 1234567890})


def world() -> World:
    return World(now=lambda: 0.0, read_picture=lambda _kind, _picture: None, job_seconds=lambda: 0.0)


async def outcome_of(transport: Transport, url: str, timeout: float) -> tuple[object, ...]:
    """Return the reply to one call, or the class of the error and whether nothing was created."""
    try:
        reply = await transport.send(Request(url), timeout=timeout)
    except ProviderError as error:
        return type(error), getattr(error, "nothing_created", False)
    finally:
        await transport.aclose()
    return reply.status, reply.body


@pytest.mark.parametrize("name", wire_faults())
def test_a_client_sees_the_same_as_over_http(name: str) -> None:
    fault = wire_faults()[name]
    with Sandbox(Counter(), faults=[fault]) as sandbox:
        url = f"{sandbox.url}/create"
        over_http = asyncio.run(outcome_of(HttpTransport("test", HttpSettings()), url, 0.4))
    service = Counter()
    emulated = EmulatedTransport(service, world(), faults=[fault])
    assert run_virtual(outcome_of(emulated, url, 0.4)) == over_http
    assert len(service.paths) == fault.handled


def test_a_late_reply_takes_its_time() -> None:
    async def elapsed() -> float:
        transport = EmulatedTransport(Counter(), world(), faults=[Fault.late(30)])
        await outcome_of(transport, "https://service.example/create", 60)
        return asyncio.get_running_loop().time()

    assert run_virtual(elapsed()) == 30.0


def test_a_fault_strikes_the_calls_that_it_is_about() -> None:
    transport = EmulatedTransport(Counter(), world(), faults=[Fault.bomb(on="poll", times=1)])

    async def poll_twice() -> list[object]:
        urls = ["https://service.example/create", *["https://service.example/poll"] * 2]
        return [(await outcome_of(transport, url, 1))[0] for url in urls]

    assert run_virtual(poll_twice()) == [200, MalformedReply, 200]


def test_the_service_sees_the_query_as_over_http() -> None:
    service = Counter()
    url = "https://service.example/poll?id=7"
    assert run_virtual(outcome_of(EmulatedTransport(service, world()), url, 1))[0] == Reply(200).status
    assert service.paths == ["/poll?id=7"]


def scripted() -> ScriptedTransport:
    return ScriptedTransport(lambda _request: ServiceUnavailable("down"))


def emulated() -> EmulatedTransport:
    return EmulatedTransport(Counter(), world(), mishap=lambda _name: Mishap(ServiceUnavailable("down")))


@pytest.mark.parametrize("connect", [scripted, emulated])
def test_an_error_does_not_keep_the_request_until_the_next_garbage_collection(
    connect: Callable[[], Transport],
) -> None:
    async def run() -> weakref.ref[Request]:
        transport, request = connect(), Request("https://service.example/create")
        with suppress(ServiceUnavailable):
            await transport.send(request, timeout=5)
        return weakref.ref(request)

    gc.disable()
    try:
        assert run_virtual(run())() is None
    finally:
        gc.enable()


def test_an_error_that_is_raised_again_has_the_traceback_of_the_last_call_only() -> None:
    error = ServiceUnavailable("down")
    transport = ScriptedTransport(lambda _request: error)

    async def lines() -> int:
        with pytest.raises(ServiceUnavailable):
            await transport.send(Request("https://service.example/create"), timeout=5)
        return len(traceback.extract_tb(error.__traceback__))

    assert len({run_virtual(lines()) for _ in range(3)}) == 1
