"""What the service's free-text messages mean.

The service documents its messages nowhere. They are in English or Vietnamese. An unknown message becomes a
plain refusal with the service's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from captchahub.errors import JobFailed, JobRefused, ProviderError
from captchahub.provider import Reply
from captchahub.words import Words, says_failed
from captchahub_omocaptcha.dialect import CREATE, POLL
from captchahub_omocaptcha.patterns import TABLE, fold

__all__ = ["failure", "is_end", "meaning"]

_UNSORTED: Final[Mapping[str, type[ProviderError]]] = {CREATE: JobRefused, POLL: JobFailed}


def meaning(call: str, message: str) -> type[ProviderError] | None:
    """Return the class of error that a message of a call stands for, or None if it is unknown."""
    text = fold(message)
    return next((row.error for row in TABLE if row.matches(call, text)), None)


# "Failed", "error" and "cancelled".
_ENDS: Final = frozenset({"that bai", "loi", "bi loi", "da huy", "huy", "khong thanh cong"})


# Every poll of every job has one of a few statuses.
@lru_cache(maxsize=32)
def is_end(status: str) -> bool:
    """Whether the status of a job says, in English or Vietnamese, that it ended without an answer."""
    return says_failed(status) or fold(status) in _ENDS


def failure(call: str, message: str, words: Words, reply: Reply) -> ProviderError:
    """Return the error for a failed call, from the message or, if that says nothing, from the HTTP status."""
    otherwise = _UNSORTED.get(call, ProviderError)
    return reply.failure(
        words.said(message), meaning(call, message), otherwise, nothing_created=call == CREATE
    )
