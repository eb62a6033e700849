"""What the services' error codes mean.

Sources: the services' pages of error codes. A code is one word for every service that uses it; what it
means for the caller depends on the call.
"""

from __future__ import annotations

import re
import unicodedata
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
    ServiceBusy,
    ServiceUnavailable,
    TaskRefused,
    TemporarilyBlocked,
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
        ERROR_IP_NOT_ALLOWED
    """,
    TemporarilyBlocked: "ERROR_IP_BLOCKED ERROR_IP_BANNED",
    InsufficientBalance: "ERROR_ZERO_BALANCE",
    RateLimited: "ERROR_RATE_LIMIT ERROR_TOO_MUCH_REQUESTS ERROR_THREADS_MAXIMUM",
    ServiceBusy: "ERROR_NO_SLOT_AVAILABLE",
    ServiceUnavailable: """
        ERROR_SERVICE_UNAVALIABLE ERROR_SERVICE_UNAVAILABLE
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
_TROUBLE: Final = re.compile("INTERNAL|SERVER_ERROR")
# Codes that are listed nowhere, but say plainly what a listed one says.
_ALIKE: Final[tuple[tuple[type[ProviderError], re.Pattern[str]], ...]] = (
    (
        TemporarilyBlocked,
        re.compile("TEMP(ORAR(Y|ILY))?_?(IP_)?(BLOCK|BAN|LOCK|SUSPEN|FREEZ|FROZEN|RESTRICT)"),
    ),
    (TemporarilyBlocked, re.compile("(BLOCKED|BANNED|LOCKED|SUSPENDED)_TEMP|(^|_)IP_(IS_)?(BLOCKED|BANNED)")),
    (ServiceUnavailable, re.compile("UNAVAIL|UNAVAL|MAINTENANCE|TEMPORAR")),
    (ServiceBusy, re.compile("BUSY|OVERLOAD|TRY_?(AGAIN|LATER)|QUEUE_?(IS_)?FULL")),
    (ServiceBusy, re.compile("(?<![A-Z])NO_?([A-Z]+_)?(SLOT|WORKER)")),
)
# The same said beside a code that says nothing, folded: in English, Vietnamese, Chinese and Russian.
_BUSY_WORDS: Final = re.compile(
    r"\b(busy|overloaded|at (full |maximum )?capacity|queue is full|no ([a-z]+ )?(slots?|workers?))\b"
    r"|\b(dang ban|qua tai)\b|繁忙|过载|перегружен|нет свободных"
)
_LONGEST: Final = 1000
# In seconds: 2Captcha's page of request limits asks for 5 after ERROR_NO_SLOT_AVAILABLE, and its page of
# error codes says that a ban ends after 5 minutes. CapMonster's last 10, which the probe after 5 is told.
_PAUSES: Final[Mapping[type[ProviderError], float]] = {ServiceBusy: 5.0, TemporarilyBlocked: 300.0}


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
    error = _MEANINGS.get(code) or _meaning_alike(code, word(answer.get("errorDescription")))
    otherwise = _UNSORTED.get(call, ProviderError)
    # A paid job is asked for again; a create that met trouble inside the service is a refusal.
    if error is None and call != CREATE and _TROUBLE.search(code):
        otherwise = ServiceUnavailable
    if error is not None and call not in _CALLS.get(error, (call,)):
        error = otherwise
    said, pause = words.said(reason(answer)), None if error is None else _PAUSES.get(error)
    return reply.failure(said, error, otherwise, nothing_created=call == CREATE, retry_after=pause)


def _meaning_alike(code: str, description: str) -> type[ProviderError] | None:
    """What a code that is listed nowhere says plainly, or the words beside it; None for anything else."""
    alike = next((error for error, pattern in _ALIKE if pattern.search(code)), None)
    return alike or (ServiceBusy if _BUSY_WORDS.search(_folded(description)) else None)


def _folded(text: str) -> str:
    """A text in lower case and without diacritics, words parted by one blank."""
    apart = unicodedata.normalize("NFKD", text[:_LONGEST].casefold().replace("đ", "d"))
    return " ".join("".join(one for one in apart if not unicodedata.combining(one)).split())


def _code(answer: Mapping[str, object]) -> str:
    return word(answer.get("errorCode")).upper()
