"""Checks of what a provider makes of replies: real ones, unknown ones, hostile ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import cast
from urllib.parse import quote

import attrs

from captchahub._providers.calls import is_of_contract
from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    MalformedReply,
    ProviderError,
    ServiceUnavailable,
)
from captchahub.provider import Balance, Job, Pending, Provider, Reply
from captchahub.testing._documents import read_document
from captchahub.testing.contract._base import Checks, runs
from captchahub.testing.contract._conversation import (
    Exchange,
    Line,
    Reading,
    beside,
    conversation,
    conversations,
    readings,
)
from captchahub.testing.contract._purity import log_lines
from captchahub.testing.contract._subject import Subject, fail, location, skip
from captchahub.testing.contract._values import flaw_in
from captchahub.testing.hostile import hostile_replies, what_is_shown

__all__ = ["ReplyChecks"]

_LONGEST_WORDS = 1000

_UNKNOWN = "quite-a-new-state"

# What stands between a client and a service says, and what a service that is overloaded says.
_TROUBLE = tuple(
    Reply(status, body)
    for status in (429, 500, 502, 503, 504)
    for body in (b"", b"Service Unavailable", b"<html><body><h1>Bad Gateway</h1></body></html>")
)


class ReplyChecks(Checks):
    """What holds for every reply."""

    def test_any_reply_is_read_or_refused_with_an_error_of_the_contract(self) -> None:
        provider = self._provider()
        for reading, reply in _hostile(self.subject(), [*self.messages, *self.job_messages]):
            _check_total(provider, reading, reply)

    def test_what_is_read_of_any_reply_is_fit_for_a_log(self) -> None:
        provider = self._provider()
        for reading, reply in _hostile(self.subject(), [*self.messages, *self.job_messages]):
            shown = _shown(provider, reading, reply)
            if not shown.isprintable():
                fail(
                    f"{reading} shows {shown!r:.200}, which would break a log: show a service's words with "
                    "captchahub.words.Words"
                )
            if len(shown) > _LONGEST_WORDS:
                fail(
                    f"{reading} shows {len(shown)} characters of a reply: show a service's words with "
                    "captchahub.words.Words, which keeps them short"
                )

    def test_no_secret_shows_in_a_repr_or_an_address(self) -> None:
        subject = self.subject()
        settings = subject.load()
        provider: object = subject.build()
        shown = {"the settings": repr(settings.own), "the provider": f"{provider!r} {provider}"}
        if isinstance(provider, Provider):
            with log_lines() as logged:
                said = conversations(subject)
                for exchange in said:
                    _outcome(partial(exchange.reading.of, provider, exchange.reply))
            shown["the log"] = "\n".join(logged)
            for exchange in said:
                shown[f"the repr of the request of {exchange.situation}"] = repr(exchange.request)
                shown[f"the address of {exchange.situation}"] = exchange.request.url
        for place, text in shown.items():
            if _has_secret(subject.secrets, text):
                fail(
                    f"a secret shows in {place}: let its settings field have the type Secret, and reveal() "
                    "it for a request's body or headers only"
                )

    def test_no_secret_shows_even_where_the_service_repeats_it(self) -> None:
        subject, provider = self.subject(), self._provider()
        secrets, readers = subject.secrets, readings(subject)
        for exchange in conversations(subject):
            for reply in _echoes(exchange.reply, secrets):
                for reading in [exchange.reading, *readers]:
                    if _has_secret(secrets, _shown(provider, reading, reply)):
                        fail(
                            f"{reading} shows a secret that the service repeated in a reply to "
                            f"{exchange.situation}: show a service's words with captchahub.words.Words"
                        )

    def test_trouble_of_the_service_is_neither_an_answer_nor_the_end_of_a_job(self) -> None:
        provider = self._provider()
        # Nobody asks for a job at a service that answers at once.
        has_jobs = any(one.reading.method == "read_result" for one in conversations(self.subject()))
        for reading in readings(self.subject()):
            for reply in _TROUBLE:
                read = _outcome(partial(reading.of, provider, reply))
                said = f"HTTP {reply.status} with the body {reply.body!r}"
                if not isinstance(read, ProviderError):
                    fail(f"{reading} makes {_named(read)} of {said}: raise Reply.http_error()")
                if has_jobs and reading.method == "read_result" and isinstance(read, JobFailed):
                    fail(f"{reading} takes {said} for the end of the job: raise Reply.http_error()")

    def test_a_status_never_seen_before_leaves_the_job_in_work(self) -> None:
        for job, reply in _unknown_states(self.subject(), self.unknown_status()):
            read = _outcome(partial(self._provider().read_result, job, reply))
            if not isinstance(read, (Pending, MalformedReply, ServiceUnavailable)):
                fail(
                    f"a job with a status never seen before is read as {_named(read)}: return Pending, or "
                    "raise MalformedReply, for the job is paid for and may yet be solved"
                )

    def test_each_message_of_the_service_is_an_error_of_its_class(self) -> None:
        if not (self.messages or self.job_messages):
            skip("messages is empty: set it to what the service says and the error that it stands for")
        task = self.subject().first_tasks()[0]
        job = Job(123456, task.kind)
        provider = self._provider()
        readers: Mapping[Callable[[Reply], object], Mapping[str, type[ProviderError]]] = {
            lambda reply: provider.read_created(task, reply): self.messages,
            lambda reply: provider.read_result(job, reply): self.job_messages,
        }
        for read, table in readers.items():
            for message, wanted in table.items():
                found = _outcome(partial(read, self.refusal(message)))
                if type(found) is not wanted:
                    fail(
                        f"the service says {message!r} and it is read as {_named(found)}: let it be a "
                        f"{wanted.__name__}, as the table says"
                    )

    def test_a_wrong_token_is_an_authentication_error(self) -> None:
        self._check_situation("order with a wrong token", AuthenticationError)

    def test_an_empty_account_is_an_insufficient_balance(self) -> None:
        self._check_situation("order on an empty account", InsufficientBalance)

    def test_a_job_that_failed_is_told_as_failed(self) -> None:
        self._check_situation("failed job", JobFailed)

    def test_a_job_that_the_service_does_not_know_is_told_as_failed(self) -> None:
        self._check_situation("unknown job", JobFailed)

    def test_a_job_in_work_is_pending(self) -> None:
        self._check_situation("job in work", Pending)

    def test_balance_price_list_and_reports_are_read(self) -> None:
        for exchange in conversations(self.subject()):
            if exchange.reading.method in ("read_balance", "read_services", "read_report"):
                read = _outcome(partial(exchange.reading.of, self._provider(), exchange.reply))
                if not isinstance(read, exchange.reading.wanted):
                    fail(
                        f"{exchange.reading} makes {_named(read)} of what the emulation says: read it, or "
                        "raise NotOffered where the service has no such call"
                    )

    def test_the_balance_is_the_one_that_the_service_tells(self) -> None:
        lines = [Line(self.subject(), balance=balance) for balance in ("10", "7")]
        told = [exchange for line in lines for exchange in beside(line) if exchange.situation == "balance"]
        if len({exchange.reply.body for exchange in told}) < len(lines):
            skip("there is no balance, or the emulation tells the same for any account")
        read = [_outcome(partial(one.reading.of, self._provider(), one.reply)) for one in told]
        if isinstance(read[0], Balance) and read[0] == read[-1]:
            fail(
                f"read_balance makes {read[0].amount} of the balances 10 and 7: read the amount that the "
                "reply tells, or raise NotOffered where it tells none"
            )

    def _provider(self) -> Provider:
        return self.subject().remote()

    def _check_situation(self, situation: str, wanted: type[object]) -> None:
        for exchange in conversations(self.subject()):
            if exchange.situation != situation:
                continue
            read = _outcome(partial(exchange.reading.of, self._provider(), exchange.reply))
            if not isinstance(read, wanted):
                fail(f"the reply to {situation} is read as {_named(read)}: let it be a {wanted.__name__}")


def _hostile(subject: Subject, words: Sequence[str]) -> Iterator[tuple[Reading, Reply]]:
    real = [] if subject.make_emulation is None else [exchange.reply for exchange in conversations(subject)]
    words = [*words, *(word for secret in subject.secrets for word in (secret, f"no such key {secret}."))]
    readers = readings(subject)
    for reply in hostile_replies(_distinct(real), words=words, secrets=subject.secrets, runs=runs(200)):
        for reading in readers:
            yield reading, reply


def _distinct(replies: Sequence[Reply]) -> list[Reply]:
    return list({(reply.status, reply.body): reply for reply in replies}.values())


def _check_total(provider: Provider, reading: Reading, reply: Reply) -> None:
    said = f"a reply with status {reply.status} and body {reply.body!r:.200}"
    try:
        value = reading.of(provider, reply)
    # What is no error of the contract is what is looked for.
    except BaseException as error:
        if is_of_contract(error):
            return
        if isinstance(error, KeyboardInterrupt):
            raise
        fail(
            f"{reading} raises {type(error).__name__} for {said}{location(error)}: let every reply give a "
            "value or a ProviderError"
        )
    if not isinstance(value, reading.wanted):
        fail(f"{reading} returns {_named(value)} for {said}: let it return what the contract says")
    flaw = next(filter(None, map(flaw_in, _items(value))), None)
    if flaw is not None:
        fail(f"{reading} returns {_named(value)} in which {flaw}, for {said}: raise MalformedReply instead")


def _items(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else [value]


def _shown(provider: Provider, reading: Reading, reply: Reply) -> str:
    try:
        return what_is_shown(lambda: reading.of(provider, reply))
    # Whether it may be raised is what another check is about.
    except Exception:  # noqa: BLE001
        return ""


def _outcome(read: Callable[[], object]) -> object:
    try:
        return read()
    # Whatever it is, the check says what it should be.
    except Exception as error:  # noqa: BLE001
        return error


def _named(value: object) -> str:
    return f"a {type(value).__name__}" if value is not None else "None"


def _has_secret(secrets: Sequence[str], text: str) -> bool:
    low = text.lower()
    return any(one.lower() in low or quote(one, safe="").lower() in low for one in secrets)


def _echoes(reply: Reply, secrets: Sequence[str]) -> Iterator[Reply]:
    """Return the reply with a secret in each place, alone and among words, in any case."""
    document = read_document(reply.body)
    places = [place for place, _ in document.values()]
    # As the core gives it to the plugin.
    reply = attrs.evolve(reply, hidden=secrets)
    for secret in secrets:
        for said in (secret, f"no such key {secret}.", secret.upper(), f"{'x' * 190} {secret}"):
            for place in places:
                yield attrs.evolve(reply, body=document.changed(place, said))
            for name in reply.headers:
                yield attrs.evolve(reply, headers={**reply.headers, name: said})
        yield attrs.evolve(reply, body=reply.body + secret.encode())


def _unknown_states(subject: Subject, given: Sequence[Reply]) -> Iterator[tuple[Job, Reply]]:
    found = False
    for task in subject.first_tasks():
        said = {exchange.situation: exchange for exchange in conversation(subject, task)}
        replies = given or _with_unknown_state(said.get("job in work"), said.get("solved job"))
        for reply in replies:
            found = True
            yield Job(123456, task.kind), reply
    if not found:
        skip("the status of a job was not found in what the emulation says: write unknown_status(self)")


def _with_unknown_state(working: Exchange | None, solved: Exchange | None) -> list[Reply]:
    """The reply of a job in work with another word in each place where a solved job has another word, too."""
    if working is None or solved is None:
        return []
    document, words = read_document(working.reply.body), dict(read_document(solved.reply.body).values())
    places = [place for place, word in document.values() if _is_state(word, words.get(place))]
    return [attrs.evolve(working.reply, body=document.changed(place, _UNKNOWN)) for place in places]


def _is_state(word: object, other: object) -> bool:
    return isinstance(word, str) and isinstance(other, str) and word != other
