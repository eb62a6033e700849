"""The meaning of the service's error codes."""

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
"""The service's name in error messages."""

# CHANGE: every error code in the service's documentation. The class decides what captchahub does next. If in
# doubt, leave a code out: its error then has the service's own text, and the next provider is tried.
ERRORS: Final[Mapping[str, type[ProviderError]]] = {
    "bad_key": AuthenticationError,  # the provider is not used until its configuration changes
    "no_credit": InsufficientBalance,  # not used until the balance changes
    "too_fast": RateLimited,  # the next provider at once; this one after a cooldown
    "busy": ServiceBusy,  # the same, if all workers are busy; a closed service is ServiceUnavailable
    "bad_picture": TaskRefused,  # the caller's mistake: no other provider is tried
    "not_offered": JobRefused,  # the next provider
    "no_such_order": JobUnknown,  # the job is lost: the next provider
}
"""The error class of each of the service's codes."""
