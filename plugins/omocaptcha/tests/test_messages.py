from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from captchahub_omocaptcha.messages import failure

from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobUnknown,
    ProviderError,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    TaskRefused,
    TemporarilyBlocked,
)
from captchahub.provider import Reply, Secret
from captchahub.words import Words

ANYWHERE: dict[type[ProviderError], list[str]] = {
    AuthenticationError: [
        "Invalid api token.",
        "invalid api_token",
        "API token is invalid!",
        "Api token not found.",
        "The api_token field is required.",
        "Wrong API key",
        "Your token has expired",
        "The token you provided doesn't exist",
        "Token does not exist.",
        "Unauthorized",
        "Unauthenticated.",
        "Your account has been locked.",
        "This IP address is not allowed",
        "Account not found",
        "Api token không hợp lệ.",
        "API TOKEN KHÔNG ĐÚNG",
        "Token không tồn tại",
        "Sai api token",
        "Khóa api không chính xác",
        "Không tìm thấy tài khoản",
        "Tài khoản của bạn đã bị khóa",
        "Tài khoản không tồn tại!",
        "Bạn không có quyền truy cập",
        "Token đã hết hạn",
        "Vui lòng nhập api token",
    ],
    InsufficientBalance: [
        "Your balance is not enough.",
        "Insufficient balance",
        "Insufficient account balance, image not sent",
        "Not enough money",
        "You don't have enough credits!",
        "Balance too low.",
        "Your account is out of money",
        "Please top up your account",
        "Api token has insufficient balance",
        "Số dư không đủ",
        "Số dư tài khoản không đủ, vui lòng nạp thêm tiền",
        "Tài khoản của bạn không đủ tiền",
        "Không đủ số dư để thực hiện",
        "Tài khoản đã hết tiền.",
        "Vui lòng nạp tiền vào tài khoản",
        "Số dư của bạn không còn đủ",
    ],
    ServiceUnavailable: [
        "Service is closed.",
        "This service (30) is temporarily closed",
        "Service is under maintenance",
        "System maintenance, come back later",
        "The service is not active.",
        "Image to text service is unavailable",
        "Type job 24 is not available",
        "Dịch vụ đang bảo trì",
        "Dịch vụ này đã đóng",
        "Dịch vụ tạm ngưng hoạt động",
        "Dịch vụ tạm thời dừng",
        "Hệ thống đang bảo trì, vui lòng quay lại sau",
        "Loại captcha này không hoạt động",
        "Dịch vụ đang tắt",
        "Dịch vụ chưa được kích hoạt",
    ],
    ServiceBusy: [
        "System is busy",
        "SYSTEM BUSY!",
        "The system is currently busy, please try again later.",
        "Server is busy, please try again later",
        "Server overloaded",
        "No slot available",
        "No available workers",
        "no free worker",
        "There are no workers available at the moment",
        "Not enough workers",
        "All workers are busy",
        "Workers are not available",
        "The queue is full",
        "Hệ thống đang bận",
        "Hệ thống đang bận, vui lòng thử lại sau.",
        "Hệ thống bận",
        "Hệ thống đang quá tải",
        "Hệ thống hiện đang quá tải!",
        "Máy chủ đang bận",
        "Không có worker rảnh",
        "Không còn nhân viên",
        "Hàng đợi đã đầy",
    ],
    TemporarilyBlocked: [
        "Your account is temporarily locked",
        "Your account has been locked temporarily.",
        "Your IP address is temporarily blocked",
        "IP blocked for a while",
        "Temporary ban",
        "Token temporarily disabled",
        "Tài khoản của bạn tạm khóa",
        "Tài khoản của bạn tạm thời bị khóa",
        "IP của bạn bị chặn tạm thời",
    ],
    RateLimited: [
        "Too many requests",
        "Too Many Attempts.",
        "Too many requests with this api token. Token is temporarily blocked",
        "Too many pending jobs",
        "Rate limit exceeded",
        "You are sending too fast, slow down",
        "Request limit reached",
        "API rate exceeded",
        "Quá nhiều yêu cầu",
        "Bạn thao tác quá nhanh, vui lòng chờ",
        "Bạn gửi yêu cầu quá nhanh",
        "Vượt quá giới hạn yêu cầu",
    ],
}

PICTURE = [
    "Invalid image.",
    "Invalid image base64.",
    "The image is invalid",
    "The image_base64 field is required.",
    "data.image_base64 is required",
    "Image too large",
    "image format is not supported",
    "Cannot decode image",
    "The image could not be decoded",
    "Not an image",
    "The image base64 must be a string.",
    "Invalid data image",
    "Wrong base64",
    "Hình ảnh không hợp lệ",
    "Ảnh không đúng định dạng",
    "Ảnh bị lỗi",
    "Kích thước ảnh quá lớn",
    "Không thể giải mã ảnh",
    "image_base64 không được để trống",
    "Định dạng ảnh không được hỗ trợ",
]

JOB = [
    "Job not found.",
    "Job does not exist",
    "job_id is invalid",
    "Invalid job id",
    "Job 123456 not found!",
    "Task not found",
    "Job expired",
    "Can't find the job",
    "This job doesn't belong to you",
    "Job không tồn tại",
    "Không tìm thấy job",
    "Không tìm thấy yêu cầu",
    "Yêu cầu đã hết hạn",
    "Yêu cầu không tồn tại.",
]

TROUBLE = ["Internal server error", "System error", "Lỗi hệ thống", "Hệ thống gặp sự cố, thử lại sau"]

PLAIN = [
    "",
    "MESSAGE_ERROR",
    "ERROR",
    "image",
    "Unknown error",
    "Type job does not exist.",
    "Dịch vụ không tồn tại",
    "Invalid type_job_id for image to text",
    "Yêu cầu không hợp lệ",
    "Unexpected token < in JSON at position 0",
    "Bạn là anh ai? Không biết.",
    "The drag could not be found, ask the balance team",
    "Try another picture",
    "Captcha unsolvable",
    "Image captcha is not supported",
    "Captcha ảnh không hỗ trợ",
    "Create job fail: image could not be processed",
    "Please contact admin",
    "Hệ thống bạn dùng không được hỗ trợ",
    "Anh vui lòng liên hệ admin, lỗi",
    "Result not found",
    "Không giải được captcha",
    "\ud800\x00",
    "验证码错误",
]

ALL_ANYWHERE = [(error, message) for error, messages in ANYWHERE.items() for message in messages]


def read(call: str, message: str, reply: Reply | None = None, token: str = "secret99") -> ProviderError:
    return failure(call, message, Words("OMOcaptcha", Secret(token)), reply or Reply(200))


def without_marks(message: str) -> str:
    apart = unicodedata.normalize("NFD", message.replace("đ", "d").replace("Đ", "D"))
    return "".join(character for character in apart if not unicodedata.combining(character))


def full_width(message: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if one.isascii() and one.isalpha() else one for one in message)


def decomposed(message: str) -> str:
    return unicodedata.normalize("NFD", message)


@pytest.mark.parametrize("call", ["createJob", "getJobResult", "getBalance", "getService"])
@pytest.mark.parametrize(("error", "message"), ALL_ANYWHERE)
def test_what_concerns_the_account_or_the_service_means_the_same_on_every_call(
    call: str, error: type[ProviderError], message: str
) -> None:
    assert type(read(call, message)) is error


@pytest.mark.parametrize("message", PICTURE)
def test_a_refused_picture_is_the_callers_mistake_on_create_and_a_failed_job_on_poll(message: str) -> None:
    assert type(read("createJob", message)) is TaskRefused
    assert type(read("getJobResult", message)) is JobFailed


@pytest.mark.parametrize("message", JOB)
def test_a_job_can_be_unknown_only_in_a_poll(message: str) -> None:
    assert type(read("getJobResult", message)) is JobUnknown
    assert type(read("createJob", message)) is JobRefused


@pytest.mark.parametrize("message", TROUBLE)
def test_trouble_at_the_service_does_not_end_a_paid_job(message: str) -> None:
    assert type(read("getJobResult", message)) is ServiceUnavailable
    assert type(read("createJob", message)) is JobRefused


@pytest.mark.parametrize("message", PLAIN)
def test_what_the_table_does_not_know_is_a_plain_refusal(message: str) -> None:
    assert type(read("createJob", message)) is JobRefused
    assert type(read("getJobResult", message)) is JobFailed
    assert type(read("getBalance", message)) is ProviderError


@pytest.mark.parametrize("write", [without_marks, str.upper, decomposed, full_width])
def test_a_message_means_the_same_however_its_letters_are_written(
    write: Callable[[str], str],
) -> None:
    samples = [*ALL_ANYWHERE, *((TaskRefused, message) for message in PICTURE)]
    for error, message in samples:
        assert type(read("createJob", write(message))) is error, message
    for message in JOB:
        assert type(read("getJobResult", write(message))) is JobUnknown, message


def test_the_services_own_words_are_kept() -> None:
    assert str(read("createJob", "Dịch vụ không tồn tại")) == "OMOcaptcha says: Dịch vụ không tồn tại"
    assert str(read("createJob", "")) == "OMOcaptcha says: no reason"


def test_words_are_shown_on_one_line_without_control_characters() -> None:
    shown = str(read("createJob", "bad\r\n\x1b[31mred\x00\u202e\u2028end\ud800"))
    assert shown == "OMOcaptcha says: bad [31mred end"


@pytest.mark.parametrize(
    "message", ["Invalid api token secret99.", "no SECRET99 here", "x" * 195 + "secret99"]
)
def test_a_token_that_the_service_echoes_is_masked(message: str) -> None:
    shown = repr(read("createJob", message))
    assert "secr" not in shown.lower()


def test_a_token_that_is_a_common_word_does_not_disturb_the_sorting() -> None:
    assert type(read("createJob", "Invalid api token.", token="token")) is AuthenticationError


def test_a_closed_service_created_nothing_and_a_poll_says_nothing_of_that() -> None:
    created, polled = (read(call, "Service is closed.") for call in ("createJob", "getJobResult"))
    assert isinstance(created, ServiceUnavailable)
    assert isinstance(polled, ServiceUnavailable)
    assert (created.nothing_created, polled.nothing_created) == (True, False)


@pytest.mark.parametrize("message", ["Too many requests", "Service is closed."])
def test_the_pause_that_the_service_asks_for_is_kept(message: str) -> None:
    error = read("createJob", message, Reply(200, headers={"Retry-After": "7"}))
    assert isinstance(error, (RateLimited, ServiceUnavailable))
    assert error.retry_after == 7.0


def test_words_that_are_known_count_more_than_the_status() -> None:
    assert type(read("createJob", "Số dư không đủ", Reply(500))) is InsufficientBalance


@pytest.mark.parametrize(
    ("status", "error"), [(429, RateLimited), (401, AuthenticationError), (503, ServiceUnavailable)]
)
def test_if_the_words_say_nothing_the_status_counts_and_the_words_are_kept(
    status: int, error: type[ProviderError]
) -> None:
    found = read("getJobResult", "Oops", Reply(status))
    assert type(found) is error
    assert str(found).startswith(f"HTTP {status}")
    assert str(found).endswith("OMOcaptcha says: Oops")


def test_a_status_that_only_says_no_leaves_a_plain_refusal() -> None:
    assert type(read("createJob", "Oops", Reply(422))) is JobRefused
    assert type(read("getJobResult", "Oops", Reply(422))) is JobFailed


def test_a_message_is_sorted_in_a_moment_however_it_repeats() -> None:
    for word in ("token ", "image base64 ", "service a ", "job 1 ", "so du a ", "balance is ", "not "):
        assert isinstance(read("getJobResult", word * 100_000), ProviderError)
