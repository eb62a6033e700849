"""2captcha-python, 2Captcha's own client, which speaks ``in.php`` and ``res.php``, and https only."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from captchahub_createtask.older_api import OlderApiEmulation
from twocaptcha import AsyncTwoCaptcha, TwoCaptcha
from twocaptcha.exceptions.api import ApiException

from captchahub.testing import Sandbox

Serve = Callable[..., Sandbox]
Connect = Callable[..., Any]
Done = Callable[[Any], Any]


@pytest.fixture(params=[TwoCaptcha, AsyncTwoCaptcha])
def connect(request: pytest.FixtureRequest, key: str) -> Connect:
    """Makes a client of a sandbox."""

    def client(sandbox: Sandbox, key: str = key, **options: object) -> Any:
        server = sandbox.url.removeprefix("https://")
        return request.param(key, server=server, pollingInterval=1, **options)

    return client


@pytest.fixture
def sandbox(serve: Serve) -> Sandbox:
    return serve(OlderApiEmulation())


@pytest.fixture
def file(sandbox: Sandbox, tmp_path: Path) -> str:
    path = tmp_path / "captcha.png"
    path.write_bytes(sandbox.draw_text("x7kp2").image.data)
    return str(path)


def in_base64(sandbox: Sandbox, text: str) -> str:
    return base64.b64encode(sandbox.draw_text(text).image.data).decode()


def test_it_solves_a_file(connect: Connect, sandbox: Sandbox, file: str, done: Done) -> None:
    solved = done(connect(sandbox).normal(file))
    (job,) = sandbox.jobs
    assert solved == {"captchaId": str(job.id), "code": "x7kp2"}
    assert job.delivered == 1


def test_it_solves_a_picture_in_base64_with_options(connect: Connect, sandbox: Sandbox, done: Done) -> None:
    options = {"numeric": 2, "minLen": 2, "maxLen": 2, "caseSensitive": 1, "lang": "en", "hintText": "đỏ"}
    assert done(connect(sandbox).normal(in_base64(sandbox, "XK"), **options))["code"] == "XK"
    (order,) = sandbox.calls_to("in.php")
    assert b"min_len=2" in order.call.body


def test_it_asks_again_until_the_job_is_done(serve: Serve, connect: Connect, done: Done) -> None:
    sandbox = serve(OlderApiEmulation(), working_until="get")
    assert done(connect(sandbox).normal(in_base64(sandbox, "x7kp2")))["code"] == "x7kp2"
    assert len(sandbox.calls_to("get")) > 1


def test_it_reads_the_extended_answer(connect: Connect, sandbox: Sandbox, file: str, done: Done) -> None:
    client = connect(sandbox, extendedResponse=True)
    assert done(client.normal(file))["code"] == "x7kp2"


@pytest.mark.parametrize("correct", [True, False])
def test_it_reports_an_answer(
    connect: Connect, sandbox: Sandbox, file: str, correct: bool, done: Done
) -> None:
    client = connect(sandbox)
    solved = done(client.normal(file))
    assert done(client.report(solved["captchaId"], correct)) == "OK_REPORT_RECORDED"
    assert [job.reported for job in sandbox.jobs] == [correct]


def test_it_reads_the_balance(connect: Connect, sandbox: Sandbox, file: str, done: Done) -> None:
    client = connect(sandbox)
    done(client.normal(file))
    assert done(client.balance()) == pytest.approx(9.9993)


def test_a_wrong_key_is_its_own_error(connect: Connect, sandbox: Sandbox, file: str, done: Done) -> None:
    client = connect(sandbox, key="f" * 32)
    with pytest.raises(ApiException, match="ERROR_KEY_DOES_NOT_EXIST"):
        done(client.normal(file))
    with pytest.raises(ApiException, match="ERROR_KEY_DOES_NOT_EXIST"):
        done(client.balance())


def test_a_picture_nobody_can_read_is_its_own_error(
    connect: Connect, sandbox: Sandbox, file: str, done: Done
) -> None:
    sandbox.script(Path(file).read_bytes(), None)
    with pytest.raises(ApiException, match="ERROR_CAPTCHA_UNSOLVABLE"):
        done(connect(sandbox).normal(file))


def test_an_empty_account_is_its_own_error(
    connect: Connect, sandbox: Sandbox, key: str, file: str, done: Done
) -> None:
    sandbox.world.accounts[key].balance *= 0
    with pytest.raises(ApiException, match="ERROR_ZERO_BALANCE"):
        done(connect(sandbox).normal(file))
