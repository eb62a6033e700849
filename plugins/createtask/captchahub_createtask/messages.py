"""What the services' error codes mean.

Sources: the services' pages of error codes. A code has the same meaning at all services that use it, but the
class of error that it stands for depends on the call.
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
    # These are limits of one service. Another one may accept the picture.
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
# The calls for which a meaning makes sense. If a poll complains about the picture, the job has failed, but
# another service may read it.
_CALLS: Final[Mapping[type[ProviderError], tuple[str, ...]]] = {
    TaskRefused: (CREATE,),
    UnsupportedTask: (CREATE,),
    JobFailed: (CREATE, POLL),
    JobUnknown: (POLL, REPORT),
}
_UNSORTED: Final[Mapping[str, type[ProviderError]]] = {CREATE: JobRefused, POLL: JobFailed}
# Undocumented codes that say that the service has a problem, not the job.
_TROUBLE: Final = re.compile("INTERNAL|SERVER_ERROR")
# Undocumented codes that clearly mean the same as a documented one.
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
# The same as a text next to an unclear code, folded: in English, Vietnamese, Chinese and Russian.
_BUSY_WORDS: Final = re.compile(
    r"\b(busy|overloaded|at (full |maximum )?capacity|queue is full|no ([a-z]+ )?(slots?|workers?))\b"
    r"|\b(dang ban|qua tai)\b|繁忙|过载|перегружен|нет свободных"
)
# In characters: a reply can be megabytes.
_LONGEST: Final = 1000
# In seconds. 2Captcha's page of request limits asks for 5 after ERROR_NO_SLOT_AVAILABLE, and its page of
# error codes says that a ban ends after 5 minutes. CapMonster bans for 10 minutes; the probe after 5 is
# refused again then.
_PAUSES: Final[Mapping[type[ProviderError], float]] = {ServiceBusy: 5.0, TemporarilyBlocked: 300.0}


def reason(answer: Mapping[str, object]) -> str:
    """Return the service's reason for a failure: its code, and the text next to it."""
    code, said = word(answer.get("errorCode")), reason_in(answer)
    return ": ".join(part for part in (code, said if said != code else "") if part)


def is_not_ready(answer: Mapping[str, object]) -> bool:
    """Whether an answer is the error that means the same as the status ``processing``."""
    return _code(answer) in _NOT_READY


def failure(call: str, answer: Mapping[str, object], words: Words, reply: Reply) -> ProviderError:
    """Return the error for a failed call, from its code or, if that says nothing, from the HTTP status.

    ``call`` is CREATE, POLL, BALANCE or REPORT.
    """
    code = _code(answer)
    error = _MEANINGS.get(code) or _meaning_alike(code, word(answer.get("errorDescription")))
    otherwise = _UNSORTED.get(call, ProviderError)
    # A job that is paid for is polled again. A create call that met a problem in the service is a refusal.
    if error is None and call != CREATE and _TROUBLE.search(code):
        otherwise = ServiceUnavailable
    if error is not None and call not in _CALLS.get(error, (call,)):
        error = otherwise
    said, pause = words.said(reason(answer)), None if error is None else _PAUSES.get(error)
    return reply.failure(said, error, otherwise, nothing_created=call == CREATE, retry_after=pause)


def _meaning_alike(code: str, description: str) -> type[ProviderError] | None:
    """Return what an undocumented code, or the text next to it, clearly means, or None if that is unclear."""
    alike = next((error for error, pattern in _ALIKE if pattern.search(code)), None)
    return alike or (ServiceBusy if _BUSY_WORDS.search(_folded(description)) else None)


def _folded(text: str) -> str:
    """Return a text in lower case, without diacritics, its words separated by one space."""
    apart = unicodedata.normalize("NFKD", text[:_LONGEST].casefold().replace("đ", "d"))
    return " ".join("".join(one for one in apart if not unicodedata.combining(one)).split())


def _code(answer: Mapping[str, object]) -> str:
    return word(answer.get("errorCode")).upper()
