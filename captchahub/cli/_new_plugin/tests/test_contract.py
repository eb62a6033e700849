"""Runs captchahub's contract suite on the plugin."""

from __future__ import annotations

from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobUnknown,
    RateLimited,
    ServiceBusy,
    TaskRefused,
)
from captchahub.provider import Reply
from captchahub.testing import json_reply
from captchahub.testing.contract import ProviderContract


class TestPennyReader(ProviderContract):
    """A check that fails says in one sentence what is wrong and how to fix it."""

    kind = "penny-reader"
    # CHANGE: the service's error codes when a job is created and when it is polled, with their errors.
    messages = {
        "bad_key": AuthenticationError,
        "no_credit": InsufficientBalance,
        "too_fast": RateLimited,
        "busy": ServiceBusy,
        "bad_picture": TaskRefused,
        "not_offered": JobRefused,
        "an unknown code": JobRefused,
    }
    job_messages = {
        "no_such_order": JobUnknown,
        "busy": ServiceBusy,
        "an unknown code": JobFailed,
    }

    # CHANGE: the service's whole reply with an error code.
    def refusal(self, message: str) -> Reply:
        return json_reply({"error": message}, 400)
