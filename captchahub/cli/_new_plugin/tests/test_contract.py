"""The plugin keeps the contract of all providers: every check that captchahub knows, inherited."""

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
    """A check that fails says in one sentence what is wrong and what to do."""

    kind = "penny-reader"
    # CHANGE: what the service can say to an order, and to the question for a job, and which error that is.
    messages = {
        "bad_key": AuthenticationError,
        "no_credit": InsufficientBalance,
        "too_fast": RateLimited,
        "busy": ServiceBusy,
        "bad_picture": TaskRefused,
        "not_offered": JobRefused,
        "what nobody has seen before": JobRefused,
    }
    job_messages = {
        "no_such_order": JobUnknown,
        "busy": ServiceBusy,
        "what nobody has seen before": JobFailed,
    }

    # CHANGE: how the service says so: the whole reply.
    def refusal(self, message: str) -> Reply:
        return json_reply({"error": message}, 400)
