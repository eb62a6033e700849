from __future__ import annotations

import pytest
from captchahub_createtask.dialects import BALANCE, CREATE, POLL, REPORT
from captchahub_createtask.messages import failure

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
    UnsupportedTask,
)
from captchahub.provider import Reply, Secret
from captchahub.words import Words

CALLS = [CREATE, POLL, BALANCE, REPORT]

ANYWHERE: dict[type[ProviderError], list[str]] = {
    AuthenticationError: [
        "ERROR_KEY_DOES_NOT_EXIST",
        "ERROR_WRONG_USER_KEY",
        "Unauthorized",
        "ERROR_IP_NOT_ALLOWED",
        "ERROR_ACCOUNT_SUSPENDED",
    ],
    TemporarilyBlocked: [
        "ERROR_IP_BLOCKED",
        "ERROR_IP_BANNED",
        "KEY_TEMP_BLOCKED",
        "ERROR_KEY_TEMP_BLOCKED",
        "ERROR_ACCOUNT_TEMPORARILY_SUSPENDED",
        "ERROR_TEMPORARY_BAN",
        "IP_BANNED",
    ],
    InsufficientBalance: ["ERROR_ZERO_BALANCE"],
    ServiceBusy: [
        "ERROR_NO_SLOT_AVAILABLE",
        "ERROR_NO_SLOTS",
        "ERROR_NO_FREE_WORKERS",
        "NO_IDLE_WORKER",
        "ERROR_SERVER_BUSY",
        "SYSTEM_BUSY",
        "ERROR_SYSTEM_OVERLOADED",
        "ERROR_QUEUE_FULL",
        "ERROR_TRY_AGAIN_LATER",
    ],
    ServiceUnavailable: [
        "ERROR_SERVICE_TEMPORARILY_UNAVAILABLE",
        "ERROR_MAINTENANCE",
        "ERROR_SERVICE_UNAVALIABLE",
        "ERROR_SERVICE_UNAVAILABLE",
        "ERROR_TASK_IS_MAINTENANCE",
        "ERROR_REDIS_UNAVAILABLE",
        "ERROR_REDIS_JOB_DATA",
    ],
    RateLimited: ["ERROR_RATE_LIMIT", "ERROR_TOO_MUCH_REQUESTS", "ERROR_THREADS_MAXIMUM"],
}
ENDED = ["ERROR_CAPTCHA_UNSOLVABLE", "ERROR_BAD_DUPLICATES", "ERROR_TASK_TIMEOUT", "ERROR_JOB_STATUS"]
TASK = [
    "ERROR_INVALID_TASK_DATA",
    "ERROR_TASK_ABSENT",
    "ERROR_BAD_REQUEST",
    "ERROR_BAD_PARAMETERS",
    "ERROR_REQUIRED_FIELDS",
]
NOT_OFFERED = [
    "ERROR_ZERO_CAPTCHA_FILESIZE",
    "ERROR_TOO_BIG_CAPTCHA_FILESIZE",
    "ERROR_IMAGE_TYPE_NOT_SUPPORTED",
    "ERROR_TASK_NOT_SUPPORTED",
    "ERROR_NO_SUCH_METHOD",
]
UNKNOWN_JOB = ["ERROR_NO_SUCH_CAPCHA_ID", "WRONG_CAPTCHA_ID", "ERROR_TASKID_INVALID"]
TROUBLE = ["ERROR_INTERNAL_SERVER_ERROR", "ERROR_INTERNAL"]
UNLISTED = [
    "",
    "ERROR",
    "ERROR_UNKNOWN_WORKER",
    "ERROR_DOMAIN_NOT_ALLOWED",
    "ERROR_TOKEN_EXPIRED",
    "\ud800\x00",
    "验证码错误",
]


def read(
    call: str, code: str, words: str = "", reply: Reply | None = None, key: str = "secret99"
) -> ProviderError:
    answer = {"errorId": 1, "errorCode": code, "errorDescription": words}
    return failure(call, answer, Words("2Captcha", Secret(key)), reply or Reply(200))


def kinds(code: str, *calls: str) -> list[type[ProviderError]]:
    return [type(read(call, code)) for call in calls]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("error", "code"), [(error, code) for error, codes in ANYWHERE.items() for code in codes]
)
def test_what_concerns_the_account_or_the_service_means_the_same_on_every_call(
    call: str, error: type[ProviderError], code: str
) -> None:
    assert type(read(call, code)) is error


@pytest.mark.parametrize("code", ENDED)
def test_a_job_can_end_without_an_answer_at_once_or_later(code: str) -> None:
    assert kinds(code, CREATE, POLL) == [JobFailed, JobFailed]


@pytest.mark.parametrize("code", TASK)
def test_a_refused_task_is_the_callers_mistake_on_create_and_a_failed_job_on_poll(code: str) -> None:
    assert kinds(code, CREATE, POLL) == [TaskRefused, JobFailed]


@pytest.mark.parametrize("code", NOT_OFFERED)
def test_what_the_service_does_not_offer_is_left_to_another(code: str) -> None:
    assert kinds(code, CREATE, POLL) == [UnsupportedTask, JobFailed]


@pytest.mark.parametrize("code", UNKNOWN_JOB)
def test_a_job_can_be_unknown_only_in_calls_that_name_one(code: str) -> None:
    assert kinds(code, CREATE, POLL, REPORT) == [JobRefused, JobUnknown, JobUnknown]


@pytest.mark.parametrize("code", TROUBLE)
def test_trouble_at_the_service_does_not_end_a_paid_job(code: str) -> None:
    assert kinds(code, CREATE, POLL) == [JobRefused, ServiceUnavailable]


@pytest.mark.parametrize("code", UNLISTED)
def test_what_the_table_does_not_know_is_a_plain_refusal(code: str) -> None:
    assert kinds(code, CREATE, POLL, BALANCE, REPORT) == [JobRefused, JobFailed, ProviderError, ProviderError]


@pytest.mark.parametrize("code", [*ENDED, *TASK, *NOT_OFFERED, *UNKNOWN_JOB])
def test_a_question_for_the_balance_is_not_about_a_job(code: str) -> None:
    assert type(read(BALANCE, code)) is ProviderError


def test_a_code_means_the_same_in_any_case_and_between_blanks() -> None:
    assert type(read(CREATE, " error_zero_balance\n")) is InsufficientBalance


def test_a_code_counts_and_not_a_description_that_names_another() -> None:
    assert type(read(POLL, "ERROR_TOKEN_EXPIRED", "not ERROR_ZERO_BALANCE")) is JobFailed


@pytest.mark.parametrize("code", ["", "ERROR", "ERROR_UNKNOWN", "ERROR_UNKNOWN_WORKER"])
@pytest.mark.parametrize(
    "words",
    [
        "System is busy",
        "SERVER OVERLOADED, please wait",
        "No available workers",
        "no workers at the moment",
        "We are at full capacity.",
        "Hệ thống đang bận",
        "He thong dang qua tai",
        "系统繁忙",
        "Нет свободных работников",
    ],
)
def test_words_count_if_the_code_says_nothing(code: str, words: str) -> None:
    assert [type(read(call, code, words)) for call in CALLS] == [ServiceBusy] * 4


def test_words_next_to_a_clear_code_do_not_count() -> None:
    assert type(read(CREATE, "ERROR_ZERO_BALANCE", "The system is busy")) is InsufficientBalance


@pytest.mark.parametrize(("code", "seconds"), [("ERROR_NO_SLOT_AVAILABLE", 5.0), ("ERROR_IP_BANNED", 300.0)])
def test_the_pause_is_that_of_the_services_pages_if_the_reply_names_none(code: str, seconds: float) -> None:
    error = read(CREATE, code)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


@pytest.mark.parametrize("code", ANYWHERE[ServiceUnavailable])
def test_a_closed_service_created_nothing_and_a_poll_says_nothing_of_that(code: str) -> None:
    created, polled = read(CREATE, code), read(POLL, code)
    assert isinstance(created, ServiceUnavailable)
    assert isinstance(polled, ServiceUnavailable)
    assert (created.nothing_created, polled.nothing_created) == (True, False)


@pytest.mark.parametrize("code", ["ERROR_RATE_LIMIT", "ERROR_NO_SLOT_AVAILABLE", "ERROR_SERVER_BUSY"])
def test_the_pause_that_the_service_asks_for_is_kept(code: str) -> None:
    error = read(POLL, code, reply=Reply(200, headers={"Retry-After": "7"}))
    assert isinstance(error, (RateLimited, ServiceUnavailable))
    assert error.retry_after == 7.0


@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_code_that_is_known_counts_more_than_the_status(status: int) -> None:
    assert type(read(CREATE, "ERROR_ZERO_BALANCE", reply=Reply(status))) is InsufficientBalance


@pytest.mark.parametrize(
    ("status", "error"), [(429, RateLimited), (401, AuthenticationError), (503, ServiceUnavailable)]
)
def test_if_the_code_says_nothing_the_status_counts_and_the_words_are_kept(
    status: int, error: type[ProviderError]
) -> None:
    found = read(POLL, "ERROR_NEW", "Oops", Reply(status))
    assert type(found) is error
    assert str(found).startswith(f"HTTP {status}")
    assert str(found).endswith("2Captcha says: ERROR_NEW: Oops")


def test_a_status_that_only_says_no_leaves_a_plain_refusal() -> None:
    assert type(read(CREATE, "ERROR_NEW", reply=Reply(400))) is JobRefused
    assert type(read(POLL, "ERROR_NEW", reply=Reply(400))) is JobFailed


def test_the_services_own_words_are_kept() -> None:
    shown = str(read(CREATE, "ERROR_DOMAIN_NOT_ALLOWED", "Not for this site"))
    assert shown == "2Captcha says: ERROR_DOMAIN_NOT_ALLOWED: Not for this site"
    assert str(read(CREATE, "", "Only words")) == "2Captcha says: Only words"
    assert str(read(CREATE, "")) == "2Captcha says: no reason"


def test_words_are_shown_on_one_line_without_control_characters() -> None:
    shown = str(read(CREATE, "", "bad\r\n\x1b[31mred\x00\u202e\u2028end\ud800"))
    assert shown == "2Captcha says: bad [31mred end"


@pytest.mark.parametrize("words", ["no key secret99.", "no SECRET99 here", "x" * 195 + "secret99"])
def test_a_key_that_the_service_echoes_is_masked(words: str) -> None:
    assert "secr" not in repr(read(CREATE, "ERROR_NEW", words)).lower()
    assert "secr" not in repr(read(CREATE, words)).lower()
