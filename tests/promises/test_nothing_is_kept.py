"""Errors, results and logs show no token, wherever it was written, and keep no picture."""

from __future__ import annotations

import asyncio
import gc
import logging
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import attrs
import pytest

from captchahub import (
    AllProvidersFailed,
    Attempt,
    Hub,
    Image,
    ImageToText,
    JobFailed,
    MalformedReply,
    Overtaken,
    ProviderError,
    ServiceUnavailable,
    TaskError,
    TaskRefused,
    TextSolution,
)
from captchahub._engine.engine import Engine
from captchahub.provider import Created, Reply, Solved
from captchahub.tasks import Solution
from captchahub.testing import Hang, Sandbox, Slow
from tests.custom_providers import (
    CustomPlugin,
    LocalEngine,
    ScriptedProvider,
    fail,
    provider_with,
    raising,
    returning,
    run_with_providers,
)
from tests.quick_omo import QuickOmo
from tests.virtual_services import PICTURE, TOKEN


def in_its_words() -> Exception:
    return MalformedReply(f"bad {TOKEN}")


def in_a_cause() -> Exception:
    error = MalformedReply("bad")
    error.__cause__ = KeyError(f"no field in {TOKEN}")
    return error


def in_the_cause_of_a_cause() -> Exception:
    error = in_a_cause()
    assert error.__cause__ is not None
    error.__cause__.__cause__ = ValueError(f"bad {TOKEN}")
    return error


def in_a_context() -> Exception:
    try:
        try:
            raise KeyError(f"no field in {TOKEN}")
        except KeyError:
            raise ValueError("bad")  # noqa: B904 - that is it
    except ValueError as error:
        return error


def in_a_note() -> Exception:
    error = JobFailed("bad")
    error.add_note(f"sent with {TOKEN}")
    return error


def in_a_note_of_a_cause() -> Exception:
    error = JobFailed("bad")
    error.__cause__ = in_a_note()
    return error


def in_bytes() -> Exception:
    return ValueError(f"bad {TOKEN}".encode())


def in_data() -> Exception:
    return KeyError({"token": TOKEN}, (TOKEN,))


def in_a_system_error() -> Exception:
    return OSError(2, f"no {TOKEN}", f"/{TOKEN}")


def in_a_group() -> Exception:
    return ExceptionGroup("all bad", [ValueError(f"bad {TOKEN}"), KeyError("bad")])


class DetailedError(JobFailed):
    def __init__(self, message: str, detail: str) -> None:
        super().__init__(message)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.detail}"


def in_words_of_its_own() -> Exception:
    return DetailedError("bad", f"token={TOKEN}")


def in_its_advice() -> Exception:
    error = JobFailed("bad")
    error.advice = f"use another than {TOKEN}"
    return error


PLACES = [
    in_its_words,
    in_a_cause,
    in_the_cause_of_a_cause,
    in_a_context,
    in_a_note,
    in_a_note_of_a_cause,
    in_bytes,
    in_data,
    in_a_system_error,
    in_a_group,
    in_words_of_its_own,
    in_its_advice,
]
places = pytest.mark.parametrize("make", PLACES, ids=[make.__name__ for make in PLACES])


def all_that_shows(error: Exception) -> str:
    shown = [str(error), repr(error), *traceback.format_exception(error)]
    if isinstance(error, AllProvidersFailed):
        shown += [repr(error.attempts), *(repr(one) for one in error.exceptions)]
    return "".join(shown)


class TestTheToken:
    @pytest.fixture(autouse=True)
    def all_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)

    @places
    @pytest.mark.parametrize("method", ["create_job", "read_created", "poll_job", "read_result"])
    def test_a_plugin_that_writes_it_down_does_not_show_it(
        self, method: str, make: Callable[[], Exception], caplog: pytest.LogCaptureFixture
    ) -> None:
        shown = shown_of(ScriptedProvider(provider_with(**{method: raising(make)})))
        assert TOKEN not in shown + caplog.text

    @places
    def test_nor_does_a_transport(
        self, make: Callable[[], Exception], caplog: pytest.LogCaptureFixture
    ) -> None:
        shown = shown_of(ScriptedProvider(step=raising(make)))
        assert TOKEN not in shown + caplog.text

    @places
    def test_nor_an_engine(self, make: Callable[[], Exception], caplog: pytest.LogCaptureFixture) -> None:
        own = {"plugin": "odd", "who": "own", "token": TOKEN, **ONE_IS_TOO_MANY}
        reader = LocalEngine(raising(make))
        with Hub.from_mapping({"providers": {"own": own}}, plugins=[CustomPlugin({"own": reader})]) as hub:
            with pytest.raises(AllProvidersFailed) as caught:
                hub.solve(ImageToText(PICTURE))
            shown = all_that_shows(caught.value) + repr(hub.health())
        assert TOKEN not in shown + caplog.text

    @places
    @pytest.mark.parametrize("method", ["ask_balance", "read_balance"])
    def test_nor_the_calls_beside_the_jobs(self, method: str, make: Callable[[], Exception]) -> None:
        async def main(engine: Engine) -> str:
            found = (await engine.balances())["only"]
            assert isinstance(found, Exception)
            return all_that_shows(found)

        assert TOKEN not in run_with_providers(
            {"only": ScriptedProvider(provider_with(**{method: raising(make)}))}, main
        )

    @pytest.mark.parametrize(
        ("method", "answer"),
        [
            ("read_created", Created(1, TextSolution(TOKEN))),
            ("read_result", Solved(TextSolution(f"{TOKEN} and more"))),
        ],
    )
    def test_nor_an_answer_that_is_refused(
        self, method: str, answer: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        shown = shown_of(
            ScriptedProvider(provider_with(**{method: returning(answer)})), ImageToText(PICTURE, length=3)
        )
        assert "characters, not 3" in shown
        assert TOKEN not in shown + caplog.text

    @pytest.mark.parametrize("answer", [TextSolution(TOKEN), TextSolution(f"{TOKEN} and more")])
    def test_nor_one_that_was_outvoted(self, answer: TextSolution) -> None:
        async def main(engine: Engine) -> str:
            return all_that_shows(await fail(engine))

        odd_one = ScriptedProvider(provider_with(read_created=returning(Created(1, answer))))
        shown = run_with_providers({"odd": odd_one, "other": ScriptedProvider()}, main, agree=2)
        assert "and no other provider did, but 2 must agree" in shown
        assert TOKEN not in shown

    def test_what_happened_is_still_reported(self) -> None:
        shown = shown_of(ScriptedProvider(provider_with(read_created=raising(in_a_cause))))
        assert "AmbiguousCreate" in shown
        assert "no field in ***" in shown


ONE_IS_TOO_MANY = {"health": {"failures": 1}}


def shown_of(scripted: ScriptedProvider, task: ImageToText = ImageToText(PICTURE)) -> str:  # noqa: B008 - it is frozen
    """What a failed solve shows, and the health after it."""

    async def main(engine: Engine) -> str:
        error = await fail(engine, task=task)
        return all_that_shows(error) + repr(await engine.health())

    scripted.settings = {**scripted.settings, **ONE_IS_TOO_MANY}
    return run_with_providers({"only": scripted}, main)


@attrs.frozen
class OddTask(ImageToText):
    """A task whose check fails."""

    def check(self, solution: Solution) -> str | None:
        raise KeyError("broken")


def holding(_task: object, _reply: object) -> object:
    """An error whose context came about in a frame that holds the task."""
    try:
        return int("no")
    except ValueError:
        raise JobFailed("no")  # noqa: B904 - that is it


def broke(_request: object) -> Reply | ProviderError:
    return ServiceUnavailable("the connection broke")


def not_sent(_request: object) -> Reply | ProviderError:
    return ServiceUnavailable("nobody listens", nothing_created=True)


# Stalls by what goes wrong; they are made anew for each test.
FAILING: Mapping[str, Callable[[], ScriptedProvider]] = {
    "job failed": lambda: ScriptedProvider(provider_with(read_result=raising(lambda: JobFailed("no")))),
    "ambiguous": lambda: ScriptedProvider(step=broke),
    "not sent": lambda: ScriptedProvider(step=not_sent),
    "timeout": lambda: ScriptedProvider(step=lambda _: Hang(), settings={"timeout": "3s"}),
    "fault in the reading": lambda: ScriptedProvider(
        provider_with(read_created=raising(lambda: KeyError("no")))
    ),
    "fault in the order": lambda: ScriptedProvider(provider_with(create_job=raising(lambda: KeyError("no")))),
    "lost questions": lambda: ScriptedProvider(
        step=lambda request: broke(request) if "poll" in request.url else Reply(200)
    ),
    "no solution": lambda: ScriptedProvider(provider_with(read_result=returning("x7kp2"))),
    "in a context": lambda: ScriptedProvider(provider_with(read_created=holding)),
}
failing = pytest.mark.parametrize("make", FAILING.values(), ids=FAILING)


class TestThePicture:
    @pytest.fixture(autouse=True)
    def no_collector(self) -> Iterator[None]:
        """Turn off the garbage collector: a picture must not be kept until it runs."""
        gc.collect()
        # What earlier tests have left in this process stays, and each later collection would look through it.
        gc.freeze()
        gc.disable()
        yield
        gc.enable()

    @failing
    def test_a_result_does_not_keep_it_whatever_failed_before(
        self, make: Callable[[], ScriptedProvider]
    ) -> None:
        async def main(engine: Engine) -> None:
            task = ImageToText(Image.from_bytes(PICTURE.data))
            picture = weakref.ref(task.image)
            result = await engine.solve(task, 60)
            del task
            await asyncio.sleep(100)
            assert len(result.attempts) == 2
            assert picture() is None

        run_with_providers({"failing": make(), "good": ScriptedProvider()}, main)

    @failing
    def test_nor_does_an_error_that_was_let_go(self, make: Callable[[], ScriptedProvider]) -> None:
        async def main(engine: Engine) -> None:
            task = ImageToText(Image.from_bytes(PICTURE.data))
            picture = weakref.ref(task.image)
            with pytest.raises(AllProvidersFailed):
                await engine.solve(task, 60)
            del task
            await asyncio.sleep(100)
            assert picture() is None

        run_with_providers({"failing": make()}, main)

    @failing
    def test_nor_the_attempts_of_an_error(self, make: Callable[[], ScriptedProvider]) -> None:
        async def main(engine: Engine) -> None:
            task = ImageToText(Image.from_bytes(PICTURE.data))
            picture = weakref.ref(task.image)
            attempts: Sequence[Attempt] = ()
            try:
                await engine.solve(task, 60)
            except AllProvidersFailed as error:
                attempts = error.attempts
            del task
            await asyncio.sleep(100)
            assert attempts
            assert picture() is None

        run_with_providers({"failing": make()}, main)

    @pytest.mark.parametrize("error", [TaskError, TaskRefused])
    @pytest.mark.parametrize("method", ["create_job", "read_created", "read_result"])
    def test_nor_the_callers_own_mistake(self, method: str, error: type[Exception]) -> None:
        async def main(engine: Engine) -> None:
            task = ImageToText(Image.from_bytes(PICTURE.data))
            picture = weakref.ref(task.image)
            with suppress(TaskError):
                await engine.solve(task, 60)
            del task
            await asyncio.sleep(100)
            assert picture() is None

        run_with_providers(
            {"only": ScriptedProvider(provider_with(**{method: raising(lambda: error("no"))}))}, main
        )

    def test_nor_a_check_that_crashed(self) -> None:
        async def main(engine: Engine) -> None:
            task = OddTask(Image.from_bytes(PICTURE.data))
            picture = weakref.ref(task.image)
            with pytest.raises(AllProvidersFailed):
                await engine.solve(task, 60)
            del task
            await asyncio.sleep(100)
            assert picture() is None

        run_with_providers({"only": ScriptedProvider()}, main)

    def test_nor_an_attempt_that_was_overtaken(self) -> None:
        async def main(engine: Engine) -> None:
            task = ImageToText(Image.from_bytes(PICTURE.data))
            picture = weakref.ref(task.image)
            result = await engine.solve(task, 60)
            del task
            await asyncio.sleep(100)
            assert [type(attempt.error) for attempt in result.attempts] == [type(None), Overtaken]
            assert picture() is None

        slow = ScriptedProvider(step=lambda request: Slow(9 if "poll" in request.url else 0, Reply(200)))
        run_with_providers(
            {"slow": slow, "quick": ScriptedProvider()}, main, hedge_after="5s", hedge_limit="100%"
        )

    def test_nor_a_solve_that_was_cancelled(self) -> None:
        async def main(engine: Engine) -> None:
            task = ImageToText(Image.from_bytes(PICTURE.data))
            picture = weakref.ref(task.image)
            solving = asyncio.ensure_future(engine.solve(task, 60))
            await asyncio.sleep(1)
            solving.cancel()
            await asyncio.wait([solving])
            del task, solving
            await asyncio.sleep(100)
            # What asyncio itself keeps of a cancellation is for the collector.
            gc.collect()
            assert picture() is None

        run_with_providers({"only": ScriptedProvider(step=lambda _: Hang())}, main)

    def test_nor_a_hub(self, sandbox: Sandbox, quick: QuickOmo) -> None:
        sandbox.script(PICTURE, TextSolution("x7kp2"))
        failing = LocalEngine(raising(lambda: KeyError("broken")))
        mapping = {
            "providers": {
                "own": {"plugin": "odd", "who": "own"},
                "omo": {"plugin": "omocaptcha", **sandbox.settings()},
            }
        }
        with Hub.from_mapping(mapping, plugins=[quick, CustomPlugin({"own": failing})]) as hub:
            for length in (5, 3):
                task = ImageToText(Image.from_bytes(PICTURE.data), length=length)
                picture = weakref.ref(task.image)
                result = None
                try:
                    result = hub.solve(task)
                except AllProvidersFailed:
                    assert length == 3
                assert (result is not None) == (length == 5)
                del task
                hub.health()  # by now the hub's thread has finished
                gc.collect()
                assert picture() is None
