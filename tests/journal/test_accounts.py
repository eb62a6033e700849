"""Whose job it is: hubs of several accounts with one journal touch the jobs of their own account only."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

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
from captchahub._journal.jobs_table import mark_created
from captchahub._journal.liveness import heartbeat
from captchahub._journal.rows import NewJob
from captchahub.errors import JobUnknown
from captchahub.settings import HubSettings
from captchahub.testing import Fault, Mishap, Sandbox, json_reply, load_emulation, run_virtual
from captchahub.tickets import Progress
from tests.conftest import QuickOmo
from tests.journal.ledger import reserve
from tests.journal.test_journal import Shared, cancelled, jobs, resumed, states
from tests.virtual_services import INSTALLED, MORNING, NOT_SENT, PICTURE, TASK, TOKEN, Service, T, broken

OTHER = "an0ther-t0ken"
PRICE = {"prices": {"image-to-text": 0.001}}
BAD_TOKEN = Mishap(json_reply({"error": True, "message": "Invalid api token."}))


class City:
    """A service with two accounts, the hubs that have them, and the journal that all of these share."""

    def __init__(self, service: Service | None = None, **own: object) -> None:
        self.book = Shared()
        self.service = service or Service(seconds=lambda: 30.0)
        self._own = {**PRICE, **own}
        self._engines: list[Engine] = []

    def settings(
        self, token: str = TOKEN, *, names: Sequence[str] = ("omo",), top: Any = None, **own: object
    ) -> HubSettings:
        account = {"plugin": "omocaptcha", "api_token": token, **self._own, **own}
        return read_mapping({"providers": dict.fromkeys(names, account), **(top or {})}, INSTALLED)

    def hub(self, token: str = TOKEN, **how: Any) -> Engine:
        """A hub of the account with this token, as a process of its own has it."""
        engine = Engine(
            self.settings(token, **how),
            plugins=INSTALLED,
            connect=lambda _: self.service.connect(),
            chance=lambda: 1.0,
            wall_clock=lambda: MORNING + asyncio.get_running_loop().time(),
            journal=self.book,
        )
        if OTHER not in self.service.world.accounts:
            self.service.world.add_account(OTHER, "1000")
        self._engines.append(engine)
        return engine

    @property
    def paid(self) -> list[str]:
        """Whose each job is at the service, the oldest first."""
        return [job.account.token for job in self.service.world.jobs.values()]

    def live(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            try:
                return await main()
            finally:
                for engine in self._engines:
                    await engine.aclose()

        return run_virtual(run())


def with_budget(whose: str) -> tuple[City, Any]:
    """A city where the budget of the provider or of the hub has room for one job; and keys of its hubs."""
    budget = {"limit": 0.001, "per": "total"}
    return (City(budget=budget), None) if whose == "provider" else (City(), {"budget": budget})


async def solved(engine: Engine, task: ImageToText = TASK, **how: Any) -> Result[TextSolution]:
    return await engine.solve(task, how.get("timeout"), how.get("trail"), share=True)


async def ordered(engine: Engine) -> Result[TextSolution]:
    """The same, without looking whether an equal task was solved."""
    return await engine.solve(TASK, None)


async def left_behind(engine: Engine, trail: Progress | None = None) -> None:
    """Create a job, and end as a process does that has no time to wait for it."""
    solving = asyncio.ensure_future(solved(engine, trail=trail))
    await asyncio.sleep(5)
    solving.cancel()
    await asyncio.wait([solving])
    await engine.aclose()


async def killed(city: City, engine: Engine) -> None:
    """Do the same as a process that is killed: it does not sign off."""
    await left_behind(engine)
    await city.book.write(lambda one: one.execute("UPDATE jobs SET owner = 'dead' WHERE state = 'created'"))


def told(found: Sequence[Collected]) -> list[object]:
    return [one.solution if one.error is None else type(one.error) for one in found]


X7KP2 = TextSolution("x7kp2")


class TestResuming:
    @pytest.mark.parametrize("leave", [left_behind, killed])
    def test_leaves_the_jobs_of_another_account_to_that(self, leave: Any) -> None:
        city = City()

        async def main() -> None:
            await (leave(city.hub()) if leave is left_behind else leave(city, city.hub()))
            other = city.hub(OTHER)
            assert await resumed(other) == []
            assert await states(other) == [("omo", JobState.CREATED)]
            await asyncio.sleep(100)
            assert await states(other) == [("omo", JobState.CREATED)]
            assert told(await resumed(city.hub())) == [X7KP2]

        city.live(main)

    def test_leaves_undelivered_answers_that_another_account_paid(self) -> None:
        city = City()

        async def main() -> None:
            first = city.hub()
            await cancelled(first, after=5)
            await asyncio.sleep(100)
            await first.aclose()
            other = city.hub(OTHER)
            assert await states(other) == [("omo", JobState.SOLVED)]
            assert await resumed(other) == []
            assert told(await resumed(city.hub())) == [X7KP2]

        city.live(main)

    def test_of_the_same_account_takes_them_whatever_it_is_called(self) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub())
            assert told(await resumed(city.hub(names=["mine"]))) == [X7KP2]

        city.live(main)

    @pytest.mark.parametrize("address", ["https://OMOcaptcha.com:443/api", "https://omocaptcha.com/api/"])
    def test_knows_an_address_however_it_is_written(self, address: str) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub())
            assert told(await resumed(city.hub(base_url=address))) == [X7KP2]

        city.live(main)

    @pytest.mark.parametrize("address", ["https://omo.example/api", "https://omocaptcha.com/v2"])
    def test_leaves_the_jobs_of_another_address(self, address: str) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub())
            assert await resumed(city.hub(base_url=address)) == []
            assert told(await resumed(city.hub())) == [X7KP2]

        city.live(main)

    def test_asks_each_of_two_accounts_for_its_own(self) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub())
            await left_behind(city.hub(OTHER))
            assert city.paid == [TOKEN, OTHER]
            (found,) = await resumed(city.hub(OTHER))
            assert (found.solution, found.entry.job_id) == (X7KP2, list(city.service.world.jobs)[1])
            (found,) = await resumed(city.hub())
            assert (found.solution, found.entry.job_id) == (X7KP2, next(iter(city.service.world.jobs)))

        city.live(main)

    def test_still_expires_what_its_own_account_does_not_know_any_more(self) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub())
            city.service.world.jobs.clear()
            assert told(await resumed(city.hub())) == [JobUnknown]
            assert city.book.states() == ["expired"]

        city.live(main)


class TestSolvingAnEqualTask:
    def test_neither_waits_for_another_account_nor_takes_its_job(self) -> None:
        city = City()

        async def main() -> None:
            first = asyncio.ensure_future(solved(city.hub()))
            await asyncio.sleep(5)
            result = await solved(city.hub(OTHER))
            assert (result.solution, result.is_shared) == (X7KP2, False)
            await first
            assert city.paid == [TOKEN, OTHER]

        city.live(main)

    def test_does_not_go_on_with_what_another_account_has_left_behind(self) -> None:
        city = City()

        async def main() -> None:
            await killed(city, city.hub())
            await solved(city.hub(OTHER))
            assert city.paid == [TOKEN, OTHER]
            assert city.book.states() == ["created", "solved"]
            assert told(await resumed(city.hub())) == [X7KP2]

        city.live(main)

    def test_takes_no_answer_of_another_account_from_the_cache(self) -> None:
        city = City()

        async def main() -> None:
            await solved(city.hub())
            await solved(city.hub(OTHER, top={"cache": "1h"}))
            assert city.paid == [TOKEN, OTHER]

        city.live(main)

    @pytest.mark.parametrize("names", [["omo"], ["mine"]])
    def test_at_the_same_account_is_shared_whatever_that_is_called(self, names: list[str]) -> None:
        city = City()

        async def main() -> None:
            first = asyncio.ensure_future(solved(city.hub()))
            await asyncio.sleep(5)
            result = await solved(city.hub(names=names))
            assert (result.solution, result.provider) == (X7KP2, names[0])
            await first
            again = await solved(city.hub(names=names, top={"cache": "1h"}))
            assert (again.cost, again.provider) == (Decimal(0), names[0])
            assert city.paid == [TOKEN]

        city.live(main)

    @pytest.mark.parametrize("names", [["omo"], ["mine"]])
    def test_at_the_same_account_goes_on_with_what_was_left_behind(self, names: list[str]) -> None:
        city = City()

        async def main() -> None:
            await killed(city, city.hub())
            assert (await solved(city.hub(names=names))).solution == X7KP2
            assert city.paid == [TOKEN]

        city.live(main)

    def test_creates_a_new_job_if_the_service_does_not_know_the_one_left_behind(self) -> None:
        city, trail = City(), Progress()

        async def main() -> None:
            await killed(city, city.hub())
            city.service.world.jobs.clear()
            result = await solved(city.hub(), trail=trail)
            assert (result.solution, result.cost) == (X7KP2, Decimal("0.001"))
            assert len(result.attempts) == 1
            assert city.book.states() == ["expired", "solved"]
            assert json.loads(str(trail.token))["job_id"] == result.job_id

        city.live(main)

    def test_creates_no_new_job_at_a_provider_that_is_out_by_then(self) -> None:
        city = City()

        async def main() -> None:
            await killed(city, city.hub())
            city.service.world.jobs.clear()
            city.service.mishap = lambda call: BAD_TOKEN if call == "createJob" else None
            hub = city.hub()
            solves = solved(hub), solved(hub, ImageToText(PICTURE, length=5))
            unknown, refused = await asyncio.gather(*solves, return_exceptions=True)
            assert isinstance(refused, AllProvidersFailed)
            assert [type(one) for one in refused.exceptions] == [AuthenticationError]
            assert isinstance(unknown, AllProvidersFailed)
            assert [type(one) for one in unknown.exceptions] == [NotAsked]
            assert "it is out" in str(unknown)
            assert len(city.service.orders) == 1
            assert city.book.states() == ["expired", "refused"]

        city.live(main)

    def test_creates_no_new_job_before_the_probe_of_a_provider_that_cooled_down(self) -> None:
        city = City(health={"failures": 1, "cooldown": "1s"})

        async def main() -> None:
            await killed(city, city.hub())
            city.service.world.jobs.clear()
            city.service.mishap = broken(NOT_SENT, NOT_SENT)
            hub = city.hub()
            solving = asyncio.ensure_future(solved(hub))
            with pytest.raises(AllProvidersFailed):
                await solved(hub, ImageToText(PICTURE, length=5), timeout=1.5)
            result = await solving
            assert [type(one.error) for one in result.attempts] == [NotAsked, type(None)]
            assert "a probe" in str(result.attempts[0])
            assert city.paid == [TOKEN]

        city.live(main)

    def test_creates_a_new_job_if_it_is_the_probe_itself(self) -> None:
        city = City(health={"failures": 1, "cooldown": "60s"})

        async def main() -> None:
            await killed(city, city.hub())
            city.service.world.jobs.clear()
            city.service.mishap = broken(NOT_SENT, NOT_SENT)
            hub = city.hub()
            with pytest.raises(AllProvidersFailed):
                await solved(hub, ImageToText(PICTURE, length=5), timeout=2)
            assert (await hub.health())["omo"].state is ProviderState.COOLING
            assert (await solved(hub)).solution == X7KP2
            assert "expired" in city.book.states()

        city.live(main)

    def test_creates_no_new_job_beyond_its_budget(self) -> None:
        city = City(budget={"limit": 0.001, "per": "day"})

        async def main() -> None:
            await killed(city, city.hub())
            city.service.world.jobs.clear()
            with pytest.raises(AllProvidersFailed) as caught:
                await solved(city.hub())
            assert [type(one) for one in caught.value.exceptions] == [BudgetExceeded]
            assert (city.book.states(), city.paid) == (["expired"], [])

        city.live(main)


class TestBudgets:
    @pytest.mark.parametrize("whose", ["provider", "hub"])
    def test_of_one_account_do_not_count_what_another_has_spent(self, whose: str) -> None:
        city, top = with_budget(whose)

        async def main() -> None:
            for token in (TOKEN, OTHER):
                hub = city.hub(token, top=top)
                await ordered(hub)
                with pytest.raises(AllProvidersFailed) as caught:
                    await ordered(hub)
                (error,) = caught.value.exceptions
                assert isinstance(error, BudgetExceeded)
                assert error.spent == Decimal("0.001")
            assert city.paid == [TOKEN, OTHER]

        city.live(main)

    @pytest.mark.parametrize("names", [["omo"], ["mine"], ["mine", "spare"]])
    @pytest.mark.parametrize("whose", ["provider", "hub"])
    def test_count_what_the_same_account_has_spent_under_another_name(
        self, whose: str, names: list[str]
    ) -> None:
        city, top = with_budget(whose)

        async def main() -> None:
            await ordered(city.hub(top=top))
            with pytest.raises(AllProvidersFailed) as caught:
                await ordered(city.hub(names=names, top=top))
            assert {type(one) for one in caught.value.exceptions} == {BudgetExceeded}
            assert city.paid == [TOKEN]

        city.live(main)

    def test_of_two_names_for_one_account_in_one_configuration_are_kept_apart(self) -> None:
        city = City(budget={"limit": 0.001, "per": "total"})

        async def main() -> None:
            hub = city.hub(names=["omo", "spare"])
            assert [(await ordered(hub)).provider for _ in range(2)] == ["omo", "spare"]
            with pytest.raises(AllProvidersFailed):
                await ordered(hub)

        city.live(main)

    def test_of_the_hub_count_what_it_has_spent_at_an_account_that_it_has_let_go_of(self) -> None:
        city, top = City(), {"budget": {"limit": 0.001, "per": "total"}}

        async def main() -> None:
            hub = city.hub(top=top)
            await ordered(hub)
            await hub.reload(city.settings(OTHER, top=top), INSTALLED)
            with pytest.raises(AllProvidersFailed):
                await ordered(hub)
            assert city.paid == [TOKEN]

        city.live(main)

    def test_what_was_spent_is_listed_by_account(self) -> None:
        city = City()

        async def main() -> None:
            await ordered(city.hub())
            hub = city.hub(OTHER)
            await ordered(hub)
            lines = await hub.spend(UTC, None)
            assert [(line.provider, line.jobs, line.amount) for line in lines] == [
                ("omo", 1, Decimal("0.001")),
                ("omo", 1, Decimal("0.001")),
            ]
            assert [line.account for line in lines] == [entry.account for entry in await jobs(hub)]

        city.live(main)


class TestTheList:
    def test_says_which_jobs_are_of_another_account_and_where_that_is(self) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub())
            hub = city.hub(OTHER, names=["mine"])
            await solved(hub)
            theirs, own = await jobs(hub)
            assert (theirs.provider, theirs.configured_as) == ("omo", None)
            assert (own.provider, own.configured_as) == ("mine", "mine")
            assert theirs.is_of_other_account
            assert not own.is_of_other_account
            assert theirs.account != own.account
            assert (theirs.plugin, theirs.address) == ("omocaptcha", "https://omocaptcha.com")
            assert "t0ken" not in repr([theirs, own])

        city.live(main)

    def test_has_what_is_called_otherwise_here_by_both_names(self) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub())
            (entry,) = await jobs(city.hub(names=["mine", "spare"]))
            assert (entry.provider, entry.configured_as) == ("omo", "mine")

        city.live(main)


class TestATokenOfAJob:
    def test_of_another_account_is_refused_and_the_job_is_left_alone(self) -> None:
        city, trail = City(), Progress()

        async def main() -> None:
            await left_behind(city.hub(), trail)
            other = city.hub(OTHER)
            with pytest.raises(
                ConfigError, match=r"job .* is of another account than 'omo' is here"
            ) as caught:
                await other.attach(str(trail.token), None, Progress())
            assert TOKEN not in str(caught.value)
            assert await states(other) == [("omo", JobState.CREATED)]
            result = await city.hub().attach(str(trail.token), None, Progress())
            assert result.solution == X7KP2

        city.live(main)

    def test_is_refused_on_another_machine_as_well(self) -> None:
        city, trail = City(), Progress()

        async def main() -> None:
            await left_behind(city.hub(), trail)
            city.book = Shared()
            with pytest.raises(ConfigError, match="of another account"):
                await city.hub(OTHER).attach(str(trail.token), None, Progress())
            assert (await city.hub().attach(str(trail.token), None, Progress())).solution == X7KP2

        city.live(main)

    def test_finds_its_account_whatever_that_is_called(self) -> None:
        city, trail = City(), Progress()

        async def main() -> None:
            await left_behind(city.hub(), trail)
            result = await city.hub(names=["mine"]).attach(str(trail.token), None, Progress())
            assert (result.solution, result.provider) == (X7KP2, "mine")
            assert city.book.states() == ["solved"]

        city.live(main)

    def test_of_before_accounts_goes_by_the_name_of_its_provider(self) -> None:
        city, trail = City(), Progress()

        async def main() -> None:
            await left_behind(city.hub(), trail)
            fields = json.loads(str(trail.token))
            del fields["account"]
            assert (await city.hub().attach(json.dumps(fields), None, Progress())).solution == X7KP2

        city.live(main)


class TestAReport:
    def test_of_what_the_same_account_answered_under_another_name_goes_to_it(self) -> None:
        city = City()

        async def main() -> None:
            await solved(city.hub())
            hub = city.hub(names=["mine"], top={"cache": "1h"})
            result = await solved(hub)
            assert (result.is_shared, result.provider) == (True, "mine")
            with pytest.raises(NotOffered, match="report"):
                await hub.report(result, correct=False)
            assert not (await solved(hub)).is_shared

        city.live(main)

    def test_of_an_answer_that_another_account_gave_is_not_sent(self) -> None:
        city = City()

        async def main() -> None:
            hub = city.hub()
            result = await solved(hub)
            await hub.reload(city.settings(OTHER), INSTALLED)
            for correct in (True, False):
                with pytest.raises(NotOffered, match="another account"):
                    await hub.report(result, correct=correct)

        city.live(main)

    def test_of_a_wrong_answer_leaves_that_of_another_account_in_the_cache(self) -> None:
        """Two services can give their jobs the same number."""
        city = City()

        async def main() -> None:
            result = await solved(city.hub())
            await city.book.write(lambda one: one.execute("UPDATE jobs SET job_id = '7'"))
            other = city.hub(OTHER)
            await solved(other)
            await city.book.write(lambda one: one.execute("UPDATE jobs SET job_id = '7'"))
            with pytest.raises((NotOffered, ProviderError)):
                await other.report(attrs.evolve(result, job_id=7), correct=False)
            shared = await city.book.write(
                lambda one: list(one.execute("SELECT is_shared FROM jobs ORDER BY id"))
            )
            assert shared == [(1,), (0,)]

        city.live(main)


class TestAReload:
    def test_with_another_token_leaves_the_old_jobs_to_the_old_account(self) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub())
            hub = city.hub()
            await hub.reload(city.settings(OTHER), INSTALLED)
            assert await resumed(hub) == []
            await solved(hub)
            assert city.paid == [TOKEN, OTHER]
            await hub.reload(city.settings(), INSTALLED)
            assert told(await resumed(hub)) == [X7KP2]

        city.live(main)

    @pytest.mark.parametrize("turns", range(12))
    def test_while_jobs_are_claimed_asks_no_other_account_for_them(self, turns: int) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub())
            hub = city.hub()
            collecting = asyncio.ensure_future(resumed(hub))
            # It is claimed by now, and not asked for.
            for _ in range(turns):
                await asyncio.sleep(0)
            await hub.reload(city.settings(OTHER), INSTALLED)
            await collecting
            assert "expired" not in city.book.states()
            await hub.reload(city.settings(), INSTALLED)
            await resumed(hub)
            assert city.book.states() == ["solved"]

        city.live(main)


class TestAnAccountWithAName:
    """``journal_account`` names it, so that a new token is the same account."""

    def test_keeps_its_jobs_and_budget_when_its_token_changes(self) -> None:
        city = City(journal_account="me@example.com", budget={"limit": 0.001, "per": "total"})

        async def main() -> None:
            await left_behind(city.hub())
            city.service.world.accounts[OTHER] = city.service.world.accounts[TOKEN]
            renewed = city.hub(OTHER)
            assert told(await resumed(renewed)) == [X7KP2]
            with pytest.raises(AllProvidersFailed):
                await ordered(renewed)

        city.live(main)

    def test_has_the_jobs_that_its_token_had_before_it_was_named(self) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub())
            await city.hub(journal_account="me@example.com").jobs(None, 1)
            city.service.world.accounts[OTHER] = city.service.world.accounts[TOKEN]
            assert told(await resumed(city.hub(OTHER, journal_account="me@example.com"))) == [X7KP2]

        city.live(main)

    def test_has_the_jobs_that_its_new_token_had_before_it_was_named(self) -> None:
        city = City()

        async def main() -> None:
            await city.hub(journal_account="me@example.com").jobs(None, 1)
            await left_behind(city.hub(OTHER))
            assert told(await resumed(city.hub(OTHER, journal_account="me@example.com"))) == [X7KP2]

        city.live(main)

    def test_is_another_account_than_one_of_another_name(self) -> None:
        city = City()

        async def main() -> None:
            await left_behind(city.hub(journal_account="me@example.com"))
            assert await resumed(city.hub(OTHER, journal_account="you@example.com")) == []

        city.live(main)

    def test_is_known_by_its_token_if_it_has_no_name(self) -> None:
        city, trail = City(), Progress()

        async def main() -> None:
            await left_behind(city.hub(journal_account="me@example.com"), trail)
            assert (await city.hub().attach(str(trail.token), None, Progress())).solution == X7KP2

        city.live(main)


class TestJobsOfOlderVersions:
    """Jobs that a version without accounts wrote: they are found by the name of the provider."""

    def of_before(self, city: City, *, provider: str = "omo", days: float = 0.0) -> Callable[[Any], None]:
        def write(connection: Connection) -> None:
            at = MORNING - days * 86_400
            price = Decimal("0.001")
            order = NewJob(
                "s1", provider, TASK.kind, TASK.fingerprint, {}, price, "configuration", None, is_shared=True
            )
            heartbeat(connection, "dead", MORNING - 1)
            job = next(iter(city.service.world.jobs), 7)
            entry = reserve(connection, order, [], owner="dead", now=at)
            mark_created(connection, entry, job, owner="dead", now=at)

        return write

    async def moved(self, city: City) -> None:
        """Create a job, and write it down as the version before would have."""
        await left_behind(city.hub())
        await city.book.write(lambda one: one.execute("DELETE FROM jobs"))
        await city.book.write(lambda one: one.execute("DELETE FROM ledger"))
        await city.book.write(self.of_before(city))

    def test_are_collected_by_any_hub_with_a_provider_of_that_name(self) -> None:
        city = City()

        async def main() -> None:
            await self.moved(city)
            (entry,) = await jobs(city.hub())
            assert (entry.account, entry.configured_as, entry.is_of_other_account) == (None, "omo", False)
            assert told(await resumed(city.hub())) == [X7KP2]

        city.live(main)

    def test_are_left_alone_by_a_hub_without_such_a_provider(self) -> None:
        city = City()

        async def main() -> None:
            await self.moved(city)
            hub = city.hub(names=["mine"])
            for _ in range(2):
                (collected,) = await resumed(hub)
                assert isinstance(collected.error, NotAsked)
                assert "is at omo, which is not configured here (mine)" in str(collected.error)
            assert told(await resumed(city.hub())) == [X7KP2]

        city.live(main)

    def test_are_not_lost_if_that_is_another_account(self) -> None:
        city = City()

        async def main() -> None:
            await self.moved(city)
            assert told(await resumed(city.hub(OTHER))) == [JobUnknown]
            assert city.book.states() == ["created"]
            assert told(await resumed(city.hub())) == [X7KP2]

        city.live(main)

    def test_are_expired_if_they_are_unknown_after_a_day(self) -> None:
        city = City()

        async def main() -> None:
            city.hub()
            await city.book.write(self.of_before(city, days=1.1))
            assert told(await resumed(city.hub())) == [JobUnknown]
            assert city.book.states() == ["expired"]

        city.live(main)

    def test_are_taken_over_by_an_equal_task_and_left_if_they_are_unknown(self) -> None:
        city = City()

        async def main() -> None:
            await self.moved(city)
            assert (await solved(city.hub(OTHER))).solution == X7KP2
            assert city.book.states() == ["created", "solved"]
            assert told(await resumed(city.hub())) == [X7KP2]

        city.live(main)

    @pytest.mark.parametrize("whose", ["provider", "hub"])
    def test_count_for_the_budgets_of_all_who_may_have_paid_them(self, whose: str) -> None:
        city, top = with_budget(whose)

        async def main() -> None:
            await self.moved(city)
            await city.book.write(lambda one: one.execute("UPDATE jobs SET is_shared = 0"))
            for token in (TOKEN, OTHER):
                with pytest.raises(AllProvidersFailed) as caught:
                    await solved(city.hub(token, top=top))
                assert [type(one) for one in caught.value.exceptions] == [BudgetExceeded]

        city.live(main)


class TestForgetting:
    def test_what_is_old_leaves_the_answers_of_another_account(self) -> None:
        city = City()

        async def main() -> None:
            first = city.hub()
            await cancelled(first, after=5)
            await asyncio.sleep(100)
            await first.aclose()
            short = {"journal": {"keep": "0s"}}
            await solved(city.hub(OTHER, top=short))
            assert city.book.states() == ["solved", "solved"]
            assert told(await resumed(city.hub())) == [X7KP2]

        city.live(main)


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
