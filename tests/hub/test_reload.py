"""A hub that reads its configuration again while jobs are open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from captchahub import (
    AllProvidersFailed,
    AuthenticationError,
    BudgetExceeded,
    ConfigError,
    Hub,
    JobState,
    ProviderState,
)
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._plugins.manager import Plugins
from captchahub.events import CooledDown, Event, Recovered
from captchahub.hookspecs import hookimpl
from captchahub.testing import Hang, Mishap, Sandbox, json_reply
from tests.journal.test_journal import Shared, cancelled, states
from tests.quick_omo import QuickOmo
from tests.virtual_services import (
    INSTALLED,
    TASK,
    Service,
    account_at,
    broken,
    in_turn,
    run_with_services,
    unreachable,
)

BAD_TOKEN = Mishap(json_reply({"error": True, "message": "Invalid api token."}))


async def reload(engine: Engine, *names: str, plugins: Sequence[object] = (), **own: object) -> None:
    """Write a configuration of providers with these names, each with these keys."""
    accounts = {name: {"plugin": "omocaptcha", **account_at(name), **own} for name in names}
    route = {"routes": {"image-to-text": list(names)}}
    known = Plugins(plugins) if plugins else INSTALLED
    await engine.reload(read_mapping({"providers": accounts, **route}, known), known)


def solving(engine: Engine) -> asyncio.Task[Any]:
    return asyncio.ensure_future(engine.solve(TASK, None))


def test_open_solves_keep_the_old_configuration_and_later_ones_use_the_new() -> None:
    services = {"old": Service(seconds=lambda: 30.0), "new": Service()}

    async def main(engine: Engine) -> None:
        await reload(engine, "old")
        first = solving(engine)
        await asyncio.sleep(5)
        await reload(engine, "new")
        assert (await engine.solve(TASK, None)).provider == "new"
        assert not services["old"].transport.is_closed
        assert (await first).provider == "old"
        await asyncio.sleep(0)
        assert services["old"].transport.is_closed

    run_with_services(services, main)


def test_a_solve_whose_equal_failed_uses_the_new_configuration() -> None:
    """The accounts of the old one are closed by then: nothing may be created there any more."""

    services = {"old": Service(seconds=lambda: 5.0, answer=None), "new": Service()}

    async def main(engine: Engine) -> None:
        await reload(engine, "old")
        leader, follower = (asyncio.ensure_future(engine.solve(TASK, 60.0, share=True)) for _ in range(2))
        await asyncio.sleep(1)
        await reload(engine, "new")
        with pytest.raises(AllProvidersFailed):
            await leader
        assert (await follower).provider == "new"

    run_with_services(services, main)
    assert [services[name].jobs for name in ("old", "new")] == [1, 1]


def test_an_open_solve_can_still_fall_back_to_a_removed_provider() -> None:
    services = {"slow": Service(seconds=lambda: 500.0), "second": Service(), "new": Service()}

    async def main(engine: Engine) -> None:
        await reload(engine, "slow", "second", timeout="20s")
        first = solving(engine)
        await asyncio.sleep(5)
        await reload(engine, "new")
        await asyncio.sleep(5)
        assert (await first).provider == "second"
        await asyncio.sleep(1)
        assert services["second"].transport.is_closed

    run_with_services(services, main)


def test_an_abandoned_job_is_collected_from_a_removed_provider() -> None:
    services = {"old": Service(seconds=lambda: 30.0), "new": Service()}

    async def main(engine: Engine) -> None:
        await reload(engine, "old")
        await cancelled(engine, after=5)
        await reload(engine, "new")
        await asyncio.sleep(60)
        assert await states(engine) == [("old", JobState.SOLVED)]
        assert services["old"].transport.is_closed

    run_with_services(services, main)


def test_closing_the_hub_closes_removed_providers_too() -> None:
    services = {"old": Service(seconds=lambda: 30.0), "new": Service()}

    async def main(engine: Engine) -> None:
        await reload(engine, "old")
        first = solving(engine)
        await asyncio.sleep(5)
        await reload(engine, "new")
        await engine.aclose()
        assert services["old"].transport.is_closed
        await asyncio.wait([first])

    run_with_services(services, main)


class TestAProvider:
    def test_with_the_same_keys_keeps_its_connections(self) -> None:
        services = {"omo": Service(), "new": Service()}

        async def main(engine: Engine) -> None:
            await reload(engine, "omo")
            before = services["omo"].transport
            await reload(engine, "new", "omo")
            assert services["omo"].transport is before
            assert not before.is_closed

        run_with_services(services, main)

    def test_with_other_limits_keeps_its_health(self) -> None:
        services = {"omo": Service(mishap=unreachable)}

        async def main(engine: Engine) -> None:
            await reload(engine, "omo", health={"failures": 1, "cooldown": "1h"})
            with pytest.raises(AllProvidersFailed):
                await engine.solve(TASK, 10)
            await reload(engine, "omo", timeout="20s")
            assert (await engine.health())["omo"].state is ProviderState.COOLING

        run_with_services(services, main)

    def test_with_another_token_starts_fresh(self) -> None:
        services = {"omo": Service(mishap=lambda call: BAD_TOKEN if call == "createJob" else None)}

        async def main(engine: Engine) -> None:
            await reload(engine, "omo", api_token="wr0ng-one")
            with pytest.raises(AllProvidersFailed) as caught:
                await engine.solve(TASK, 10)
            assert isinstance(caught.value.exceptions[0], AuthenticationError)
            assert (await engine.health())["omo"].state is ProviderState.OUT
            await reload(engine, "omo")
            assert (await engine.health())["omo"].state is ProviderState.HEALTHY

        run_with_services(services, main)


class Listening:
    """An observer that keeps the events about the health of providers."""

    def __init__(self) -> None:
        self.told: list[type[Event]] = []

    @hookimpl
    def captchahub_observe(self, event: Event) -> None:
        if isinstance(event, (CooledDown, Recovered)):
            self.told.append(type(event))


class TestHealthOverAReload:
    """A provider with other limits keeps its admission state, so that open jobs count there."""

    def test_an_open_probe_still_counts(self) -> None:
        services = {"omo": Service(seconds=in_turn(1e6, 10.0))}
        health = {"failures": 1, "cooldown": "30s"}

        async def main(engine: Engine) -> None:
            await reload(engine, "omo", health=health, timeout="4s")
            with pytest.raises(AllProvidersFailed):
                await engine.solve(TASK, 5)
            await reload(engine, "omo", health=health)
            await asyncio.sleep(40)
            probe = solving(engine)
            await asyncio.sleep(5)
            assert (await engine.health())["omo"].state is ProviderState.HALF_OPEN
            await reload(engine, "omo", health=health, timeout="60s")
            await probe
            assert (await engine.health())["omo"].state is ProviderState.HEALTHY

        run_with_services(services, main)

    def test_open_jobs_keep_their_slots(self) -> None:
        services = {"omo": Service(seconds=lambda: 20.0)}

        async def main(engine: Engine) -> None:
            await reload(engine, "omo", max_in_flight=2)
            first = [solving(engine) for _ in range(2)]
            await asyncio.sleep(5)
            await reload(engine, "omo", max_in_flight=1)
            third = solving(engine)
            await asyncio.sleep(10)
            assert services["omo"].jobs == 2
            await asyncio.wait(first)
            await third
            fourth, fifth = solving(engine), solving(engine)
            await asyncio.sleep(5)
            assert services["omo"].jobs == 4
            await reload(engine, "omo", max_in_flight=3)
            await asyncio.sleep(1)
            assert services["omo"].jobs == 5
            await asyncio.wait([fourth, fifth])

        run_with_services(services, main)

    def test_earlier_creates_count_for_the_rate(self) -> None:
        services = {"omo": Service()}

        async def main(engine: Engine) -> None:
            await reload(engine, "omo", rate="1/minute")
            await engine.solve(TASK, None)
            await reload(engine, "omo", rate="1/hour")
            with pytest.raises(AllProvidersFailed):
                await engine.solve(TASK, None)
            assert services["omo"].jobs == 1

        run_with_services(services, main)

    def test_one_that_was_out_and_has_another_account_now_is_reported_as_recovered(self) -> None:
        ear, services = (
            Listening(),
            {"omo": Service(mishap=lambda call: BAD_TOKEN if call == "createJob" else None)},
        )

        async def main(engine: Engine) -> None:
            await reload(engine, "omo", plugins=[ear], api_token="wr0ng-one")
            with pytest.raises(AllProvidersFailed):
                await engine.solve(TASK, 10)
            await reload(engine, "omo", plugins=[ear])

        run_with_services(services, main)
        assert ear.told == [CooledDown, Recovered]

    def test_an_attempt_that_ends_at_a_removed_account_does_not_change_the_new_one(self) -> None:
        ear, services = Listening(), {"omo": Service(seconds=lambda: 500.0)}
        quick: dict[str, Any] = {
            "plugins": [ear],
            "timeout": "10s",
            "health": {"failures": 1, "cooldown": "1h"},
        }

        async def main(engine: Engine) -> None:
            await reload(engine, "omo", **quick, api_token="an0ther-one")
            services["omo"].world.add_account("an0ther-one", "10")
            first = solving(engine)
            await asyncio.sleep(5)
            await reload(engine, "omo", **quick)
            await asyncio.wait([first])
            assert (await engine.health())["omo"].state is ProviderState.HEALTHY

        run_with_services(services, main)
        assert ear.told == []


def test_a_new_budget_counts_what_was_spent_before() -> None:
    services = {"omo": Service()}

    async def main(engine: Engine) -> None:
        await reload(engine, "omo", prices={"image-to-text": 0.01})
        await engine.solve(TASK, None)
        await reload(engine, "omo", prices={"image-to-text": 0.01}, budget={"limit": 0.015, "per": "day"})
        with pytest.raises(AllProvidersFailed) as caught:
            await engine.solve(TASK, 10)
        (error,) = caught.value.exceptions
        assert isinstance(error, BudgetExceeded)
        assert error.spent == Decimal("0.01")

    run_with_services(services, main)


def test_a_changed_provider_reads_its_price_list_again() -> None:
    silent = Mishap(Hang())
    services = {"omo": Service(mishap=broken(silent, on="getService"))}

    async def main(engine: Engine) -> None:
        await reload(engine, "omo", budget={"limit": 1, "per": "day"})
        first = solving(engine)
        await asyncio.sleep(1)
        await reload(engine, "omo", budget={"limit": 2, "per": "day"})
        assert (await engine.solve(TASK, None)).provider == "omo"
        await asyncio.wait([first])

    run_with_services(services, main)


def test_a_job_resumed_meanwhile_is_polled_at_the_new_provider() -> None:
    services, book = {"omo": Service(seconds=lambda: 10.0)}, Shared()

    async def begin(engine: Engine) -> None:
        await asyncio.gather(*(cancelled(engine, after=5) for _ in range(2)))

    async def main(engine: Engine) -> None:
        async with aclosing(engine.resume(1)) as collecting:
            await anext(collecting)
            await reload(engine, "omo", timeout="50s")
            await anext(collecting)
            assert services["omo"].transport.calls_to("getJobResult")

    run_with_services(services, begin, journal=book)
    run_with_services(services, main, journal=book)
    assert book.states() == ["solved", "solved"]


def test_the_plugins_are_those_of_the_new_file() -> None:
    class Strict:
        @hookimpl
        def captchahub_check_solution(self) -> str | None:
            return "nothing is good enough"

    services = {"omo": Service()}

    async def main(engine: Engine) -> None:
        with pytest.raises(AllProvidersFailed):
            await engine.solve(TASK, None)
        await reload(engine, "omo")
        await engine.solve(TASK, None)

    run_with_services(services, main, plugins=(Strict(),))


class TestAFile:
    @pytest.fixture
    def path(self, tmp_path: Path, sandbox: Sandbox) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(self.text(sandbox))
        return path

    def text(self, sandbox: Sandbox, name: str = "omo", rest: str = "") -> str:
        keys = "".join(f"    {key}: {value}\n" for key, value in sandbox.settings(balance="1000").items())
        return f"providers:\n  {name}:\n    plugin: omocaptcha\n{keys}{rest}"

    def test_is_read_from_the_path_that_the_hub_was_created_from(
        self, path: Path, sandbox: Sandbox, quick: QuickOmo
    ) -> None:
        with Hub.from_yaml(path, plugins=[quick]) as hub:
            assert hub.solve(sandbox.draw_text("x7kp2").task()).provider == "omo"
            path.write_text(self.text(sandbox, "another"))
            hub.reload()
            assert hub.solve(sandbox.draw_text("x7kp2").task()).provider == "another"

    @pytest.mark.parametrize(
        ("rest", "said"),
        [
            ("timeout: soon\n", "config.yaml:7: timeout"),
            ("journal: other.db\n", "journal: it is in memory while this hub lives, and can't become"),
            ("routes:\n  phone-slide: [nobody]\n", "nobody"),
        ],
    )
    def test_with_a_mistake_changes_nothing(
        self, path: Path, sandbox: Sandbox, quick: QuickOmo, rest: str, said: str
    ) -> None:
        with Hub.from_yaml(path, plugins=[quick]) as hub:
            path.write_text(self.text(sandbox, "another", rest))
            with pytest.raises(ConfigError) as caught:
                hub.reload()
            assert said in str(caught.value)
            assert hub.solve(sandbox.draw_text("x7kp2").task()).provider == "omo"

    def test_is_the_same_in_any_later_working_directory(
        self, path: Path, sandbox: Sandbox, quick: QuickOmo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(path.parent)
        with Hub.from_yaml("config.yaml", plugins=[quick]) as hub:
            monkeypatch.chdir("/")
            path.write_text(self.text(sandbox, "another"))
            hub.reload()
            assert hub.solve(sandbox.draw_text("x7kp2").task()).provider == "another"

    def test_has_the_same_journal_in_any_later_working_directory(
        self, path: Path, sandbox: Sandbox, quick: QuickOmo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(path.parent)
        path.write_text(self.text(sandbox, "omo", "journal: jobs.db\n"))
        with Hub.from_yaml("config.yaml", plugins=[quick]) as hub:
            monkeypatch.chdir("/")
            path.write_text(self.text(sandbox, "another", "journal: jobs.db\n"))
            hub.reload()
            assert hub.solve(sandbox.draw_text("x7kp2").task()).provider == "another"

    def test_exists_only_for_hubs_created_from_a_file(self, sandbox: Sandbox) -> None:
        mapping = {"providers": {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}}
        with Hub.from_mapping(mapping) as hub, pytest.raises(RuntimeError, match="not by from_yaml"):
            hub.reload()
