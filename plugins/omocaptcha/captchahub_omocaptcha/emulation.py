"""The emulation of the service for the sandbox: all four calls, as the service's pages describe them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import ClassVar, Literal

import attrs

from captchahub.tasks import Point, SlideSolution, Solution, TextSolution
from captchahub.testing.emulation import (
    UNKNOWN_PICTURE,
    Account,
    Answer,
    Call,
    Emulation,
    JobRecord,
    World,
    unpack_base64,
)
from captchahub.words import fields_of
from captchahub_omocaptcha.dialect import BALANCE, CALLS, CREATE, POLL, SERVICES, TYPE_IDS, job_id

__all__ = ["OmoEmulation"]

_KINDS: Mapping[str, str] = {type_id: kind for kind, type_id in TYPE_IDS.items()}
_NAMES: Mapping[str, str] = {"image-to-text": "Image to text", "phone-slide": "Drag on a phone"}

Fields = dict[str, object]


class _Refused(Exception):
    """The service refuses the call with this message."""


@attrs.define
class OmoEmulation(Emulation):
    """OMOcaptcha, version 1. The attributes choose among replies seen in use, and can be set at any time."""

    base_path: ClassVar[str] = "/api"
    create_call: ClassVar[str] = CREATE
    poll_call: ClassVar[str] = POLL
    calls: ClassVar[frozenset[str]] = frozenset(CALLS)
    # The service's page names no price for the drag: this one is invented.
    prices: ClassVar[Mapping[str, Decimal]] = {
        "image-to-text": Decimal("0.00055"),
        "phone-slide": Decimal("0.0012"),
    }

    flags: Literal["error", "success", "both"] = "error"
    """The keys that say whether a call succeeded."""
    job_ids: Literal["number", "text"] = "number"
    """How the id of a new job is written. Polls may use both."""
    working: str = "running"
    """The status of a job that is not done: ``running`` or ``waiting``."""
    with_messages: bool = True
    """Whether answers carry a ``message``."""
    closed: Collection[str] = ()
    """The task kinds that are closed now: they are refused, and marked as closed in the price list."""
    min_poll_interval: float | None = None
    """See :attr:`Emulation.min_poll_interval`. None accepts every poll, because the service's documentation
    asks for 2 s between polls but does not say how it answers faster ones."""

    def answer(self, call: Call, world: World) -> Answer:
        """Return the reply. Its HTTP status is always 200; the body says whether the call failed."""
        try:
            return self._reply(failed=False, fields=self._handle(call, world))
        except _Refused as refused:
            return self._reply(failed=True, fields={"message": str(refused)})

    def _reply(self, *, failed: bool, fields: Fields) -> Answer:
        body: Fields = {}
        if self.flags != "success":
            body["error"] = failed
        if self.flags != "error":
            body["success"] = not failed
        body |= fields
        if not self.with_messages:
            body.pop("message", None)
        return Answer.json(body)

    def _handle(self, call: Call, world: World) -> Fields:
        calls: Mapping[str, Callable[[Fields, Account, World], Fields]] = {
            f"{self.base_path}/{CREATE}": self._create_job,
            f"{self.base_path}/{POLL}": self._job_result,
            f"{self.base_path}/{BALANCE}": self._balance,
            f"{self.base_path}/{SERVICES}": self._services,
        }
        handler = calls.get(call.path)
        if handler is None or call.method != "POST":
            raise _Refused(f"No such call: {call.method} {call.path}")
        return handler(call.json(), self._account(call, world), world)

    def _account(self, call: Call, world: World) -> Account:
        account = world.accounts.get(self.token_of(call) or "")
        if account is None:
            raise _Refused("Invalid api token.")
        return account

    def _create_job(self, body: Fields, account: Account, world: World) -> Fields:
        data = fields_of(body.get("data"))
        if not data:
            raise _Refused("The data field is required.")
        kind, picture = self._kind(data.get("type_job_id")), _picture(data.get("image_base64"))
        job = world.create_job(account, kind, picture, self.prices[kind])
        if job is None:
            raise _Refused("Your balance is not enough.")
        written = str(job.id) if self.job_ids == "text" else job.id
        return {"job_id": written, "message": "Create job success."}

    def _kind(self, type_id: object) -> str:
        # Clients send it as text or as a number.
        is_written = isinstance(type_id, (int, str)) and not isinstance(type_id, bool)
        kind = _KINDS.get(str(type_id)) if is_written else None
        if kind is None:
            raise _Refused("Type job does not exist.")
        if kind in self.closed:
            raise _Refused("This service is closed.")
        return kind

    def _job_result(self, body: Fields, account: Account, world: World) -> Fields:
        job = world.find_job(account, int(job_id(body.get("job_id")) or 0))
        if job is None:
            raise _Refused("Job not found.")
        if self.is_hasty(job, world.now(), between=0.0):
            raise _Refused("Too many requests.")
        if job.state(world.now()) == "working":
            return {"status": self.working, "result": None}
        return _finished(job)

    def _balance(self, _body: Fields, account: Account, _world: World) -> Fields:
        return {"balance": f"{account.balance:.5f}", "message": "Get balance success."}

    def _services(self, _body: Fields, _account: Account, world: World) -> Fields:
        lines = [self._line(order, kind, world.usual_job_time) for order, kind in enumerate(_NAMES, start=1)]
        return {"service": lines, "message": "Get service success."}

    def _line(self, order: int, kind: str, job_time: float) -> Fields:
        return {
            "id": int(TYPE_IDS[kind]),
            "name": _NAMES[kind],
            "description": "",
            "price": str(self.prices[kind]),
            "require_field": None,
            "order": order,
            "image": None,
            "avg_success": "98%",
            "avg_time": f"{job_time:g}s",
            "is_active": int(kind not in self.closed),
            "created_at": None,
            "updated_at": None,
        }


def _picture(value: object) -> bytes:
    if not isinstance(value, str) or not value:
        raise _Refused("The image_base64 field is required.")
    picture = unpack_base64(value)
    if picture is None:
        raise _Refused("Invalid image base64.")
    return picture


def _finished(job: JobRecord) -> Fields:
    if job.solution is None:
        failed: Fields = {"status": "fail", "result": None}
        return {**failed, "message": UNKNOWN_PICTURE} if job.is_unknown else failed
    job.delivered += 1
    return {"status": "success", "result": _written(job.solution)}


def _written(solution: Solution) -> str:
    if isinstance(solution, TextSolution):
        return solution.text
    if isinstance(solution, SlideSolution):
        return f"{_place(solution.start)}|{_place(solution.end)}"
    raise TypeError(f"OMOcaptcha answers with text or a drag, not with a {type(solution).__name__}")


def _place(point: Point) -> str:
    return f"{_pixels(point.x)}|{_pixels(point.y)}"


def _pixels(value: float) -> str:
    return str(value).removesuffix(".0")
