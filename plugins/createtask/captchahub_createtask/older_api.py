"""2Captcha's older API for the sandbox: ``in.php`` accepts forms, ``res.php`` replies with one word.

Many older clients speak it, among them 2Captcha's own ``2captcha-python``. Sources: 2Captcha's page on this
API (https://2captcha.com/2captcha-api), and what version 2.1 of that client sends and reads.
"""

from __future__ import annotations

import email
from collections.abc import Callable, Mapping
from decimal import Decimal
from email.message import Message
from typing import ClassVar, Final
from urllib.parse import parse_qsl

import attrs

from captchahub.testing.emulation import Account, Answer, Call, Emulation, JobRecord, World, unpack_base64
from captchahub_createtask.dialects import DIALECTS
from captchahub_createtask.emulated_jobs import (
    PRICE,
    Refused,
    answer_of,
    check_picture,
    create_job,
    find_account,
    find_job,
)

__all__ = ["OlderApiEmulation"]

Form = Mapping[str, bytes]

_SUBMIT: Final = "in.php"
_RESULT: Final = "res.php"
_KEY_LENGTH: Final = 32

_LARGEST: Final[Mapping[str, int]] = {
    "phrase": 1,
    "regsense": 1,
    "numeric": 4,
    "calc": 1,
    "min_len": 20,
    "max_len": 20,
    "language": 2,
}
"""The options that are integers from 0, with their largest value."""

_OLDER_CODES: Final[Mapping[str, str]] = {"ERROR_NO_SUCH_CAPCHA_ID": "ERROR_WRONG_CAPTCHA_ID"}
"""The code of this API for a code of createTask, if they differ."""

_OWN_REFUSALS: Final[Mapping[str, str]] = {
    "ERROR_WRONG_USER_KEY": "A key has 32 characters.",
    "ERROR_UPLOAD": "There is no picture in the form, or not in base64.",
    "ERROR_BAD_PARAMETERS": "A parameter is missing, or has a value that it cannot have.",
    "ERROR_EMPTY_ACTION": "The action is missing, or there is none of this name.",
    "ERROR_WRONG_ID_FORMAT": "An id is a number.",
    "ERROR_DUPLICATE_REPORT": "This answer was reported before.",
}


class _OwnRefusal(Exception):
    """The service refuses the call with a code that only this API has: a key of _OWN_REFUSALS."""


@attrs.frozen
class _Reply:
    """One reply, as the plain text and as the object for ``json=1``."""

    plain: str
    fields: Mapping[str, object]

    @classmethod
    def ok(cls, request: str) -> _Reply:
        return cls(f"OK|{request}", {"status": 1, "request": request})

    @classmethod
    def word(cls, word: str) -> _Reply:
        """Return a successful reply without the prefix ``OK|``."""
        return cls(word, {"status": 1, "request": word})

    @classmethod
    def no(cls, code: str, **more: str) -> _Reply:
        return cls(code, {"status": 0, "request": code, **more})


class OlderApiEmulation(Emulation):
    """2Captcha with ``in.php`` and ``res.php``: ``Sandbox(OlderApiEmulation())``.

    The name of a call is its ``action``, such as ``get``; that of the create call is ``in.php``. No provider
    of this package speaks this API. The emulation is for testing other clients against the sandbox.
    """

    token_key: ClassVar[str] = "key"  # noqa: S105 - the name of a key, not a key
    create_call: ClassVar[str] = _SUBMIT
    poll_call: ClassVar[str] = "get"
    calls: ClassVar[frozenset[str]] = frozenset(
        {_SUBMIT, "get", "get2", "getbalance", "reportgood", "reportbad"}
    )
    prices: ClassVar[Mapping[str, Decimal]] = {"image-to-text": PRICE}

    def name_of(self, call: Call) -> str:
        """Return ``in.php``, or the action of a call of ``res.php``."""
        page = super().name_of(call)
        return _text(_read_form(call), "action") or page if page == _RESULT else page

    def token_of(self, call: Call) -> str | None:
        """Return the key of a call, or None if it has none."""
        return _text(_read_form(call), "key") or None

    def answer(self, call: Call, world: World) -> Answer:
        """Return the reply. Its HTTP status is 200 for every outcome, and 404 for an unknown page."""
        page, form = super().name_of(call), _read_form(call)
        if page not in {_SUBMIT, _RESULT}:
            return Answer(404, b"")
        said = self._said(page, form, world)
        if _text(form, "json") == "1":
            return Answer.json(said.fields)
        return Answer(200, said.plain.encode(), {"Content-Type": "text/plain; charset=utf-8"})

    def _said(self, page: str, form: Form, world: World) -> _Reply:
        try:
            return self._handle(page, form, world)
        except _OwnRefusal as refused:
            code = str(refused)
            return _Reply.no(code, error_text=_OWN_REFUSALS[code])
        except Refused as refused:
            code = _OLDER_CODES.get(refused.code, refused.code)
            return _Reply.no(code, error_text=refused.words)

    def _handle(self, page: str, form: Form, world: World) -> _Reply:
        account = _account(form, world)
        if page == _SUBMIT:
            return _submit(form, account, world)
        actions: Mapping[str, Callable[[Form, Account, World], _Reply]] = {
            "get": _get,
            "get2": _get_with_price,
            "getbalance": _get_balance,
            "reportgood": _report_good,
            "reportbad": _report_bad,
        }
        action = actions.get(_text(form, "action"))
        if action is None:
            raise _OwnRefusal("ERROR_EMPTY_ACTION")
        return action(form, account, world)


def _account(form: Form, world: World) -> Account:
    key = _text(form, "key")
    # The sandbox's own accounts may have keys of any length.
    if key not in world.accounts and len(key) != _KEY_LENGTH:
        raise _OwnRefusal("ERROR_WRONG_USER_KEY")
    return find_account(key, world)


def _submit(form: Form, account: Account, world: World) -> _Reply:
    if not all(_fits(form, name, largest) for name, largest in _LARGEST.items()):
        raise _OwnRefusal("ERROR_BAD_PARAMETERS")
    picture = _sent_picture(form)
    check_picture(picture, DIALECTS["2captcha"])
    job = create_job(account, picture, world)
    return _Reply.ok(str(job.id))


def _fits(form: Form, name: str, largest: int) -> bool:
    return name not in form or _text(form, name) in {str(number) for number in range(largest + 1)}


def _sent_picture(form: Form) -> bytes:
    fields: Mapping[str, str] = {"post": "file", "base64": "body"}
    method = _text(form, "method")
    if method not in fields:
        raise _OwnRefusal("ERROR_BAD_PARAMETERS")
    sent = form.get(fields[method])
    picture = sent if method == "post" else unpack_base64(sent)
    if picture is None:
        raise _OwnRefusal("ERROR_UPLOAD")
    return picture


def _get(form: Form, account: Account, world: World) -> _Reply:
    text = answer_of(_job(form, account, world), world)
    return _Reply.no("CAPCHA_NOT_READY") if text is None else _Reply.ok(text)


def _get_with_price(form: Form, account: Account, world: World) -> _Reply:
    said, price = _get(form, account, world), str(_job(form, account, world).price)
    if said.fields["status"] == 0:
        return said
    return _Reply(f"{said.plain}|{price}", {**said.fields, "price": price})


def _get_balance(_form: Form, account: Account, _world: World) -> _Reply:
    return _Reply.word(str(account.balance))


def _report_good(form: Form, account: Account, world: World) -> _Reply:
    return _report(_job(form, account, world), correct=True)


def _report_bad(form: Form, account: Account, world: World) -> _Reply:
    return _report(_job(form, account, world), correct=False)


def _report(job: JobRecord, *, correct: bool) -> _Reply:
    if job.reported is not None:
        raise _OwnRefusal("ERROR_DUPLICATE_REPORT")
    job.reported = correct
    return _Reply.word("OK_REPORT_RECORDED")


def _job(form: Form, account: Account, world: World) -> JobRecord:
    written = _text(form, "id")
    if not (written.isascii() and written.isdigit() and len(written) < 19):
        raise _OwnRefusal("ERROR_WRONG_ID_FORMAT")
    return find_job(int(written), account, world)


def _text(form: Form, name: str) -> str:
    return form.get(name, b"").decode("utf-8", "replace")


def _read_form(call: Call) -> Form:
    """Return the parameters of a call, from the URL and from either kind of body."""
    queried = _pairs(call.path.partition("?")[2])
    kind = call.headers.get("Content-Type", "")
    if kind.lower().startswith("multipart/form-data"):
        return {**queried, **_parts(kind, call.body)}
    return {**queried, **_pairs(call.body.decode("latin-1"))}


def _pairs(encoded: str) -> Form:
    # Latin-1 preserves every byte.
    pairs = parse_qsl(encoded, keep_blank_values=True, encoding="latin-1")
    return {name: value.encode("latin-1", "replace") for name, value in pairs}


def _parts(kind: str, body: bytes) -> Form:
    """Return the fields of a multipart body, which has the form of a mail with attachments (RFC 7578)."""
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
    message = email.message_from_bytes(head + body)
    parts = (part for part in message.walk() if not part.is_multipart())
    return {name: data for part in parts if (name := _field(part)) and (data := _data(part)) is not None}


def _field(part: Message) -> str | None:
    name = part.get_param("name", header="content-disposition")
    return name if isinstance(name, str) else None


def _data(part: Message) -> bytes | None:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else None
