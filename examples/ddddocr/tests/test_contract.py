"""Runs captchahub's contract suite on the plugin."""

from __future__ import annotations

from typing import ClassVar

from captchahub.errors import JobFailed, JobRefused, ServiceUnavailable
from captchahub.provider import Reply
from captchahub.testing import json_reply
from captchahub.testing.contract import ProviderContract

import captchahub_ddddocr
from captchahub_ddddocr.emulation import DdddocrEmulation


class TestDdddocr(ProviderContract):
    """The plugin is set as a module, so that it need not be installed."""

    plugin: ClassVar[object] = captchahub_ddddocr
    emulation = DdddocrEmulation
    messages = {
        "OCR识别失败: 'NoneType' object is not iterable": JobFailed,
        "无法读取图片": JobRefused,
        "初始化OCR失败: no such file": ServiceUnavailable,
        "an unknown message": JobRefused,
    }

    def refusal(self, message: str) -> Reply:
        return json_reply({"detail": message}, 400)
