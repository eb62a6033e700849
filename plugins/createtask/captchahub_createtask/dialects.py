"""The services that speak createTask, and how each one differs, as one table of data.

Sources: the services' own pages on ``createTask``, ``ImageToTextTask``, reports and error codes, as of
November 2026. Their rules for polling:

- 2Captcha: https://2captcha.com/api-docs/limits requires 5 s before the first poll and between polls;
otherwise
  "your account or IP address will be temporary blocked".
- CapSolver: https://docs.capsolver.com/en/guide/api-gettaskresult says to retry after 3 s while a job is
  processing. It forgets a job after 120 polls.
- CapMonster Cloud: the description of ERROR_TOO_MUCH_REQUESTS allows one poll in 2 s. It locks the account
for
  a time after 120 polls of one job.
- YesCaptcha: https://yescaptcha.atlassian.net/wiki/spaces/YESCAPTCHA/pages/64192698 states no interval, and a
  limit of 120 polls within 5 minutes.
- OMOcaptcha: the pages of its first API say to wait 2 s before polling again.
- Anti-Captcha: https://anti-captcha.com/apidoc/methods/getTaskResult states no interval.

The services that state no interval are polled every 2 s, like CapMonster Cloud and OMOcaptcha.
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
"""Stands for the calls that report a wrong or a right answer, whose names differ between dialects."""

DialectName = Literal[
    "anti-captcha", "2captcha", "capsolver", "capmonster", "yescaptcha", "omocaptcha-v2", "custom"
]
OptionName = Literal[
    "min_length", "max_length", "charset", "case_sensitive", "phrase", "math", "language", "hint"
]
"""The options of an ImageToText that the protocol has fields for. ``length`` is sent as both bounds."""


@attrs.frozen
class Dialect:
    """How one service speaks the protocol. None means that it has no such limit or call."""

    service: str
    """The name of the service in error messages."""
    base_url: str | None = None
    """The URL of the calls, or None if every service has its own."""
    task_type: str = "ImageToTextTask"
    image_field: str = "body"
    """The field of the task object that holds the picture in base64."""
    options: Mapping[OptionName, str] = attrs.field(factory=dict[OptionName, str])
    """The field for each option. That of ``language`` is next to the task object, the others are in it."""
    numeric: tuple[int, ...] = (1, 2)
    """The values that the field for ``charset`` accepts: 1 for digits only, 2 for letters only."""
    min_bytes: int | None = None
    """The size of the smallest accepted picture, in bytes."""
    max_bytes: int | None = None
    """The size of the largest accepted picture, in bytes."""
    max_side: int | None = None
    """The largest accepted width or height of a picture, in pixels."""
    seconds_between_polls: float = 2.0
    """The shortest time between two polls of the same job, in seconds."""
    seconds_before_first_poll: float | None = None
    """The shortest time between the create call and the first poll, in seconds. If it is None, the first poll
    comes after ``seconds_between_polls``, or sooner if little time is left."""
    wrong_call: str | None = None
    """The call that reports a wrong answer."""
    right_call: str | None = None
    """The call that reports a right answer. If it is the same as ``wrong_call``, the body says which."""


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
        # Its numeric also has 3 (only digits or only letters) and 4 (both must occur), which no charset
        # means.
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
    # The original protocol of Anti-Captcha, which services that call themselves compatible speak.
    "custom": Dialect("the service", options=_ANTI_CAPTCHA_OPTIONS),
}
"""All dialects by their name in the configuration."""

OTHER_NAMES: Final[Mapping[DialectName, tuple[str, ...]]] = {
    "anti-captcha": ("anti-captcha.com",),
    # RuCaptcha is the same company's Russian site.
    "2captcha": ("2captcha.com", "twocaptcha", "rucaptcha", "rucaptcha.com"),
    "capsolver": ("capsolver.com",),
    "capmonster": ("capmonster.cloud",),
    "yescaptcha": ("yescaptcha.com",),
    "omocaptcha-v2": (),
}
"""Other names that users write for a dialect. Case and punctuation do not count."""


def find_dialect(name: DialectName) -> Dialect:
    """Return the dialect with a name. Raises ValueError if there is none."""
    if name not in DIALECTS:
        raise ValueError(f"there is no dialect {name!r}, only {', '.join(DIALECTS)}")
    return DIALECTS[name]
