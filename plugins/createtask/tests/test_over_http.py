"""Every dialect from the hub to the service and back, over real HTTP against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from decimal import Decimal
from itertools import pairwise
from typing import Any, get_args

import attrs
import pytest
import requests
from captchahub_createtask import CreateTaskProvider, CreateTaskSettings
from captchahub_createtask.dialects import DIALECTS, DialectName
from captchahub_createtask.emulation import CreateTaskEmulation

from captchahub import AllProvidersFailed, Hub, ImageToText, Solution, Task
from captchahub.errors import AmbiguousCreate, InsufficientBalance, NotOffered, PluginFault, UnsupportedTask
from captchahub.hookspecs import hookimpl
from captchahub.provider import Created, ProviderKind, Reply
from captchahub.testing import Answer, Call, Fault, Painter, Sandbox, World, load_emulation

EVERY = get_args(DialectName)


@pytest.fixture(params=EVERY)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(CreateTaskEmulation(request.param, min_poll_interval=0), job_time=0.1) as running:
        yield running


def dialect_of(sandbox: Sandbox) -> DialectName:
    assert isinstance(sandbox.emulation, CreateTaskEmulation)
    return sandbox.emulation.dialect


def hub_for(sandbox: Sandbox, balance: str = "10", **keys: object) -> Hub:
    own = {"seconds_between_polls": 0.05, **keys}
    provider = {"plugin": "createtask", **sandbox.settings(balance=balance), **own}
    return Hub.from_mapping({"providers": {"backup": provider}})


def test_the_sandbox_finds_the_emulation_by_the_name_of_the_kind() -> None:
    emulation = load_emulation("createtask")
    assert isinstance(emulation, CreateTaskEmulation)
    assert emulation.dialect == "2captcha"
    assert load_emulation("createtask", dialect="capsolver") == CreateTaskEmulation("capsolver")


def test_a_service_with_names_of_its_own_is_used_as_its_settings_say() -> None:
    spoken = attrs.evolve(
        DIALECTS["custom"], task_type="TextTask", image_field="img", wrong_call="complain", right_call="thank"
    )
    with Sandbox(CreateTaskEmulation("custom", spoken=spoken)) as sandbox, hub_for(sandbox) as hub:
        result = hub.solve(sandbox.draw_text("x7kp2").task())
        hub.report(result, correct=True)
    assert [job.reported for job in sandbox.jobs] == [True]


def test_the_settings_contain_only_what_differs_from_the_dialect() -> None:
    spoken = attrs.evolve(DIALECTS["2captcha"], max_side=10, wrong_call=None)
    with Sandbox(CreateTaskEmulation("2captcha", spoken=spoken)) as sandbox:
        assert sandbox.settings(quick=False).keys() == {"dialect", "base_url", "client_key"}


def test_a_picture_is_solved_and_paid_for(sandbox: Sandbox) -> None:
    picture = sandbox.draw_text("x7kp2")
    with hub_for(sandbox) as hub:
        result = hub.solve(ImageToText(picture.image, length=5))
        balance = hub.balances()["backup"]
    assert result.solution.text == "x7kp2"
    assert getattr(balance, "amount", None) == Decimal("9.9993")
    [job] = sandbox.jobs
    assert job.delivered == 1


def test_the_sandbox_says_that_it_does_not_know_a_picture() -> None:
    drawn = Painter().text("x7kp2")
    with (
        Sandbox(CreateTaskEmulation("anti-captcha", min_poll_interval=0)) as sandbox,
        hub_for(sandbox) as hub,
    ):
        with pytest.raises(AllProvidersFailed) as caught:
            hub.solve(drawn.task())
        assert "the sandbox does not know this picture" in str(caught.value)
        hub.solve(sandbox.know(drawn).task())


def test_what_the_dialect_has_no_field_for_is_reported_as_ignored(sandbox: Sandbox) -> None:
    picture = sandbox.draw_text("12345")
    task = ImageToText(picture.image, length=5, charset="0123456789", phrase=False, hint="the red ones")
    with hub_for(sandbox) as hub:
        ignored = set(hub.solve(task).ignored_options)
    expected = {
        "capmonster": {"length", "phrase", "hint"},
        "capsolver": {"length", "charset", "phrase", "hint"},
        "yescaptcha": {"length", "charset", "phrase", "hint"},
        "omocaptcha-v2": {"length", "charset", "phrase", "hint"},
    }
    assert ignored == expected.get(dialect_of(sandbox), set())


def test_a_job_answered_at_once_is_not_polled(sandbox: Sandbox) -> None:
    with hub_for(sandbox) as hub:
        hub.solve(sandbox.draw_text().task())
    assert bool(sandbox.calls_to("getTaskResult")) is (dialect_of(sandbox) != "capsolver")


def test_an_outage_while_asking_loses_no_paid_job(sandbox: Sandbox) -> None:
    sandbox.add_faults(Fault.status(502, on="getTaskResult", times=2))
    with hub_for(sandbox) as hub:
        assert hub.solve(sandbox.draw_text("x7kp2").task()).solution.text == "x7kp2"
    assert len(sandbox.jobs) == 1


def test_an_empty_account_is_reported(sandbox: Sandbox) -> None:
    task = sandbox.draw_text().task()
    with hub_for(sandbox, balance="0") as hub, pytest.raises(AllProvidersFailed) as caught:
        hub.solve(task)
    [attempt] = caught.value.attempts
    assert isinstance(attempt.error, InsufficientBalance)


@pytest.mark.parametrize("correct", [False, True])
def test_an_answer_is_reported_if_the_service_accepts_reports(sandbox: Sandbox, correct: bool) -> None:
    spoken = DIALECTS[dialect_of(sandbox)]
    is_taken = (spoken.right_call if correct else spoken.wrong_call) is not None
    with hub_for(sandbox) as hub:
        result = hub.solve(sandbox.draw_text().task())
        with nullcontext() if is_taken else pytest.raises(NotOffered, match=r"takes (no )?reports of"):
            hub.report(result, correct=correct)
    [job] = sandbox.jobs
    assert job.reported is (correct if is_taken else None)


def test_a_picture_beyond_the_limits_is_never_sent(sandbox: Sandbox) -> None:
    task = sandbox.draw_text().task()
    with hub_for(sandbox, max_side=10) as hub, pytest.raises(AllProvidersFailed) as caught:
        hub.solve(task)
    [attempt] = caught.value.attempts
    assert isinstance(attempt.error, UnsupportedTask)
    assert not sandbox.calls


class NoIds(CreateTaskEmulation):
    """A service that answers at once and names no job."""

    def answer(self, call: Call, world: World) -> Answer:
        said = super().answer(call, world)
        fields: dict[str, object] = json.loads(said.body)
        fields.pop("taskId", None)
        return Answer.json(fields, said.status)


def test_an_answer_given_at_once_without_an_id_is_not_lost() -> None:
    with Sandbox(NoIds("capsolver")) as sandbox, hub_for(sandbox, prices={"image-to-text": 0.001}) as hub:
        result = hub.solve(sandbox.draw_text("x7kp2").task())
        assert (result.solution.text, result.job_id, result.cost) == ("x7kp2", None, Decimal("0.001"))
        with pytest.raises(NotOffered, match="no job id to report on"):
            hub.report(result, correct=False)


class Forgetful(CreateTaskProvider):
    """A plugin that returns neither an id nor an answer."""

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        return attrs.evolve(super().read_created(task, reply), job_id=None)


class ForgetfulPlugin:
    @hookimpl
    def captchahub_provider_kinds(self) -> list[ProviderKind[CreateTaskSettings]]:
        return [ProviderKind("createtask", CreateTaskSettings, Forgetful)]


def test_a_plugin_that_loses_the_id_of_a_job_does_not_create_another() -> None:
    with Sandbox(CreateTaskEmulation("2captcha")) as sandbox:
        provider = {"plugin": "createtask", **sandbox.settings()}
        task = sandbox.draw_text().task()
        with (
            Hub.from_mapping({"providers": {"backup": provider}}, plugins=[ForgetfulPlugin()]) as hub,
            pytest.raises(AllProvidersFailed) as caught,
        ):
            hub.solve(task)
        assert len(sandbox.jobs) == 1
    [attempt] = caught.value.attempts
    assert isinstance(attempt.error, AmbiguousCreate)
    assert isinstance(attempt.error.__cause__, PluginFault)


@pytest.mark.parametrize("limit", [{"max_side": 10}, {"max_bytes": 10}, {"min_bytes": 10**6}])
def test_a_picture_that_one_service_refuses_for_its_size_is_taken_by_the_next(limit: dict[str, Any]) -> None:
    strict = CreateTaskEmulation("2captcha", spoken=attrs.evolve(DIALECTS["2captcha"], **limit))
    # The settings say nothing of the stricter limit: only the service does.
    with Sandbox(strict) as first, Sandbox(CreateTaskEmulation("capsolver")) as second:
        providers = {
            "strict": {"plugin": "createtask", **first.settings()},
            "backup": {"plugin": "createtask", **second.settings()},
        }
        with Hub.from_mapping({"providers": providers}) as hub:
            result = hub.solve(second.draw_text("x7kp2").task())
        assert not first.jobs
    assert (result.provider, result.solution.text) == ("backup", "x7kp2")
    assert isinstance(result.attempts[0].error, UnsupportedTask)


def test_any_client_of_the_protocol_gets_its_answer(sandbox: Sandbox) -> None:
    key = sandbox.settings()["client_key"]
    field = DIALECTS[dialect_of(sandbox)].image_field
    task = {"type": "ImageToTextTask", field: sandbox.draw_text("x7kp2").image.base64}

    def post(name: str, **body: object) -> dict[str, object]:
        with requests.post(f"{sandbox.url}/{name}", json={"clientKey": key, **body}, timeout=5) as reply:
            answer: dict[str, object] = reply.json()
            return answer

    task_id = post("createTask", task=task)["taskId"]
    sandbox.finish_jobs()
    assert post("getTaskResult", taskId=task_id)["solution"] == {"text": "x7kp2"}


def test_a_job_is_not_polled_faster_than_the_settings_allow() -> None:
    with Sandbox(CreateTaskEmulation("capmonster", min_poll_interval=0.2), job_time=0.5) as sandbox:
        own = {**sandbox.settings(quick=False), "seconds_between_polls": 0.2}
        with Hub.from_mapping({"providers": {"backup": {"plugin": "createtask", **own}}}) as hub:
            hub.solve(sandbox.draw_text().task())
        asked = [record.received for record in sandbox.calls_to("getTaskResult")]
    assert len(asked) > 1
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(asked))
