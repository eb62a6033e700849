"""unicaps. Its pause before the first poll is set to 0, and its address to that of the service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import unicaps

from benchmarks.compare.protocol import KEY, AsyncSolve, Place, SolveAll, awaited, one_by_one


@contextmanager
def solve(place: Place) -> Generator[SolveAll]:
    """Solve with the blocking client. It finds the authority in SSL_CERT_FILE."""
    with unicaps.CaptchaSolver(unicaps.CaptchaSolvingService.ANTI_CAPTCHA, KEY) as client:
        _point(client, place)
        yield one_by_one(lambda picture: str(client.solve_image_captcha(picture).solution.text))


def solve_async(place: Place) -> AbstractContextManager[SolveAll]:
    """Solve with the asynchronous client."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[AsyncSolve]:
        async with unicaps.AsyncCaptchaSolver(unicaps.CaptchaSolvingService.ANTI_CAPTCHA, KEY) as client:
            _point(client, place)

            async def solve_one(picture: bytes) -> str:
                return str((await client.solve_image_captcha(picture)).solution.text)

            yield solve_one

    return awaited(opened())


def _point(client: Any, place: Place) -> None:
    service = client._service  # noqa: SLF001 - it has no other place for an address
    service.BASE_URL = place.url
    for settings in service.settings.values():
        settings.polling_delay = 0
