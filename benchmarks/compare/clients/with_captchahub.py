"""captchahub: its three ways to solve, each in the variant of that name."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path

from benchmarks.compare.protocol import KEY, AsyncSolve, Place, SolveAll, SolveTogether, awaited, one_by_one
from benchmarks.compare.variants import VARIANTS, Variant
from captchahub import AsyncHub, Hub, Image, ImageToText
from captchahub.events import Event

# A service on this machine has no interval to keep, and the other clients do not wait at all.
_NO_WAIT = {"poll": {"first": "1ms", "every": "1ms"}}

# Unless the variant names another one. The fast one would be used by itself, because aiohttp is installed.
_TRANSPORT = {"transport": "requests"}

# As many as may be in flight, and more time than they need, in seconds.
_MANY = {"max_in_flight": 10_000}
_TIMEOUT = 300.0


@contextmanager
def solve(place: Place, variant: str) -> Generator[SolveAll]:
    """Solve with ``Hub.solve``."""
    share = VARIANTS[variant].share
    with _hub(place, VARIANTS[variant]) as hub:
        yield one_by_one(lambda data: hub.solve(_task(data), share=share).solution.text)


@contextmanager
def solve_many(place: Place, variant: str) -> Generator[SolveAll]:
    """Solve with ``Hub.solve_many``, which has 32 in flight by default."""
    with _hub(place, VARIANTS[variant]) as hub:

        def solve_all(pictures: Sequence[bytes]) -> list[str]:
            outcomes = sorted(hub.solve_many(map(_task, pictures)), key=lambda outcome: outcome.index)
            return [outcome.unwrap().solution.text for outcome in outcomes]

        yield solve_all


def solve_async(place: Place, variant: str) -> AbstractContextManager[SolveAll]:
    """Solve with ``AsyncHub.solve``."""
    chosen = VARIANTS[variant]

    @asynccontextmanager
    async def opened() -> AsyncGenerator[AsyncSolve]:
        with _settings(place, chosen, _NO_WAIT) as mapping:
            async with AsyncHub.from_mapping(mapping, plugins=_plugins(chosen)) as hub:
                _listen(hub.on, chosen)

                async def solve_one(data: bytes) -> str:
                    return (await hub.solve(_task(data), share=chosen.share)).solution.text

                yield solve_one

    return awaited(opened())


@contextmanager
def together_many(place: Place, variant: str) -> Generator[SolveTogether]:
    """Solve all at the same time with ``Hub.solve_many``."""
    with _settings(place, VARIANTS[variant], _MANY) as mapping, Hub.from_mapping(mapping) as hub:

        def solve_all(pictures: Sequence[bytes]) -> dict[str, float]:
            outcomes = hub.solve_many(map(_task, pictures), timeout=_TIMEOUT, in_flight=len(pictures))
            return {outcome.unwrap().solution.text: time.monotonic() for outcome in outcomes}

        yield solve_all


@contextmanager
def together_async(place: Place, variant: str) -> Generator[SolveTogether]:
    """Solve all at the same time with ``AsyncHub.solve``."""

    async def solve_all(pictures: Sequence[bytes]) -> dict[str, float]:
        with _settings(place, VARIANTS[variant], _MANY) as mapping:
            async with AsyncHub.from_mapping(mapping) as hub:

                async def solve_one(data: bytes) -> tuple[str, float]:
                    result = await hub.solve(_task(data), timeout=_TIMEOUT)
                    return result.solution.text, time.monotonic()

                return dict(await asyncio.gather(*map(solve_one, pictures)))

    yield lambda pictures: asyncio.run(solve_all(pictures))


@contextmanager
def _hub(place: Place, variant: Variant) -> Generator[Hub]:
    with (
        _settings(place, variant, _NO_WAIT) as mapping,
        Hub.from_mapping(mapping, plugins=_plugins(variant)) as hub,
    ):
        _listen(hub.on, variant)
        yield hub


@contextmanager
def _settings(place: Place, variant: Variant, keys: Mapping[str, object]) -> Generator[dict[str, object]]:
    account: dict[str, object] = {
        "plugin": "createtask",
        "dialect": "anti-captcha",
        "client_key": KEY,
        "base_url": place.url,
        **_TRANSPORT,
        **keys,
        **variant.provider,
    }
    if place.authority is not None:
        account["ca_bundle"] = place.authority
    with tempfile.TemporaryDirectory() as folder:
        journal = {"journal": str(Path(folder) / "jobs.db")} if variant.has_journal_file else {}
        yield {"providers": {"only": account}, **journal, **variant.hub}


def _plugins(variant: Variant) -> list[object]:
    return [plugin() for plugin in variant.plugins]


def _listen(on: Callable[[type[Event], Callable[[Event], object]], object], variant: Variant) -> None:
    if variant.has_callback:
        on(Event, lambda _event: None)


def _task(data: bytes) -> ImageToText:
    return ImageToText(Image.from_bytes(data))
