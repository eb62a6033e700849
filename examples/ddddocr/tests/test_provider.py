"""Tests with replies of ddddocr 1.6.1."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from captchahub import AllProvidersFailed, Hub, ImageToText
from captchahub.errors import JobFailed, JobRefused, MalformedReply, ProviderError, ServiceUnavailable
from captchahub.provider import Created, Reply
from captchahub.tasks import TextSolution
from captchahub.testing import Painter, Sandbox, json_reply

import captchahub_ddddocr
from captchahub_ddddocr.emulation import DdddocrEmulation
from captchahub_ddddocr.provider import DdddocrProvider
from captchahub_ddddocr.settings import DdddocrSettings, Model

TASK = ImageToText(Painter(1).text().image)
PROVIDER = DdddocrProvider(DdddocrSettings())

# As 1.6.1 answers every picture, unless it is started by serve.py.
BROKEN = "OCR识别失败: DdddOcr.classification() got an unexpected keyword argument 'colors'"


@pytest.mark.parametrize(("model", "query"), [("usual", ""), ("old", "?old=true"), ("beta", "?beta=true")])
def test_a_picture_goes_to_the_model_that_was_chosen(model: Model, query: str) -> None:
    request = DdddocrProvider(DdddocrSettings(model=model)).create_job(TASK)
    assert request.url == f"http://127.0.0.1:8000/ocr{query}"
    assert json.loads(request.body) == {"image": TASK.image.base64}


def test_the_answer_comes_at_once_and_without_a_job() -> None:
    reply = json_reply({"result": "3xmjp", "probability": None, "processing_time": 0.04})
    assert PROVIDER.read_created(TASK, reply) == Created(None, TextSolution("3xmjp"))


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (
            json_reply({"result": "", "probability": None, "processing_time": 0.02}),
            JobFailed,
            "reads nothing",
        ),
        (json_reply({"result": {"text": "a"}, "processing_time": 0.02}), MalformedReply, "an object"),
        (json_reply({"detail": BROKEN}, 500), JobFailed, "unexpected keyword argument"),
        (json_reply({"detail": "无法读取图片"}, 400), JobRefused, "无法读取图片"),
        (json_reply({"detail": "初始化OCR失败: no model"}, 500), ServiceUnavailable, "no model"),
        (
            json_reply({"detail": [{"loc": ["body"], "msg": "Field required"}]}, 422),
            JobRefused,
            "Field required",
        ),
        (json_reply({"detail": "Not Found"}, 404), JobRefused, "Not Found"),
        (Reply(500, b"Internal Server Error"), ServiceUnavailable, "HTTP 500"),
    ],
)
def test_errors_have_the_message_of_the_server(reply: Reply, error: type[ProviderError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        PROVIDER.read_created(TASK, reply)
    assert type(caught.value) is error


def test_a_hub_solves_pictures_at_no_cost() -> None:
    with Sandbox(DdddocrEmulation()) as sandbox:
        account = {"plugin": "ddddocr", "prices": {"image-to-text": 0}, **sandbox.settings()}
        drawn = sandbox.draw_text("x7kp2")
        unreadable = Painter(2).text()
        with Hub.from_mapping({"providers": {"mine": account}}, plugins=[captchahub_ddddocr]) as hub:
            result = hub.solve(ImageToText(drawn.image, length=5))
            with pytest.raises(AllProvidersFailed) as caught:
                hub.solve(unreadable.task())
        assert "ddddocr reads nothing in the picture" in str(caught.value)
        assert (result.solution.text, result.job_id, result.cost) == ("x7kp2", None, Decimal(0))
        assert result.ignored_options == ("length",)
