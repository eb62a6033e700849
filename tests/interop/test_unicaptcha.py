"""unicaptcha, which has an adapter each for four services; ``base_url`` is all that is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from captchahub_createtask.dialects import DialectName
from captchahub_createtask.emulation import CreateTaskEmulation
from unicaptcha import (
    AsyncSolver,
    AuthenticationError,
    ImageChallenge,
    InsufficientBalanceError,
    NoSolutionError,
    ProviderError,
    Solver,
    TimeConfig,
    UnsupportedChallengeError,
)
from unicaptcha.provider.anticaptcha import AntiCaptchaAdapter, AntiCaptchaImageChallenge
from unicaptcha.provider.capmonster import CapMonsterAdapter, CapMonsterImageChallenge
from unicaptcha.provider.capsolver import CapsolverAdapter, CapsolverImageChallenge
from unicaptcha.provider.twocaptcha import TwoCaptchaAdapter, TwoCaptchaImageChallenge

from captchahub.testing import Sandbox

Serve = Callable[..., Sandbox]
Connect = Callable[..., Any]
Done = Callable[[Any], Any]

ADAPTERS: Mapping[DialectName, Any] = {
    "anti-captcha": AntiCaptchaAdapter,
    "2captcha": TwoCaptchaAdapter,
    "capsolver": CapsolverAdapter,
    "capmonster": CapMonsterAdapter,
}
POLLED = ["anti-captcha", "2captcha", "capmonster"]
SOON = TimeConfig(poll_interval=0.05, poll_delay=0.0)

only = pytest.mark.parametrize


@pytest.fixture(params=ADAPTERS)
def dialect(request: pytest.FixtureRequest) -> DialectName:
    name: DialectName = request.param
    return name


@pytest.fixture
def sandbox(serve: Serve, dialect: DialectName) -> Sandbox:
    return serve(CreateTaskEmulation(dialect, min_poll_interval=0))


@pytest.fixture(params=[Solver, AsyncSolver])
def connect(request: pytest.FixtureRequest, dialect: DialectName, key: str, done: Done) -> Connect:
    """Makes a client of a sandbox; it is closed after the test."""

    def client(sandbox: Sandbox, key: str = key) -> Any:
        made = request.param([ADAPTERS[dialect](key, sandbox.url)], time=SOON)
        request.addfinalizer(lambda: done(made.close() if request.param is Solver else made.aclose()))
        return made

    return client


def drawn(sandbox: Sandbox, text: str = "x7kp2") -> ImageChallenge:
    return ImageChallenge(sandbox.draw_text(text).image.data)


def test_it_solves_a_picture(connect: Connect, sandbox: Sandbox, done: Done) -> None:
    solved = done(connect(sandbox).solve(drawn(sandbox)))
    assert solved.solution.text == "x7kp2"
    assert [job.delivered for job in sandbox.jobs] == [1]


@only(
    ("dialect", "make"),
    [
        ("anti-captcha", AntiCaptchaImageChallenge),
        ("2captcha", TwoCaptchaImageChallenge),
    ],
)
def test_it_solves_a_picture_with_options(
    connect: Connect, sandbox: Sandbox, done: Done, make: Callable[..., Any]
) -> None:
    picture = sandbox.draw_text("XK").image.data
    options = {"case": True, "numeric": 2, "min_len": 2, "max_len": 2, "language_pool": "en", "comment": "đỏ"}
    assert done(connect(sandbox).solve(make(picture, **options))).solution.text == "XK"


@only(
    ("dialect", "make", "options"),
    [
        ("capmonster", CapMonsterImageChallenge, {"numeric": 1, "case": True, "threshold": 90}),
        ("capsolver", CapsolverImageChallenge, {"module": "common"}),
    ],
)
def test_it_solves_a_picture_with_the_options_of_one_service(
    connect: Connect, sandbox: Sandbox, done: Done, make: Callable[..., Any], options: dict[str, object]
) -> None:
    picture = sandbox.draw_text("42").image.data
    assert done(connect(sandbox).solve(make(picture, **options))).solution.text == "42"


@only("dialect", POLLED)
def test_it_asks_again_until_the_job_is_done(
    serve: Serve, dialect: DialectName, connect: Connect, done: Done
) -> None:
    sandbox = serve(CreateTaskEmulation(dialect, min_poll_interval=0), working_until="getTaskResult")
    assert done(connect(sandbox).solve(drawn(sandbox))).solution.text == "x7kp2"
    assert len(sandbox.calls_to("getTaskResult")) > 1


@only("dialect", ["capsolver"])
def test_it_takes_an_answer_that_comes_at_once(connect: Connect, sandbox: Sandbox, done: Done) -> None:
    done(connect(sandbox).solve(drawn(sandbox)))
    assert [call.name for call in sandbox.calls] == ["createTask"]


@only("dialect", ["2captcha"])
@only("correct", [True, False])
def test_it_reports_an_answer(connect: Connect, sandbox: Sandbox, done: Done, correct: bool) -> None:
    client = connect(sandbox)
    solved = done(client.solve(drawn(sandbox)))
    report = client.report_good_result if correct else client.report_bad_result
    assert done(report(solved.task_ref)) is True
    assert [job.reported for job in sandbox.jobs] == [correct]


@only("dialect", ["anti-captcha", "capsolver", "capmonster"])
def test_it_reports_nothing_where_it_has_no_call_for_it(
    connect: Connect, sandbox: Sandbox, done: Done
) -> None:
    client = connect(sandbox)
    solved = done(client.solve(drawn(sandbox)))
    with pytest.raises(UnsupportedChallengeError):
        done(client.report_bad_result(solved.task_ref))


def test_it_reads_the_balance(connect: Connect, sandbox: Sandbox, dialect: DialectName, done: Done) -> None:
    client = connect(sandbox)
    done(client.solve(drawn(sandbox)))
    assert done(client.get_balance(ADAPTERS[dialect])).amount == Decimal("9.9993")


def test_a_wrong_key_is_its_own_error(
    connect: Connect, sandbox: Sandbox, dialect: DialectName, done: Done
) -> None:
    client = connect(sandbox, key="f" * 32)
    with pytest.raises(AuthenticationError):
        done(client.solve(drawn(sandbox)))
    with pytest.raises(AuthenticationError):
        done(client.get_balance(ADAPTERS[dialect]))


def test_an_empty_account_is_its_own_error(connect: Connect, sandbox: Sandbox, key: str, done: Done) -> None:
    sandbox.world.accounts[key].balance *= 0
    with pytest.raises(InsufficientBalanceError):
        done(connect(sandbox).solve(drawn(sandbox)))


@only(
    ("dialect", "error"),
    [
        ("anti-captcha", NoSolutionError),
        ("2captcha", NoSolutionError),
        ("capsolver", ProviderError),
        ("capmonster", NoSolutionError),
    ],
)
def test_a_picture_nobody_can_read_is_its_own_error(
    connect: Connect, sandbox: Sandbox, done: Done, error: type[Exception]
) -> None:
    challenge = drawn(sandbox)
    sandbox.script(challenge.body, None)
    with pytest.raises(error):
        done(connect(sandbox).solve(challenge))
