"""The emulation of the service for the sandbox: its answer to each call, as documented.

The contract suite, ``captchahub sandbox`` and the tests of your users call it instead of the service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import ClassVar

from captchahub.tasks import TextSolution
from captchahub.testing import Account, Answer, Call, Emulation, JobRecord, World, unpack_base64
from captchahub.words import job_id_of

__all__ = ["PennyReaderEmulation"]

Fields = dict[str, object]


class _Refused(Exception):
    """An error code of the service and its HTTP status."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.status = status


# CHANGE: the calls, their names and the shape of each answer.
class PennyReaderEmulation(Emulation):
    """Penny Reader, which is fictional."""

    base_path: ClassVar[str] = "/v1"
    token_key: ClassVar[str] = "api_key"  # noqa: S105 - the name of a setting
    create_call: ClassVar[str] = "order"
    poll_call: ClassVar[str] = "answer"
    calls: ClassVar[frozenset[str]] = frozenset({"order", "answer", "account", "prices", "report"})
    prices: ClassVar[Mapping[str, Decimal]] = {"image-to-text": Decimal("0.001")}

    def answer(self, call: Call, world: World) -> Answer:
        """Return the service's reply."""
        handlers: Mapping[str, Callable[[Fields, Account, World], Fields]] = {
            "order": self._order,
            "answer": self._answer,
            "account": self._credit,
            "prices": self._prices,
            "report": self._report,
        }
        try:
            handler = handlers.get(self.name_of(call))
            if handler is None or call.method != "POST":
                raise _Refused("no_such_call", 404)
            account = world.accounts.get(self.token_of(call) or "")
            if account is None:
                raise _Refused("bad_key", 401)
            return Answer.json(handler(call.json(), account, world))
        except _Refused as refused:
            return Answer.json({"error": str(refused)}, refused.status)

    def _order(self, sent: Fields, account: Account, world: World) -> Fields:
        picture = unpack_base64(sent.get("picture"))
        if not picture:
            raise _Refused("bad_picture")
        # The world charges the account, and has the answer to a drawn picture.
        job = world.create_job(account, "image-to-text", picture, self.prices["image-to-text"])
        if job is None:
            raise _Refused("no_credit", 402)
        return {"order": job.id}

    def _answer(self, sent: Fields, account: Account, world: World) -> Fields:
        job = self._job(sent, account, world)
        state = job.state(world.now())
        if state == "working":
            return {"state": "reading"}
        if not isinstance(job.solution, TextSolution):
            return {"state": "failed"}
        job.delivered += 1
        return {"state": "done", "text": job.solution.text, "price": str(job.price)}

    def _credit(self, _sent: Fields, account: Account, _world: World) -> Fields:
        return {"credit": str(account.balance)}

    def _prices(self, _sent: Fields, _account: Account, _world: World) -> Fields:
        return {"prices": {"text": str(self.prices["image-to-text"])}}

    def _report(self, sent: Fields, account: Account, world: World) -> Fields:
        self._job(sent, account, world).reported = sent.get("correct") is True
        return {}

    def _job(self, sent: Fields, account: Account, world: World) -> JobRecord:
        number = job_id_of(sent.get("order"))
        job = world.find_job(account, number) if isinstance(number, int) else None
        if job is None:
            raise _Refused("no_such_order", 404)
        return job
