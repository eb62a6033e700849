"""What is logged of a solve: every line has its id, and a failure is a warning."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import pytest

from captchahub import AllProvidersFailed, Hub, ImageToText, Solution, Task
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._plugins.manager import Plugins
from captchahub.events import Submitted
from captchahub.extending import Prepared
from captchahub.hookspecs import hookimpl
from captchahub.testing import Sandbox
from tests.custom_providers import fail, solve
from tests.plugins.test_dispatcher import Recorder
from tests.virtual_services import PICTURE, TASK, TOKEN, Service, lines, run_with_services, unreachable


class Unprepared:
    @hookimpl
    def captchahub_prepare_task(self, task: Task[Solution]) -> Prepared:
        raise OSError("the picture is broken")


class Refusing:
    """Fails as a check, in the hub's own thread."""

    @hookimpl
    def captchahub_check_solution(self, solution: Solution) -> str | None:
        raise ZeroDivisionError


def ids(records: Iterable[logging.LogRecord]) -> set[object]:
    return {getattr(record, "solve", "none at all") for record in records}


class TestTheLinesOfASolve:
    @pytest.fixture(autouse=True)
    def all_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "captchahub")

    def test_end_with_the_id_that_events_have(self, caplog: pytest.LogCaptureFixture) -> None:
        recorder = Recorder()
        services = {
            "bad": Service(mishap=unreachable, settings={"health": {"failures": 1}}),
            "unread": Service(answer=None),
            "good": Service(),
        }

        run_with_services(services, solve, plugins=(recorder, Refusing()))
        (submitted,) = recorder.of(Submitted)
        assert len(caplog.records) > 4
        assert ids(caplog.records) == {submitted.solve}
        assert all(message.endswith(f" [solve {submitted.solve}]") for message in caplog.messages)

    def test_are_distinguished_if_several_run(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main(engine: Engine) -> None:
            tasks = [ImageToText(PICTURE, hint=str(number)) for number in range(3)]
            await asyncio.gather(*(engine.solve(task, None) for task in tasks))

        recorder = Recorder()
        run_with_services({"good": Service()}, main, plugins=(recorder,))
        assert len(caplog.records) == len(ids(caplog.records)) == 3
        assert ids(caplog.records) == {event.solve for event in recorder.of(Submitted)}

    def test_have_it_after_the_attempt_has_ended(self, caplog: pytest.LogCaptureFixture) -> None:
        recorder = Recorder()

        async def main(engine: Engine) -> None:
            with pytest.raises(AllProvidersFailed):
                await engine.solve(TASK, 5.0)
            await asyncio.sleep(60)

        run_with_services({"slow": Service(seconds=lambda: 20.0)}, main, plugins=(recorder,))
        (late,) = (
            record for record in caplog.records if "after its attempt had ended" in record.getMessage()
        )
        assert ids([late]) == {recorder.of(Submitted)[0].solve}

    def test_have_none_if_nothing_is_solved(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main(engine: Engine) -> None:
            await solve(engine)
            caplog.clear()
            plugins, account = Plugins(), {"plugin": "omocaptcha", "api_token": TOKEN}
            await engine.reload(read_mapping({"providers": {"good": account}}, plugins), plugins)

        run_with_services({"good": Service()}, main)
        assert lines(caplog)[0].startswith("the configuration was read again")
        assert ids(caplog.records) == {None}
        assert "[solve" not in caplog.text

    def test_have_it_in_the_threads_of_plugins(self, caplog: pytest.LogCaptureFixture) -> None:
        recorder = Recorder()
        run_with_services({"good": Service()}, solve, plugins=(recorder, Unprepared()))
        (failed,) = (record for record in caplog.records if "prepare_task" in record.getMessage())
        assert ids([failed]) == {recorder.of(Submitted)[0].solve}

    def test_are_warnings_if_it_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "captchahub")
        run_with_services({"bad": Service(answer=None)}, fail)
        (record,) = caplog.records
        assert (record.levelname, record.name) == ("WARNING", "captchahub")
        assert lines(caplog) == [
            "image-to-text: no answer after 4.0 s: no provider solved this image-to-text task"
        ]

    def test_are_no_warnings_if_it_is_solved_or_cancelled(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "captchahub")

        async def main(engine: Engine) -> None:
            await solve(engine)
            cancelled = asyncio.ensure_future(solve(engine))
            await asyncio.sleep(1)
            cancelled.cancel()
            await asyncio.wait([cancelled])

        run_with_services({"good": Service()}, main)
        assert caplog.records == []

    def test_have_it_over_http_too(self, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
        mapping = {"providers": {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}}
        with Hub.from_mapping(mapping) as hub:
            for text in ("one", "two"):
                hub.solve(sandbox.draw_text(text).task())
        assert len(ids(caplog.records)) == len(caplog.records) == 2
