"""Faults of providers whose services do not write JSON: in XML, forms, plain text and bytes of their own.

The good provider of each dialect passes every check, and each bad one fails the check that is meant for it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlencode
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import attrs
import pytest

from captchahub.errors import JobFailed, JobRefused, MalformedReply, ProviderError
from captchahub.provider import Created, Job, Pending, Reply, Request, Solved
from captchahub.tasks import Solution, Task, TextSolution
from captchahub.testing import Answer, Call, World
from captchahub.testing.contract import ProviderContract
from captchahub.words import text_of
from tests.testing.contract.good import ERRORS, Good, GoodContract, Plugin, Service
from tests.testing.contract.running import checks, failures

Fields = Mapping[str, str]
NO_WORD: Any = None


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTCHAHUB_CONTRACT_RUNS", "20")


def xml(fields: Fields) -> bytes:
    inside = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return f'<?xml version="1.0"?><answer>{inside}</answer>'.encode()


def from_xml(body: bytes) -> Fields:
    return {element.tag: element.text or "" for element in ET.fromstring(body)}


def form(fields: Fields) -> bytes:
    return urlencode(fields).encode()


def from_form(body: bytes) -> Fields:
    fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True)
    return {name: values[0] for name, values in fields.items()}


def line(fields: Fields) -> bytes:
    return "|".join(f"{name}|{value}" for name, value in fields.items()).encode()


def from_line(body: bytes) -> Fields:
    words = body.decode().split("|")
    return dict(zip(words[::2], words[1::2], strict=True))


def packed(fields: Fields) -> bytes:
    """Each text after its length, in four bytes."""
    texts = [text.encode() for field in fields.items() for text in field]
    return b"\x01" + b"".join(struct.pack(">I", len(text)) + text for text in texts)


def from_packed(body: bytes) -> Fields:
    texts: list[str] = []
    if body[:1] != b"\x01":
        raise ValueError("not a message")
    rest = body[1:]
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        texts.append(rest[4 : 4 + length].decode())
        rest = rest[4 + length :]
    return dict(zip(texts[::2], texts[1::2], strict=True))


@attrs.frozen
class Dialect:
    write: Callable[[Fields], bytes]
    read: Callable[[bytes], Fields]


DIALECTS = {
    "xml": Dialect(xml, from_xml),
    "form": Dialect(form, from_form),
    "line": Dialect(line, from_line),
    "packed": Dialect(packed, from_packed),
}


class Translated(Good):
    """The good provider for a service that answers in another dialect. It asks for a job by an address."""

    dialect: Dialect

    def answer(self, reply: Reply, otherwise: type[ProviderError]) -> dict[str, object]:
        fields = self.fields(reply)
        said = fields.get("error")
        if isinstance(said, str) and said:
            raise reply.failure(self.words.said(said), ERRORS.get(said), otherwise)
        error = reply.http_error()
        if error is not None:
            raise error
        return fields

    def fields(self, reply: Reply) -> dict[str, object]:
        try:
            return dict(self.dialect.read(reply.body))
        except (ValueError, ET.ParseError, LookupError, struct.error):
            # The parser's own words may repeat the reply.
            raise reply.http_error() or MalformedReply("the reply is not an answer of this service") from None

    def poll_job(self, job: Job) -> Request:
        return self.ask(f"poll/{quote(str(job.id), safe='')}")

    def ask_report(self, job: Job, *, correct: bool) -> Request:
        return self.ask("right" if correct else "wrong", job=job.id)

    def read_report(self, reply: Reply) -> None:
        self.answer(reply, ProviderError)


class TranslatedService(Service):
    calls = Service.calls | {"right", "wrong"}

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def name_of(self, call: Call) -> str:
        return super().name_of(call).partition("/")[0]

    def answer(self, call: Call, world: World) -> Answer:
        name, fields = self.name_of(call), call.json()
        account = world.accounts.get(self.token_of(call) or "")
        if name == "poll":
            job_id = call.path.rpartition("/")[2]
            fields = {"job": job_id if job_id.isdigit() else "0"}
        if account is not None and name in ("poll", "right", "wrong"):
            job = world.find_job(account, int(str(fields["job"])))
            said: dict[str, object] = self.state(world, job)
            if job is not None and name != "poll":
                job.reported = name == "right"
                said = {"noted": "yes"}
            return Answer(200, self._written(said))
        answer = super().answer(call, world)
        return Answer(answer.status, self._written(Reply(answer.status, answer.body).json_object()))

    def _written(self, fields: Mapping[str, object]) -> bytes:
        return self.dialect.write({name: str(value) for name, value in fields.items()})


def contract_of(provider: type[Translated], name: str) -> type[ProviderContract]:
    dialect = DIALECTS[name]
    spoken = type(provider.__name__, (provider,), {"dialect": dialect})

    def refusal(self: object, message: str) -> Reply:
        return Reply(200, dialect.write({"error": message}))

    attributes: dict[str, Any] = {
        "plugin": Plugin(spoken),
        "emulation": staticmethod(lambda: TranslatedService(dialect)),
        "refusal": refusal,
    }
    return type("TestTranslated", (GoodContract,), attributes)


class AnswersWithNothing(Translated):
    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        answer = self.answer(reply, JobFailed)
        if answer.get("state") == "done":
            text: Any = answer.get("text") or None
            return Solved(TextSolution(text))
        return super().read_result(job, reply)


class HasNoWordForPending(Translated):
    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        answer = self.answer(reply, JobFailed)
        word: Any = answer.get("state") or NO_WORD
        return Pending(word) if word is NO_WORD else super().read_result(job, reply)


class TakesTroubleForWork(Translated):
    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        return Pending("busy") if reply.status == 503 else super().read_result(job, reply)


class TakesTroubleForTheEnd(Translated):
    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        if reply.status == 503:
            raise JobFailed("the service is in trouble")
        return super().read_result(job, reply)


class ShowsTheKey(Translated):
    def answer(self, reply: Reply, otherwise: type[ProviderError]) -> dict[str, object]:
        said = str(self.fields(reply).get("error", ""))
        if said and said not in ERRORS and said.isprintable() and len(said) < 300:
            raise otherwise(f"the service says: {said}")
        return super().answer(reply, otherwise)


class TakesTheKeyForAnId(Translated):
    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        job_id = text_of(self.answer(reply, JobRefused).get("job"))
        if not job_id or not re.fullmatch(r"[\x20-\x7e]{1,200}", job_id):
            raise MalformedReply("the order was taken and there is no job id")
        return Created(job_id)


class LeavesTheIdUnquoted(Translated):
    def poll_job(self, job: Job) -> Request:
        return self.ask(f"poll/{job.id}")


class AlwaysReportsWrong(Translated):
    def ask_report(self, job: Job, *, correct: bool) -> Request:
        return self.ask("wrong", job=job.id)


class MixesReportsUp(Translated):
    def ask_report(self, job: Job, *, correct: bool) -> Request:
        return super().ask_report(job, correct=not correct)


TOTAL = "any_reply_is_read_or_refused_with_an_error_of_the_contract"
TROUBLE = "trouble_of_the_service_is_neither_an_answer_nor_the_end_of_a_job"
REPEATED = "no_secret_shows_even_where_the_service_repeats_it"
REPORT = "a_report_says_what_the_caller_says"
BOOKS = "no_job_is_lost_or_ordered_twice_when"

BAD: Mapping[type[Translated], tuple[str, str]] = {
    AnswersWithNothing: (TOTAL, "TextSolution.text is None"),
    HasNoWordForPending: (TOTAL, "Pending.status is None"),
    TakesTroubleForWork: (TROUBLE, "makes a Pending of HTTP 503"),
    TakesTroubleForTheEnd: (TROUBLE, "for the end of the job"),
    ShowsTheKey: (REPEATED, "shows a secret that the service repeated"),
    TakesTheKeyForAnId: (REPEATED, "read_created shows a secret"),
    LeavesTheIdUnquoted: (
        "a_job_id_goes_into_the_next_request_exactly_as_it_was",
        "does not contain the job id",
    ),
    AlwaysReportsWrong: (REPORT, "the opposite"),
    MixesReportsUp: (REPORT, "the opposite"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_good_provider_passes_in_every_dialect(dialect: str) -> None:
    assert failures(contract_of(Translated, dialect), every=22) == {}


@pytest.mark.parametrize("provider", BAD, ids=lambda one: one.__name__)
def test_a_bad_provider_of_an_xml_service_fails_the_check_that_is_meant_for_it(
    provider: type[Translated],
) -> None:
    check, message = BAD[provider]
    found = failures(contract_of(provider, "xml"), every=22)
    # Trouble that ends a job is noticed by the check of the books as well.
    assert found.keys() - {BOOKS} == {check}, found
    assert message in found[check]


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "xml"])
@pytest.mark.parametrize("provider", BAD, ids=lambda one: one.__name__)
def test_a_bad_provider_is_found_in_any_dialect(provider: type[Translated], dialect: str) -> None:
    check, message = BAD[provider]
    with pytest.raises(pytest.fail.Exception, match=re.escape(message)):
        dict(checks(contract_of(provider, dialect)))[check]()
