"""What the service's free-text messages mean.

The service lists its messages nowhere: they come in English or Vietnamese, and an unknown one is a plain
refusal in the service's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from captchahub.errors import JobFailed, JobRefused, ProviderError
from captchahub.provider import Reply
from captchahub.words import Words, says_failed
from captchahub_omocaptcha.dialect import CREATE, POLL
from captchahub_omocaptcha.patterns import TABLE, fold

__all__ = ["failure", "is_end", "meaning"]

_UNSORTED: Final[Mapping[str, type[ProviderError]]] = {CREATE: JobRefused, POLL: JobFailed}


def meaning(call: str, message: str) -> type[ProviderError] | None:
    """The class of error that a message of this call stands for; None where the table does not know it."""
    text = fold(message)
    return next((row.error for row in TABLE if row.matches(call, text)), None)


# "Failed", "error" and "cancelled".
_ENDS: Final = frozenset({"that bai", "loi", "bi loi", "da huy", "huy", "khong thanh cong"})


def is_end(status: str) -> bool:
    """Whether a job's status says that it has ended without an answer, in English or Vietnamese."""
    return says_failed(status) or fold(status) in _ENDS


def failure(call: str, message: str, words: Words, reply: Reply) -> ProviderError:
    """The error for a failed call: by the service's words, or where they say nothing by the HTTP status."""
    otherwise = _UNSORTED.get(call, ProviderError)
    return reply.failure(
        words.said(message), meaning(call, message), otherwise, nothing_created=call == CREATE
    )
