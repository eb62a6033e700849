"""Emulated services on one virtual clock, and an engine that uses them."""

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
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._journal.journal import Writer
from captchahub._plugins.manager import Plugins
from captchahub.settings import ProviderSettings
from captchahub.testing import EmulatedTransport, Mishap, World, run_virtual
from captchahub.testing.emulation import Emulation

T = TypeVar("T")

PICTURE = Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=")
TASK = ImageToText(PICTURE)
TOKEN = "s3cret-t0ken"

MORNING = 1_800_000_000.0
"""The wall-clock time at the start of the virtual clock, in seconds since 1970: 15 January 2027."""

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


def no_mishap(_call: str) -> Mishap | None:
    return None


@attrs.define
class Service:
    """One service: the duration of its jobs in seconds, its answer, and its faults."""

    seconds: Callable[[], float] = lambda: 3.0
    answer: str | None = "x7kp2"
    mishap: Callable[[str], Mishap | None] = no_mishap
    settings: Mapping[str, object] = attrs.field(factory=dict[str, object])
    balance: str = "1000"
    plugin: str = "omocaptcha"

    def connect(self) -> EmulatedTransport:
        """Return a transport to the service. All hubs of a test share its jobs, which are in ``world``."""
        emulation = _EMULATIONS[self.plugin]()
        self._create_call = emulation.create_call
        self.transport = EmulatedTransport(emulation, self._opened(), mishap=self._mishap_of)
        return self.transport

    @property
    def account(self) -> Mapping[str, object]:
        """The keys of its account in a configuration."""
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
        # Looked up for each call, so that a test can break and repair a service meanwhile.
        return self.mishap(call)

    world: World = attrs.field(init=False)
    transport: EmulatedTransport = attrs.field(init=False)
    _create_call: str = attrs.field(init=False)

    @property
    def orders(self) -> list[float]:
        """The times at which it was asked to create a job."""
        return [sent.at for sent in self.transport.calls_to(self._create_call)]

    @property
    def jobs(self) -> int:
        """The number of jobs that it created and charged."""
        return len(self.world.jobs)


def account_at(name: str) -> Mapping[str, object]:
    """Return the settings of an account at a service with this name."""
    return {"api_token": TOKEN, "base_url": f"https://{name.lower()}.example/api"}


def unreachable(_call: str) -> Mishap | None:
    """Let no call reach the service."""
    return NOT_SENT


def unreachable_until(seconds: float) -> Callable[[str], Mishap | None]:
    """Return a fault that lets no call reach the service before a time."""
    return lambda _call: NOT_SENT if asyncio.get_running_loop().time() < seconds else None


def broken(*mishaps: Mishap, on: str = "createJob") -> Callable[[str], Mishap | None]:
    """Return a fault that fails the first calls with one name, each with the next mishap."""
    left = list(mishaps)
    return lambda call: left.pop(0) if call == on and left else None


def run_with_services(
    services: Mapping[str, Service],
    main: Callable[[Engine], Coroutine[Any, Any, T]],
    *,
    plugins: tuple[object, ...] = (),
    chance: Callable[[], float] = lambda: 1.0,
    journal: Writer | None = None,
    top: Mapping[str, object] | None = None,
    **route: object,
) -> T:
    """Run a coroutine with an engine that has these services, and return its result.

    ``route`` are keys of the route, and ``top`` are other keys of the configuration.
    """
    mapping = {
        "providers": {
            name: {**(account_at(name) if service.plugin == "omocaptcha" else {}), **service.account}
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
            read_mapping(mapping, known),
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
    """Return the log lines without the ids of the solves."""
    return [message.partition(" [solve ")[0] for message in caplog.messages]


def heavy_tail(seed: int, *, usual: float, slow: float, share: float) -> Callable[[], float]:
    """Return random times around ``usual`` seconds, of which a share is at least ``slow``."""
    chance = random.Random(seed)
    return lambda: (
        chance.uniform(slow, 2 * slow) if chance.random() < share else chance.uniform(0.5, 1.5) * usual
    )


def in_turn(*answers: float) -> Callable[[], float]:
    """Return a function that returns these values in turn, endlessly."""
    values = itertools.cycle(answers)
    return lambda: next(values)
