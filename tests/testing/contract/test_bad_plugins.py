"""Each deliberately bad plugin fails the check that is meant for it, and no other."""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

from captchahub.errors import (
    JobFailed,
    JobRefused,
    MalformedReply,
    ProviderError,
    ServiceUnavailable,
    UnsupportedTask,
)
from captchahub.provider import Balance, Created, Job, LocalProvider, Pending, Reply, Request, Secret, Solved
from captchahub.tasks import ImageToText, Solution, Task, TextSolution
from captchahub.testing.contract import ProviderContract
from tests.testing.contract.good import Good, GoodContract, GoodSettings, Plugin
from tests.testing.contract.running import failures


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTCHAHUB_CONTRACT_RUNS", "20")


def contract_of(
    provider: Callable[[Any], Any] = Good, own: type = GoodSettings, /, **attributes: object
) -> type[ProviderContract]:
    contract: type[ProviderContract] = type(
        "TestBad", (GoodContract,), {"plugin": Plugin(provider, own), **attributes}
    )
    return contract


def test_the_good_one_fails_no_check() -> None:
    assert failures(GoodContract) == {}


class NamesEachRequest(Good):
    """For a service that recognises a repeated request by its id."""

    def create_job(self, task: Task[Solution]) -> Request:
        request = super().create_job(task)
        return attrs.evolve(request, headers={**request.headers, "X-Request-Id": uuid.uuid4().hex})


def test_a_request_may_have_an_id_of_its_own() -> None:
    assert failures(contract_of(NamesEachRequest), every=22, without=HOSTILE) == {}


@pytest.mark.parametrize("runs", ["many", "0", "-1"])
def test_the_number_of_runs_is_a_whole_number(monkeypatch: pytest.MonkeyPatch, runs: str) -> None:
    monkeypatch.setenv("CAPTCHAHUB_CONTRACT_RUNS", runs)
    message = failures(GoodContract, every=22)["what_is_read_of_any_reply_is_fit_for_a_log"]
    assert f"$CAPTCHAHUB_CONTRACT_RUNS is '{runs}': set it to a whole number" in message


class TrustsTheAnswer(Good):
    def read_balance(self, reply: Reply) -> Balance:
        balance: Any = self.answer(reply, ProviderError).get("balance", "0")
        return super().read_balance(reply) if balance.strip() else Balance(balance)


class GivesNothing(Good):
    def read_balance(self, reply: Reply) -> Any:
        read = super().read_balance(reply)
        return None if read.amount == 1 else read


class ShowsControlCharacters(Good):
    def read_balance(self, reply: Reply) -> Balance:
        said = reply.headers.get("retry-after", "")
        if reply.status == 429:
            raise ProviderError(f"the service asks for a pause: {said}")
        return super().read_balance(reply)


class ShowsItAll(Good):
    def read_balance(self, reply: Reply) -> Balance:
        try:
            return super().read_balance(reply)
        except MalformedReply:
            said = re.sub(self.token, "***", reply.body.decode(errors="replace"), flags=re.IGNORECASE)
            raise MalformedReply("".join(filter(str.isprintable, said))) from None


class Tells(Good):
    def __repr__(self) -> str:
        return f"Tells({self.token})"


class AsksByAddress(Good):
    def ask_balance(self) -> Request:
        request = super().ask_balance()
        return attrs.evolve(request, url=f"{request.url}?key={self.token}")


class RepeatsTheToken(Good):
    def answer(self, reply: Reply, otherwise: type[ProviderError]) -> dict[str, object]:
        answer = reply.json_object()
        if answer.get("error") == f"no such key {self.token}.":
            raise otherwise(f"the service says: {answer['error']}")
        return super().answer(reply, otherwise)


class WritesTheId(Good):
    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        return Created(str(super().read_created(task, reply).job_id))


class RoundsTheId(Good):
    def poll_job(self, job: Job) -> Request:
        return self.ask("poll", job=int(float(job.id)) if str(job.id).isdigit() else job.id)


class EndsOnAnythingNew(Good):
    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        read = super().read_result(job, reply)
        if isinstance(read, Pending) and read.status != "working":
            raise JobFailed("the job is over")
        return read


class PromisesTheHint(Good):
    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        return [name for name in task.options if name in ("length", "hint")]


class KeepsQuietOfTheHint(Good):
    def create_job(self, task: Task[Solution]) -> Request:
        hint = getattr(task, "hint", None)
        request = super().create_job(task)
        return request if hint is None else attrs.evolve(request, headers={"Hint": str(hint)})


class SaysThatThereIsALength(Good):
    def ask(self, call: str, **fields: object) -> Request:
        return super().ask(call, **{name: value if name != "length" else 1 for name, value in fields.items()})


class NamesWhatIsNotThere(Good):
    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        return [*super().sent_options(task), "size"]


class TakesEverything(Good):
    def create_job(self, task: Task[Solution]) -> Request:
        return super().create_job(ImageToText(task.image) if task.kind == "unknown-kind" else task)


class TakesNothing(Good):
    kinds = frozenset[str]()


class Hasty(Good):
    min_poll_interval = 0


class RemembersTheJob(Good):
    last: object = None

    def poll_job(self, job: Job) -> Request:
        request = super().poll_job(job)
        again = job.id == self.last
        self.last = job.id
        return attrs.evolve(request, headers={**request.headers, "Again": "yes"}) if again else request


class TakesHeadersAway(Good):
    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        headers: Any = reply.headers
        headers.pop("x-kept", None)
        return super().read_created(task, reply)


class StartsAProgram(Good):
    def poll_job(self, job: Job) -> Request:
        os.posix_spawn("/bin/true", ["true"], {})
        return super().poll_job(job)


class ReadsAFile(Good):
    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        with Path(__file__).open("rb"):
            return super().read_result(job, reply)


class Sleeps(Good):
    def poll_job(self, job: Job) -> Request:
        time.sleep(0.0)
        return super().poll_job(job)


class ListsAFolder(Good):
    def poll_job(self, job: Job) -> Request:
        list(Path().iterdir())
        return super().poll_job(job)


class Prints(Good):
    def poll_job(self, job: Job) -> Request:
        print("hello")  # noqa: T201  # it is what is wrong with it
        return super().poll_job(job)


class ReadsAFileForAnOption(Good):
    def create_job(self, task: Task[Solution]) -> Request:
        if task.options.get("length"):
            Path(__file__).open("rb").close()
        return super().create_job(task)


class ReadsAFileToReport(Good):
    def ask_report(self, job: Job, *, correct: bool) -> Request:
        Path(__file__).open("rb").close()
        return super().ask_report(job, correct=correct)


class LogsTheToken(Good):
    def create_job(self, task: Task[Solution]) -> Request:
        logging.getLogger("good").debug("ordering with %s", self.token)
        return super().create_job(task)


class AlwaysRich(Good):
    def read_balance(self, reply: Reply) -> Balance:
        return attrs.evolve(super().read_balance(reply), amount=Decimal(1000))


class RefusesOddly(Good):
    def answer(self, reply: Reply, otherwise: type[ProviderError]) -> dict[str, object]:
        if b'"odd"' in reply.body:
            raise ProviderError("the service says something odd")
        return super().answer(reply, otherwise)


class CallsAGatewayARefusal(Good):
    """A job that was taken, whose reply a gateway lost, is reported as refused, so its price is released."""

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        if reply.status in (502, 504):
            raise JobRefused("the service did not take it")
        return super().read_created(task, reply)


class SaysThatNothingWasCreated(Good):
    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        if reply.status == 500:
            raise ServiceUnavailable("trouble", nothing_created=True)
        return super().read_created(task, reply)


class CanNotReadTheBalance(Good):
    def read_balance(self, reply: Reply) -> Balance:
        raise MalformedReply("there is no balance")


class GoesInTheClear(Good):
    def ask_balance(self) -> Request:
        return attrs.evolve(super().ask_balance(), url="http://good.example/balance")


@attrs.frozen
class Silent(GoodSettings):
    speed: int = 1


@attrs.define
class Changeable:
    api_token: Secret
    """The token."""
    base_url: str = "https://good.example"
    """The address."""


@attrs.frozen
class NotToBeSent(GoodSettings):
    choose: Any = attrs.field(factory=lambda: lambda: 1, eq=False)
    """It cannot be pickled."""


@attrs.frozen
class Open:
    api_token: str
    """The token, which shows."""
    base_url: str = "https://good.example"
    """The address."""


class GoodWithOpenToken(Good):
    def __init__(self, settings: Open) -> None:
        self.own = settings
        super().__init__(GoodSettings(Secret(settings.api_token), settings.base_url))


TOTAL = "any_reply_is_read_or_refused_with_an_error_of_the_contract"
LOG = "what_is_read_of_any_reply_is_fit_for_a_log"
SHOWN = "no_secret_shows_in_a_repr_or_an_address"
OPTIONS = "an_option_is_sent_or_reported_as_ignored"
BOOKS = "no_job_is_lost_or_ordered_twice_when"
IO = "the_provider_does_no_io"
# These take half the time of all checks. A plugin that inherits all its readers reads as the good one does.
HOSTILE = (TOTAL, LOG)

BAD: Mapping[type[Good], tuple[str, str]] = {
    TrustsTheAnswer: (TOTAL, "raises AttributeError"),
    GivesNothing: (TOTAL, "read_balance returns None"),
    ShowsControlCharacters: (LOG, "would break a log"),
    ShowsItAll: (LOG, "characters of a reply"),
    Tells: (SHOWN, "a secret shows in the provider"),
    AsksByAddress: (SHOWN, "the request of balance"),
    RepeatsTheToken: ("no_secret_shows_even_where_the_service_repeats_it", "the service repeated"),
    WritesTheId: ("a_job_id_comes_out_of_the_reply_exactly_as_the_service_gave_it", "makes '1"),
    RoundsTheId: ("a_job_id_goes_into_the_next_request_exactly_as_it_was", "send Job.id unchanged"),
    EndsOnAnythingNew: ("a_status_never_seen_before_leaves_the_job_in_work", "read as a JobFailed"),
    PromisesTheHint: (OPTIONS, "hint='the red ones' reaches the service, but the request is the same"),
    KeepsQuietOfTheHint: (OPTIONS, "hint='the red ones' changes the request, but sent_options"),
    SaysThatThereIsALength: (OPTIONS, "5 and 6 make the same request"),
    NamesWhatIsNotThere: ("the_options_that_are_sent_are_options_of_the_task", "names 'size'"),
    TakesEverything: ("a_task_of_an_unknown_kind_is_refused_as_unsupported", "raise UnsupportedTask"),
    Hasty: ("the_pace_of_polling_is_a_sane_time", "min_poll_interval is 0"),
    RemembersTheJob: ("nothing_is_kept_between_calls", "keep nothing in the provider"),
    TakesHeadersAway: ("arguments_and_settings_are_left_alone", "leave its arguments as they are"),
    StartsAProgram: (IO, "poll_job does os.posix_spawn"),
    ReadsAFile: (IO, "read_result does open"),
    Sleeps: (IO, "poll_job does time.sleep"),
    ListsAFolder: (IO, "poll_job does os."),
    Prints: (IO, "poll_job does print 'hello"),
    ReadsAFileForAnOption: (IO, "create_job does open"),
    ReadsAFileToReport: (IO, "ask_report does open"),
    LogsTheToken: (SHOWN, "a secret shows in the log"),
    AlwaysRich: ("the_balance_is_the_one_that_the_service_tells", "makes 1000 of the balances 10 and 7"),
    CallsAGatewayARefusal: (BOOKS, "0.001 and 0 is counted"),
    SaysThatNothingWasCreated: (BOOKS, "created and paid 2 times"),
    RefusesOddly: ("each_message_of_the_service_is_an_error_of_its_class", "raise JobRefused"),
    CanNotReadTheBalance: ("balance_price_list_and_reports_are_read", "read_balance makes a MalformedReply"),
    GoesInTheClear: ("every_request_goes_to_the_service_over_https_or_on_this_machine", "service_url"),
}


@pytest.mark.parametrize("provider", BAD, ids=lambda one: one.__name__)
def test_a_bad_provider_fails_the_check_that_is_meant_for_it(provider: type[Good]) -> None:
    check, message = BAD[provider]
    # The list of faults is long, and few of these plugins are about it.
    every = 1 if check == BOOKS else 22
    found = failures(contract_of(provider), every, without=() if has_readers(provider) else HOSTILE)
    assert list(found) == [check], found
    assert message in found[check]
    assert "\n" not in found[check]


def has_readers(provider: type[Good]) -> bool:
    """Return whether a provider overrides anything that reads replies."""
    own = {
        name for one in provider.__mro__ if issubclass(one, Good) and one is not Good for name in vars(one)
    }
    return any(name.startswith("read_") or name == "answer" for name in own)


@pytest.mark.parametrize(
    ("settings", "check", "message"),
    [
        (Silent, "every_setting_is_documented", "Silent does not document speed"),
        (Changeable, "the_settings_are_a_frozen_attrs_class", "@attrs.frozen"),
        (NotToBeSent, "the_settings_can_be_pickled_but_for_their_secrets", "can't be pickled"),
    ],
)
def test_bad_settings_fail_the_check_that_is_meant_for_them(settings: type, check: str, message: str) -> None:
    found = failures(contract_of(Good, settings), every=22, without=HOSTILE)
    assert list(found) == [check], found
    assert message in found[check]


def test_a_token_in_plain_text_shows() -> None:
    found = failures(contract_of(GoodWithOpenToken, Open), every=22, without=HOSTILE)
    assert list(found) == [SHOWN], found
    assert "a secret shows in the settings" in found[SHOWN]


def test_an_import_of_an_http_client_is_found_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "calls_out"
    package.mkdir()
    lines = "from tests.testing.contract.good import Good\nclass Bad(Good): ...\n"
    (package / "__init__.py").write_text(lines)
    (package / "later.py").write_text("def send():\n    import requests.adapters\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = failures(contract_of(importlib.import_module("calls_out").Bad), every=22, without=HOSTILE)
    assert list(found) == ["no_http_client_is_imported"], found
    assert "later.py:2 imports requests.adapters" in found["no_http_client_is_imported"]


def test_a_plugin_that_can_not_read_its_own_emulation_solves_nothing() -> None:
    class Deaf(Good):
        def read_created(self, task: Task[Solution], reply: Reply) -> Created:
            raise MalformedReply("no")

    found = failures(contract_of(Deaf), every=22)
    assert "the_engine_solves_each_kind_of_task_against_the_emulation" in found
    assert "the_hub_solves_each_kind_of_task_over_http" in found


class Engine(LocalProvider):
    """An engine in this process that keeps the contract."""

    kinds = frozenset({"image-to-text"})

    def __init__(self, _settings: object) -> None:
        self.answer: Any = TextSolution("x7kp2")

    def solve(self, task: Task[Solution]) -> Solution:
        if task.kind not in self.kinds:
            raise UnsupportedTask(f"not {task.kind}")
        answer: Solution = self.answer
        return answer


class Speechless(Engine):
    def __init__(self, _settings: object) -> None:
        self.answer = "x7kp2"


@attrs.frozen
class NoSettings:
    pass


def test_an_engine_in_this_process_is_held_against_what_applies_to_it() -> None:
    assert failures(contract_of(Engine, NoSettings, emulation=None)) == {}
    found = failures(contract_of(Speechless, NoSettings, emulation=None))
    assert list(found) == ["an_engine_in_this_process_gives_solutions_or_errors_of_the_contract"]
    assert "return a TextSolution" in next(iter(found.values()))


def test_what_does_not_fit_together_is_told_in_a_sentence() -> None:
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"plugin": None}, "set plugin to an object with the hook captchahub_provider_kinds"),
        ({"settings": {"colour": "red"}}, "the settings are refused, so set others in settings"),
        ({"kind": "godo"}, "the plugin can't be used"),
    ]
    for wrong, message in wrongs:
        with pytest.raises(pytest.fail.Exception, match=message):
            contract_of(**wrong).subject()
