"""The virtual clock and the scripted transport, which the tests of the engine use."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captchahub import RateLimited, ServiceUnavailable
from captchahub.provider import Reply, Request
from captchahub.testing import Hang, ScriptedTransport, Slow, VirtualClockLoop, json_reply, run_virtual

REQUEST = Request.post_json("https://a.example/createJob", {"type": 30})
DONE = json_reply({"done": True})


def now() -> float:
    return asyncio.get_running_loop().time()


class TestRunVirtual:
    def test_it_gives_what_the_coroutine_returns(self) -> None:
        async def main() -> str:
            return "done"

        assert run_virtual(main()) == "done"

    def test_it_raises_what_the_coroutine_raises(self) -> None:
        async def main() -> None:
            raise ServiceUnavailable("down")

        with pytest.raises(ServiceUnavailable, match="down"):
            run_virtual(main())

    def test_the_loop_is_closed_at_the_end(self) -> None:
        async def main() -> asyncio.AbstractEventLoop:
            return asyncio.get_running_loop()

        loop = run_virtual(main())
        assert isinstance(loop, VirtualClockLoop)
        assert loop.is_closed()


class TestTime:
    def test_it_begins_at_zero(self) -> None:
        async def main() -> float:
            return now()

        assert run_virtual(main()) == 0.0

    def test_it_passes_by_what_is_slept_and_nobody_waits_for_it(self) -> None:
        async def main() -> float:
            await asyncio.sleep(90 * 24 * 3600)
            return now()

        assert run_virtual(main()) == 90 * 24 * 3600

    def test_it_stands_still_while_something_can_run(self) -> None:
        async def main() -> float:
            for _ in range(1000):
                await asyncio.sleep(0)
            return now()

        assert run_virtual(main()) == 0.0

    def test_timers_fire_in_order_each_at_its_time(self) -> None:
        fired: list[tuple[str, float]] = []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            fired.append((name, now()))

        async def main() -> None:
            await asyncio.gather(sleeper("late", 30), sleeper("soon", 0.25), sleeper("between", 5))

        run_virtual(main())
        assert fired == [("soon", 0.25), ("between", 5.0), ("late", 30.0)]

    def test_a_timeout_comes_at_its_time(self) -> None:
        async def main() -> float:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(7.5):
                    await asyncio.sleep(10)
            return now()

        assert run_virtual(main()) == 7.5

    def test_it_stands_still_while_a_thread_works(self) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def work() -> str:
            begun.set()
            assert go_on.wait(10)
            return "done"

        async def main() -> tuple[str, float]:
            working = asyncio.create_task(asyncio.to_thread(work))
            await asyncio.to_thread(begun.wait, 10)
            asyncio.get_running_loop().call_soon(go_on.set)
            return await working, now()

        assert run_virtual(main()) == ("done", 0.0)

    def test_it_goes_on_after_a_thread_was_given_up(self) -> None:
        go_on = threading.Event()

        async def main() -> float:
            working = asyncio.create_task(asyncio.to_thread(go_on.wait, 10))
            await asyncio.sleep(0)
            working.cancel()
            await asyncio.sleep(60)
            go_on.set()
            return now()

        assert run_virtual(main()) == 60.0

    @settings(max_examples=30)
    @given(st.lists(st.floats(0, 1e6), max_size=20))
    def test_many_sleeps_add_up(self, pauses: list[float]) -> None:
        async def main() -> float:
            for pause in pauses:
                await asyncio.sleep(pause)
            return now()

        assert run_virtual(main()) == pytest.approx(sum(pauses), abs=1e-6)

    def test_each_run_is_the_same(self) -> None:
        async def main() -> list[float]:
            queue: asyncio.Queue[float] = asyncio.Queue()

            async def work(seconds: float) -> None:
                await asyncio.sleep(seconds)
                queue.put_nowait(now())

            await asyncio.gather(*(work(0.1 * index) for index in range(50)))
            return [queue.get_nowait() for _ in range(50)]

        assert run_virtual(main()) == run_virtual(main())


class TestHanging:
    def test_waiting_for_what_never_comes_is_an_error(self) -> None:
        async def main() -> None:
            await asyncio.Event().wait()

        with pytest.raises(RuntimeError, match="every coroutine waits and no timer is set"):
            run_virtual(main())


def test_a_socket_that_is_ready_is_served_before_time_passes() -> None:
    async def main() -> tuple[bytes, float]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.sendall(b"ready")
            return await asyncio.get_running_loop().sock_recv(ours, 5), now()

    assert run_virtual(main()) == (b"ready", 0.0)


async def seconds_until_error(transport: ScriptedTransport, limit: float) -> float:
    with pytest.raises(ServiceUnavailable, match=f"no complete reply within {limit:.1f} s"):
        await transport.send(REQUEST, timeout=limit)
    return now()


class TestScriptedTransport:
    def test_it_replies_step_by_step(self) -> None:
        async def main() -> list[int]:
            transport = ScriptedTransport([Reply(502), Reply(200)])
            return [(await transport.send(REQUEST, timeout=5)).status for _ in range(2)]

        assert run_virtual(main()) == [502, 200]

    def test_it_replies_with_what_a_function_makes_of_the_request(self) -> None:
        async def main() -> Reply:
            transport = ScriptedTransport(lambda request: json_reply({"asked": request.url}))
            return await transport.send(REQUEST, timeout=5)

        assert run_virtual(main()).json_object() == {"asked": "https://a.example/createJob"}

    def test_an_error_in_the_script_is_raised(self) -> None:
        async def main() -> None:
            await ScriptedTransport([RateLimited("429", retry_after=3)]).send(REQUEST, timeout=5)

        with pytest.raises(RateLimited) as caught:
            run_virtual(main())
        assert caught.value.retry_after == 3

    def test_a_slow_reply_takes_its_time(self) -> None:
        async def main() -> tuple[Reply, float]:
            return await ScriptedTransport([Slow(4, DONE)]).send(REQUEST, timeout=5), now()

        assert run_virtual(main()) == (DONE, 4.0)

    def test_a_slow_error_takes_its_time_as_well(self) -> None:
        async def main() -> float:
            with pytest.raises(RateLimited):
                await ScriptedTransport([Slow(4, RateLimited("429"))]).send(REQUEST, timeout=5)
            return now()

        assert run_virtual(main()) == 4.0

    @pytest.mark.parametrize("step", [Slow(5, DONE), Slow(600, DONE), Hang()])
    def test_what_is_too_slow_ends_with_the_timeout(self, step: Slow | Hang) -> None:
        assert run_virtual(seconds_until_error(ScriptedTransport([step]), 5)) == 5.0

    def test_what_was_sent_and_when_can_be_looked_at(self) -> None:
        transport = ScriptedTransport([DONE, Slow(2, DONE), DONE])

        async def main() -> None:
            for _ in range(3):
                await transport.send(REQUEST, timeout=5)
                await asyncio.sleep(1)

        run_virtual(main())
        assert [sent.at for sent in transport.sent] == [0.0, 1.0, 4.0]
        assert transport.sent[0].request is REQUEST
        assert transport.sent[0].json == {"type": 30}

    def test_a_request_after_the_end_of_the_script_fails_the_test(self) -> None:
        async def main() -> None:
            await ScriptedTransport([]).send(REQUEST, timeout=5)

        with pytest.raises(AssertionError, match=r"no reply for another POST https://a.example/createJob"):
            run_virtual(main())

    def test_closing_is_noted(self) -> None:
        transport = ScriptedTransport([])
        assert not transport.is_closed
        run_virtual(transport.aclose())
        assert transport.is_closed

    def test_a_json_reply_has_the_headers_it_is_given(self) -> None:
        reply = json_reply({"error": True}, 429, retry_after="7")
        assert (reply.status, reply.retry_after, reply.json_object()) == (429, 7.0, {"error": True})
