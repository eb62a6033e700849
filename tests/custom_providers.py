"""Providers for tests: complete ones, of which a test replaces methods, with an engine on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import attrs

from captchahub import AllProvidersFailed, Attempt, ImageToText, Result, TextSolution
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._plugins.manager import Plugins
from captchahub.errors import ProviderError
from captchahub.hookspecs import hookimpl
from captchahub.provider import (
    Created,
    Job,
    LocalProvider,
    Pending,
    Provider,
    ProviderKind,
    Reply,
    Request,
    Secret,
    Solved,
)
from captchahub.settings import ProviderSettings
from captchahub.tasks import Solution, Task
from captchahub.testing import Hang, ScriptedTransport, Slow, VirtualClockLoop
from tests.virtual_services import PICTURE, TASK, TOKEN

T = TypeVar("T")


class CompleteProvider(Provider):
    """A provider without faults, whose first poll returns the answer."""

    kinds = frozenset({"image-to-text", "phone-slide"})

    def create_job(self, task: Task[Solution]) -> Request:
        return Request("https://odd.example/create")

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        return Created(7)

    def poll_job(self, job: Job) -> Request:
        return Request("https://odd.example/poll")

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        return Solved(TextSolution("x7kp2"))

    def ask_balance(self) -> Request:
        return Request("https://odd.example/balance")

    def ask_services(self) -> Request:
        return Request("https://odd.example/services")

    def ask_report(self, job: Job, *, correct: bool) -> Request:
        return Request("https://odd.example/report")

    def read_report(self, reply: Reply) -> None:
        return None


def provider_with(**methods: Callable[..., object]) -> CompleteProvider:
    """Return a complete provider with these methods replaced."""
    provider = CompleteProvider()
    for name, method in methods.items():
        setattr(provider, name, method)
    return provider


def raising(make: Callable[[], BaseException]) -> Callable[..., NoReturn]:
    """Return a method that raises, for any arguments."""

    def method(*_values: object, **_named: object) -> NoReturn:
        raise make()

    return method


def returning(value: object) -> Callable[..., object]:
    """Return a method that returns a value, for any arguments."""
    return lambda *_values, **_named: value


class LocalEngine(LocalProvider):
    """An engine in this process that calls a function of the test."""

    kinds = frozenset({"image-to-text"})

    def __init__(self, read: Callable[[], Solution]) -> None:
        self.calls = 0
        self._read = read

    def solve(self, task: Task[Solution]) -> Solution:
        self.calls += 1
        return self._read()


def empty_reply(_request: Request) -> Reply:
    return Reply(200, b"{}")


Step = Reply | ProviderError | Hang | Slow


@attrs.define
class ScriptedProvider:
    """A provider with its settings, and the replies to its requests."""

    provider: Provider = attrs.field(factory=CompleteProvider)
    step: Callable[[Request], Step] = empty_reply
    settings: Mapping[str, object] = attrs.field(factory=dict[str, object])
    transport: ScriptedTransport = attrs.field(init=False)

    def connect(self) -> ScriptedTransport:
        """Return a transport with these replies."""
        self.transport = ScriptedTransport(self.step)
        return self.transport

    def calls(self, name: str) -> list[float]:
        """Return the times of the calls with this name."""
        return [one.at for one in self.transport.sent if one.request.url.endswith(f"/{name}")]

    @property
    def orders(self) -> list[float]:
        """The times at which it was asked to create a job."""
        return self.calls("create")


@attrs.frozen
class CustomSettings:
    who: str
    token: Secret = attrs.field(factory=lambda: Secret(TOKEN))


@attrs.frozen(eq=False)
class CustomPlugin:
    """The plugin ``odd``, whose settings select one of these providers."""

    providers: Mapping[str, Provider | LocalProvider]

    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[CustomSettings]]:
        return [ProviderKind("odd", CustomSettings, lambda own: self.providers[own.who])]


def run_with_providers(
    providers: Mapping[str, ScriptedProvider],
    main: Callable[[Engine], Coroutine[Any, Any, T]],
    *,
    plugins: tuple[object, ...] = (),
    kind: str = "image-to-text",
    clock: Callable[[], VirtualClockLoop] = VirtualClockLoop,
    **route: object,
) -> T:
    """Run a coroutine with an engine that has these providers. ``route`` are keys of its route."""
    mapping = {
        "providers": {
            name: {"plugin": "odd", "who": name, "token": TOKEN, **scripted.settings}
            for name, scripted in providers.items()
        },
        "routes": {kind: {"providers": list(providers), **route}},
    }
    known = Plugins(
        (CustomPlugin({name: scripted.provider for name, scripted in providers.items()}), *plugins)
    )

    def connect(settings: ProviderSettings) -> ScriptedTransport:
        return providers[settings.name].connect()

    async def run() -> T:
        engine = Engine(read_mapping(mapping, known), plugins=known, connect=connect, chance=lambda: 1.0)
        try:
            return await main(engine)
        finally:
            await engine.aclose()

    with asyncio.Runner(loop_factory=clock) as runner:
        return runner.run(run())


def failures(ended: Result[Any] | Exception) -> list[tuple[str, type[Exception]]]:
    """Return the provider and the type of the error of each failed attempt."""
    attempts: Sequence[Attempt] = ended.attempts if isinstance(ended, (Result, AllProvidersFailed)) else ()
    return [(one.provider, type(one.error)) for one in attempts if one.error is not None]


async def solve(engine: Engine) -> Result[TextSolution]:
    return await engine.solve(TASK, 60)


async def fail(engine: Engine, timeout: float = 60, task: Task[TextSolution] = TASK) -> Exception:
    """Return the error of a solve that fails."""
    try:
        result = await engine.solve(task, timeout)
    except Exception as error:  # noqa: BLE001 - what it was is what the tests look at
        return error
    raise AssertionError(f"it was solved: {result}")


def task_with(method: str, does: Callable[..., object]) -> ImageToText:
    """Return a task with one method replaced."""

    class Odd(ImageToText):
        pass

    setattr(Odd, method, does)
    return Odd(PICTURE)
