"""What the service's errors mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobRefused,
    JobUnknown,
    ProviderError,
    RateLimited,
    ServiceBusy,
    TaskRefused,
)

__all__ = ["ERRORS", "SERVICE"]

SERVICE: Final = "Penny Reader"
"""What errors call the service."""

# CHANGE: every error that the service's pages list. The class decides what captchahub does next. In doubt
# leave one out: it is then told in the service's own words, and the next provider is asked.
ERRORS: Final[Mapping[str, type[ProviderError]]] = {
    "bad_key": AuthenticationError,  # the provider is out until its configuration changes
    "no_credit": InsufficientBalance,  # out until the balance changes
    "too_fast": RateLimited,  # the next provider at once; this one again when it has cooled
    "busy": ServiceBusy,  # the same where all of its workers are busy; a closed service is ServiceUnavailable
    "bad_picture": TaskRefused,  # the caller's mistake: nobody else is asked
    "not_offered": JobRefused,  # the next provider
    "no_such_order": JobUnknown,  # the job is lost: the next provider
}
"""The error that each of the service's codes stands for."""
