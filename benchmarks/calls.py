"""How many function calls and how much CPU a solve takes without HTTP: an AsyncHub, one create and one poll.

Run with ``make bench``; ``--top`` adds the functions that are called most. Unlike a time, the number of
calls depends little on the machine and on its load. The CPU is measured without the profiler.

cProfile counts the calls of Python and C functions in the thread of the event loop. The whole solve runs
there: the transport is scripted, the journal is in memory, and the clock is virtual. So no other thread has
a part in it, and this script checks that. The calls of the scripted transport and of the clock count too.
"""

from __future__ import annotations

import argparse
import base64
import cProfile
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType

from captchahub import AsyncHub, Image, ImageToText
from captchahub._engine.engine import Engine
from captchahub.provider import Reply
from captchahub.settings import ProviderSettings
from captchahub.testing import ScriptedTransport, json_reply, run_virtual

WARM_UP = 20
SOLVES = 200
ROUNDS = 3
SHOWN = 25
ACCOUNT = {"plugin": "omocaptcha", "api_token": "t0ken"}
GIF = base64.b64decode("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=")
# Where the colours of that picture begin.
PALETTE = 13


def picture(number: int) -> bytes:
    """A picture of its own for each number, because equal tasks would share one job."""
    return GIF[:PALETTE] + number.to_bytes(6, "big") + GIF[PALETTE + 6 :]


def answer(number: int) -> str:
    """What the service reads in that picture."""
    return f"x{number:04}"


def replies(number: int) -> list[Reply]:
    """What the service replies to a create and to a poll."""
    return [
        json_reply({"error": False, "job_id": number + 1}),
        json_reply({"error": False, "status": "success", "result": answer(number)}),
    ]


def replace_transport(transport: ScriptedTransport) -> None:
    """Make the hubs that follow send through this transport.

    A hub has no public way to do that.
    """

    def connect(_settings: ProviderSettings) -> ScriptedTransport:
        return transport

    defaults: dict[str, object] | None = getattr(Engine.__init__, "__kwdefaults__", None)
    if defaults is None or "connect" not in defaults:
        raise LookupError("the engine does not take connect=")
    defaults["connect"] = connect


def check(transport: ScriptedTransport, results: Sequence[str]) -> None:
    """Check that each solve was one create and one poll, in this thread, and got its own answer."""
    if [*results] != [answer(number) for number in range(len(results))]:
        raise AssertionError(f"wrong answers: {results}")
    calls = [sent.request.url.rpartition("/")[2] for sent in transport.sent]
    if calls != ["createJob", "getJobResult"] * len(results):
        raise AssertionError(f"not one create and one poll a solve: {Counter(calls)}")
    for number, sent in enumerate(transport.sent[::2]):
        if base64.b64encode(picture(number)) not in sent.request.body:
            raise AssertionError(f"order {number} is of another picture")
    if threading.active_count() > 1:
        raise AssertionError(f"other threads may have worked, uncounted: {threading.enumerate()}")


def solve(before: Callable[[], object], after: Callable[[], object]) -> None:
    """Warm up, call one function, solve, call the other, and check what was done."""
    tasks = [ImageToText(Image.from_bytes(picture(number))) for number in range(WARM_UP + SOLVES)]
    transport = ScriptedTransport([reply for number in range(len(tasks)) for reply in replies(number)])
    replace_transport(transport)

    async def run() -> None:
        async with AsyncHub.from_mapping({"providers": {"omo": ACCOUNT}}) as hub:
            results = [(await hub.solve(task)).solution.text for task in tasks[:WARM_UP]]
            before()
            for task in tasks[WARM_UP:]:
                results.append((await hub.solve(task)).solution.text)  # noqa: PERF401 - an await each
            after()
            check(transport, results)

    run_virtual(run())


def cpu() -> float:
    """How many milliseconds of CPU a solve takes."""
    times: list[float] = []

    def note() -> None:
        times.append(time.process_time())

    solve(note, note)
    return (times[1] - times[0]) / SOLVES * 1000


def measure() -> Counter[str]:
    """How often each function was called in a round of solves."""
    profile = cProfile.Profile()
    solve(profile.enable, profile.disable)
    calls: Counter[str] = Counter()
    for entry in profile.getstats():
        # All calls, also those of a function by itself.
        calls[name_of(entry.code)] += entry.callcount
    return calls


def name_of(code: CodeType | str) -> str:
    """A function as a person finds it."""
    if isinstance(code, str):
        return code.strip("<>")
    return f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_firstlineno} {code.co_qualname}"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Count the function calls of a solve.")
    parser.add_argument("--top", action="store_true", help=f"show the {SHOWN} functions with most calls")
    wants_top = parser.parse_args().top
    rounds = [measure() for _ in range(ROUNDS)]
    totals = [calls.total() / SOLVES for calls in rounds]
    times = [cpu() for _ in range(ROUNDS)]
    spread = f"{min(totals):.1f} to {max(totals):.1f} in {ROUNDS} rounds of {SOLVES} solves"
    print(f"function calls a solve:  {statistics.median(totals):.1f} ({spread})")
    print(
        f"CPU a solve:             {statistics.median(times):.2f} ms ({min(times):.2f} to {max(times):.2f})"
    )
    for name, count in rounds[-1].most_common(SHOWN if wants_top else 0):
        print(f"{count / SOLVES:8.1f}  {name}")


if __name__ == "__main__":
    main()
