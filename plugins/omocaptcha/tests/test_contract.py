"""The plugin keeps the contract of all providers."""

from __future__ import annotations

from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobUnknown,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    TaskRefused,
    TemporarilyBlocked,
)
from captchahub.provider import Reply
from captchahub.testing import json_reply
from captchahub.testing.contract import ProviderContract


class TestOmoCaptcha(ProviderContract):
    """Each class of its table with one message; test_messages.py has them all."""

    kind = "omocaptcha"
    messages = {
        "Invalid api token.": AuthenticationError,
        "Số dư không đủ": InsufficientBalance,
        "Service is closed.": ServiceUnavailable,
        "System is busy": ServiceBusy,
        "Your account is temporarily blocked": TemporarilyBlocked,
        "Quá nhiều yêu cầu": RateLimited,
        "Invalid image base64.": TaskRefused,
        "Type job does not exist.": JobRefused,
    }
    job_messages = {
        "Job not found.": JobUnknown,
        "Invalid image.": JobFailed,
        "Internal server error": ServiceUnavailable,
    }

    def refusal(self, message: str) -> Reply:
        return json_reply({"error": True, "message": message})
