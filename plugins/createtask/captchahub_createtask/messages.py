"""What the services' error codes mean.

Sources: the services' pages of error codes. A code is one word for every service that uses it; what it
means for the caller depends on the call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobUnknown,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
    TaskRefused,
    UnsupportedTask,
)
from captchahub.provider import Reply
from captchahub.words import Words, reason_in
from captchahub_createtask.answers import word
from captchahub_createtask.dialects import CREATE, POLL, REPORT

__all__ = ["failure", "is_not_ready", "reason"]

_NOT_READY: Final = ("CAPTCHA_NOT_READY", "CAPCHA_NOT_READY")

_CODES: Final[Mapping[type[ProviderError], str]] = {
    AuthenticationError: """
        ERROR_KEY_DOES_NOT_EXIST ERROR_WRONG_USER_KEY UNAUTHORIZED ERROR_ACCOUNT_SUSPENDED
        ERROR_IP_NOT_ALLOWED ERROR_IP_BLOCKED ERROR_IP_BANNED
    """,
    InsufficientBalance: "ERROR_ZERO_BALANCE",
    RateLimited: "ERROR_RATE_LIMIT ERROR_TOO_MUCH_REQUESTS ERROR_THREADS_MAXIMUM",
    ServiceUnavailable: """
        ERROR_NO_SLOT_AVAILABLE ERROR_SERVICE_UNAVALIABLE ERROR_SERVICE_UNAVAILABLE
        ERROR_TASK_IS_MAINTENANCE ERROR_REDIS_UNAVAILABLE ERROR_REDIS_JOB_DATA
    """,
    TaskRefused: """
        ERROR_INVALID_TASK_DATA ERROR_TASK_ABSENT ERROR_BAD_REQUEST ERROR_BAD_PARAMETERS ERROR_REQUIRED_FIELDS
    """,
    # The limits of one service: what is too large for it, another one may take.
    UnsupportedTask: """
        ERROR_ZERO_CAPTCHA_FILESIZE ERROR_TOO_BIG_CAPTCHA_FILESIZE ERROR_IMAGE_TYPE_NOT_SUPPORTED
        ERROR_TASK_NOT_SUPPORTED ERROR_NO_SUCH_METHOD
    """,
    JobFailed: "ERROR_CAPTCHA_UNSOLVABLE ERROR_BAD_DUPLICATES ERROR_TASK_TIMEOUT ERROR_JOB_STATUS",
    JobUnknown: "ERROR_NO_SUCH_CAPCHA_ID WRONG_CAPTCHA_ID ERROR_TASKID_INVALID",
}
_MEANINGS: Final[Mapping[str, type[ProviderError]]] = {
    code: error for error, codes in _CODES.items() for code in codes.split()
}
# Where a meaning makes sense on some calls only. Of the picture, a poll can only say that the job has failed:
# another service may read it.
_CALLS: Final[Mapping[type[ProviderError], tuple[str, ...]]] = {
    TaskRefused: (CREATE,),
    UnsupportedTask: (CREATE,),
    JobFailed: (CREATE, POLL),
    JobUnknown: (POLL, REPORT),
}
_UNSORTED: Final[Mapping[str, type[ProviderError]]] = {CREATE: JobRefused, POLL: JobFailed}
# Codes that are listed nowhere, but say that it is the service that has the trouble, not the job.
_TROUBLE: Final = re.compile("INTERNAL|SERVER_ERROR|UNAVAIL|UNAVAL|MAINTENANCE|OVERLOAD|BUSY|TRY_?AGAIN")


def reason(answer: Mapping[str, object]) -> str:
    """The service's reason for a failure: its code, and what it says beside it."""
    code, said = word(answer.get("errorCode")), reason_in(answer)
    return ": ".join(part for part in (code, said if said != code else "") if part)


def is_not_ready(answer: Mapping[str, object]) -> bool:
    """Whether an answer is the error that says no more than the status ``processing`` does."""
    return _code(answer) in _NOT_READY


def failure(call: str, answer: Mapping[str, object], words: Words, reply: Reply) -> ProviderError:
    """The error for a failed call: by its code, or where that says nothing by the HTTP status.

    ``call`` is one of CREATE, POLL, BALANCE and REPORT.
    """
    code = _code(answer)
    error = _MEANINGS.get(code)
    otherwise = _UNSORTED.get(call, ProviderError)
    # A paid job is asked for again; a create that failed is a refusal, whatever it says.
    if error is None and call != CREATE and _TROUBLE.search(code):
        otherwise = ServiceUnavailable
    if error is not None and call not in _CALLS.get(error, (call,)):
        error = otherwise
    return reply.failure(words.said(reason(answer)), error, otherwise, nothing_created=call == CREATE)


def _code(answer: Mapping[str, object]) -> str:
    return word(answer.get("errorCode")).upper()
