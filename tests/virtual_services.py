"""Several services on one virtual clock: each is a real emulation with its own books."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import attrs
import pytest
from captchahub_createtask.emulation import CreateTaskEmulation
from captchahub_omocaptcha.emulation import OmoEmulation

from captchahub import Image, ImageToText, ServiceUnavailable, TextSolution
from captchahub._engine.engine import Engine
from captchahub._journal.journal import Writer
from captchahub._plugins.manager import Plugins
from captchahub.config import load_mapping
from captchahub.settings import ProviderSettings
from captchahub.testing import EmulatedTransport, Mishap, World, run_virtual
from captchahub.testing.emulation import Emulation

T = TypeVar("T")

PICTURE = Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=")
TASK = ImageToText(PICTURE)
TOKEN = "s3cret-t0ken"

MORNING = 1_800_000_000.0
"""What the clock on the wall shows when the virtual one begins, in seconds since 1970: 15 January 2027."""

# Looking for what is installed takes longer than a solve does here.
INSTALLED = Plugins()
NOT_SENT = Mishap(ServiceUnavailable("nobody listens", nothing_created=True))


_EMULATIONS: Mapping[str, Callable[[], Emulation]] = {
    "omocaptcha": OmoEmulation,
    "createtask": lambda: CreateTaskEmulation("custom"),
}
_ACCOUNTS: Mapping[str, Mapping[str, object]] = {
    "omocaptcha": {"api_token": TOKEN},
    "createtask": {
        "client_key": TOKEN,
        "dialect": "custom",
        "base_url": "https://service.example",
        "prices": {"image-to-text": "0.001"},
    },
}


def nothing_happens(_call: str) -> Mishap | None:
    return None


@attrs.define
class Service:
    """One service: how long its jobs take, in seconds, what it answers, and what goes wrong."""

    seconds: Callable[[], float] = lambda: 3.0
    answer: str | None = "x7kp2"
    mishap: Callable[[str], Mishap | None] = nothing_happens
    settings: Mapping[str, object] = attrs.field(factory=dict[str, object])
    balance: str = "1000"
    plugin: str = "omocaptcha"

    def connect(self) -> EmulatedTransport:
        """The way to it; what its jobs are is in ``world``, which the hubs of one test have in common."""
        emulation = _EMULATIONS[self.plugin]()
        self._create_call = emulation.create_call
        self.transport = EmulatedTransport(emulation, self._opened(), mishap=self._mishap_of)
        return self.transport

    @property
    def account(self) -> Mapping[str, object]:
        """Its account in a configuration."""
        return {"plugin": self.plugin, **_ACCOUNTS[self.plugin], **self.settings}

    def _opened(self) -> World:
        if hasattr(self, "world"):
            return self.world
        self.world = World(
            now=lambda: asyncio.get_running_loop().time(),
            read_picture=lambda _kind, _picture: None if self.answer is None else TextSolution(self.answer),
            job_seconds=self.seconds,
        )
        self.world.add_account(TOKEN, self.balance)
        return self.world

    def _mishap_of(self, call: str) -> Mishap | None:
        # Asked anew each time, so that a test can break and mend a service on the way.
        return self.mishap(call)

    world: World = attrs.field(init=False)
    transport: EmulatedTransport = attrs.field(init=False)
    _create_call: str = attrs.field(init=False)

    @property
    def orders(self) -> list[float]:
        """When it was sent an order."""
        return [sent.at for sent in self.transport.calls_to(self._create_call)]

    @property
    def jobs(self) -> int:
        """How many jobs it has taken, and charged for."""
        return len(self.world.jobs)


def at(name: str) -> Mapping[str, object]:
    """The settings of an account at a service of this name."""
    return {"api_token": TOKEN, "base_url": f"https://{name.lower()}.example/api"}


def dead(_call: str) -> Mishap | None:
    """Nothing reaches the service."""
    return NOT_SENT


def dead_until(seconds: float) -> Callable[[str], Mishap | None]:
    """Nothing reaches the service before that time."""
    return lambda _call: NOT_SENT if asyncio.get_running_loop().time() < seconds else None


def broken(*mishaps: Mishap, on: str = "createJob") -> Callable[[str], Mishap | None]:
    """The first calls of one name go wrong, one mishap each; then all is well."""
    left = list(mishaps)
    return lambda call: left.pop(0) if call == on and left else None


def in_town(
    services: Mapping[str, Service],
    main: Callable[[Engine], Coroutine[Any, Any, T]],
    *,
    plugins: tuple[object, ...] = (),
    chance: Callable[[], float] = lambda: 1.0,
    journal: Writer | None = None,
    top: Mapping[str, object] | None = None,
    **route: object,
) -> T:
    """What a coroutine makes of an engine that knows these services.

    ``route`` are rules of the route, ``top`` further keys of the configuration.
    """
    mapping = {
        "providers": {
            name: {**(at(name) if service.plugin == "omocaptcha" else {}), **service.account}
            for name, service in services.items()
        },
        "routes": {"image-to-text": {"providers": list(services), **route}},
        **(top or {}),
    }

    def connect(settings: ProviderSettings) -> EmulatedTransport:
        return services[settings.name].connect()

    async def run() -> T:
        known = Plugins(plugins) if plugins else INSTALLED
        engine = Engine(
            load_mapping(mapping, known),
            plugins=known,
            connect=connect,
            chance=chance,
            wall_clock=lambda: MORNING + asyncio.get_running_loop().time(),
            journal=journal,
        )
        try:
            return await main(engine)
        finally:
            await engine.aclose()

    return run_virtual(run())


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, without the ids of the solves that the lines are of."""
    return [message.partition(" [solve ")[0] for message in caplog.messages]


def heavy_tail(seed: int, *, usual: float, slow: float, share: float) -> Callable[[], float]:
    """Times around ``usual`` seconds, of which a share takes at least ``slow``."""
    chance = random.Random(seed)
    return lambda: (
        chance.uniform(slow, 2 * slow) if chance.random() < share else chance.uniform(0.5, 1.5) * usual
    )


def in_turn(*answers: float) -> Callable[[], float]:
    """These values one after the other, then again from the first."""
    values = itertools.cycle(answers)
    return lambda: next(values)
