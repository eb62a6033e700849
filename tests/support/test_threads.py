"""The pool of threads for blocking calls: it is bounded, and does not keep a program from ending."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from captchahub._support.threads import Workers

PATIENCE = 10.0  # for what is expected to come, in seconds


def with_workers(limit: int, main: Callable[[Workers], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine on workers that are closed after it, however it ends."""

    async def run() -> None:
        workers = Workers("test", limit)
        try:
            async with asyncio.timeout(PATIENCE):
                await main(workers)
        finally:
            await workers.aclose(PATIENCE)

    asyncio.run(run())
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("captchahub test ")]


class Gate:
    """Work that stays until it is released, and counts how much of it there is."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.inside = 0
        self.most = 0
        self._lock = threading.Lock()

    def work(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        assert self.open.wait(PATIENCE)
        with self._lock:
            self.inside -= 1

    async def wait_until_entered(self, times: int = 1) -> None:
        for _ in range(times):
            assert await asyncio.to_thread(self.entered.acquire, timeout=PATIENCE)


class TestWork:
    def test_its_value_comes_back(self) -> None:
        async def main(workers: Workers) -> None:
            assert await workers.begin(lambda: 6 * 7) == 42

        with_workers(1, main)

    @pytest.mark.parametrize("error", [ValueError("broken"), OSError(5, "broken")])
    def test_its_error_comes_back(self, error: Exception) -> None:
        def fail() -> None:
            raise error

        async def main(workers: Workers) -> None:
            with pytest.raises(type(error), match="broken") as caught:
                await workers.begin(fail)
            assert caught.value is error
            assert await workers.begin(lambda: "the thread goes on") == "the thread goes on"

        with_workers(1, main)

    def test_it_is_not_done_in_the_loops_own_thread(self) -> None:
        async def main(workers: Workers) -> None:
            worker = await workers.begin(threading.current_thread)
            assert worker is not threading.current_thread()
            assert worker.name == "captchahub test 1"
            assert worker.daemon

        with_workers(1, main)

    def test_the_loop_runs_on_meanwhile(self) -> None:
        async def main(workers: Workers) -> None:
            gate = Gate()
            working = asyncio.ensure_future(workers.begin(gate.work))
            await gate.wait_until_entered()
            assert not working.done()
            gate.open.set()
            await working

        with_workers(1, main)


class TestThreads:
    def test_there_are_none_without_work(self) -> None:
        async def main(workers: Workers) -> None:
            assert threads() == []

        with_workers(8, main)

    def test_those_that_are_free_are_used_again(self) -> None:
        async def main(workers: Workers) -> None:
            assert len({await workers.begin(threading.current_thread) for _ in range(20)}) <= 2

        with_workers(2, main)

    def test_there_are_never_more_than_the_limit(self) -> None:
        async def main(workers: Workers) -> None:
            gate = Gate()
            working = [asyncio.ensure_future(workers.begin(gate.work)) for _ in range(50)]
            await gate.wait_until_entered(3)
            assert len(threads()) == 3
            gate.open.set()
            await asyncio.gather(*working)
            assert gate.most == 3

        with_workers(3, main)

    def test_one_call_after_the_other_needs_no_more_than_two(self) -> None:
        async def main(workers: Workers) -> None:
            for _ in range(50):
                await workers.begin(threading.get_ident)
            # A second may begin while the first is still on its way back to the queue.
            assert len(threads()) <= 2

        with_workers(8, main)

    def test_there_are_as_many_as_there_is_work(self) -> None:
        async def main(workers: Workers) -> None:
            gate = Gate()
            working = [asyncio.ensure_future(workers.begin(gate.work)) for _ in range(5)]
            await gate.wait_until_entered(5)
            assert len(threads()) == 5
            gate.open.set()
            await asyncio.gather(*working)

        with_workers(100, main)

    def test_a_higher_limit_holds_for_what_waits_already(self) -> None:
        async def main(workers: Workers) -> None:
            gate = Gate()
            working = [asyncio.ensure_future(workers.begin(gate.work)) for _ in range(6)]
            await gate.wait_until_entered(1)
            assert len(threads()) == 1
            workers.allow(4)
            await gate.wait_until_entered(3)
            assert len(threads()) == 4
            gate.open.set()
            await asyncio.gather(*working)
            assert gate.most == 4

        with_workers(1, main)

    def test_a_lower_limit_ends_those_in_excess_when_they_are_done(self) -> None:
        async def main(workers: Workers) -> None:
            first, second = Gate(), Gate()
            working = [asyncio.ensure_future(workers.begin(first.work)) for _ in range(4)]
            working += [asyncio.ensure_future(workers.begin(second.work)) for _ in range(4)]
            await first.wait_until_entered(4)
            workers.allow(1)
            first.open.set()
            second.open.set()
            await asyncio.gather(*working)
            assert second.most == 1

        with_workers(4, main)

    def test_those_without_work_end_after_a_while(self) -> None:
        async def main() -> None:
            workers = Workers("test", 4, idle_seconds=0.0)
            worker = await workers.begin(threading.current_thread)
            await asyncio.to_thread(worker.join, PATIENCE)
            assert threads() == []
            assert await workers.begin(lambda: "another thread") == "another thread"
            await workers.aclose(PATIENCE)

        asyncio.run(main())

    def test_the_one_that_worked_last_works_next(self) -> None:
        """So that the others can end."""

        async def main(workers: Workers) -> None:
            gate = Gate()
            working = [asyncio.ensure_future(workers.begin(gate.work)) for _ in range(4)]
            await gate.wait_until_entered(4)
            gate.open.set()
            await asyncio.gather(*working)
            assert len({await workers.begin(threading.current_thread) for _ in range(20)}) <= 2

        with_workers(4, main)


class TestCancelling:
    def test_work_that_has_not_started_is_never_done(self) -> None:
        done: list[str] = []

        async def main(workers: Workers) -> None:
            gate = Gate()
            working = asyncio.ensure_future(workers.begin(gate.work))
            await gate.wait_until_entered()
            waiting = asyncio.ensure_future(workers.begin(lambda: done.append("cancelled")))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            gate.open.set()
            await working
            await workers.begin(lambda: done.append("the next"))

        with_workers(1, main)
        assert done == ["the next"]

    def test_work_that_has_started_goes_on_alone(self) -> None:
        async def main(workers: Workers) -> None:
            gate = Gate()
            working = asyncio.ensure_future(workers.begin(gate.work))
            await gate.wait_until_entered()
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
            assert gate.inside == 1
            gate.open.set()
            assert await workers.begin(lambda: gate.inside) == 0

        with_workers(1, main)

    def test_cancelled_work_does_not_hold_a_place(self) -> None:
        async def main(workers: Workers) -> None:
            gate = Gate()
            held = [asyncio.ensure_future(workers.begin(gate.work)) for _ in range(2)]
            await gate.wait_until_entered(2)
            waiting = [asyncio.ensure_future(workers.begin(gate.work)) for _ in range(20)]
            await asyncio.sleep(0)
            for one in waiting:
                one.cancel()
            await asyncio.wait(waiting)
            gate.open.set()
            await asyncio.gather(*held)
            assert gate.inside == 0
            assert await workers.begin(lambda: "done") == "done"
            assert len(threads()) <= 2

        with_workers(2, main)


class TestClosing:
    def test_it_ends_every_thread(self) -> None:
        async def main() -> None:
            workers, gate = Workers("test", 4), Gate()
            working = [asyncio.ensure_future(workers.begin(gate.work)) for _ in range(4)]
            await gate.wait_until_entered(4)
            gate.open.set()
            await asyncio.gather(*working)
            await workers.aclose(PATIENCE)
            assert threads() == []

        asyncio.run(main())

    def test_it_is_harmless_to_repeat(self) -> None:
        async def main(workers: Workers) -> None:
            await workers.begin(lambda: None)
            await workers.aclose(PATIENCE)
            await workers.aclose(PATIENCE)

        with_workers(1, main)

    def test_it_does_not_wait_for_a_call_that_hangs(self) -> None:
        gate = Gate()

        async def main() -> None:
            workers = Workers("test", 1)
            working = asyncio.ensure_future(workers.begin(gate.work))
            await gate.wait_until_entered()
            await workers.aclose(0.01)
            assert not working.done()
            hanging = threads()
            assert len(hanging) == 1
            gate.open.set()
            await working
            await asyncio.to_thread(hanging[0].join, PATIENCE)

        asyncio.run(main())
        assert threads() == []

    def test_a_program_that_forgets_it_still_ends(self) -> None:
        """With a call that would hang for ever."""
        program = """
            import asyncio, threading
            from captchahub._support.threads import Workers

            async def main():
                workers = Workers("forgotten", 1)
                started = threading.Event()
                asyncio.ensure_future(workers.begin(lambda: (started.set(), threading.Event().wait())))
                while not started.is_set():
                    await asyncio.sleep(0)

            asyncio.run(main())
            print("at its end")
        """
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "at its end\n", "")
