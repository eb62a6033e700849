"""Solves with every variant of the service seen in use, over real HTTP against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from captchahub_omocaptcha import OmoProvider, OmoSettings
from captchahub_omocaptcha.emulation import OmoEmulation

from captchahub import Image, ImageToText, PhoneSlide, Point, SlideSolution, Task, TextSolution
from captchahub.provider import Job, Pending, Reply, Request, Secret, Solved
from captchahub.tasks import Solution
from captchahub.testing import Sandbox, load_emulation


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    # Jobs end when the test says so, not when time passes.
    with Sandbox(OmoEmulation(), job_time=60.0) as running:
        yield running


def post(
    sandbox: Sandbox, name: str, body: object, session: requests.Session | None = None
) -> dict[str, object]:
    send = session.post if session else requests.post
    with send(f"{sandbox.url}/{name}", json=body, timeout=5) as reply:
        assert reply.status_code == 200
        answer: dict[str, object] = reply.json()
        return answer


def test_the_sandbox_finds_the_emulation_by_the_name_of_the_kind() -> None:
    assert isinstance(load_emulation("omocaptcha"), OmoEmulation)


@pytest.mark.parametrize("type_id", ["30", 30])
def test_a_client_that_connects_for_every_request_gets_its_answer(
    sandbox: Sandbox, picture: Image, type_id: object
) -> None:
    token = sandbox.settings()["api_token"]
    sandbox.script(picture, TextSolution("x7kp2"))
    data = {"type_job_id": type_id, "image_base64": picture.base64}
    created = post(sandbox, "createJob", {"api_token": token, "data": data})
    ask = {"api_token": token, "job_id": created["job_id"]}
    working = [post(sandbox, "getJobResult", ask)["status"] for _ in range(3)]
    sandbox.finish_jobs()
    answer = post(sandbox, "getJobResult", ask)
    assert (working, answer) == (["running"] * 3, {"error": False, "status": "success", "result": "x7kp2"})
    assert sandbox.connections == 5


def test_a_client_that_keeps_its_connection_gets_its_answer(sandbox: Sandbox, picture: Image) -> None:
    token = sandbox.settings()["api_token"]
    sandbox.script(picture, SlideSolution(Point(10, 20), Point(110.5, 20)))
    data = {"type_job_id": "24", "image_base64": picture.base64}
    with requests.Session() as session:
        created = post(sandbox, "createJob", {"api_token": token, "data": data}, session)
        sandbox.finish_jobs()
        ask = {"api_token": token, "job_id": str(created["job_id"])}
        assert post(sandbox, "getJobResult", ask, session)["result"] == "10|20|110.5|20"
    assert sandbox.connections == 1


def send(request: Request) -> Reply:
    with requests.request(
        request.method, request.url, data=request.body, headers=dict(request.headers), timeout=5
    ) as reply:
        return Reply(reply.status_code, reply.content, dict(reply.headers))


def tasks_and_truths(sandbox: Sandbox) -> list[tuple[Task[Solution], Solution]]:
    text, slide = sandbox.draw_text(), sandbox.draw_slide()
    return [(ImageToText(text.image), text.solution), (PhoneSlide(slide.image), slide.solution)]


def test_what_the_provider_asks_over_http_is_answered_with_the_truth_of_the_picture(sandbox: Sandbox) -> None:
    keys = sandbox.settings(balance="1")
    provider = OmoProvider(OmoSettings(Secret(str(keys["api_token"])), str(keys["base_url"])))
    for task, truth in tasks_and_truths(sandbox):
        created = provider.read_created(task, send(provider.create_job(task)))
        assert created.job_id is not None
        job = Job(created.job_id, task.kind)
        assert provider.read_result(job, send(provider.poll_job(job))) == Pending("running")
        sandbox.finish_jobs()
        found = provider.read_result(job, send(provider.poll_job(job)))
        assert isinstance(found, Solved)
        assert task.complete(found.solution) == task.complete(truth)
    left = provider.read_balance(send(provider.ask_balance())).amount
    assert left == 1 - sum(OmoEmulation.prices.values())
