"""The plugin keeps the contract: in a dialect with number ids, and in one that answers at once."""

from __future__ import annotations

from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobUnknown,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    TemporarilyBlocked,
    UnsupportedTask,
)
from captchahub.provider import Reply
from captchahub.testing import json_reply, load_emulation
from captchahub.testing.contract import ProviderContract


class CreateTaskContract(ProviderContract):
    kind = "createtask"
    messages = {
        "ERROR_KEY_DOES_NOT_EXIST": AuthenticationError,
        "ERROR_ZERO_BALANCE": InsufficientBalance,
        "ERROR_NO_SLOT_AVAILABLE": ServiceBusy,
        "ERROR_SERVICE_UNAVAILABLE": ServiceUnavailable,
        "ERROR_IP_BANNED": TemporarilyBlocked,
        "ERROR_TOO_MUCH_REQUESTS": RateLimited,
        "ERROR_ZERO_CAPTCHA_FILESIZE": UnsupportedTask,
    }
    job_messages = {
        "ERROR_CAPTCHA_UNSOLVABLE": JobFailed,
        "ERROR_NO_SUCH_CAPCHA_ID": JobUnknown,
        "ERROR_KEY_DOES_NOT_EXIST": AuthenticationError,
    }

    def refusal(self, message: str) -> Reply:
        return json_reply({"errorId": 1, "errorCode": message, "errorDescription": "no"})


class Test2Captcha(CreateTaskContract):
    emulation = load_emulation("createtask", dialect="2captcha")


class TestCapSolver(CreateTaskContract):
    emulation = load_emulation("createtask", dialect="capsolver")
