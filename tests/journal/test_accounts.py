"""Hubs of several accounts that share a journal use the jobs of their own accounts only."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, Self

import attrs
import pytest

from captchahub import (
    AllProvidersFailed,
    AuthenticationError,
    BudgetExceeded,
    Collected,
    ConfigError,
    Hub,
    ImageToText,
    JobState,
    NotAsked,
    NotOffered,
    ProviderError,
    ProviderState,
    Result,
    TextSolution,
)
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._journal.database import Connection
from captchahub._journal.liveness import heartbeat
from captchahub._journal.rows import JobFilter, NewJob
from captchahub.errors import JobUnknown
from captchahub.settings import HubSettings
from captchahub.testing import Fault, Mishap, Sandbox, json_reply, load_emulation, run_virtual
from captchahub.tickets import Progress
from tests.journal.ledger import mark_created, reserve
from tests.journal.test_journal import Shared, cancelled, jobs, resumed, states
from tests.quick_omo import QuickOmo
from tests.virtual_services import INSTALLED, MORNING, NOT_SENT, PICTURE, TASK, TOKEN, Service, broken

pytestmark = pytest.mark.usefixtures("each_store")

P = ParamSpec("P")

OTHER = "an0ther-t0ken"
PRICE = {"prices": {"image-to-text": 0.001}}
BAD_TOKEN = Mishap(json_reply({"error": True, "message": "Invalid api token."}))


def on_virtual_clock(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an asynchronous test on a virtual clock."""

    @wraps(test)
    def run(*args: P.args, **named: P.kwargs) -> None:
        run_virtual(test(*args, **named))

    return run


class SharedJournal:
    """A journal that several hubs share, and one service with two accounts at which all of them are.

    As a context manager it closes the hubs.
    """

    def __init__(self, **account: object) -> None:
        self.writer = Shared()
        self.service = Service(seconds=lambda: 30.0)
        self._account = {**PRICE, **account}
        self._hubs: list[Engine] = []
        self.chance: Callable[[], float] = lambda: 1.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for hub in self._hubs:
            await hub.aclose()

    def settings(
        self, token: str = TOKEN, *, names: Sequence[str] = ("omo",), top: Any = None, **account: object
    ) -> HubSettings:
        """Return the settings of a hub whose providers are all the account with this token."""
        account = {"plugin": "omocaptcha", "api_token": token, **self._account, **account}
        return read_mapping({"providers": dict.fromkeys(names, account), **(top or {})}, INSTALLED)

    def hub(self, token: str = TOKEN, **settings: Any) -> Engine:
        """Return a new hub with the account of this token, as another process would have it."""
        hub = Engine(
            self.settings(token, **settings),
            plugins=INSTALLED,
            connect=lambda _: self.service.connect(),
            chance=self.chance,
            wall_clock=lambda: MORNING + asyncio.get_running_loop().time(),
            journal=self.writer,
        )
        if OTHER not in self.service.world.accounts:
            self.service.world.add_account(OTHER, "1000")
        self._hubs.append(hub)
        return hub

    @property
    def paid_by(self) -> list[str]:
        """The token of the account that paid each job at the service, the oldest job first."""
        return [job.account.token for job in self.service.world.jobs.values()]

    async def execute(self, sql: str) -> list[Any]:
        """Run one statement in the journal, and return its rows."""
        return await self.writer.write(lambda connection: list(connection.execute(sql)))


def with_budget(whose: str) -> tuple[SharedJournal, Any]:
    """Return a journal and keys of its hubs so that a provider, or each hub, has a budget for one job."""
    budget = {"limit": 0.001, "per": "total"}
    if whose == "provider":
        return SharedJournal(budget=budget), None
    return SharedJournal(), {"budget": budget}


async def solved(
    hub: Engine, task: ImageToText = TASK, *, timeout: float | None = None, progress: Progress | None = None
) -> Result[TextSolution]:
    """Solve a task, or use the job of an equal one."""
    return await hub.solve(task, timeout, progress, share=True)


async def solved_alone(hub: Engine) -> Result[TextSolution]:
    """Solve a task with a job of its own."""
    return await hub.solve(TASK, None)


async def left_behind(hub: Engine, progress: Progress | None = None) -> None:
    """Create a job, and close the hub before its answer comes."""
    solving = asyncio.ensure_future(solved(hub, progress=progress))
    await asyncio.sleep(5)
    solving.cancel()
    await asyncio.wait([solving])
    await hub.aclose()


async def killed(shared: SharedJournal) -> None:
    """Leave a job behind as a hub whose process is killed: the job keeps its owner."""
    await left_behind(shared.hub())
    await shared.execute("UPDATE jobs SET owner = 'dead' WHERE state = 'created'")


def outcomes(found: Sequence[Collected]) -> list[object]:
    """Return the solutions, or the classes of the errors."""
    return [one.solution if one.error is None else type(one.error) for one in found]


X7KP2 = TextSolution("x7kp2")


class TestResuming:
    @pytest.mark.parametrize("is_killed", [False, True])
    @on_virtual_clock
    async def test_leaves_the_jobs_of_another_account_to_that(self, is_killed: bool) -> None:
        async with SharedJournal() as shared:
            await (killed(shared) if is_killed else left_behind(shared.hub()))
            other = shared.hub(OTHER)
            assert await resumed(other) == []
            assert await states(other) == [("omo", JobState.CREATED)]
            await asyncio.sleep(100)
            assert await states(other) == [("omo", JobState.CREATED)]
            assert outcomes(await resumed(shared.hub())) == [X7KP2]

    @on_virtual_clock
    async def test_leaves_undelivered_answers_that_another_account_paid(self) -> None:
        async with SharedJournal() as shared:
            first = shared.hub()
            await cancelled(first, after=5)
            await asyncio.sleep(100)
            await first.aclose()
            other = shared.hub(OTHER)
            assert await states(other) == [("omo", JobState.SOLVED)]
            assert await resumed(other) == []
            assert outcomes(await resumed(shared.hub())) == [X7KP2]

    @pytest.mark.parametrize(
        "settings",
        [
            {"names": ["mine"]},
            {"base_url": "https://OMOcaptcha.com:443/api"},
            {"base_url": "https://omocaptcha.com/api/"},
        ],
    )
    @on_virtual_clock
    async def test_takes_the_jobs_of_the_same_account_under_any_name(self, settings: dict[str, Any]) -> None:
        async with SharedJournal() as shared:
            await left_behind(shared.hub())
            assert outcomes(await resumed(shared.hub(**settings))) == [X7KP2]

    @pytest.mark.parametrize("address", ["https://omo.example/api", "https://omocaptcha.com/v2"])
    @on_virtual_clock
    async def test_leaves_the_jobs_of_another_address(self, address: str) -> None:
        async with SharedJournal() as shared:
            await left_behind(shared.hub())
            assert await resumed(shared.hub(base_url=address)) == []
            assert outcomes(await resumed(shared.hub())) == [X7KP2]

    @on_virtual_clock
    async def test_asks_each_of_two_accounts_for_its_own(self) -> None:
        async with SharedJournal() as shared:
            await left_behind(shared.hub())
            await left_behind(shared.hub(OTHER))
            assert shared.paid_by == [TOKEN, OTHER]
            (found,) = await resumed(shared.hub(OTHER))
            assert (found.solution, found.entry.job_id) == (X7KP2, list(shared.service.world.jobs)[1])
            (found,) = await resumed(shared.hub())
            assert (found.solution, found.entry.job_id) == (X7KP2, next(iter(shared.service.world.jobs)))

    @on_virtual_clock
    async def test_still_expires_what_its_own_account_does_not_know_any_more(self) -> None:
        async with SharedJournal() as shared:
            await left_behind(shared.hub())
            shared.service.world.jobs.clear()
            assert outcomes(await resumed(shared.hub())) == [JobUnknown]
            assert shared.writer.states() == ["expired"]


class TestSolvingAnEqualTask:
    @on_virtual_clock
    async def test_neither_waits_for_another_account_nor_takes_its_job(self) -> None:
        async with SharedJournal() as shared:
            first = asyncio.ensure_future(solved(shared.hub()))
            await asyncio.sleep(5)
            result = await solved(shared.hub(OTHER))
            assert (result.solution, result.is_shared) == (X7KP2, False)
            await first
            assert shared.paid_by == [TOKEN, OTHER]

    @on_virtual_clock
    async def test_does_not_go_on_with_what_another_account_has_left_behind(self) -> None:
        async with SharedJournal() as shared:
            await killed(shared)
            await solved(shared.hub(OTHER))
            assert shared.paid_by == [TOKEN, OTHER]
            assert shared.writer.states() == ["created", "solved"]
            assert outcomes(await resumed(shared.hub())) == [X7KP2]

    @on_virtual_clock
    async def test_takes_no_answer_of_another_account_from_the_cache(self) -> None:
        async with SharedJournal() as shared:
            await solved(shared.hub())
            await solved(shared.hub(OTHER, top={"cache": "1h"}))
            assert shared.paid_by == [TOKEN, OTHER]

    @pytest.mark.parametrize("names", [["omo"], ["mine"]])
    @on_virtual_clock
    async def test_at_the_same_account_is_shared_whatever_that_is_called(self, names: list[str]) -> None:
        async with SharedJournal() as shared:
            first = asyncio.ensure_future(solved(shared.hub()))
            await asyncio.sleep(5)
            result = await solved(shared.hub(names=names))
            assert (result.solution, result.provider) == (X7KP2, names[0])
            await first
            again = await solved(shared.hub(names=names, top={"cache": "1h"}))
            assert (again.cost, again.provider) == (Decimal(0), names[0])
            assert shared.paid_by == [TOKEN]

    @pytest.mark.parametrize("names", [["omo"], ["mine"]])
    @on_virtual_clock
    async def test_at_the_same_account_goes_on_with_what_was_left_behind(self, names: list[str]) -> None:
        async with SharedJournal() as shared:
            await killed(shared)
            assert (await solved(shared.hub(names=names))).solution == X7KP2
            assert shared.paid_by == [TOKEN]

    @on_virtual_clock
    async def test_creates_a_new_job_if_the_service_does_not_know_the_one_left_behind(self) -> None:
        progress = Progress()
        async with SharedJournal() as shared:
            await killed(shared)
            shared.service.world.jobs.clear()
            result = await solved(shared.hub(), progress=progress)
            assert (result.solution, result.cost) == (X7KP2, Decimal("0.001"))
            assert len(result.attempts) == 1
            assert shared.writer.states() == ["expired", "solved"]
            assert json.loads(str(progress.token))["job_id"] == result.job_id

    @on_virtual_clock
    async def test_creates_no_new_job_at_a_provider_that_is_out_by_then(self) -> None:
        async with SharedJournal() as shared:
            await killed(shared)
            shared.service.world.jobs.clear()
            shared.service.mishap = lambda call: BAD_TOKEN if call == "createJob" else None
            hub = shared.hub()
            solves = solved(hub), solved(hub, ImageToText(PICTURE, length=5))
            unknown, refused = await asyncio.gather(*solves, return_exceptions=True)
            assert isinstance(refused, AllProvidersFailed)
            assert [type(one) for one in refused.exceptions] == [AuthenticationError]
            assert isinstance(unknown, AllProvidersFailed)
            assert [type(one) for one in unknown.exceptions] == [NotAsked]
            assert "it is out" in str(unknown)
            assert len(shared.service.orders) == 1
            assert shared.writer.states() == ["expired", "refused"]

    @on_virtual_clock
    async def test_creates_no_new_job_before_the_probe_of_a_provider_that_cooled_down(self) -> None:
        async with SharedJournal(health={"failures": 1, "cooldown": "1s"}) as shared:
            await killed(shared)
            shared.service.world.jobs.clear()
            shared.service.mishap = broken(NOT_SENT, NOT_SENT)
            hub = shared.hub()
            solving = asyncio.ensure_future(solved(hub))
            with pytest.raises(AllProvidersFailed):
                await solved(hub, ImageToText(PICTURE, length=5), timeout=1.5)
            result = await solving
            assert [type(one.error) for one in result.attempts] == [NotAsked, type(None)]
            assert "a probe" in str(result.attempts[0])
            assert shared.paid_by == [TOKEN]

    @on_virtual_clock
    async def test_creates_a_new_job_if_it_is_the_probe_itself(self) -> None:
        async with SharedJournal(health={"failures": 1, "cooldown": "60s"}) as shared:
            await killed(shared)
            shared.service.world.jobs.clear()
            shared.service.mishap = broken(NOT_SENT, NOT_SENT)
            hub = shared.hub()
            with pytest.raises(AllProvidersFailed):
                await solved(hub, ImageToText(PICTURE, length=5), timeout=2)
            assert (await hub.health())["omo"].state is ProviderState.COOLING
            assert (await solved(hub)).solution == X7KP2
            assert "expired" in shared.writer.states()

    @on_virtual_clock
    async def test_creates_no_new_job_beyond_its_budget(self) -> None:
        async with SharedJournal(budget={"limit": 0.001, "per": "day"}) as shared:
            await killed(shared)
            shared.service.world.jobs.clear()
            with pytest.raises(AllProvidersFailed) as caught:
                await solved(shared.hub())
            assert [type(one) for one in caught.value.exceptions] == [BudgetExceeded]
            assert (shared.writer.states(), shared.paid_by) == (["expired"], [])


class TestBudgets:
    @pytest.mark.parametrize("whose", ["provider", "hub"])
    @on_virtual_clock
    async def test_of_one_account_do_not_count_what_another_has_spent(self, whose: str) -> None:
        journal, top = with_budget(whose)
        async with journal as shared:
            for token in (TOKEN, OTHER):
                hub = shared.hub(token, top=top)
                await solved_alone(hub)
                with pytest.raises(AllProvidersFailed) as caught:
                    await solved_alone(hub)
                (error,) = caught.value.exceptions
                assert isinstance(error, BudgetExceeded)
                assert error.spent == Decimal("0.001")
            assert shared.paid_by == [TOKEN, OTHER]

    @pytest.mark.parametrize("names", [["omo"], ["mine"], ["mine", "spare"]])
    @pytest.mark.parametrize("whose", ["provider", "hub"])
    @on_virtual_clock
    async def test_count_what_the_same_account_has_spent_under_another_name(
        self, whose: str, names: list[str]
    ) -> None:
        journal, top = with_budget(whose)
        async with journal as shared:
            await solved_alone(shared.hub(top=top))
            with pytest.raises(AllProvidersFailed) as caught:
                await solved_alone(shared.hub(names=names, top=top))
            assert {type(one) for one in caught.value.exceptions} == {BudgetExceeded}
            assert shared.paid_by == [TOKEN]

    @on_virtual_clock
    async def test_of_two_names_for_one_account_in_one_configuration_are_kept_apart(self) -> None:
        async with SharedJournal(budget={"limit": 0.001, "per": "total"}) as shared:
            hub = shared.hub(names=["omo", "spare"])
            assert [(await solved_alone(hub)).provider for _ in range(2)] == ["omo", "spare"]
            with pytest.raises(AllProvidersFailed):
                await solved_alone(hub)

    @on_virtual_clock
    async def test_of_the_hub_count_what_it_has_spent_at_an_account_that_it_had_before(self) -> None:
        top = {"budget": {"limit": 0.001, "per": "total"}}
        async with SharedJournal() as shared:
            hub = shared.hub(top=top)
            await solved_alone(hub)
            await hub.reload(shared.settings(OTHER, top=top), INSTALLED)
            with pytest.raises(AllProvidersFailed):
                await solved_alone(hub)
            assert shared.paid_by == [TOKEN]

    @on_virtual_clock
    async def test_what_was_spent_is_listed_by_account(self) -> None:
        async with SharedJournal() as shared:
            await solved_alone(shared.hub())
            hub = shared.hub(OTHER)
            await solved_alone(hub)
            lines = await hub.spend(UTC, None)
            assert [(line.provider, line.jobs, line.amount) for line in lines] == [
                ("omo", 1, Decimal("0.001")),
                ("omo", 1, Decimal("0.001")),
            ]
            assert [line.account for line in lines] == [entry.account for entry in await jobs(hub)]


class TestTheList:
    @on_virtual_clock
    async def test_says_which_jobs_are_of_another_account_and_where_that_is(self) -> None:
        async with SharedJournal() as shared:
            await left_behind(shared.hub())
            hub = shared.hub(OTHER, names=["mine"])
            await solved(hub)
            theirs, own = await jobs(hub)
            assert (theirs.provider, theirs.configured_as) == ("omo", None)
            assert (own.provider, own.configured_as) == ("mine", "mine")
            assert theirs.is_of_other_account
            assert not own.is_of_other_account
            assert theirs.account != own.account
            assert (theirs.plugin, theirs.address) == ("omocaptcha", "https://omocaptcha.com")
            assert "t0ken" not in repr([theirs, own])

    @on_virtual_clock
    async def test_has_both_names_of_an_account_that_is_renamed(self) -> None:
        async with SharedJournal() as shared:
            await left_behind(shared.hub())
            (entry,) = await jobs(shared.hub(names=["mine", "spare"]))
            assert (entry.provider, entry.configured_as) == ("omo", "mine")


class TestATokenOfAJob:
    @on_virtual_clock
    async def test_of_another_account_is_refused_and_the_job_is_not_changed(self) -> None:
        progress = Progress()
        async with SharedJournal() as shared:
            await left_behind(shared.hub(), progress)
            other = shared.hub(OTHER)
            with pytest.raises(
                ConfigError, match=r"job .* is of another account than 'omo' is here"
            ) as caught:
                await other.attach(str(progress.token), None, Progress())
            assert TOKEN not in str(caught.value)
            assert await states(other) == [("omo", JobState.CREATED)]
            result = await shared.hub().attach(str(progress.token), None, Progress())
            assert result.solution == X7KP2

    @on_virtual_clock
    async def test_is_refused_on_another_machine_as_well(self) -> None:
        progress = Progress()
        async with SharedJournal() as shared:
            await left_behind(shared.hub(), progress)
            shared.writer = Shared()
            with pytest.raises(ConfigError, match="of another account"):
                await shared.hub(OTHER).attach(str(progress.token), None, Progress())
            assert (await shared.hub().attach(str(progress.token), None, Progress())).solution == X7KP2

    @on_virtual_clock
    async def test_finds_its_account_whatever_that_is_called(self) -> None:
        progress = Progress()
        async with SharedJournal() as shared:
            await left_behind(shared.hub(), progress)
            result = await shared.hub(names=["mine"]).attach(str(progress.token), None, Progress())
            assert (result.solution, result.provider) == (X7KP2, "mine")
            assert shared.writer.states() == ["solved"]

    @on_virtual_clock
    async def test_of_before_accounts_goes_by_the_name_of_its_provider(self) -> None:
        progress = Progress()
        async with SharedJournal() as shared:
            await left_behind(shared.hub(), progress)
            fields = json.loads(str(progress.token))
            del fields["account"]
            assert (await shared.hub().attach(json.dumps(fields), None, Progress())).solution == X7KP2


class TestAReport:
    @on_virtual_clock
    async def test_of_what_the_same_account_answered_under_another_name_goes_to_it(self) -> None:
        async with SharedJournal() as shared:
            await solved(shared.hub())
            hub = shared.hub(names=["mine"], top={"cache": "1h"})
            result = await solved(hub)
            assert (result.is_shared, result.provider) == (True, "mine")
            with pytest.raises(NotOffered, match="report"):
                await hub.report(result, correct=False)
            assert not (await solved(hub)).is_shared

    @on_virtual_clock
    async def test_of_an_answer_that_another_account_gave_is_not_sent(self) -> None:
        async with SharedJournal() as shared:
            hub = shared.hub()
            result = await solved(hub)
            await hub.reload(shared.settings(OTHER), INSTALLED)
            for correct in (True, False):
                with pytest.raises(NotOffered, match="another account"):
                    await hub.report(result, correct=correct)

    @on_virtual_clock
    async def test_of_a_wrong_answer_leaves_that_of_another_account_in_the_cache(self) -> None:
        """Two services can give their jobs the same number."""
        async with SharedJournal() as shared:
            result = await solved(shared.hub())
            await shared.execute("UPDATE jobs SET job_id = '7'")
            other = shared.hub(OTHER)
            await solved(other)
            await shared.execute("UPDATE jobs SET job_id = '7'")
            with pytest.raises((NotOffered, ProviderError)):
                await other.report(attrs.evolve(result, job_id=7), correct=False)
            assert await shared.execute("SELECT is_shared FROM jobs ORDER BY id") == [(1,), (0,)]


class TestAReload:
    @on_virtual_clock
    async def test_with_another_token_leaves_the_old_jobs_to_the_old_account(self) -> None:
        async with SharedJournal() as shared:
            await left_behind(shared.hub())
            hub = shared.hub()
            await hub.reload(shared.settings(OTHER), INSTALLED)
            assert await resumed(hub) == []
            await solved(hub)
            assert shared.paid_by == [TOKEN, OTHER]
            await hub.reload(shared.settings(), INSTALLED)
            assert outcomes(await resumed(hub)) == [X7KP2]

    @pytest.mark.parametrize("turns", range(12))
    @on_virtual_clock
    async def test_while_jobs_are_claimed_asks_no_other_account_for_them(self, turns: int) -> None:
        async with SharedJournal() as shared:
            await left_behind(shared.hub())
            hub = shared.hub()
            collecting = asyncio.ensure_future(resumed(hub))
            # The job is claimed at one of these turns, and not polled yet.
            for _ in range(turns):
                await asyncio.sleep(0)
            await hub.reload(shared.settings(OTHER), INSTALLED)
            await collecting
            assert "expired" not in shared.writer.states()
            await hub.reload(shared.settings(), INSTALLED)
            await resumed(hub)
            assert shared.writer.states() == ["solved"]


class TestAnAccountWithAName:
    """``journal_account`` names it, so that a new token is the same account."""

    @on_virtual_clock
    async def test_keeps_its_jobs_and_budget_when_its_token_changes(self) -> None:
        budget = {"limit": 0.001, "per": "total"}
        async with SharedJournal(journal_account="me@example.com", budget=budget) as shared:
            await left_behind(shared.hub())
            shared.service.world.accounts[OTHER] = shared.service.world.accounts[TOKEN]
            renewed = shared.hub(OTHER)
            assert outcomes(await resumed(renewed)) == [X7KP2]
            with pytest.raises(AllProvidersFailed):
                await solved_alone(renewed)

    @on_virtual_clock
    async def test_has_the_jobs_that_its_token_had_before_it_was_named(self) -> None:
        async with SharedJournal() as shared:
            await left_behind(shared.hub())
            await shared.hub(journal_account="me@example.com").jobs(JobFilter(limit=1))
            shared.service.world.accounts[OTHER] = shared.service.world.accounts[TOKEN]
            assert outcomes(await resumed(shared.hub(OTHER, journal_account="me@example.com"))) == [X7KP2]

    @on_virtual_clock
    async def test_has_the_jobs_that_its_new_token_had_before_it_was_named(self) -> None:
        async with SharedJournal() as shared:
            await shared.hub(journal_account="me@example.com").jobs(JobFilter(limit=1))
            await left_behind(shared.hub(OTHER))
            assert outcomes(await resumed(shared.hub(OTHER, journal_account="me@example.com"))) == [X7KP2]

    @on_virtual_clock
    async def test_is_another_account_than_one_of_another_name(self) -> None:
        async with SharedJournal() as shared:
            await left_behind(shared.hub(journal_account="me@example.com"))
            assert await resumed(shared.hub(OTHER, journal_account="you@example.com")) == []

    @on_virtual_clock
    async def test_is_known_by_its_token_if_it_has_no_name(self) -> None:
        progress = Progress()
        async with SharedJournal() as shared:
            await left_behind(shared.hub(journal_account="me@example.com"), progress)
            assert (await shared.hub().attach(str(progress.token), None, Progress())).solution == X7KP2


class TestJobsOfOlderVersions:
    """Jobs that a version without accounts wrote: they are found by the name of the provider."""

    def old_job(self, shared: SharedJournal, *, days: float = 0.0) -> Callable[[Connection], None]:
        def write(connection: Connection) -> None:
            at = MORNING - days * 86_400
            price = Decimal("0.001")
            job = NewJob(
                "s1", "omo", TASK.kind, TASK.fingerprint, {}, price, "configuration", None, is_shared=True
            )
            heartbeat(connection, "dead", MORNING - 1)
            job_id = next(iter(shared.service.world.jobs), 7)
            entry = reserve(connection, job, owner="dead", now=at)
            mark_created(connection, entry, job_id, owner="dead", now=at)

        return write

    async def rewritten(self, shared: SharedJournal) -> None:
        """Create a job, and write it down as a version without accounts did."""
        await left_behind(shared.hub())
        await shared.execute("DELETE FROM jobs")
        await shared.execute("DELETE FROM ledger")
        await shared.writer.write(self.old_job(shared))

    @on_virtual_clock
    async def test_are_collected_by_any_hub_with_a_provider_of_that_name(self) -> None:
        async with SharedJournal() as shared:
            await self.rewritten(shared)
            (entry,) = await jobs(shared.hub())
            assert (entry.account, entry.configured_as, entry.is_of_other_account) == (None, "omo", False)
            assert outcomes(await resumed(shared.hub())) == [X7KP2]

    @on_virtual_clock
    async def test_are_not_polled_by_a_hub_without_such_a_provider(self) -> None:
        async with SharedJournal() as shared:
            await self.rewritten(shared)
            hub = shared.hub(names=["mine"])
            for _ in range(2):
                (collected,) = await resumed(hub)
                assert isinstance(collected.error, NotAsked)
                assert "is at omo, which is not configured here (mine)" in str(collected.error)
            assert outcomes(await resumed(shared.hub())) == [X7KP2]

    @on_virtual_clock
    async def test_are_not_lost_if_that_is_another_account(self) -> None:
        async with SharedJournal() as shared:
            await self.rewritten(shared)
            assert outcomes(await resumed(shared.hub(OTHER))) == [JobUnknown]
            assert shared.writer.states() == ["created"]
            assert outcomes(await resumed(shared.hub())) == [X7KP2]

    @on_virtual_clock
    async def test_are_expired_if_they_are_unknown_after_a_day(self) -> None:
        async with SharedJournal() as shared:
            shared.hub()
            await shared.writer.write(self.old_job(shared, days=1.1))
            assert outcomes(await resumed(shared.hub())) == [JobUnknown]
            assert shared.writer.states() == ["expired"]

    @on_virtual_clock
    async def test_are_taken_over_by_an_equal_task_and_left_if_they_are_unknown(self) -> None:
        async with SharedJournal() as shared:
            await self.rewritten(shared)
            assert (await solved(shared.hub(OTHER))).solution == X7KP2
            assert shared.writer.states() == ["created", "solved"]
            assert outcomes(await resumed(shared.hub())) == [X7KP2]

    @pytest.mark.parametrize("whose", ["provider", "hub"])
    @on_virtual_clock
    async def test_count_for_the_budgets_of_all_who_may_have_paid_them(self, whose: str) -> None:
        journal, top = with_budget(whose)
        async with journal as shared:
            await self.rewritten(shared)
            await shared.execute("UPDATE jobs SET is_shared = 0")
            for token in (TOKEN, OTHER):
                with pytest.raises(AllProvidersFailed) as caught:
                    await solved(shared.hub(token, top=top))
                assert [type(one) for one in caught.value.exceptions] == [BudgetExceeded]


class TestForgetting:
    @on_virtual_clock
    async def test_what_is_old_leaves_the_answers_of_another_account(self) -> None:
        async with SharedJournal() as shared:
            first = shared.hub()
            await cancelled(first, after=5)
            await asyncio.sleep(100)
            await first.aclose()
            short = {"journal": {"keep": "0s"}}
            await solved(shared.hub(OTHER, top=short))
            assert shared.writer.states() == ["solved", "solved"]
            assert outcomes(await resumed(shared.hub())) == [X7KP2]


class TestAFile:
    """The same with real hubs, files and services."""

    def settings(self, sandbox: Sandbox, token: str, journal: Path) -> dict[str, Any]:
        account = {"plugin": "omocaptcha", **PRICE, **sandbox.settings(token, balance="1000")}
        return {"providers": {"omo": account}, "journal": str(journal)}

    @pytest.mark.parametrize("is_elsewhere", [False, True])
    def test_of_two_projects_loses_no_answer_of_either(
        self, tmp_path: Path, sandbox: Sandbox, quick: QuickOmo, is_elsewhere: bool
    ) -> None:
        journal = tmp_path / "jobs.db"
        task = sandbox.draw_text("x7kp2").task()
        with Sandbox(load_emulation("omocaptcha")) as elsewhere:
            place = elsewhere if is_elsewhere else sandbox
            place.draw_text("x7kp2")
            sandbox.add_faults(Fault.hang(on="getJobResult"))
            ours = self.settings(sandbox, TOKEN, journal)
            theirs = self.settings(place, TOKEN if is_elsewhere else OTHER, journal)
            with Hub.from_mapping(ours, plugins=[quick]) as hub:
                ticket = hub.submit(task)
                sandbox.wait_for_calls("getJobResult", 1, timeout=20)
                ticket.cancel()
            sandbox.clear_faults()
            with Hub.from_mapping(theirs, plugins=[quick]) as hub:
                assert list(hub.resume()) == []
                (entry,) = hub.jobs()
                assert (entry.state, entry.is_of_other_account) == (JobState.CREATED, True)
            copy = tmp_path / "copied.db"
            shutil.copy(journal, copy)
            for path in (journal, copy):
                with Hub.from_mapping({**ours, "journal": str(path)}, plugins=[quick]) as hub:
                    (collected,) = hub.resume()
                    assert collected.solution == TextSolution("x7kp2")
        for path in tmp_path.iterdir():
            assert TOKEN.encode() not in path.read_bytes()
            assert OTHER.encode() not in path.read_bytes()
