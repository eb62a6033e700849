"""The table of patterns that classifies the service's messages.

Patterns are matched against folded text: lower case, no diacritics, words separated by one space and
sentences by a full stop. So one pattern matches Vietnamese with and without its diacritics, and no match
crosses the end of a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import attrs

from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobUnknown,
    ProviderError,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    TaskRefused,
    TemporarilyBlocked,
)
from captchahub_omocaptcha.dialect import CREATE, POLL

__all__ = ["TABLE", "Row", "fold"]

# In characters: a reply can be megabytes.
_LONGEST: Final = 1000


def fold(message: str) -> str:
    """Return a message in the form that the patterns expect, from its first 1000 characters."""
    lower = message[:_LONGEST].casefold().replace("đ", "d")
    # NFKD also writes full-width letters as plain ones.
    marks_apart = unicodedata.normalize("NFKD", lower)
    plain = "".join(character for character in marks_apart if not unicodedata.combining(character))
    sentences = re.split(r"[.!?;\n]+(?=\s|$)", plain)
    return " . ".join(" ".join(re.findall("[a-z0-9]+", sentence)) for sentence in sentences)


def _any(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"\b(?:{pattern})\b") for pattern in patterns)


# Words that may stand between a thing and what is wrong with it: "token [you provided is] invalid".
_FILL = (
    r"(?: (?:a|an|the|this|your|you|is|are|was|has|have|been|be|does|do|did|it|that|provided|sent|given|field"
    r"|value|data|temporarily|currently|already|nay|cua|ban|da|bi|dang|hien|tai|khach|hang|toi|la)){0,5}"
)
_OF_YOURS = r"(?: (?:the|your|user|account|my|a|an|valid|captcha|input|data))?"
_WRONG = "invalid|wrong|incorrect|unknown|expired|missing"
_NOT = r"(?:not|isn t|doesn t|didn t|don t|wasn t)"
_CANNOT = r"(?:cannot|can not|can t|could not|couldn t|unable to|failed to|khong the)"

_TOKEN = r"(?:(?:api|access|client) ?(?:token|key)|token|khoa api|ma api|khoa tai khoan)"  # noqa: S105 - a word
_OWNER = r"(?:account|user|customer|ip|ip address|tai khoan|nguoi dung|khach hang|dia chi ip)"
_AUTHENTICATION = _any(
    rf"(?:{_WRONG}|bad|sai){_OF_YOURS} {_TOKEN}",
    rf"{_TOKEN}{_FILL} (?:{_WRONG}|required|blocked|locked|disabled|revoked)",
    rf"{_TOKEN}{_FILL} {_NOT} (?:found|valid|correct|exists?|match|active|accepted|authorized)",
    rf"{_TOKEN}{_FILL} khong (?:hop le|dung|ton tai|chinh xac|duoc de trong|tim thay)",
    rf"{_TOKEN}{_FILL} (?:het han|sai|khoa|chan)",
    rf"khong tim thay (?:{_TOKEN}|{_OWNER})",
    rf"{_OWNER}{_FILL} (?:locked|blocked|banned|suspended|disabled|{_NOT} (?:found|exists?|allowed|active))",
    rf"{_OWNER}{_FILL} (?:khoa|chan|khong ton tai|khong duoc phep|chua kich hoat|chua xac (?:minh|thuc))",
    r"unauthori[sz]ed|unauthenticated|not authori[sz]ed|authentication failed|access denied",
    r"khong co quyen(?: truy cap)?|vui long (?:dang nhap|nhap (?:api )?token)",
)

_FOR_NOW = r"(?:temporar(?:y|ily)|for a (?:while|time)|tam(?: thoi)?)"
_SHUT_OUT = r"(?:locked|blocked|banned|suspended|disabled|frozen|restricted|khoa|chan|cam|dinh chi)"
_BLOCKED = _any(
    rf"(?:{_TOKEN}|{_OWNER})(?: [a-z]+){{0,5}} {_FOR_NOW}(?: [a-z]+){{0,2}} {_SHUT_OUT}",
    rf"(?:{_TOKEN}|{_OWNER})(?: [a-z]+){{0,5}} {_SHUT_OUT}(?: [a-z]+){{0,2}} {_FOR_NOW}",
    r"temporar(?:y|ily) (?:ban|block|banned|blocked)|(?:banned|blocked) temporarily",
)

_MONEY = "(?:balance|funds?|money|credits?)"
_BALANCE = _any(
    rf"(?:insufficient|{_NOT} enough|{_NOT} have enough|out of|no more|low|zero|empty){_OF_YOURS} {_MONEY}",
    rf"{_MONEY}{_FILL} (?:insufficient|(?:too )?low|empty|zero|exhausted|negative)",
    rf"{_MONEY}{_FILL} {_NOT} (?:enough|sufficient)",
    r"khong (?:con )?du (?:tien|so du)|het (?:tien|so du)|thieu tien",
    r"so du(?: [a-z]+){0,5} (?:khong (?:con )?du|het|qua thap|bang 0)",
    r"(?:please|vui long) (?:top ?up|recharge|add funds|nap(?: them)? tien)",
)

_REQUESTS = "(?:requests?|attempts|jobs|tasks|calls|connections|yeu cau|luot)"
_TOO_MANY = _any(
    rf"too many(?: (?:pending|concurrent|running|open|api))? {_REQUESTS}",
    r"slow down|rate ?(?:limit(?:ed)?|exceeded)",
    r"(?:requests?|requesting|calling|asking|polling|sending) too (?:fast|often|quickly|frequently|many)",
    r"(?:requests?|concurrency|concurrent|jobs?|threads?) limit(?: is| was| has been)? (?:reached|exceeded)",
    rf"qua nhieu {_REQUESTS}|(?:yeu cau|thao tac|gui|request)(?: [a-z]+){{0,2}} qua nhanh",
    rf"(?:vuot|qua)(?: qua)? gioi han (?:so luong )?(?:{_REQUESTS}|tan suat|toc do)",
)

_SERVICE = (
    r"(?:services?|systems?|servers?|api|website|type(?: job)?(?: id)?|job type|dich vu|he thong|may chu"
    r"|loai (?:captcha|job|dich vu))(?: [a-z0-9]+){0,4}"
)
_WORKERS = "(?:workers?|slots?|threads?|solvers?|nhan vien|nguoi giai)"
_CROWDED = "(?:busy|overloaded|full|at (?:full |maximum )?capacity|qua tai|dang ban|ban ron)"
_BUSY = _any(
    rf"{_SERVICE} {_CROWDED}|(?:system|server|service) {_CROWDED}|(?:he thong|may chu|dich vu) qua tai",
    rf"(?:we|queue|hang doi|{_WORKERS})(?: [a-z]+){{0,3}} {_CROWDED}|(?:hang doi|hang cho)(?: [a-z]+)? day",
    # "bận" (busy) is followed by one of these; without its diacritics it also reads "bạn" (you).
    r"(?:he thong|may chu|dich vu|worker) ban(?= vui| xin| hay| thu| \.|$)",
    rf"(?:no|not enough|out of|khong co|khong con|het)(?: [a-z]+)? {_WORKERS}",
    rf"{_WORKERS}(?: [a-z]+){{0,3}} {_NOT} (?:available|free|enough)",
)
_UNAVAILABLE = _any(
    rf"{_SERVICE} (?:closed|disabled|inactive|unavailable|down|paused|stopped|offline)",
    rf"{_SERVICE} (?:maintenance|(?:not|isn t) (?:active|available|working|open)|chua (?:duoc )?kich hoat)",
    rf"{_SERVICE} (?:bao tri|tam (?:thoi )?(?:ngung|dung|dong|khoa)|da dong|bi dong)",
    rf"{_SERVICE} (?:dong cua|(?:ngung|dung|khong) hoat dong|khong kha dung|(?:da|dang|bi) tat)",
    r"under maintenance|maintenance mode|dang bao tri|bao tri he thong",
    r"temporarily (?:closed|unavailable|disabled)",
)

_TROUBLE = _any(
    r"(?:internal|system|server|database|timeout) (?:server )?error",
    r"loi (?:he thong|may chu|khong xac dinh)|(?:he thong|may chu)(?: dang)? (?:bi loi|gap su co)",
)

_IMAGE = (
    r"(?:image(?! to text)|picture|screenshot|base ?64|(?:hinh )?anh)"
    r"(?: (?:base ?64|file|format|size|string|content|captcha))*"
)
_BROKEN = "invalid|corrupt(?:ed)?|broken|unsupported|unreadable|missing|empty|malformed|incorrect"
_PICTURE = _any(
    rf"(?:{_BROKEN}|bad|wrong){_OF_YOURS} {_IMAGE}",
    rf"{_IMAGE}{_FILL} (?:{_BROKEN}|damaged|required|too (?:large|big|small|long)|exceeds|larger than)",
    rf"{_IMAGE}{_FILL} (?:{_NOT} (?:valid|readable|correct|an? (?:valid )?(?:image|picture))|must be a)",
    # An unsupported type of captcha is not a fault of the picture, but an unsupported format is.
    rf"(?:image|picture|file) (?:format|type){_FILL} {_NOT} supported",
    rf"dinh dang {_IMAGE}{_FILL} khong (?:duoc )?ho tro",
    rf"{_NOT} (?:an? )?(?:valid )?(?:image|picture|base ?64)",
    r"no (?:image|picture)(?: (?:data|file))? (?:provided|found|given|sent)",
    rf"{_CANNOT} (?:decode|read|open|parse|giai ma|doc|mo){_OF_YOURS} {_IMAGE}",
    rf"{_IMAGE} (?:cannot|can not|can t|could not|couldn t) be (?:decoded|read|opened|parsed)",
    rf"{_IMAGE}{_FILL} khong (?:hop le|dung|duoc (?:de|bo) trong|doc duoc)",
    rf"{_IMAGE}{_FILL} (?:sai dinh dang|qua lon|qua nho|vuot qua|loi|hong|rong|bat buoc)",
    rf"khong phai (?:la )?(?:hinh )?anh|khong ho tro dinh dang {_IMAGE}|thieu (?:hinh )?anh",
)

_JOB = r"(?<!type )(?<!loai )(?:(?:jobs?|task|request)(?: id)?|yeu cau|cong viec|tac vu|nhiem vu)(?: [0-9]+)?"
_JOB_UNKNOWN = _any(
    rf"(?:{_WRONG}|no such|nonexistent) (?:job|task)(?: id)?",
    rf"{_JOB}{_FILL} (?:unknown|invalid|expired|deleted|removed|{_NOT} (?:found|exists?|valid|yours))",
    rf"{_JOB}{_FILL} (?:khong ton tai|khong tim thay|het han|xoa)|khong tim thay {_JOB}",
    rf"{_CANNOT} find{_OF_YOURS} {_JOB}|{_JOB}{_FILL} {_NOT} belong",
)


@attrs.frozen
class Row:
    """The error that each of the patterns stands for, on one call only if ``only_on`` names it."""

    error: type[ProviderError]
    patterns: tuple[re.Pattern[str], ...]
    only_on: str | None = None

    def matches(self, call: str, folded: str) -> bool:
        """Whether a folded message of this call means this error."""
        return self.only_on in (None, call) and any(pattern.search(folded) for pattern in self.patterns)


TABLE: Final = (
    Row(RateLimited, _TOO_MANY),
    Row(InsufficientBalance, _BALANCE),
    Row(TemporarilyBlocked, _BLOCKED),
    Row(AuthenticationError, _AUTHENTICATION),
    # On a poll it comes from a worker who could not read the picture. Another service may read it.
    Row(TaskRefused, _PICTURE, only_on=CREATE),
    Row(ServiceBusy, _BUSY),
    Row(ServiceUnavailable, _UNAVAILABLE),
    # The paid job may still finish, so it is polled again. A failed create call is a refusal, whatever it
    # says.
    Row(ServiceUnavailable, _TROUBLE, only_on=POLL),
    # On create, the same words mean that the type of job is unknown.
    Row(JobUnknown, _JOB_UNKNOWN, only_on=POLL),
)
"""All meanings with their patterns. The first row that matches counts."""
