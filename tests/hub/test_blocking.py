"""Which calls of a Hub give a warning: those that a coroutine or a callback waits for."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import greenlet
import pytest

from captchahub import Hub
from captchahub.testing import Sandbox


@pytest.fixture
def solve(sandbox: Sandbox) -> Iterator[Callable[[], str]]:
    """Solves a picture, and blocks until it is solved."""
    picture = sandbox.draw_text("x7kp2")
    mapping = {"providers": {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}}
    with Hub.from_mapping(mapping) as hub:
        yield lambda: hub.solve(picture.task(), share=False).solution.text


class Browser:
    """A synchronous interface to an asynchronous library, as Playwright has one: its loop is in a greenlet.

    That is left in the middle of the loop's work, which goes on with the next call of the browser.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._fiber = greenlet.greenlet(self._serve)
        self._over = asyncio.Event()

    def _serve(self) -> None:
        self._loop.run_until_complete(self._over.wait())

    def call(self, work: Coroutine[Any, Any, str]) -> str:
        """Run some work in the loop, and return its result."""
        caller = greenlet.getcurrent()
        task = self._loop.create_task(work)
        task.add_done_callback(lambda _: caller.switch())
        while not task.done():
            self._fiber.switch()
        return task.result()

    def close(self) -> None:
        self._over.set()
        while not self._fiber.dead:
            self._fiber.switch()
        self._loop.close()


@contextmanager
def browser() -> Generator[Browser]:
    opened = Browser()
    try:
        yield opened
    finally:
        opened.close()


async def title() -> str:
    return "a page"


class TestAFalseWarning:
    """The tests run with warnings as errors."""

    def test_is_not_given_next_to_a_loop_in_another_greenlet(self, solve: Callable[[], str]) -> None:
        with browser() as opened:
            assert opened.call(title()) == "a page"
            # What asyncio reports.
            assert asyncio.get_running_loop().is_running()
            assert solve() == "x7kp2"
            assert opened.call(title()) == "a page"
            assert solve() == "x7kp2"

    def test_is_not_given_if_the_greenlet_was_left_in_a_coroutine(self, solve: Callable[[], str]) -> None:
        caller = greenlet.getcurrent()

        async def handing_back() -> None:
            caller.switch()

        fiber = greenlet.greenlet(lambda: asyncio.run(handing_back()))
        fiber.switch()
        assert asyncio.current_task() is not None
        assert solve() == "x7kp2"
        fiber.switch()

    def test_is_not_given_without_a_loop(self, solve: Callable[[], str]) -> None:
        assert solve() == "x7kp2"


class TestAWarning:
    def test_is_given_to_a_coroutine(self, solve: Callable[[], str]) -> None:
        async def main() -> str:
            return solve()

        with pytest.warns(RuntimeWarning, match="use AsyncHub and await it"):
            assert asyncio.run(main()) == "x7kp2"

    def test_is_given_to_a_callback(self, solve: Callable[[], str]) -> None:
        found: list[str] = []

        async def main() -> None:
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: found.append(solve()))
            await asyncio.sleep(0)

        with pytest.warns(RuntimeWarning, match="blocks the event loop"):
            asyncio.run(main())
        assert found == ["x7kp2"]

    def test_is_given_to_a_coroutine_that_a_browser_runs(self, solve: Callable[[], str]) -> None:
        async def page() -> str:
            return solve()

        with browser() as opened, pytest.warns(RuntimeWarning, match="blocks the event loop"):
            assert opened.call(page()) == "x7kp2"

    def test_is_given_to_a_greenlet_that_a_coroutine_waits_for(self, solve: Callable[[], str]) -> None:
        async def main() -> str:
            # SQLAlchemy calls synchronous code like this.
            found: str = greenlet.greenlet(solve).switch()
            return found

        with pytest.warns(RuntimeWarning, match="blocks the event loop"):
            assert asyncio.run(main()) == "x7kp2"

    def test_is_not_given_to_a_thread_next_to_the_loop(self, solve: Callable[[], str]) -> None:
        async def main() -> str:
            return await asyncio.to_thread(solve)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert asyncio.run(main()) == "x7kp2"
