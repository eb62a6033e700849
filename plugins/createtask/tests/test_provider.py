from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

import attrs
import pytest
from captchahub_createtask import CreateTaskProvider
from captchahub_createtask.dialects import DIALECTS, DialectName

from captchahub import Image, ImageToText, PhoneSlide, Solution, Task, TextSolution
from captchahub.errors import (
    AuthenticationError,
    JobFailed,
    JobRefused,
    MalformedReply,
    NotOffered,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
    UnsupportedTask,
)
from captchahub.provider import Balance, Created, Job, JobId, Pending, Reply, Request, Solved

JOB = Job(72345678901, "image-to-text")
UUID = "37223a89-06ed-442c-a0b8-22067b79c5b4"


class Configure(Protocol):
    def __call__(self, dialect: DialectName, /, **keys: object) -> CreateTaskProvider: ...


class Draw(Protocol):
    def __call__(self, width: int, height: int, /, *, noisy: bool = False) -> Image: ...


def says(status: int = 200, /, **answer: object) -> Reply:
    return Reply(status, json.dumps(answer).encode())


def ready(text: object, **fields: object) -> Reply:
    return says(errorId=0, status="ready", solution={"text": text}, **fields)


def sent(request: Request) -> dict[str, object]:
    body: dict[str, object] = json.loads(request.body)
    return body


# Orders


def test_a_job_is_created_with_what_is_known_about_the_answer(
    provider: CreateTaskProvider, picture: Image, key: str
) -> None:
    request = provider.create_job(ImageToText(picture, length=5, hint="the red ones", language="en"))
    assert (request.method, request.url) == ("POST", "https://api.2captcha.com/createTask")
    assert request.headers["Content-Type"] == "application/json"
    assert sent(request) == {
        "clientKey": key,
        "task": {
            "type": "ImageToTextTask",
            "body": picture.base64,
            "minLength": 5,
            "maxLength": 5,
            "comment": "the red ones",
        },
        "languagePool": "en",
    }


def test_the_newer_api_of_omocaptcha_has_another_field_for_the_picture(
    configure: Configure, picture: Image, key: str
) -> None:
    request = configure("omocaptcha-v2").create_job(ImageToText(picture))
    assert request.url == "https://api.omocaptcha.com/v2/createTask"
    task = {"type": "ImageToTextTask", "imageBase64": picture.base64}
    assert sent(request) == {"clientKey": key, "task": task}


def test_a_custom_service_is_spoken_to_as_the_settings_say(
    configure: Configure, picture: Image, key: str
) -> None:
    provider = configure(
        "custom",
        base_url="https://solver.example/api/v1/",
        task_type="TextTask",
        image_field="img",
        options={"min_length": "min", "language": "lang"},
        task_fields={"module": "common", "score": 0.9},
        seconds_between_polls=0.5,
    )
    task = ImageToText(picture, min_length=4, max_length=5, language="en")
    assert provider.create_job(task).url == "https://solver.example/api/v1/createTask"
    assert sent(provider.create_job(task)) == {
        "clientKey": key,
        "task": {"type": "TextTask", "img": picture.base64, "min": 4, "module": "common", "score": 0.9},
        "lang": "en",
    }
    assert set(provider.sent_options(task)) == {"min_length", "language"}
    assert provider.min_poll_interval == 0.5


def test_the_options_that_are_sent_are_named(provider: CreateTaskProvider, picture: Image) -> None:
    task = ImageToText(picture, length=5, charset="abc123", hint="the red ones")
    assert set(provider.sent_options(task)) == {"length", "hint"}
    assert not provider.sent_options(PhoneSlide(picture))


@attrs.frozen
class Rotate(Task[TextSolution]):
    kind = "rotate"
    solution_type = TextSolution
    image: Image

    def check(self, solution: Solution) -> str | None:
        return None


def test_any_other_task_is_not_supported(provider: CreateTaskProvider, picture: Image) -> None:
    for task in (Rotate(picture), PhoneSlide(picture)):
        with pytest.raises(UnsupportedTask, match=r"does not offer .* at 2Captcha, only image-to-text"):
            provider.create_job(task)
    with pytest.raises(UnsupportedTask, match="does not offer 'rotate'"):
        provider.read_result(Job(1, "rotate"), ready("x"))


@pytest.mark.parametrize("dialect", ["anti-captcha", "2captcha", "capmonster"])
def test_a_picture_of_too_few_bytes_is_left_to_another_service(
    configure: Configure, draw: Draw, dialect: DialectName
) -> None:
    tiny = draw(1, 1)
    with pytest.raises(
        UnsupportedTask, match=f"no picture of {len(tiny.data)} bytes, at least 100 are required$"
    ):
        configure(dialect).create_job(ImageToText(tiny))


@pytest.mark.parametrize(
    ("dialect", "limit", "side"), [("2captcha", 100_000, 400), ("anti-captcha", 500_000, 900)]
)
def test_a_picture_of_too_many_bytes_is_left_to_another_service(
    configure: Configure, draw: Draw, dialect: DialectName, limit: int, side: int
) -> None:
    large = draw(side, side, noisy=True)
    with pytest.raises(
        UnsupportedTask, match=f"no picture of {len(large.data)} bytes, the limit is {limit}$"
    ):
        configure(dialect).create_job(ImageToText(large))
    configure(dialect, max_bytes=len(large.data)).create_job(ImageToText(large))
    configure("capsolver").create_job(ImageToText(large))


@pytest.mark.parametrize("size", [(601, 100), (100, 601)])
def test_a_picture_that_is_too_wide_or_too_high_is_left_to_another_service(
    configure: Configure, draw: Draw, size: tuple[int, int]
) -> None:
    task = ImageToText(draw(*size))
    with pytest.raises(
        UnsupportedTask, match=f"no picture of {size[0]}x{size[1]} pixels, the limit is 600 on"
    ):
        configure("2captcha").create_job(task)
    configure("anti-captcha").create_job(task)
    configure("2captcha", max_side=1000).create_job(task)


def test_a_picture_at_the_limit_is_taken(configure: Configure, draw: Draw) -> None:
    picture = draw(600, 600)
    exact = {"min_bytes": len(picture.data), "max_bytes": len(picture.data)}
    request = configure("2captcha", **exact).create_job(ImageToText(picture))
    assert request.url == "https://api.2captcha.com/createTask"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_service_is_polled_at_its_own_interval(configure: Configure, dialect: DialectName) -> None:
    paces = {"2captcha": (5.0, 5.0), "capsolver": (3.0, None)}
    provider = configure(dialect)
    assert (provider.min_poll_interval, provider.min_first_poll_delay) == paces.get(dialect, (2.0, None))


def test_a_pace_of_ones_own_is_one_for_the_first_question_too(configure: Configure) -> None:
    provider = configure("2captcha", seconds_between_polls=0.5)
    assert (provider.min_poll_interval, provider.min_first_poll_delay) == (0.5, None)
    provider = configure("2captcha", seconds_between_polls=0.5, seconds_before_first_poll=3.0)
    assert (provider.min_poll_interval, provider.min_first_poll_delay) == (0.5, 3.0)
    provider = configure("capsolver", seconds_before_first_poll=1.0)
    assert (provider.min_poll_interval, provider.min_first_poll_delay) == (3.0, 1.0)


def test_no_request_shows_the_key(provider: CreateTaskProvider, picture: Image, key: str) -> None:
    asked = [provider.create_job(ImageToText(picture)), provider.poll_job(JOB), provider.ask_balance()]
    for request in [*asked, provider.ask_report(JOB, correct=False)]:
        assert key not in f"{request!r} {request} {request.url} {request.headers}"


# Created


@pytest.mark.parametrize("task_id", [1, 72345678901, 2**63 - 1, "72345678901", "007", UUID, "x" * 200, "ü 1"])
def test_a_job_id_is_carried_as_the_service_wrote_it(
    provider: CreateTaskProvider, picture: Image, key: str, task_id: JobId
) -> None:
    created = provider.read_created(ImageToText(picture), says(errorId=0, taskId=task_id))
    assert created == Created(task_id)
    assert created.job_id is not None
    assert type(created.job_id) is type(task_id)
    body = sent(provider.poll_job(Job(created.job_id, "image-to-text")))
    assert body == {"clientKey": key, "taskId": task_id}


@pytest.mark.parametrize(
    "task_id",
    [
        None,
        0,
        -1,
        True,
        False,
        1.0,
        1.5,
        "",
        " ",
        "a\nb",
        "a\x00",
        "\ud800",
        "x" * 201,
        2**63,
        10**400,
        [1],
        {},
    ],
)
def test_a_success_without_a_usable_job_id_is_malformed(
    provider: CreateTaskProvider, picture: Image, task_id: object
) -> None:
    with pytest.raises(MalformedReply, match="as taskId"):
        provider.read_created(ImageToText(picture), says(errorId=0, taskId=task_id))


def test_a_job_id_that_holds_the_key_would_carry_it_into_every_log(
    provider: CreateTaskProvider, picture: Image, key: str
) -> None:
    with pytest.raises(MalformedReply) as caught:
        provider.read_created(ImageToText(picture), says(errorId=0, taskId=f"job-{key.upper()}"))
    assert key.lower() not in str(caught.value).lower()


def test_an_answer_that_comes_at_once_needs_no_poll(configure: Configure, picture: Image) -> None:
    reply = ready("44795sds", errorCode="", errorDescription="", taskId=UUID)
    created = configure("capsolver").read_created(ImageToText(picture), reply)
    assert created == Created(UUID, TextSolution("44795sds"))


def test_an_answer_that_comes_at_once_can_name_its_cost(provider: CreateTaskProvider, picture: Image) -> None:
    created = provider.read_created(ImageToText(picture), ready("ab", taskId=5, cost="0.000700"))
    assert created == Created(5, TextSolution("ab"), Decimal("0.000700"))


@pytest.mark.parametrize("task_id", [None, "", 0, [1]])
@pytest.mark.parametrize("status", ["ready", "Ready ", None])
def test_an_answer_that_comes_at_once_is_paid_for_and_taken_without_an_id_too(
    provider: CreateTaskProvider, picture: Image, task_id: object, status: object
) -> None:
    reply = says(errorId=0, taskId=task_id, status=status, solution={"text": "ab"}, cost="0.0007")
    created = provider.read_created(ImageToText(picture), reply)
    assert created == Created(None, TextSolution("ab"), Decimal("0.0007"))


def test_an_answer_is_taken_without_an_id_that_would_carry_the_key_into_every_log(
    provider: CreateTaskProvider, picture: Image, key: str
) -> None:
    created = provider.read_created(ImageToText(picture), ready("ab", taskId=f"job-{key}"))
    assert created == Created(None, TextSolution("ab"))


def test_without_an_id_and_an_answer_the_job_may_exist(provider: CreateTaskProvider, picture: Image) -> None:
    for answer in ({"status": "processing", "solution": {"text": "ab"}}, {"status": "ready"}, {}):
        with pytest.raises(MalformedReply, match="nothing as taskId"):
            provider.read_created(ImageToText(picture), says(errorId=0, **answer))


def test_a_job_that_is_over_without_an_id_and_without_an_answer_has_failed(
    provider: CreateTaskProvider, picture: Image
) -> None:
    with pytest.raises(JobFailed, match="has no text"):
        provider.read_created(ImageToText(picture), ready(""))
    with pytest.raises(JobFailed, match="too blurred"):
        provider.read_created(
            ImageToText(picture), says(errorId=0, status="failed", errorDescription="too blurred")
        )


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "processing"},
        {"status": "idle", "solution": None},
        {"status": "ready"},
        {"status": None},
        {"status": 5, "newField": [1]},
    ],
)
def test_without_an_answer_the_job_is_polled(
    provider: CreateTaskProvider, picture: Image, answer: dict[str, object]
) -> None:
    reply = says(errorId=0, taskId=5, **answer)
    assert provider.read_created(ImageToText(picture), reply) == Created(5)


def test_a_job_that_is_over_at_once_without_an_answer_has_failed(
    provider: CreateTaskProvider, picture: Image
) -> None:
    with pytest.raises(JobFailed, match="has no text"):
        provider.read_created(ImageToText(picture), ready("", taskId=5))
    failed = says(errorId=0, taskId=5, status="failed", errorDescription="too blurred")
    with pytest.raises(JobFailed, match="2Captcha says: too blurred"):
        provider.read_created(ImageToText(picture), failed)


# Results


@pytest.mark.parametrize("status", ["processing", "Processing ", "queued", "polishing", "succeeded"])
def test_a_status_that_is_neither_ready_nor_failed_is_pending(
    provider: CreateTaskProvider, status: str
) -> None:
    assert provider.read_result(JOB, says(errorId=0, status=status)) == Pending(status.strip())


@pytest.mark.parametrize("code", ["CAPTCHA_NOT_READY", "CAPCHA_NOT_READY"])
def test_the_error_for_not_ready_is_pending(provider: CreateTaskProvider, code: str) -> None:
    assert provider.read_result(JOB, says(errorId=1, errorCode=code)) == Pending("processing")


@pytest.mark.parametrize("status", [None, "", " ", 1, True, ["ready"], {}])
def test_an_answer_without_a_status_is_malformed_and_polled_again(
    provider: CreateTaskProvider, status: object
) -> None:
    with pytest.raises(MalformedReply, match="as status"):
        provider.read_result(JOB, says(errorId=0, status=status))


@pytest.mark.parametrize(
    "status",
    ["failed", "fail", "FAILED", "error", "Cancelled", "canceled", "expired", "timed_out", "aborted"],
)
def test_a_job_that_ended_as_failed_has_failed(
    provider: CreateTaskProvider, picture: Image, status: str
) -> None:
    told = f"2Captcha says: no reason; the job's status is '{status}'"
    with pytest.raises(JobFailed, match=told):
        provider.read_result(JOB, says(errorId=0, status=status))
    with pytest.raises(JobFailed, match=told):
        provider.read_result(JOB, says(errorId=0, status=status, solution={"text": "x7kp2"}))
    with pytest.raises(JobFailed, match=told):
        provider.read_created(ImageToText(picture), says(errorId=0, taskId=5, status=status))


def test_the_words_for_an_end_are_shown_whatever_field_they_are_in(provider: CreateTaskProvider) -> None:
    for field in ("errorDescription", "message", "error", "msg"):
        with pytest.raises(JobFailed, match="2Captcha says: too blurred"):
            provider.read_result(JOB, says(errorId=0, status="fail", **{field: "too blurred"}))


@pytest.mark.parametrize("status", ["done", "SUCCESS", "succeeded", "completed", "Solved", None, ""])
def test_a_text_that_comes_with_a_new_word_is_the_answer(
    provider: CreateTaskProvider, status: object
) -> None:
    reply = says(errorId=0, status=status, solution={"text": "x7kp2"})
    assert provider.read_result(JOB, reply) == Solved(TextSolution("x7kp2"))


def test_a_text_with_a_status_for_work_is_not_an_answer_yet(provider: CreateTaskProvider) -> None:
    reply = says(errorId=0, status="processing", solution={"text": "x7"})
    assert provider.read_result(JOB, reply) == Pending("processing")


def test_an_unknown_status_is_marked_as_unknown(provider: CreateTaskProvider) -> None:
    read = [provider.read_result(JOB, says(errorId=0, status=one)) for one in ("idle", "polishing")]
    assert [isinstance(one, Pending) and one.is_known for one in read] == [True, False]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("x7kp2", "x7kp2"),
        ("  two words \n", "two words"),
        ("ERROR", "ERROR"),
        ("ERROR_CAPTCHA_UNSOLVABLE", "ERROR_CAPTCHA_UNSOLVABLE"),
        ("null", "null"),
        ("đường", "đường"),
        (1234, "1234"),
        (0, "0"),
        (12.5, "12.5"),
        (10**400, "1" + "0" * 400),
    ],
)
def test_the_text_is_read_as_it_is(provider: CreateTaskProvider, text: object, read: str) -> None:
    assert provider.read_result(JOB, ready(text)) == Solved(TextSolution(read))


@pytest.mark.parametrize(
    "text", [None, "", " \n", True, [], ["a"], {}, float("nan"), float("inf"), "a\ud800"]
)
def test_a_finished_job_without_a_text_has_failed(provider: CreateTaskProvider, text: object) -> None:
    with pytest.raises(JobFailed, match="the job is done, but an object has no text"):
        provider.read_result(JOB, ready(text))


@pytest.mark.parametrize(
    ("solution", "shown"),
    [(None, "nothing"), ("x7kp2", "'x7kp2'"), ([], "a list"), ({}, "an object"), (5, "5")],
)
def test_a_solution_of_another_shape_is_named(
    provider: CreateTaskProvider, solution: object, shown: str
) -> None:
    with pytest.raises(JobFailed, match=f"but {shown} has no text"):
        provider.read_result(JOB, says(errorId=0, status="ready", solution=solution))


@pytest.mark.parametrize(
    ("cost", "read"),
    [
        ("0.000700", Decimal("0.000700")),
        (0.0007, Decimal("0.0007")),
        (0.00007, Decimal("0.00007")),
        (0, Decimal(0)),
        (None, None),
        ("", None),
        ("free", None),
        ("-1", None),
        (True, None),
        ([], None),
    ],
)
def test_the_cost_is_read_exactly_or_not_at_all(
    provider: CreateTaskProvider, cost: object, read: Decimal | None
) -> None:
    assert provider.read_result(JOB, ready("ab", cost=cost)) == Solved(TextSolution("ab"), read)


def test_fields_never_seen_before_are_passed_over(provider: CreateTaskProvider) -> None:
    known = {"ip": "1.2.3.4", "createTime": 1, "endTime": 2, "solveCount": "0"}
    assert provider.read_result(JOB, ready("ab", **known, newField={"a": [1]})) == Solved(TextSolution("ab"))


# Success and failure


@pytest.mark.parametrize(
    "style", [{"errorId": 0}, {"errorId": "0"}, {"errorId": 0.0}, {"errorId": None}, {"errorId": []}, {}]
)
def test_success_is_read_in_every_style(
    provider: CreateTaskProvider, picture: Image, style: dict[str, object]
) -> None:
    assert provider.read_created(ImageToText(picture), says(**style, taskId=5)) == Created(5)
    assert provider.read_created(ImageToText(picture), says(**style, errorCode="", taskId=5)) == Created(5)


@pytest.mark.parametrize(
    "style", [{"errorId": 1}, {"errorId": "12"}, {"errorId": True}, {"errorId": -1}, {"errorId": "x"}, {}]
)
def test_failure_is_read_in_every_style(
    provider: CreateTaskProvider, picture: Image, style: dict[str, object]
) -> None:
    answer = {**style, "errorCode": "ERROR_KEY_DOES_NOT_EXIST", "taskId": 5, "status": "ready"}
    with pytest.raises(AuthenticationError, match="2Captcha says: ERROR_KEY_DOES_NOT_EXIST"):
        provider.read_created(ImageToText(picture), says(**answer))
    with pytest.raises(AuthenticationError):
        provider.read_result(JOB, says(**answer, solution={"text": "x"}))


@pytest.mark.parametrize("odd", [None, 5, [], {}, True, ""])
def test_a_failure_without_readable_words_is_still_one(
    provider: CreateTaskProvider, picture: Image, odd: object
) -> None:
    answer = {"errorId": 1, "errorCode": odd, "errorDescription": odd}
    with pytest.raises(JobRefused, match="2Captcha says: no reason"):
        provider.read_created(ImageToText(picture), says(**answer))
    with pytest.raises(JobFailed, match="no reason"):
        provider.read_result(JOB, says(**answer))


def reads(provider: CreateTaskProvider, picture: Image) -> list[Callable[[Reply], object]]:
    return [
        lambda reply: provider.read_created(ImageToText(picture), reply),
        lambda reply: provider.read_result(JOB, reply),
        provider.read_balance,
        provider.read_report,
    ]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"", MalformedReply),
        (200, b"<html>", MalformedReply),
        (200, b"[1]", MalformedReply),
        (502, b"<html>Bad Gateway</html>", ServiceUnavailable),
        (500, b'{"message": "Server Error"}', ServiceUnavailable),
        (429, b'{"message": "Too Many Attempts."}', RateLimited),
        (403, b"Forbidden", ServiceUnavailable),
        (404, b'{"message": "Not Found"}', JobRefused),
        (302, b"", MalformedReply),
    ],
)
def test_what_is_not_in_the_dialect_is_judged_by_its_status(
    provider: CreateTaskProvider, picture: Image, status: int, body: bytes, error: type[ProviderError]
) -> None:
    for read in reads(provider, picture):
        with pytest.raises(error) as caught:
            read(Reply(status, body))
        assert type(caught.value) is error


def test_an_answer_in_the_dialect_counts_whatever_the_status(
    provider: CreateTaskProvider, picture: Image
) -> None:
    reply = says(500, errorId=0, taskId=7)
    assert provider.read_created(ImageToText(picture), reply) == Created(7)
    for read in reads(provider, picture):
        with pytest.raises(AuthenticationError, match="ERROR_KEY_DOES_NOT_EXIST: no such key"):
            read(says(401, errorId=1, errorCode="ERROR_KEY_DOES_NOT_EXIST", errorDescription="no such key"))


# Balance


@pytest.mark.parametrize("balance", [12.3456, "12.34500", 3, "-0.5", 0])
def test_the_balance_is_read_as_a_number_or_as_text(provider: CreateTaskProvider, balance: object) -> None:
    reply = says(errorId=0, balance=balance)
    assert provider.read_balance(reply) == Balance(Decimal(str(balance)), currency=None)


PACKAGE: dict[str, object] = {
    "packageId": "1",
    "type": 2,
    "numberOfCalls": 500,
    "status": 1,
    "expireTime": 1702896511,
}


LEFT: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"quantity": 7}, {"quantity": 7}),
    ({"voucher_balance": "0.5", "quantity": 0}, {"voucher_balance": Decimal("0.5")}),
    ({"voucherBalance": 7}, {"voucherBalance": 7}),
    ({"captchaCredits": 3}, {"captchaCredits": 3}),
    ({"packages": [PACKAGE, PACKAGE]}, {"packages": 1000}),
    ({"packages": [{"packageId": "1", "status": 1}]}, {"packages": 1}),
    ({"packages": [PACKAGE | {"status": 0}, PACKAGE | {"numberOfCalls": 0}]}, {}),
    ({"packages": []}, {}),
    ({"packages": None, "quantity": "many", "voucher_balance": None}, {}),
    ({"packages": [None, 7, "x", [PACKAGE], {}]}, {}),
]


@pytest.mark.parametrize(("fields", "in_kind"), LEFT)
def test_what_is_left_in_kind_lets_an_account_work(
    provider: CreateTaskProvider, fields: dict[str, object], in_kind: dict[str, int | Decimal]
) -> None:
    balance = provider.read_balance(says(errorId=0, balance=0, **fields))
    assert balance == Balance(Decimal(0), in_kind={name: Decimal(left) for name, left in in_kind.items()})
    assert balance.can_pay == bool(in_kind)


def test_an_account_may_have_nothing_but_packages(provider: CreateTaskProvider) -> None:
    assert provider.read_balance(says(errorId=0, quantity=5)).can_pay


@pytest.mark.parametrize("balance", [None, "", "much", True, [], "NaN"])
def test_a_balance_that_is_not_an_amount_is_malformed(provider: CreateTaskProvider, balance: object) -> None:
    with pytest.raises(MalformedReply, match="as balance"):
        provider.read_balance(says(errorId=0, balance=balance))


def test_the_balance_call_has_only_the_key(provider: CreateTaskProvider, key: str) -> None:
    request = provider.ask_balance()
    assert (request.url, sent(request)) == ("https://api.2captcha.com/getBalance", {"clientKey": key})


def test_there_is_no_price_list(provider: CreateTaskProvider) -> None:
    with pytest.raises(NotOffered):
        provider.ask_services()


# Reports


@pytest.mark.parametrize(
    ("dialect", "correct", "call"),
    [
        ("anti-captcha", False, "reportIncorrectImageCaptcha"),
        ("capmonster", False, "reportIncorrectImageCaptcha"),
        ("2captcha", False, "reportIncorrect"),
        ("2captcha", True, "reportCorrect"),
    ],
)
def test_an_answer_is_reported_by_the_call_that_the_service_has_for_it(
    configure: Configure, key: str, dialect: DialectName, correct: bool, call: str
) -> None:
    request = configure(dialect).ask_report(JOB, correct=correct)
    assert request.url.endswith(f"/{call}")
    assert sent(request) == {"clientKey": key, "taskId": JOB.id}


@pytest.mark.parametrize("correct", [False, True])
def test_a_service_with_one_call_for_both_receives_which_it_is(
    configure: Configure, key: str, correct: bool
) -> None:
    request = configure("capsolver").ask_report(Job(UUID, "image-to-text"), correct=correct)
    assert request.url == "https://api.capsolver.com/feedbackTask"
    assert sent(request) == {"clientKey": key, "taskId": UUID, "result": {"invalid": not correct}}


def test_a_report_that_the_service_does_not_take_is_refused_in_words(configure: Configure) -> None:
    with pytest.raises(NotOffered, match="Anti-Captcha takes reports of wrong answers only"):
        configure("anti-captcha").ask_report(JOB, correct=True)
    with pytest.raises(NotOffered, match="the service takes reports of right answers only"):
        configure("custom", right_call="praise").ask_report(JOB, correct=False)
    for correct in (False, True):
        with pytest.raises(NotOffered, match="YesCaptcha takes no reports of right or wrong answers"):
            configure("yescaptcha").ask_report(JOB, correct=correct)


def test_a_report_is_taken_or_refused(provider: CreateTaskProvider) -> None:
    provider.read_report(says(errorId=0, status="success"))
    with pytest.raises(ProviderError, match="ERROR_REPORT_NOT_RECORDED: too late"):
        provider.read_report(
            says(errorId=1, errorCode="ERROR_REPORT_NOT_RECORDED", errorDescription="too late")
        )
