from __future__ import annotations

import base64
import json
from collections.abc import Callable
from decimal import Decimal

import attrs
import pytest
from captchahub_omocaptcha import OmoProvider

from captchahub import Image, ImageToText, PhoneSlide, Point, SlideSolution, Solution, Task, TextSolution
from captchahub.errors import (
    AuthenticationError,
    JobFailed,
    JobRefused,
    MalformedReply,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
    UnsupportedTask,
)
from captchahub.provider import Balance, Created, Job, JobId, Pending, Reply, Request, Service, Solved

TEXT_JOB = Job(123456, "image-to-text")
SLIDE_JOB = Job(123456, "phone-slide")


@attrs.frozen
class Rotate(Task[TextSolution]):
    kind = "rotate"
    solution_type = TextSolution
    image: Image

    def check(self, solution: Solution) -> str | None:
        return None


def says(status: int = 200, /, **answer: object) -> Reply:
    return Reply(status, json.dumps(answer).encode())


def done(result: object) -> Reply:
    return says(error=False, status="success", result=result)


def sent(request: Request) -> object:
    return json.loads(request.body)


def test_a_text_job_is_created_as_type_30_in_plain_base64(
    provider: OmoProvider, picture: Image, token: str
) -> None:
    request = provider.create_job(ImageToText(picture, length=5))
    assert (request.method, request.url) == ("POST", "https://omocaptcha.com/api/createJob")
    assert request.headers["Content-Type"] == "application/json"
    plain = base64.b64encode(picture.data).decode()
    assert sent(request) == {"api_token": token, "data": {"type_job_id": "30", "image_base64": plain}}


def test_a_drag_job_is_created_as_type_24(provider: OmoProvider, picture: Image, token: str) -> None:
    body = sent(provider.create_job(PhoneSlide(picture)))
    assert body == {"api_token": token, "data": {"type_job_id": "24", "image_base64": picture.base64}}


def test_no_option_is_claimed_to_be_sent(provider: OmoProvider, picture: Image) -> None:
    assert not provider.sent_options(ImageToText(picture, length=5))


def test_any_other_task_is_not_supported(provider: OmoProvider, picture: Image) -> None:
    with pytest.raises(UnsupportedTask, match="no 'rotate', only image-to-text and phone-slide"):
        provider.create_job(Rotate(picture))
    with pytest.raises(UnsupportedTask, match="no 'rotate'"):
        provider.read_result(Job(1, "rotate"), done("x"))


def test_the_other_calls_carry_only_the_token_and_the_job_id(provider: OmoProvider, token: str) -> None:
    asked = [provider.ask_balance(), provider.ask_services(), provider.poll_job(TEXT_JOB)]
    assert [request.url.rsplit("/", 1)[1] for request in asked] == [
        "getBalance",
        "getService",
        "getJobResult",
    ]
    bodies = [sent(request) for request in asked]
    assert bodies == [{"api_token": token}, {"api_token": token}, {"api_token": token, "job_id": 123456}]


def test_the_service_is_not_polled_more_often_than_every_two_seconds(provider: OmoProvider) -> None:
    assert provider.min_poll_interval == 2.0


def test_no_request_shows_the_token(provider: OmoProvider, picture: Image, token: str) -> None:
    requests = [provider.create_job(PhoneSlide(picture)), provider.poll_job(TEXT_JOB), provider.ask_balance()]
    for request in requests:
        assert token not in f"{request!r} {request} {request.url} {request.headers}"


@pytest.mark.parametrize("job_id", [1, 123456, 999_999_999_999_999_999, "123456", "007"])
def test_a_job_id_is_carried_as_the_service_wrote_it(
    provider: OmoProvider, picture: Image, job_id: JobId
) -> None:
    reply = says(error=False, job_id=job_id, message="Create job success.")
    created = provider.read_created(ImageToText(picture), reply)
    assert created == Created(job_id)
    assert created.job_id is not None
    assert type(created.job_id) is type(job_id)
    assert json.loads(provider.poll_job(Job(created.job_id, "image-to-text")).body)["job_id"] == job_id


@pytest.mark.parametrize(
    "job_id",
    [
        None,
        0,
        -1,
        True,
        False,
        1.0,
        1.5,
        "",
        "0",
        "-1",
        "1.5",
        "12a",
        " 1",
        "\u0661\u0662",
        "1" * 19,
        10**30,
        [1],
        {"id": 1},
    ],
)
def test_a_success_without_a_usable_job_id_is_malformed(
    provider: OmoProvider, picture: Image, job_id: object
) -> None:
    with pytest.raises(MalformedReply, match="as job_id"):
        provider.read_created(ImageToText(picture), says(error=False, job_id=job_id))


@pytest.mark.parametrize(
    "style",
    [
        {"error": False},
        {"success": True},
        {"error": False, "success": True},
        {"error": 0},
        {"success": 1},
        {"error": "false"},
        {},
    ],
)
def test_success_is_read_in_every_style(
    provider: OmoProvider, picture: Image, style: dict[str, object]
) -> None:
    assert provider.read_created(PhoneSlide(picture), says(**style, job_id=5)) == Created(5)
    assert provider.read_result(TEXT_JOB, says(**style, status="success", result="ab")) == Solved(
        TextSolution("ab")
    )


@pytest.mark.parametrize(
    "style",
    [
        {"error": True},
        {"success": False},
        {"error": True, "success": True},
        {"error": False, "success": False},
        {"error": 1},
        {"error": "true"},
    ],
)
def test_failure_is_read_in_every_style(
    provider: OmoProvider, picture: Image, style: dict[str, object]
) -> None:
    task = ImageToText(picture)
    with pytest.raises(AuthenticationError, match=r"OMOcaptcha says: Invalid api token\."):
        provider.read_created(task, says(**style, message="Invalid api token."))
    with pytest.raises(JobRefused, match="no reason"):
        provider.read_created(task, says(**style))
    with pytest.raises(JobFailed, match="no reason"):
        provider.read_result(TEXT_JOB, says(**style, message=[True], status="success", result="x"))
    with pytest.raises(JobFailed, match="OMOcaptcha says: odd"):
        provider.read_result(TEXT_JOB, says(**style, message=["odd"], status="success", result="x"))


def test_the_failure_example_of_the_page_is_not_an_answer(provider: OmoProvider, picture: Image) -> None:
    with pytest.raises(MalformedReply):
        provider.read_created(PhoneSlide(picture), says(errorId=0, taskId=123456))


@pytest.mark.parametrize("status", ["running", "waiting", "Running ", "queued", "polishing", "SUCCEEDED"])
def test_a_status_that_is_neither_success_nor_fail_is_pending(provider: OmoProvider, status: str) -> None:
    reply = says(error=False, status=status, result=None)
    assert provider.read_result(TEXT_JOB, reply) == Pending(status.strip())


def test_an_unknown_status_is_marked_as_unknown(provider: OmoProvider) -> None:
    read = [
        provider.read_result(TEXT_JOB, says(error=False, status=status))
        for status in ("running", "polishing")
    ]
    assert [isinstance(one, Pending) and one.is_known for one in read] == [True, False]


@pytest.mark.parametrize(
    "status", ["fail", "failed", "FAILED", "error", "Cancelled", "canceled", "timeout", "Thất bại", "Lỗi"]
)
@pytest.mark.parametrize("result", [None, "x7kp2"])
def test_a_word_for_an_end_is_one(provider: OmoProvider, status: str, result: str | None) -> None:
    with pytest.raises(JobFailed, match="could not solve the picture"):
        provider.read_result(TEXT_JOB, says(error=False, status=status, result=result))


@pytest.mark.parametrize("status", ["done", "SUCCEEDED", "completed", "Hoàn thành"])
def test_a_result_that_comes_with_a_new_word_is_the_answer(provider: OmoProvider, status: str) -> None:
    text = says(error=False, status=status, result="x7kp2")
    assert provider.read_result(TEXT_JOB, text) == Solved(TextSolution("x7kp2"))
    drag = says(error=False, status=status, result="1|2|3|4")
    found = provider.read_result(Job(7, "phone-slide"), drag)
    assert found == Solved(SlideSolution(Point(1, 2), Point(3, 4)))


@pytest.mark.parametrize("status", ["running", "waiting", "Processing"])
def test_a_result_with_a_status_for_work_is_not_an_answer_yet(provider: OmoProvider, status: str) -> None:
    assert provider.read_result(TEXT_JOB, says(error=False, status=status, result="50%")) == Pending(status)


@pytest.mark.parametrize("status", [None, "", " ", 1, True, ["success"], {}])
def test_an_answer_without_a_status_is_malformed_and_polled_again(
    provider: OmoProvider, status: object
) -> None:
    with pytest.raises(MalformedReply, match="as status"):
        provider.read_result(TEXT_JOB, says(error=False, status=status, result="abc"))


def test_a_job_that_ended_in_fail_has_failed(provider: OmoProvider) -> None:
    with pytest.raises(JobFailed, match=r"could not solve the picture$"):
        provider.read_result(TEXT_JOB, says(error=False, status="fail", result=None))
    with pytest.raises(JobFailed, match="could not solve the picture: Too blurred"):
        provider.read_result(TEXT_JOB, says(error=False, status="fail", result=None, message="Too blurred"))


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("abcxyz", "abcxyz"),
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
def test_a_text_answer_is_the_result_as_it_is(provider: OmoProvider, result: object, text: str) -> None:
    assert provider.read_result(TEXT_JOB, done(result)) == Solved(TextSolution(text))


@pytest.mark.parametrize(
    "result", [None, "", " \n", True, [], ["a"], {}, float("nan"), float("inf"), "a\ud800"]
)
def test_a_finished_job_without_a_text_has_failed(provider: OmoProvider, result: object) -> None:
    with pytest.raises(JobFailed, match="is not a result of image-to-text"):
        provider.read_result(TEXT_JOB, done(result))


@pytest.mark.parametrize(
    ("result", "start", "end"),
    [
        ("10|20|110|20", Point(10, 20), Point(110, 20)),
        ("12.5|340|200.25|340.333333333333", Point(12.5, 340), Point(200.25, 340.333333333333)),
        (" 0 | 0|5 |6\n", Point(0, 0), Point(5, 6)),
        ("-1|0|5|6", Point(-1, 0), Point(5, 6)),
    ],
)
def test_a_drag_is_read_from_four_numbers(
    provider: OmoProvider, result: str, start: Point, end: Point
) -> None:
    assert provider.read_result(SLIDE_JOB, done(result)) == Solved(SlideSolution(start, end))


@pytest.mark.parametrize(
    "result",
    [
        None,
        "",
        "x1|y1|x2|y2",
        "1|2|3",
        "1|2|3|4|5",
        "1,2,3,4",
        "1|2|3|nan",
        "1|2|3|1e5",
        "\u0661|2|3|4",
        5,
        [1, 2, 3, 4],
    ],
)
def test_a_finished_job_whose_drag_cannot_be_read_has_failed_in_its_own_words(
    provider: OmoProvider, result: object
) -> None:
    with pytest.raises(JobFailed, match="is not a result of phone-slide") as caught:
        provider.read_result(SLIDE_JOB, done(result))
    assert not isinstance(result, str) or repr(result) in str(caught.value)


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
    provider: OmoProvider, picture: Image, status: int, body: bytes, error: type[ProviderError]
) -> None:
    reads: list[Callable[[Reply], object]] = [
        lambda reply: provider.read_created(ImageToText(picture), reply),
        lambda reply: provider.read_result(TEXT_JOB, reply),
        provider.read_balance,
        provider.read_services,
    ]
    for read in reads:
        with pytest.raises(error) as caught:
            read(Reply(status, body))
        assert type(caught.value) is error


def test_an_answer_in_the_dialect_counts_whatever_the_status(provider: OmoProvider, picture: Image) -> None:
    task = ImageToText(picture)
    assert provider.read_created(task, says(500, error=False, job_id=7)) == Created(7)
    with pytest.raises(AuthenticationError, match="Invalid api token"):
        provider.read_created(task, says(500, error=True, message="Invalid api token."))


@pytest.mark.parametrize("balance", ["0.00000", "12.34500", 3, 3.25, "-0.5"])
def test_the_balance_is_read_as_text_or_number(provider: OmoProvider, balance: object) -> None:
    reply = says(error=False, balance=balance, message="Get balance success.")
    assert provider.read_balance(reply) == Balance(Decimal(str(balance)), currency=None)


@pytest.mark.parametrize("balance", [None, "", "much", True, [], "NaN"])
def test_a_balance_that_is_not_an_amount_is_malformed(provider: OmoProvider, balance: object) -> None:
    with pytest.raises(MalformedReply, match="as balance"):
        provider.read_balance(says(error=False, balance=balance))


def test_a_refused_balance_question_is_sorted_like_the_others(provider: OmoProvider) -> None:
    with pytest.raises(AuthenticationError):
        provider.read_balance(says(error=True, message="Invalid api token."))


LINE: dict[str, object] = {
    "id": 30,
    "name": "Image to text",
    "description": "Any text",
    "price": "0.00055",
    "require_field": None,
    "order": 1,
    "image": "a.png",
    "avg_success": "98%",
    "avg_time": "15s",
    "is_active": 1,
    "created_at": None,
    "updated_at": None,
}


def the_line(provider: OmoProvider, **changes: object) -> Service:
    [service] = provider.read_services(says(error=False, service=[LINE | changes]))
    return service


def test_a_line_of_the_price_list_is_read_whole(provider: OmoProvider) -> None:
    assert the_line(provider) == Service(
        id="30",
        name="Image to text",
        kind="image-to-text",
        price=Decimal("0.00055"),
        currency=None,
        average_time=15.0,
        success_rate=0.98,
        is_open=True,
    )


@pytest.mark.parametrize(
    ("field", "written", "read"),
    [
        ("id", "24", ("id", "24")),
        ("id", 24, ("kind", "phone-slide")),
        ("id", 31, ("kind", None)),
        ("name", None, ("name", "type 30")),
        ("name", "two\nlines", ("name", "two lines")),
        ("price", 0.5, ("price", Decimal("0.5"))),
        ("price", "free", ("price", None)),
        ("price", "-1", ("price", None)),
        ("avg_time", "2.5 s", ("average_time", 2.5)),
        ("avg_time", 12, ("average_time", 12.0)),
        ("avg_time", "soon", ("average_time", None)),
        ("avg_time", True, ("average_time", None)),
        ("avg_success", "99.5 %", ("success_rate", 0.995)),
        ("avg_success", "101%", ("success_rate", None)),
        ("avg_success", 1, ("success_rate", None)),
        ("avg_success", None, ("success_rate", None)),
        ("is_active", 0, ("is_open", False)),
        ("is_active", "1", ("is_open", True)),
        ("is_active", False, ("is_open", False)),
        ("is_active", "true", ("is_open", True)),
        ("is_active", "perhaps", ("is_open", None)),
        ("is_active", 2, ("is_open", None)),
    ],
)
def test_a_field_is_read_or_is_none_if_it_says_nothing(
    provider: OmoProvider, field: str, written: object, read: tuple[str, object]
) -> None:
    name, value = read
    assert getattr(the_line(provider, **{field: written}), name) == value


def test_lines_that_cannot_be_read_are_left_out(provider: OmoProvider) -> None:
    lines: list[object] = [
        None,
        5,
        "x",
        [],
        {},
        {"id": None},
        {"id": True},
        {"id": [1]},
        {"id": " "},
        {"id": 24},
    ]
    [service] = provider.read_services(says(error=False, service=lines))
    assert service == Service(id="24", name="type 24", kind="phone-slide")


@pytest.mark.parametrize("service", [None, {}, "x", 5])
def test_a_price_list_that_is_not_a_list_is_malformed(provider: OmoProvider, service: object) -> None:
    with pytest.raises(MalformedReply, match="not a list"):
        provider.read_services(says(error=False, service=service))
