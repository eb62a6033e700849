"""python-anticaptcha, a client of Anti-Captcha; its ``host`` is all that is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from captchahub_createtask.emulation import CreateTaskEmulation
from python_anticaptcha import (
    AnticaptchaClient,
    AnticaptchaException,
    AsyncAnticaptchaClient,
    ImageToTextTask,
)

from captchahub.testing import Sandbox

Serve = Callable[..., Sandbox]
Connect = Callable[..., Any]
Done = Callable[[Any], Any]


@pytest.fixture
def sandbox(serve: Serve) -> Sandbox:
    return serve(CreateTaskEmulation("anti-captcha", min_poll_interval=0))


@pytest.fixture(params=[AnticaptchaClient, AsyncAnticaptchaClient])
def connect(request: pytest.FixtureRequest, key: str, done: Done) -> Connect:
    """Makes a client of a sandbox; it is closed after the test."""

    def client(sandbox: Sandbox, key: str = key) -> Any:
        made = request.param(key, host=sandbox.url.removeprefix("https://"))
        request.addfinalizer(lambda: done(made.close()))
        return made

    return client


def test_it_solves_a_picture(connect: Connect, sandbox: Sandbox, done: Done) -> None:
    picture = sandbox.draw_text("x7kp2").image.data
    job = done(connect(sandbox).create_task(ImageToTextTask(picture)))
    done(job.join())
    assert job.get_captcha_text() == "x7kp2"
    assert [(made.id, made.delivered) for made in sandbox.jobs] == [(job.task_id, 1)]


def test_it_solves_a_picture_with_options(connect: Connect, sandbox: Sandbox, done: Done) -> None:
    picture = sandbox.draw_text("XK").image.data
    options = {"phrase": False, "case": True, "numeric": 2, "math": False, "min_length": 2, "max_length": 2}
    job = done(connect(sandbox).create_task(ImageToTextTask(picture, **options, comment="đỏ")))
    done(job.join())
    assert job.get_captcha_text() == "XK"
    (order,) = sandbox.calls_to("createTask")
    assert order.call.json()["languagePool"] == "en"


def test_it_asks_again_until_the_job_is_done(serve: Serve, connect: Connect, done: Done) -> None:
    sandbox = serve(CreateTaskEmulation("anti-captcha", min_poll_interval=0), working_until="getTaskResult")
    job = done(connect(sandbox).create_task(ImageToTextTask(sandbox.draw_text("x7kp2").image.data)))
    done(job.join(backoff=True))
    assert job.get_captcha_text() == "x7kp2"
    assert len(sandbox.calls_to("getTaskResult")) > 1


def test_it_reports_a_wrong_answer(connect: Connect, sandbox: Sandbox, done: Done) -> None:
    job = done(connect(sandbox).create_task(ImageToTextTask(sandbox.draw_text().image.data)))
    done(job.join())
    assert done(job.report_incorrect_image()) is True
    assert [made.reported for made in sandbox.jobs] == [False]


def test_it_reads_the_balance(connect: Connect, sandbox: Sandbox, done: Done) -> None:
    client = connect(sandbox)
    done(client.create_task(ImageToTextTask(sandbox.draw_text().image.data)))
    assert done(client.get_balance()) == pytest.approx(9.9993)


def test_a_wrong_key_is_its_own_error(connect: Connect, sandbox: Sandbox, done: Done) -> None:
    client = connect(sandbox, key="f" * 32)
    task = ImageToTextTask(sandbox.draw_text().image.data)
    for ask in (lambda: client.create_task(task), client.get_balance):
        with pytest.raises(AnticaptchaException) as caught:
            done(ask())
        assert caught.value.error_code == "ERROR_KEY_DOES_NOT_EXIST"


def test_a_picture_nobody_can_read_is_its_own_error(connect: Connect, sandbox: Sandbox, done: Done) -> None:
    picture = sandbox.draw_text().image.data
    sandbox.script(picture, None)
    job = done(connect(sandbox).create_task(ImageToTextTask(picture)))
    with pytest.raises(AnticaptchaException) as caught:
        done(job.join())
    assert caught.value.error_code == "ERROR_CAPTCHA_UNSOLVABLE"


def test_an_empty_account_is_its_own_error(connect: Connect, sandbox: Sandbox, key: str, done: Done) -> None:
    sandbox.world.accounts[key].balance *= 0
    with pytest.raises(AnticaptchaException) as caught:
        done(connect(sandbox).create_task(ImageToTextTask(sandbox.draw_text().image.data)))
    assert caught.value.error_code == "ERROR_ZERO_BALANCE"
