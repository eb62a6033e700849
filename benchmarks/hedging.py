"""What hedging buys and costs: solve times with a service that forgets some jobs, on a virtual clock, seeded.

Run with ``make bench``. Both providers are the OMOcaptcha emulation: most jobs take 3 to 9 seconds, and seven
in a hundred take one to two minutes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from captchahub_omocaptcha.emulation import OmoEmulation

from captchahub import Image, ImageToText, TextSolution
from captchahub._engine.engine import Engine
from captchahub.config import load_mapping
from captchahub.settings import ProviderSettings
from captchahub.testing import EmulatedTransport, World, run_virtual

SOLVES = 5000
FORGOTTEN = 0.07
PICTURE = Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=")


def forgetful(seed: str) -> Callable[[], float]:
    """The seconds that jobs take."""
    chance = random.Random(seed)
    return lambda: chance.uniform(60, 120) if chance.random() < FORGOTTEN else chance.uniform(3, 9)


def solve_times(rules: dict[str, object]) -> tuple[list[float], int]:
    """The sorted times of many solves, in seconds, and how many jobs they took."""
    worlds: list[World] = []

    def connect(settings: ProviderSettings) -> EmulatedTransport:
        world = World(
            now=lambda: asyncio.get_running_loop().time(),
            read_picture=lambda _kind, _picture: TextSolution("x7kp2"),
            job_seconds=forgetful(settings.name),
        )
        world.add_account("t0ken", "1000")
        worlds.append(world)
        return EmulatedTransport(OmoEmulation(), world, latency=0.1)

    account = {"plugin": "omocaptcha", "api_token": "t0ken"}
    mapping = {
        "providers": {"omo": account, "backup": account},
        "routes": {"image-to-text": {"providers": ["omo", "backup"], **rules}},
    }

    async def run() -> list[float]:
        engine = Engine(load_mapping(mapping), connect=connect)
        times = [(await engine.solve(ImageToText(PICTURE), 300)).elapsed for _ in range(SOLVES)]
        await engine.aclose()
        return sorted(times)

    return run_virtual(run()), sum(len(world.jobs) for world in worlds)


def main() -> None:
    """Print the figures."""
    print(f"{SOLVES} solves, {FORGOTTEN:.0%} of jobs take 60 to 120 s    median     p95     p99   extra jobs")
    for rules in (
        {},
        {"hedge_after": "15s"},
        {"hedge_after": "15s", "hedge_limit": "10%"},
        {"hedge_after": "p90", "hedge_limit": "10%"},
    ):
        times, jobs = solve_times(dict(rules))
        told = ", ".join(f"{key}: {value}" for key, value in rules.items()) or "no hedging"
        figures = "  ".join(f"{times[int(SOLVES * share)]:4.1f} s" for share in (0.5, 0.95, 0.99))
        print(f"{told:50} {figures}   {(jobs - SOLVES) / SOLVES:10.1%}")


if __name__ == "__main__":
    main()
