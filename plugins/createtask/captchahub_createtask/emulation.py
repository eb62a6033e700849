"""The emulation of the services for the sandbox: every dialect, as the services' pages describe it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import ClassVar, Final

import attrs

from captchahub.testing.emulation import Account, Answer, Call, Emulation, JobRecord, World
from captchahub.words import fields_of
from captchahub_createtask.dialects import (
    BALANCE,
    CREATE,
    DIALECTS,
    POLL,
    Dialect,
    DialectName,
    OptionName,
    find_dialect,
)
from captchahub_createtask.emulated_jobs import (
    PRICE,
    Refused,
    answer_of,
    create_job,
    find_account,
    find_job,
    read_picture,
)
from captchahub_createtask.options import POOLS

__all__ = ["CreateTaskEmulation"]

Fields = dict[str, object]

_REPORTS: Final = frozenset(
    call for dialect in DIALECTS.values() for call in (dialect.wrong_call, dialect.right_call) if call
)

# The facts that a client must share with the service.
_NAMES: Final = ("task_type", "image_field", "wrong_call", "right_call")


@attrs.frozen
class _Habits:
    """How a service behaves in ways that a client need not know in advance."""

    text_ids: bool = False
    answers_at_once: bool = False
    fails_by_status: bool = False
    """Whether a failure has HTTP status 400, or 401 for a wrong key."""
    empty_codes: bool = False
    """Whether a successful reply has empty error fields."""
    reports_cost: bool = False
    has_vouchers: bool = False
    too_soon: str = "ERROR_TOO_MUCH_REQUESTS"
    """The error code for polling too often. 2Captcha's page says that it blocks the address."""


_HABITS: Final[Mapping[DialectName, _Habits]] = {
    "anti-captcha": _Habits(reports_cost=True),
    "2captcha": _Habits(reports_cost=True, too_soon="ERROR_IP_BLOCKED"),
    "capsolver": _Habits(
        text_ids=True,
        answers_at_once=True,
        fails_by_status=True,
        empty_codes=True,
        too_soon="ERROR_RATE_LIMIT",
    ),
    "capmonster": _Habits(),
    "yescaptcha": _Habits(text_ids=True, empty_codes=True),
    "omocaptcha-v2": _Habits(text_ids=True, has_vouchers=True),
    "custom": _Habits(),
}


@attrs.define
class CreateTaskEmulation(Emulation):
    """A service that speaks one dialect of createTask, such as ``CreateTaskEmulation("capsolver")``."""

    token_key: ClassVar[str] = "client_key"  # noqa: S105 - the name of a key, not a key
    create_call: ClassVar[str] = CREATE
    poll_call: ClassVar[str] = POLL
    calls: ClassVar[frozenset[str]] = frozenset({CREATE, POLL, BALANCE}) | _REPORTS
    prices: ClassVar[Mapping[str, Decimal]] = {"image-to-text": PRICE}

    dialect: DialectName = "2captcha"
    spoken: Dialect = attrs.field(
        default=attrs.Factory(lambda self: find_dialect(self.dialect), takes_self=True), kw_only=True
    )
    """The facts of the dialect. Pass ``spoken=settings.spoken`` for a provider whose settings change them."""
    min_poll_interval: float | None = attrs.field(default=None, kw_only=True)
    """The minimum seconds between two polls of a job. 0 accepts every poll.

    By default the intervals of ``spoken`` apply, also before the first poll. Quick accounts are exempt.
    """

    @property
    def provider_settings(self) -> Mapping[str, object]:
        """The dialect, and the facts of ``spoken`` that differ from it."""
        usual = find_dialect(self.dialect)
        pairs = {name: (getattr(self.spoken, name), getattr(usual, name)) for name in _NAMES}
        names = {name: word for name, (word, own) in pairs.items() if word is not None and word != own}
        return {"dialect": self.dialect, **names, **self._pace_settings(usual)}

    def _pace_settings(self, usual: Dialect) -> Mapping[str, object]:
        own, known = (
            (one.seconds_between_polls, one.seconds_before_first_poll) for one in (self.spoken, usual)
        )
        if own == known:
            return {}
        every, first = own
        return {"poll": {"first": f"{1000 * (first or every):g}ms", "every": f"{1000 * every:g}ms"}}

    def token_of(self, call: Call) -> str | None:
        """Return the key of a call, which is the field ``clientKey``, or None if it has none."""
        key = call.json().get("clientKey")
        return key if isinstance(key, str) else None

    def answer(self, call: Call, world: World) -> Answer:
        """Return the reply. A failure also has HTTP status 200, except at CapSolver."""
        try:
            fields = self._handle(call, world)
        except Refused as refused:
            return self._refusal(refused)
        empty: Fields = {"errorCode": "", "errorDescription": ""} if self._habits.empty_codes else {}
        return Answer.json({"errorId": 0, **empty, **fields})

    @property
    def _habits(self) -> _Habits:
        return _HABITS[self.dialect]

    def _refusal(self, refused: Refused) -> Answer:
        code = refused.code
        said: Fields = {"errorId": refused.number, "errorCode": code, "errorDescription": refused.words}
        if not self._habits.fails_by_status:
            return Answer.json(said)
        return Answer.json(said | {"errorId": 1}, 401 if code == "ERROR_KEY_DOES_NOT_EXIST" else 400)

    def _handle(self, call: Call, world: World) -> Fields:
        calls: dict[str | None, Callable[[Fields, Account, World], Fields]] = {
            self.spoken.right_call: self._report_right,
            self.spoken.wrong_call: self._report_wrong,
            CREATE: self._create_task,
            POLL: self._task_result,
            BALANCE: self._balance,
        }
        handler = calls.get(self.name_of(call))
        if handler is None or call.method != "POST":
            raise Refused("ERROR_NO_SUCH_METHOD")
        return handler(call.json(), find_account(self.token_of(call), world), world)

    def _create_task(self, body: Fields, account: Account, world: World) -> Fields:
        task = fields_of(body.get("task"))
        if not task:
            raise Refused("ERROR_TASK_ABSENT")
        if task.get("type") != self.spoken.task_type:
            raise Refused("ERROR_TASK_NOT_SUPPORTED")
        _check_options(task, body, self.spoken)
        picture = read_picture(task.get(self.spoken.image_field), self.spoken)
        job = create_job(account, picture, world)
        if not self._habits.answers_at_once:
            return {"taskId": self._id_of(job)}
        job.ready_at = world.now()
        return self._state(job, world) | {"taskId": self._id_of(job)}

    def _task_result(self, body: Fields, account: Account, world: World) -> Fields:
        job = self._job(body, account, world)
        if self._is_too_soon(job, world.now()):
            raise Refused(self._habits.too_soon)
        return self._state(job, world)

    def _is_too_soon(self, job: JobRecord, now: float) -> bool:
        first = self.spoken.seconds_before_first_poll or 0.0
        return self.is_hasty(job, now, between=self.spoken.seconds_between_polls, first=first)

    def _state(self, job: JobRecord, world: World) -> Fields:
        text = answer_of(job, world)
        if text is None:
            return {"status": "processing"}
        said: Fields = {"status": "ready", "solution": {"text": text}}
        return said | self._bill(job) if self._habits.reports_cost else said

    def _bill(self, job: JobRecord) -> Fields:
        return {
            "cost": f"{job.price:.6f}",
            "ip": "127.0.0.1",
            "createTime": int(job.created_at),
            "endTime": int(job.ready_at),
            "solveCount": "0",
        }

    def _balance(self, _body: Fields, account: Account, _world: World) -> Fields:
        vouchers: Fields = {"voucherBalance": 0} if self._habits.has_vouchers else {}
        return {"balance": float(account.balance), **vouchers}

    def _report_wrong(self, body: Fields, account: Account, world: World) -> Fields:
        correct = False
        if self.spoken.right_call == self.spoken.wrong_call:
            invalid = fields_of(body.get("result")).get("invalid")
            if not isinstance(invalid, bool):
                raise Refused("ERROR_INVALID_TASK_DATA")
            correct = not invalid
        return self._report(body, account, world, correct=correct)

    def _report_right(self, body: Fields, account: Account, world: World) -> Fields:
        return self._report(body, account, world, correct=True)

    def _report(self, body: Fields, account: Account, world: World, *, correct: bool) -> Fields:
        self._job(body, account, world).reported = correct
        return {"status": "success"}

    def _id_of(self, job: JobRecord) -> int | str:
        return str(uuid.UUID(int=job.id)) if self._habits.text_ids else job.id

    def _job(self, body: Fields, account: Account, world: World) -> JobRecord:
        """Return the job that a call names. An id of another type than the service's own is unknown."""
        given = body.get("taskId")
        number = _number(given) if self._habits.text_ids else given
        if isinstance(number, bool) or not isinstance(number, int):
            raise Refused("ERROR_NO_SUCH_CAPCHA_ID")
        return find_job(number, account, world)


def _number(task_id: object) -> object:
    try:
        return uuid.UUID(task_id).int if isinstance(task_id, str) else None
    except ValueError:
        return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_FITS: Final[Mapping[OptionName, Callable[[object], bool]]] = {
    "min_length": _is_count,
    "max_length": _is_count,
    "charset": lambda value: _is_count(value) and value in range(5),
    "case_sensitive": _is_flag,
    "phrase": _is_flag,
    "math": _is_flag,
    "language": lambda value: value in POOLS.values(),
    "hint": lambda value: isinstance(value, str),
}


def _check_options(task: Fields, body: Fields, spoken: Dialect) -> None:
    """Raise Refused for an option with an impossible value. Services ignore unknown fields."""
    for name, field in spoken.options.items():
        place = body if name == "language" else task
        if field in place and not _FITS[name](place[field]):
            raise Refused("ERROR_INVALID_TASK_DATA")
