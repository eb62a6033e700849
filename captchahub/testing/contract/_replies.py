"""Checks of how a provider reads replies: real ones, unknown ones and hostile ones."""

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
    Interaction,
    Reader,
    Session,
    all_readers,
    conversation,
    conversations,
    other_calls,
)
from captchahub.testing.contract._purity import log_lines
from captchahub.testing.contract._subject import Subject, fail, location, skip
from captchahub.testing.contract._values import mistyped_field
from captchahub.testing.hostile import hostile_replies, what_is_shown

_MAX_SHOWN = 1000

_UNKNOWN_STATUS = "quite-a-new-state"

# What stands between a client and a service says, and what a service that is overloaded says.
_OUTAGE_REPLIES = tuple(
    Reply(status, body)
    for status in (429, 500, 502, 503, 504)
    for body in (b"", b"Service Unavailable", b"<html><body><h1>Bad Gateway</h1></body></html>")
)


class ReplyChecks(Checks):
    """Checks of every reply."""

    def test_any_reply_is_read_or_refused_with_an_error_of_the_contract(self) -> None:
        provider = self._provider()
        for reader, reply in _hostile(self.subject(), [*self.messages, *self.job_messages]):
            _check_total(provider, reader, reply)

    def test_what_is_read_of_any_reply_is_fit_for_a_log(self) -> None:
        provider = self._provider()
        for reader, reply in _hostile(self.subject(), [*self.messages, *self.job_messages]):
            shown = _shown(provider, reader, reply)
            if not shown.isprintable():
                fail(
                    f"{reader} shows {shown!r:.200}, which would break a log: pass a service's texts through "
                    "captchahub.words.Words"
                )
            if len(shown) > _MAX_SHOWN:
                fail(
                    f"{reader} shows {len(shown)} characters of a reply: pass a service's texts through "
                    "captchahub.words.Words, which shortens them"
                )

    def test_no_secret_shows_in_a_repr_or_an_address(self) -> None:
        subject = self.subject()
        settings = subject.load()
        provider: object = subject.build()
        shown = {"the settings": repr(settings.own), "the provider": f"{provider!r} {provider}"}
        if isinstance(provider, Provider):
            with log_lines() as logged:
                interactions = conversations(subject)
                for interaction in interactions:
                    _outcome(partial(interaction.reader.read, provider, interaction.reply))
            shown["the log"] = "\n".join(logged)
            for interaction in interactions:
                shown[f"the repr of the request of {interaction.situation}"] = repr(interaction.request)
                shown[f"the address of {interaction.situation}"] = interaction.request.url
        for place, text in shown.items():
            if _has_secret(subject.secrets, text):
                fail(
                    f"a secret shows in {place}: give its settings field the type Secret, and call reveal() "
                    "only for the body or headers of a request"
                )

    def test_no_secret_shows_even_where_the_service_repeats_it(self) -> None:
        subject, provider = self.subject(), self._provider()
        secrets, readers = subject.secrets, all_readers(subject)
        for interaction in conversations(subject):
            for reply in _echoes(interaction.reply, secrets):
                for reader in [interaction.reader, *readers]:
                    if _has_secret(secrets, _shown(provider, reader, reply)):
                        fail(
                            f"{reader} shows a secret that the service repeated in a reply to "
                            f"{interaction.situation}: pass a service's texts through captchahub.words.Words"
                        )

    def test_trouble_of_the_service_is_neither_an_answer_nor_the_end_of_a_job(self) -> None:
        provider = self._provider()
        # A service that answers at once has no jobs to poll.
        has_jobs = any(one.reader.method == "read_result" for one in conversations(self.subject()))
        for reader in all_readers(self.subject()):
            for reply in _OUTAGE_REPLIES:
                read = _outcome(partial(reader.read, provider, reply))
                shown = f"HTTP {reply.status} with the body {reply.body!r}"
                if not isinstance(read, ProviderError):
                    fail(f"{reader} makes {_named(read)} of {shown}: raise Reply.http_error()")
                if has_jobs and reader.method == "read_result" and isinstance(read, JobFailed):
                    fail(f"{reader} takes {shown} for the end of the job: raise Reply.http_error()")

    def test_a_status_never_seen_before_leaves_the_job_in_work(self) -> None:
        for job, reply in _unknown_statuses(self.subject(), self.unknown_status()):
            read = _outcome(partial(self._provider().read_result, job, reply))
            if not isinstance(read, (Pending, MalformedReply, ServiceUnavailable)):
                fail(
                    f"a job with an unknown status is read as {_named(read)}: return Pending or raise "
                    "MalformedReply, because the job is paid for and may still be solved"
                )

    def test_each_message_of_the_service_is_an_error_of_its_class(self) -> None:
        if not (self.messages or self.job_messages):
            skip("messages is empty: set it to the service's error messages and the errors that they mean")
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
                        f"the service's message {message!r} is read as {_named(found)}: raise "
                        f"{wanted.__name__}, as messages or job_messages says"
                    )

    def test_a_wrong_token_is_an_authentication_error(self) -> None:
        self._check_situation("create with a wrong token", AuthenticationError)

    def test_an_empty_account_is_an_insufficient_balance(self) -> None:
        self._check_situation("create on an empty account", InsufficientBalance)

    def test_a_job_that_failed_is_told_as_failed(self) -> None:
        self._check_situation("failed job", JobFailed)

    def test_a_job_that_the_service_does_not_know_is_told_as_failed(self) -> None:
        self._check_situation("unknown job", JobFailed)

    def test_a_job_in_work_is_pending(self) -> None:
        self._check_situation("job in work", Pending)

    def test_balance_price_list_and_reports_are_read(self) -> None:
        for interaction in conversations(self.subject()):
            if interaction.reader.method in ("read_balance", "read_services", "read_report"):
                read = _outcome(partial(interaction.reader.read, self._provider(), interaction.reply))
                if not isinstance(read, interaction.reader.expected):
                    fail(
                        f"{interaction.reader} makes {_named(read)} of the emulation's reply: read it, or "
                        "raise NotOffered if the service has no such call"
                    )

    def test_the_balance_is_the_one_that_the_service_tells(self) -> None:
        sessions = [Session(self.subject(), balance=balance) for balance in ("10", "7")]
        calls = [one for session in sessions for one in other_calls(session) if one.situation == "balance"]
        if len({one.reply.body for one in calls}) < len(sessions):
            skip("the service has no balance, or the emulation replies with the same one for any account")
        read = [_outcome(partial(one.reader.read, self._provider(), one.reply)) for one in calls]
        if isinstance(read[0], Balance) and read[0] == read[-1]:
            fail(
                f"read_balance makes {read[0].amount} of the balances 10 and 7: read the amount in the "
                "reply, or raise NotOffered if it contains none"
            )

    def _provider(self) -> Provider:
        return self.subject().remote()

    def _check_situation(self, situation: str, wanted: type[object]) -> None:
        for interaction in conversations(self.subject()):
            if interaction.situation != situation:
                continue
            read = _outcome(partial(interaction.reader.read, self._provider(), interaction.reply))
            if not isinstance(read, wanted):
                fail(f"the reply to {situation!r} is read as {_named(read)}, not as a {wanted.__name__}")


def _hostile(subject: Subject, words: Sequence[str]) -> Iterator[tuple[Reader, Reply]]:
    real = (
        []
        if subject.make_emulation is None
        else [interaction.reply for interaction in conversations(subject)]
    )
    words = [*words, *(word for secret in subject.secrets for word in (secret, f"no such key {secret}."))]
    readers = all_readers(subject)
    for reply in hostile_replies(_distinct(real), words=words, secrets=subject.secrets, runs=runs(200)):
        for reader in readers:
            yield reader, reply


def _distinct(replies: Sequence[Reply]) -> list[Reply]:
    return list({(reply.status, reply.body): reply for reply in replies}.values())


def _check_total(provider: Provider, reader: Reader, reply: Reply) -> None:
    try:
        value = reader.read(provider, reply)
    # The check looks for any exception that the contract does not allow.
    except BaseException as error:
        if is_of_contract(error):
            return
        if isinstance(error, KeyboardInterrupt):
            raise
        fail(
            f"{reader} raises {type(error).__name__} for {_described(reply)}{location(error)}: return a "
            "value or raise a ProviderError for every reply"
        )
    if not isinstance(value, reader.expected):
        fail(
            f"{reader} returns {_named(value)} for {_described(reply)}: return the type that its annotation "
            "says"
        )
    mistyped = next(filter(None, map(mistyped_field, _items(value))), None)
    if mistyped is not None:
        fail(
            f"{reader} returns {_named(value)} in which {mistyped}, for {_described(reply)}: raise "
            "MalformedReply instead"
        )


def _described(reply: Reply) -> str:
    return f"a reply with status {reply.status} and body {reply.body!r:.200}"


def _items(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else [value]


def _shown(provider: Provider, reader: Reader, reply: Reply) -> str:
    try:
        return what_is_shown(lambda: reader.read(provider, reply))
    # Another check reports errors that must not be raised.
    except Exception:  # noqa: BLE001
        return ""


def _outcome(read: Callable[[], object]) -> object:
    try:
        return read()
    # The check compares the error with what it expects.
    except Exception as error:  # noqa: BLE001
        return error


def _named(value: object) -> str:
    return f"a {type(value).__name__}" if value is not None else "None"


def _has_secret(secrets: Sequence[str], text: str) -> bool:
    lower = text.lower()
    return any(one.lower() in lower or quote(one, safe="").lower() in lower for one in secrets)


def _echoes(reply: Reply, secrets: Sequence[str]) -> Iterator[Reply]:
    """Yield the reply with a secret in each place: alone, in a sentence, and in capitals."""
    document = read_document(reply.body)
    places = [place for place, _ in document.values()]
    # The engine passes replies to a plugin with the secrets to hide.
    reply = attrs.evolve(reply, hidden=secrets)
    for secret in secrets:
        for text in (secret, f"no such key {secret}.", secret.upper(), f"{'x' * 190} {secret}"):
            for place in places:
                yield attrs.evolve(reply, body=document.changed(place, text))
            for name in reply.headers:
                yield attrs.evolve(reply, headers={**reply.headers, name: text})
        yield attrs.evolve(reply, body=reply.body + secret.encode())


def _unknown_statuses(subject: Subject, given: Sequence[Reply]) -> Iterator[tuple[Job, Reply]]:
    found = False
    for task in subject.first_tasks():
        by_situation = {interaction.situation: interaction for interaction in conversation(subject, task)}
        replies = given or _with_unknown_status(
            by_situation.get("job in work"), by_situation.get("solved job")
        )
        for reply in replies:
            found = True
            yield Job(123456, task.kind), reply
    if not found:
        skip("the emulation's replies show no status of a job: define unknown_status(self)")


def _with_unknown_status(working: Interaction | None, solved: Interaction | None) -> list[Reply]:
    """Return a pending job's reply with an unknown word in each place where a solved job's word differs."""
    if working is None or solved is None:
        return []
    document, words = read_document(working.reply.body), dict(read_document(solved.reply.body).values())
    places = [place for place, word in document.values() if _is_status(word, words.get(place))]
    return [attrs.evolve(working.reply, body=document.changed(place, _UNKNOWN_STATUS)) for place in places]


def _is_status(word: object, other: object) -> bool:
    return isinstance(word, str) and isinstance(other, str) and word != other
