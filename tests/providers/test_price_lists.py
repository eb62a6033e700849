"""What becomes of an order that needs a price which only the service's list can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import attrs
import pytest

from captchahub import (
    AuthenticationError,
    ConfigError,
    InsufficientBalance,
    MalformedReply,
    NotOffered,
    ProviderError,
    ProviderState,
    RateLimited,
    Result,
    ServiceBusy,
    ServiceUnavailable,
    TemporarilyBlocked,
    TextSolution,
)
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._plugins.manager import Plugins
from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind, Request
from captchahub.testing import Mishap, ScriptedTransport, Slow, json_reply, run_virtual
from tests.custom_providers import CompleteProvider, empty_reply
from tests.virtual_services import NOT_SENT, TASK, TOKEN, Service, broken, run_with_services

BAD_TOKEN_LIST = Mishap(json_reply({"error": True, "message": "Invalid api token."}))


class TestAPriceListThatCannotBeRead:
    """It keeps the order from being sent, where there is a budget: that is no fault of the configuration."""

    BUDGET: Mapping[str, object] = {"budget": {"limit": 1, "per": "day"}}

    def services(self, mishap: Callable[[str], Mishap | None]) -> dict[str, Service]:
        return {"omo": Service(mishap=mishap, settings=self.BUDGET), "other": Service()}

    @pytest.mark.parametrize(
        ("mishap", "error", "is_out"),
        [
            (BAD_TOKEN_LIST, AuthenticationError, True),
            (Mishap(json_reply({}, 402)), InsufficientBalance, True),
            (Mishap(json_reply({}, 429)), RateLimited, False),
            (Mishap(json_reply({}, 502)), ServiceUnavailable, False),
            (NOT_SENT, ServiceUnavailable, False),
            (Mishap(json_reply([])), MalformedReply, False),
        ],
        ids=["token", "no money", "busy", "502", "dead port", "no list"],
    )
    def test_is_told_as_what_it_is_and_the_next_provider_is_asked(
        self, mishap: Mishap, error: type[ProviderError], is_out: bool
    ) -> None:
        services = self.services(lambda call: mishap if call == "getService" else None)

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, None)
            assert result.provider == "other"
            (failed, _) = result.attempts
            assert (failed.provider, failed.cost) == ("omo", Decimal(0))
            assert type(failed.error) is error
            assert "asked for its prices" in str(failed.error)
            assert failed.error is not None
            assert isinstance(failed.error.__cause__, error)
            assert ((await engine.health())["omo"].state is ProviderState.OUT) == is_out

        run_with_services(services, main)
        assert services["omo"].orders == []

    @pytest.mark.parametrize(
        ("mishap", "error"),
        [
            (Mishap(ServiceBusy("no free worker", retry_after=7)), ServiceBusy),
            (Mishap(TemporarilyBlocked("blocked", retry_after=7)), TemporarilyBlocked),
        ],
        ids=["busy", "blocked"],
    )
    def test_gives_the_advice_of_its_error(self, mishap: Mishap, error: type[ProviderError]) -> None:
        services = self.services(lambda call: mishap if call == "getService" else None)
        (failed, _) = run_with_services(services, lambda engine: engine.solve(TASK, None)).attempts
        assert failed.error is not None
        assert type(failed.error) is error
        assert failed.error.advice == error.advice
        assert getattr(failed.error, "retry_after", None) == 7
        assert "asked for its prices" in str(failed.error)

    def test_counts_to_a_cooldown(self) -> None:
        services = self.services(lambda call: NOT_SENT if call == "getService" else None)

        async def main(engine: Engine) -> None:
            for _ in range(5):
                await engine.solve(TASK, None)
            assert (await engine.health())["omo"].state is ProviderState.COOLING

        run_with_services(services, main)

    @pytest.mark.parametrize("failures", [1, 2, 3])
    def test_is_asked_for_again_after_a_pause(self, failures: int) -> None:
        services = {"omo": Service(settings=self.BUDGET)}
        broken_list = broken(*[Mishap(json_reply({}, 502))] * failures, on="getService")
        services["omo"].mishap = broken_list

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, 60)
            assert (result.solution.text, result.cost) == ("x7kp2", Decimal("0.00055"))
            assert result.elapsed < 20

        run_with_services(services, main)
        assert services["omo"].jobs == 1

    def test_does_not_last_for_other_solves(self) -> None:
        services = self.services(broken(Mishap(json_reply({}, 502)), on="getService"))

        async def main(engine: Engine) -> None:
            assert (await engine.solve(TASK, None)).provider == "other"
            assert (await engine.solve(TASK, None)).provider == "omo"

        run_with_services(services, main)

    def test_is_read_once_for_all_who_wait_for_it(self) -> None:
        services = self.services(
            lambda call: Mishap(Slow(3, json_reply({}, 502))) if call == "getService" else None
        )

        async def main(engine: Engine) -> None:
            results = await asyncio.gather(*(engine.solve(TASK, None) for _ in range(4)))
            assert {result.provider for result in results} == {"other"}

        run_with_services(services, main)
        assert len(services["omo"].transport.calls_to("getService")) == 1

    def test_shows_no_token(self) -> None:
        told = Mishap(json_reply({"message": f"no such token {TOKEN}"}, 400))
        services = self.services(lambda call: told if call == "getService" else None)
        result = run_with_services(services, lambda engine: engine.solve(TASK, None))
        assert "no such token ***" in str(result.attempts[0])
        assert TOKEN not in repr(result)


@attrs.frozen
class NoSettings:
    """Nothing to set."""


class Free(CompleteProvider):
    """A service that tells no prices, for it has none."""

    def ask_services(self) -> Request:
        raise NotOffered("no prices")


class FreePlugin:
    def __init__(self, *, is_free: bool) -> None:
        self.is_free = is_free

    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[NoSettings]]:
        return [ProviderKind("free", NoSettings, lambda _: Free(), is_free=self.is_free)]


class TestAKindThatIsFreeOfCharge:
    BUDGETS = ({"limit": 0, "per": "day"}, {"limit": 1, "per": "day"})

    def solved(self, *, own: Mapping[str, object], is_free: bool = True) -> Result[TextSolution]:
        plugins = Plugins((FreePlugin(is_free=is_free),))
        mapping = {"providers": {"own": {"plugin": "free", **own}}, "budget": self.BUDGETS[1]}

        async def run() -> Result[TextSolution]:
            engine = Engine(
                read_mapping(mapping, plugins),
                plugins=plugins,
                connect=lambda _: ScriptedTransport(empty_reply),
            )
            result = await engine.solve(TASK, None)
            await engine.aclose()
            return result

        return run_virtual(run())

    @pytest.mark.parametrize("budget", BUDGETS)
    def test_fits_into_every_budget(self, budget: Mapping[str, object]) -> None:
        assert self.solved(own={"budget": budget}).cost == 0

    def test_costs_what_the_configuration_says(self) -> None:
        assert self.solved(own={"prices": {"image-to-text": 0.25}}).cost == Decimal("0.25")

    def test_is_one_that_says_so(self) -> None:
        with pytest.raises(ConfigError, match="the price of image-to-text there is unknown"):
            self.solved(own={}, is_free=False)
