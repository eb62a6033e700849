"""unicaptcha. Its pause before the first poll is set to 0."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

from unicaptcha import AsyncSolver, ImageChallenge, Solver, TimeConfig
from unicaptcha.provider.anticaptcha import AntiCaptchaAdapter

from benchmarks.compare.protocol import KEY, AsyncSolve, Place, SolveAll, awaited, one_by_one

_AT_ONCE = TimeConfig(poll_delay=0)


@contextmanager
def solve(place: Place) -> Generator[SolveAll]:
    """Solve with the blocking client. It finds the authority in SSL_CERT_FILE."""
    with Solver([AntiCaptchaAdapter(KEY, place.url)], time=_AT_ONCE) as client:
        yield one_by_one(lambda picture: str(client.solve(ImageChallenge(picture)).solution.text))


def solve_async(place: Place) -> AbstractContextManager[SolveAll]:
    """Solve with the asynchronous client."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[AsyncSolve]:
        async with AsyncSolver([AntiCaptchaAdapter(KEY, place.url)], time=_AT_ONCE) as client:

            async def solve_one(picture: bytes) -> str:
                return str((await client.solve(ImageChallenge(picture))).solution.text)

            yield solve_one

    return awaited(opened())
