"""A machine that solves pictures with a journal in PostgreSQL; test_many_machines.py starts several.

It shares no file with another one: the arguments come on stdin, and each picture's outcome is a line of JSON
on stdout.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from captchahub import AllProvidersFailed, AsyncHub, CaptchaHubError, Image, ImageToText, JournalError
from tests.quick_omo import QuickOmo

AT_ONCE = 8

# Before a picture is tried again because the database was away, in seconds.
_PAUSE = 0.05


@attrs.frozen
class Arguments:
    """What a machine has to do.

    ``resume`` is whether it collects what others have left before it solves, and ``is_patient`` whether it
    tries a picture again if the database was away.
    """

    mapping: Mapping[str, Any]
    pictures: Sequence[str] = ()
    """The pictures in base64."""
    resume: bool = False
    is_patient: bool = False


@attrs.frozen
class Outcome:
    """How a picture ended: its place in the arguments or the job's id, and the text or the error."""

    picture: int | None = None
    job_id: int | str | None = None
    text: str | None = None
    error: str | None = None


def _report(outcome: Outcome) -> None:
    print(json.dumps(attrs.asdict(outcome)), flush=True)  # noqa: T201 - for the test


async def _resume(hub: AsyncHub) -> None:
    async for one in hub.resume():
        text = getattr(one.solution, "text", None)
        error = None if one.error is None else type(one.error).__name__
        _report(Outcome(job_id=one.entry.job_id, text=text, error=error))


async def _solve(hub: AsyncHub, waiting: Iterator[tuple[int, str]], *, is_patient: bool) -> None:
    for number, picture in waiting:
        task = ImageToText(Image.from_bytes(base64.b64decode(picture)))
        while True:
            try:
                result = await hub.solve(task)
            except CaptchaHubError as error:
                # Nothing was ordered, or the answer is there for the next solve.
                if is_patient and isinstance(error, (AllProvidersFailed, JournalError)):
                    await asyncio.sleep(_PAUSE)
                    continue
                outcome = Outcome(number, error=type(error).__name__)
            else:
                outcome = Outcome(number, result.job_id, result.solution.text)
            break
        _report(outcome)


async def _opened(arguments: Arguments) -> AsyncHub:
    while True:
        try:
            return AsyncHub.from_mapping(dict(arguments.mapping), plugins=[QuickOmo()])
        except JournalError:
            # The server may be restarting just now.
            if not arguments.is_patient:
                raise
            await asyncio.sleep(_PAUSE)


async def _live(arguments: Arguments) -> None:
    waiting = iter(list(enumerate(arguments.pictures)))
    async with await _opened(arguments) as hub:
        if arguments.resume:
            await _resume(hub)
        solving = (_solve(hub, waiting, is_patient=arguments.is_patient) for _ in range(AT_ONCE))
        await asyncio.gather(*solving)


if __name__ == "__main__":
    asyncio.run(_live(Arguments(**json.load(sys.stdin))))
