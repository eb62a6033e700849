"""What the service's free-text messages mean, and how they are shown.

The service lists its messages nowhere: they come in English or Vietnamese, and an unknown one is a plain
refusal in the service's own words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

from captchahub.errors import (
    JobFailed,
    JobRefused,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
)
from captchahub.provider import Reply, Secret
from captchahub_omocaptcha.dialect import CREATE, POLL
from captchahub_omocaptcha.patterns import TABLE, fold

__all__ = ["Words", "failure", "meaning"]

_UNSORTED: Final[Mapping[str, type[ProviderError]]] = {CREATE: JobRefused, POLL: JobFailed}


@attrs.frozen
class Words:
    """Makes what a service wrote fit for an error: one line, short, and never with the token in it."""

    token: Secret
    longest: int = 200
    """In characters."""

    def of(self, text: str) -> str:
        """The text with the token masked, control characters blanked, and cut to ``longest``."""
        masked = re.sub(re.escape(self.token.reveal()), "***", text, flags=re.IGNORECASE)
        plain = "".join(character if character.isprintable() else " " for character in masked)
        line = " ".join(plain.split())
        return line if len(line) <= self.longest else line[: self.longest - 1] + "…"


def meaning(call: str, message: str) -> type[ProviderError] | None:
    """The class of error that a message of this call stands for; None where the table does not know it."""
    text = fold(message)
    return next((row.error for row in TABLE if row.matches(call, text)), None)


def failure(call: str, message: str, words: Words, reply: Reply) -> ProviderError:
    """The error for a failed call: by the service's words, or where they say nothing by the HTTP status."""
    said = f"OMOcaptcha says: {words.of(message) or 'no reason'}"
    error = meaning(call, message)
    if error is None:
        return _by_status(reply, said) or _UNSORTED.get(call, ProviderError)(said)
    if error is RateLimited:
        return RateLimited(said, retry_after=reply.retry_after)
    if error is ServiceUnavailable:
        return ServiceUnavailable(said, nothing_created=call == CREATE, retry_after=reply.retry_after)
    return error(said)


def _by_status(reply: Reply, said: str) -> ProviderError | None:
    error = reply.http_error()
    # Any other 4xx says no more than that the call failed.
    if error is None or isinstance(error, JobRefused):
        return None
    error.args = (f"{error}; {said}",)
    return error
