"""Tests of what the service's documentation promises, which the contract suite can't know."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from captchahub import Hub, ImageToText
from captchahub.provider import Job, Reply, Secret, Solved
from captchahub.tasks import TextSolution
from captchahub.testing import Painter, Sandbox, json_reply, load_emulation

from captchahub_penny_reader.provider import PennyReaderProvider
from captchahub_penny_reader.settings import PennyReaderSettings

KEY = "kEy-5d0c91e7"
PROVIDER = PennyReaderProvider(PennyReaderSettings(Secret(KEY)))


# CHANGE: a request as the service's pages show it.
def test_create_sends_the_key_the_picture_and_the_options() -> None:
    picture = Painter(1).text().image
    request = PROVIDER.create_job(ImageToText(picture, length=5))
    assert request.url == "https://api.penny-reader.example/v1/order"
    assert json.loads(request.body) == {"api_key": KEY, "picture": picture.base64, "characters": 5}


# CHANGE: answers as they were seen in use, each with what it means.
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            json_reply({"state": "done", "text": " x7kp2\n", "price": "0.001"}),
            Solved(TextSolution("x7kp2"), Decimal("0.001")),
        ),
        (json_reply({"state": "done", "text": 12345}), Solved(TextSolution("12345"))),
    ],
)
def test_an_answer_is_read(reply: Reply, expected: Solved) -> None:
    assert PROVIDER.read_result(Job(100001, "image-to-text"), reply) == expected


def test_a_hub_solves_a_picture_and_reports_the_answer_as_right() -> None:
    with Sandbox(load_emulation("penny-reader"), job_time=0) as sandbox:
        account = {"plugin": "penny-reader", **sandbox.settings()}
        drawn = sandbox.draw_text("x7kp2")
        with Hub.from_mapping({"providers": {"mine": account}}) as hub:
            result = hub.solve(ImageToText(drawn.image, length=5, hint="five letters"))
            hub.report(result, correct=True)
        assert result.solution.text == "x7kp2"
        assert result.cost == Decimal("0.001")
        assert result.ignored_options == ("hint",)
        assert [job.reported for job in sandbox.jobs] == [True]
