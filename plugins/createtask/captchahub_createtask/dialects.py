"""The services that speak createTask, and what each one does differently: data, all in one table.

Sources: the services' own pages on ``createTask``, ``ImageToTextTask``, reports and error codes, as of
November 2026. How often each may be asked is at:

- 2Captcha: https://2captcha.com/api-docs/limits wants 5 s before the first question and between questions,
  else "your account or IP address will be temporary blocked".
- CapSolver: https://docs.capsolver.com/en/guide/api-gettaskresult says of a job in work: retry after 3 s. It
  forgets a job after 120 questions.
- CapMonster Cloud: its error types say of ERROR_TOO_MUCH_REQUESTS: no more than once in 2 s. It locks an
  account for a time after 120 questions for one job.
- YesCaptcha: https://yescaptcha.atlassian.net/wiki/spaces/YESCAPTCHA/pages/64192698 has no pace, and 120
  questions within 5 minutes as its limit.
- OMOcaptcha: the pages of its first API say of a job in work: wait 2 s, then ask again.
- Anti-Captcha: https://anti-captcha.com/apidoc/methods/getTaskResult has no pace.

For those without one it is that of the others, 2 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import attrs

__all__ = [
    "BALANCE",
    "CREATE",
    "DIALECTS",
    "OTHER_NAMES",
    "POLL",
    "REPORT",
    "Dialect",
    "DialectName",
    "OptionName",
    "find_dialect",
]

CREATE: Final = "createTask"
POLL: Final = "getTaskResult"
BALANCE: Final = "getBalance"
REPORT: Final = "report"
"""Stands for the calls of a dialect that report an answer as wrong or right; each has its own names."""

DialectName = Literal[
    "anti-captcha", "2captcha", "capsolver", "capmonster", "yescaptcha", "omocaptcha-v2", "custom"
]
OptionName = Literal[
    "min_length", "max_length", "charset", "case_sensitive", "phrase", "math", "language", "hint"
]
"""The options of an ImageToText that the protocol has fields for; ``length`` is sent as both bounds."""


@attrs.frozen
class Dialect:
    """How one service speaks the protocol. None means that it has no such limit or no such call."""

    service: str
    """What errors call it."""
    base_url: str | None = None
    task_type: str = "ImageToTextTask"
    image_field: str = "body"
    """The field of the task object that holds the picture in base64."""
    options: Mapping[OptionName, str] = attrs.field(factory=dict[OptionName, str])
    """The field for each option; that of ``language`` is beside the task object, the others are in it."""
    numeric: tuple[int, ...] = (1, 2)
    """What the field of ``charset`` can say: 1 for digits only, 2 for letters only."""
    min_bytes: int | None = None
    """The smallest picture, in bytes."""
    max_bytes: int | None = None
    """The largest picture, in bytes."""
    max_side: int | None = None
    """The greatest width or height of a picture, in pixels."""
    seconds_between_polls: float = 2.0
    """The least time between two questions for the same job."""
    seconds_before_first_poll: float | None = None
    """The least time between the order and the first question; where none is said, the first one may come
    sooner than the others where little time is left."""
    wrong_call: str | None = None
    """The call that reports a wrong answer."""
    right_call: str | None = None
    """The call that reports a right answer; where it is the same one, its body says which."""


_ANTI_CAPTCHA_OPTIONS: Final[Mapping[OptionName, str]] = {
    "min_length": "minLength",
    "max_length": "maxLength",
    "charset": "numeric",
    "case_sensitive": "case",
    "phrase": "phrase",
    "math": "math",
    "language": "languagePool",
    "hint": "comment",
}

DIALECTS: Final[Mapping[DialectName, Dialect]] = {
    "anti-captcha": Dialect(
        "Anti-Captcha",
        "https://api.anti-captcha.com",
        options=_ANTI_CAPTCHA_OPTIONS,
        min_bytes=100,
        max_bytes=500_000,
        wrong_call="reportIncorrectImageCaptcha",
    ),
    "2captcha": Dialect(
        "2Captcha",
        "https://api.2captcha.com",
        # Its numeric has 3 (only digits or only letters) and 4 (both must occur) too; no charset means those.
        options=_ANTI_CAPTCHA_OPTIONS,
        min_bytes=100,
        max_bytes=100_000,
        max_side=600,
        seconds_between_polls=5.0,
        seconds_before_first_poll=5.0,
        wrong_call="reportIncorrect",
        right_call="reportCorrect",
    ),
    "capsolver": Dialect(
        "CapSolver",
        "https://api.capsolver.com",
        seconds_between_polls=3.0,
        wrong_call="feedbackTask",
        right_call="feedbackTask",
    ),
    "capmonster": Dialect(
        "CapMonster Cloud",
        "https://api.capmonster.cloud",
        options={"charset": "numeric", "case_sensitive": "Case", "math": "math"},
        numeric=(1,),
        min_bytes=100,
        max_bytes=500_000,
        wrong_call="reportIncorrectImageCaptcha",
    ),
    "yescaptcha": Dialect("YesCaptcha", "https://api.yescaptcha.com"),
    "omocaptcha-v2": Dialect("OMOcaptcha v2", "https://api.omocaptcha.com/v2", image_field="imageBase64"),
    # The protocol as Anti-Captcha began it, which is what a "compatible" service says it speaks.
    "custom": Dialect("the service", options=_ANTI_CAPTCHA_OPTIONS),
}
"""Every dialect by the name it has in a configuration."""

OTHER_NAMES: Final[Mapping[DialectName, tuple[str, ...]]] = {
    "anti-captcha": ("anti-captcha.com",),
    # One company with two sites.
    "2captcha": ("2captcha.com", "twocaptcha", "rucaptcha", "rucaptcha.com"),
    "capsolver": ("capsolver.com",),
    "capmonster": ("capmonster.cloud",),
    "yescaptcha": ("yescaptcha.com",),
    "omocaptcha-v2": (),
}
"""What else people call a dialect; case and signs do not count."""


def find_dialect(name: DialectName) -> Dialect:
    """The dialect of that name. Raises ValueError where there is none."""
    if name not in DIALECTS:
        raise ValueError(f"there is no dialect {name!r}, only {', '.join(DIALECTS)}")
    return DIALECTS[name]
