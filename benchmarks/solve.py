"""What a solve costs: CPU in the engine alone, and solves a second over real HTTP on this machine.

Run with ``make bench``. The service's minimum gap is left out, so that the library is measured and not it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from captchahub_omocaptcha.provider import OmoProvider
from captchahub_omocaptcha.settings import OmoSettings

from captchahub import AsyncHub, Hub, ImageToText
from captchahub._engine.engine import Engine
from captchahub.config import load_mapping
from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind, Request
from captchahub.testing import Sandbox, ScriptedTransport, json_reply, load_emulation, run_virtual
from captchahub.testing.transport import Step

SOLVES = 1000
THREADS = 32


class QuickOmoProvider(OmoProvider):
    """OMOcaptcha, were it to allow a poll every 10 milliseconds."""

    min_poll_interval = 0.01


class QuickOmo:
    """The plugin of that provider."""

    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[OmoSettings]]:
        """The one kind."""
        return [ProviderKind("omocaptcha", OmoSettings, QuickOmoProvider)]


def engine_alone(task: ImageToText) -> float:
    """Seconds of CPU for a solve of one create and two polls, without HTTP and without waiting."""
    running = json_reply({"error": False, "status": "running", "result": None})
    replies = {
        "createJob": [json_reply({"error": False, "job_id": 7})],
        "getJobResult": [running, json_reply({"error": False, "status": "success", "result": "x7kp2"})],
    }
    asked = dict.fromkeys(replies, 0)

    def script(request: Request) -> Step:
        call = request.url.rpartition("/")[2]
        asked[call] += 1
        return replies[call][asked[call] % len(replies[call]) - 1]

    async def run() -> float:
        mapping = {"providers": {"omo": {"plugin": "omocaptcha", "api_token": "t0ken"}}}
        engine = Engine(load_mapping(mapping), connect=lambda _: ScriptedTransport(script))
        begun = time.process_time()
        for _ in range(SOLVES):
            await engine.solve(task, None)
        return (time.process_time() - begun) / SOLVES

    return run_virtual(run())


def by_threads(mapping: dict[str, object], task: ImageToText) -> float:
    """Solves a second of one Hub used by many threads."""
    with Hub.from_mapping(mapping, plugins=[QuickOmo()]) as hub, ThreadPoolExecutor(THREADS) as pool:
        begun = time.perf_counter()
        for solve in [pool.submit(hub.solve, task) for _ in range(SOLVES)]:
            solve.result()
        return SOLVES / (time.perf_counter() - begun)


def by_tasks(mapping: dict[str, object], task: ImageToText) -> float:
    """Solves a second of one AsyncHub with all tasks begun at once."""

    async def run() -> float:
        async with AsyncHub.from_mapping(mapping, plugins=[QuickOmo()]) as hub:
            begun = time.perf_counter()
            await asyncio.gather(*(hub.solve(task) for _ in range(SOLVES)))
            return SOLVES / (time.perf_counter() - begun)

    return asyncio.run(run())


def main() -> None:
    """Print the figures."""
    with Sandbox(load_emulation("omocaptcha")) as sandbox:
        task = ImageToText(sandbox.draw_text().image)
        account = {"plugin": "omocaptcha", **sandbox.settings("t0ken", balance="1000")}
        mapping: dict[str, object] = {"providers": {"omo": account}}
        print(f"engine alone, 1 create + 2 polls: {engine_alone(task) * 1000:.2f} ms of CPU a solve")
        print(f"Hub, {THREADS} threads, real HTTP:      {by_threads(mapping, task):.0f} solves/s")
        print(f"AsyncHub, {SOLVES} tasks, real HTTP:  {by_tasks(mapping, task):.0f} solves/s")
        print(f"TCP connections for {2 * SOLVES} solves:   {sandbox.connections}")


if __name__ == "__main__":
    main()
