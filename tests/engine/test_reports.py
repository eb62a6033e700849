"""Telling a service whether its answer was right: by the program, or where an answer fails a check."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from captchahub_createtask.emulation import CreateTaskEmulation

from captchahub import (
    AllProvidersFailed,
    AsyncHub,
    Attempt,
    ConfigError,
    Hub,
    ImageToText,
    NotOffered,
    ServiceUnavailable,
    TextSolution,
)
from captchahub.testing import Fault, Sandbox, load_emulation


@pytest.fixture
def service() -> Iterator[Sandbox]:
    """A stand-in of 2Captcha, which takes reports of right and of wrong answers."""
    with Sandbox(CreateTaskEmulation("2captcha", min_poll_interval=0)) as sandbox:
        yield sandbox


def account(service: Sandbox, **keys: object) -> dict[str, object]:
    own = {"plugin": "createtask", "dialect": "2captcha", "seconds_between_polls": 0.02}
    return {**own, **service.settings(), **keys}


def configured(service: Sandbox, **keys: object) -> dict[str, object]:
    return {"providers": {"main": account(service, **keys)}}


@pytest.mark.parametrize("correct", [True, False])
def test_the_program_tells_the_service(service: Sandbox, correct: bool) -> None:
    with Hub.from_mapping(configured(service)) as hub:
        result = hub.solve(service.draw_text().task())
        hub.report(result, correct=correct)
    assert [job.reported for job in service.jobs] == [correct]


def test_so_does_one_in_an_event_loop(service: Sandbox) -> None:
    async def run() -> None:
        async with AsyncHub.from_mapping(configured(service)) as hub:
            await hub.report(await hub.solve(service.draw_text().task()), correct=False)

    asyncio.run(run())
    assert [job.reported for job in service.jobs] == [False]


def test_an_answer_that_failed_a_check_can_be_reported(service: Sandbox) -> None:
    picture = service.draw_text("x7kp2")
    service.script(picture.image, TextSolution("x7"))
    with Hub.from_mapping(configured(service)) as hub:
        with pytest.raises(AllProvidersFailed) as caught:
            hub.solve(ImageToText(picture.image, length=5))
        (attempt,) = caught.value.attempts
        assert "hub.report(attempt, correct=False)" in str(attempt)
        hub.report(attempt, correct=False)
    assert [job.reported for job in service.jobs] == [False]


def test_so_can_every_answer_of_an_agreement(service: Sandbox) -> None:
    with Sandbox(CreateTaskEmulation("2captcha", min_poll_interval=0)) as other:
        picture = other.draw_text("x7kp2")
        service.know(picture)
        routes = {"image-to-text": {"providers": ["first", "second"], "agree": 2}}
        mapping = {"providers": {"first": account(service), "second": account(other)}, "routes": routes}
        with Hub.from_mapping(mapping) as hub:
            result = hub.solve(picture.task())
            assert {vote.kind for vote in result.votes} == {"image-to-text"}
            for vote in result.votes:
                hub.report(vote, correct=True)
        assert [[job.reported for job in one.jobs] for one in (service, other)] == [[True], [True]]


def test_an_attempt_without_a_job_is_a_clear_error(service: Sandbox) -> None:
    attempt = Attempt("main", 0.0, error=ServiceUnavailable("down"))
    with (
        Hub.from_mapping(configured(service)) as hub,
        pytest.raises(NotOffered, match="this attempt of main has no job id to report on"),
    ):
        hub.report(attempt, correct=False)


def test_a_report_that_fails_says_so_to_the_program(service: Sandbox) -> None:
    service.add_faults(Fault.status(503, on="reportIncorrect"))
    with Hub.from_mapping(configured(service)) as hub:
        result = hub.solve(service.draw_text().task())
        with pytest.raises(ServiceUnavailable):
            hub.report(result, correct=False)


def test_a_service_without_such_a_call_is_a_clear_error() -> None:
    with Sandbox(load_emulation("omocaptcha")) as sandbox:
        mapping = {"providers": {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}}
        with Hub.from_mapping(mapping) as hub:
            result = hub.solve(sandbox.draw_text().task())
            with pytest.raises(NotOffered, match="takes no reports"):
                hub.report(result, correct=False)


def test_a_result_of_another_hub_is_a_clear_error(service: Sandbox) -> None:
    with Hub.from_mapping(configured(service)) as hub:
        result = hub.solve(service.draw_text().task())
    with (
        Hub.from_mapping({"providers": {"other": account(service)}}) as hub,
        pytest.raises(ConfigError, match="there is no provider 'main'; the providers are other"),
    ):
        hub.report(result, correct=True)


class TestReportWrong:
    """``report_wrong: true``: answers that fail a check are reported without being asked to."""

    def solve_wrongly(self, service: Sandbox, **keys: object) -> None:
        picture = service.draw_text("x7kp2")
        service.script(picture.image, TextSolution("x7"))
        with Hub.from_mapping(configured(service, **keys)) as hub, pytest.raises(ExceptionGroup):
            hub.solve(ImageToText(picture.image, length=5))

    def test_the_service_is_told(self, service: Sandbox) -> None:
        self.solve_wrongly(service, report_wrong=True)
        # Closing the hub waits for the report.
        assert [job.reported for job in service.jobs] == [False]

    def test_it_is_not_told_unless_wanted(self, service: Sandbox) -> None:
        self.solve_wrongly(service)
        assert [job.reported for job in service.jobs] == [None]
        assert service.calls_to("reportIncorrect") == []

    def test_a_report_that_fails_disturbs_nobody(
        self, service: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        service.add_faults(Fault.status(503, on="reportIncorrect"))
        self.solve_wrongly(service, report_wrong=True)
        assert "the wrong answer could not be reported" in caplog.text

    def test_a_service_that_takes_no_reports_is_a_wrong_configuration(self, service: Sandbox) -> None:
        mapping = configured(service, report_wrong=True, dialect="yescaptcha")
        with pytest.raises(ConfigError, match=r"main.report_wrong: YesCaptcha takes no reports of right"):
            Hub.from_mapping(mapping)
