"""The gauges of whole hubs, which solve against the sandbox over HTTP."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from captchahub_prometheus import Prometheus
from prometheus_client import CollectorRegistry, generate_latest

from captchahub import AllProvidersFailed, AsyncHub, Hub, ProviderState
from captchahub.testing import Fault, Sandbox, load_emulation


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A service whose jobs end when the test says so."""
    with Sandbox(load_emulation("omocaptcha"), job_time=1000) as running:
        yield running


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def configuration(sandbox: Sandbox, *names: str, **keys: object) -> dict[str, object]:
    return {"providers": {name: {"plugin": "omocaptcha", **sandbox.settings(name), **keys} for name in names}}


def hub_of(registry: CollectorRegistry, mapping: Mapping[str, object]) -> Hub:
    return Hub.from_mapping(mapping, plugins=[Prometheus(registry)])


def of(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"captchahub_{name}", labels)


def states(registry: CollectorRegistry, provider: str) -> list[str]:
    """The states whose gauge is 1."""
    return [
        state.value
        for state in ProviderState
        if of(registry, "provider_state", provider=provider, state=state.value) == 1
    ]


class TestFromTheStart:
    def test_a_hub_that_has_done_nothing_shows_its_providers(
        self, registry: CollectorRegistry, sandbox: Sandbox
    ) -> None:
        with hub_of(registry, configuration(sandbox, "omo", "spare")):
            for name in ("omo", "spare"):
                assert states(registry, name) == ["healthy"]
                assert of(registry, "jobs_in_flight", provider=name) == 0
                assert math.isnan(of(registry, "balance", provider=name) or 0.0)
        assert sandbox.calls == []

    def test_so_does_an_async_hub(self, registry: CollectorRegistry, sandbox: Sandbox) -> None:
        hub = AsyncHub.from_mapping(configuration(sandbox, "omo"), plugins=[Prometheus(registry)])
        assert states(registry, "omo") == ["healthy"]
        assert hub is not None

    def test_a_provider_whose_plugin_is_missing_is_out(
        self, registry: CollectorRegistry, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CAPTCHAHUB_BLOCK_PLUGINS", "omocaptcha")
        with hub_of(registry, configuration(sandbox, "omo")):
            assert states(registry, "omo") == ["out"]


class TestNow:
    def test_jobs_in_flight_are_counted(self, registry: CollectorRegistry, sandbox: Sandbox) -> None:
        with hub_of(registry, configuration(sandbox, "omo")) as hub:
            tickets = [hub.submit(sandbox.draw_text().task()) for _ in range(3)]
            sandbox.wait_for_jobs(3)
            assert of(registry, "jobs_in_flight", provider="omo") == 3
            sandbox.finish_jobs()
            for ticket in tickets:
                ticket.result(30)
            assert of(registry, "jobs_in_flight", provider="omo") == 0

    def test_a_cancelled_solve_is_not_in_flight(self, registry: CollectorRegistry, sandbox: Sandbox) -> None:
        with hub_of(registry, configuration(sandbox, "omo")) as hub:
            ticket = hub.submit(sandbox.draw_text().task())
            sandbox.wait_for_jobs()
            ticket.cancel()
            hub.health()  # comes after the end of the solve
        assert of(registry, "jobs_in_flight", provider="omo") == 0

    def test_those_of_two_hubs_are_added_up(self, registry: CollectorRegistry, sandbox: Sandbox) -> None:
        mapping = configuration(sandbox, "omo")
        with hub_of(registry, mapping) as first, hub_of(registry, mapping) as second:
            for hub in (first, second):
                hub.submit(sandbox.draw_text().task())
            sandbox.wait_for_jobs(2)
            assert of(registry, "jobs_in_flight", provider="omo") == 2

    def test_the_balance_is_the_last_that_was_read(
        self, registry: CollectorRegistry, sandbox: Sandbox
    ) -> None:
        with hub_of(registry, configuration(sandbox, "omo")) as hub:
            hub.balances()
            assert of(registry, "balance", provider="omo") == 10
            sandbox.stop()
            hub.balances()
            assert of(registry, "balance", provider="omo") == 10

    def test_what_is_left_of_the_budgets_is_the_last_that_was_read(
        self, registry: CollectorRegistry, sandbox: Sandbox
    ) -> None:
        daily: dict[str, object] = {
            "budget": {"limit": "1", "per": "day"},
            "currency": "USD",
            "prices": {"image-to-text": "0.25"},
        }
        mapping = {**configuration(sandbox, "omo", **daily), "budget": {"limit": "5", "per": "month"}}
        with hub_of(registry, mapping) as hub:
            for name in ("omo", ""):
                assert math.isnan(of(registry, "budget_left", provider=name) or 0.0)
            hub.submit(sandbox.draw_text().task())
            sandbox.wait_for_jobs()
            hub.budgets()
            assert of(registry, "budget_left", provider="omo") == 0.75
            assert of(registry, "budget_left", provider="") == 4.75

    def test_the_state_is_that_of_the_circuit_breaker(
        self, registry: CollectorRegistry, sandbox: Sandbox
    ) -> None:
        mapping = configuration(sandbox, "omo", health={"failures": 1, "cooldown": "1h"})
        with hub_of(registry, mapping) as hub:
            sandbox.add_faults(Fault.status(502, on="createJob"))
            with pytest.raises(AllProvidersFailed):
                hub.solve(sandbox.draw_text().task())
            assert states(registry, "omo") == ["cooling"]
            hub.revive("omo")
            assert states(registry, "omo") == ["healthy"]

    def test_a_reload_adds_and_removes_providers(
        self, registry: CollectorRegistry, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "config.yaml"
        limited: dict[str, object] = {"budget": {"limit": 1, "per": "day"}, "currency": "USD"}
        path.write_text(yaml.safe_dump(configuration(sandbox, "omo", **limited)))
        with Hub.from_yaml(path, plugins=[Prometheus(registry)]) as hub:
            assert math.isnan(of(registry, "budget_left", provider="omo") or 0.0)
            path.write_text(yaml.safe_dump(configuration(sandbox, "spare")))
            hub.reload()
            assert of(registry, "budget_left", provider="omo") is None
            assert (states(registry, "omo"), states(registry, "spare")) == ([], ["healthy"])
            assert of(registry, "jobs_in_flight", provider="omo") is None


def test_a_hub_that_is_forgotten_is_freed_and_not_shown(
    registry: CollectorRegistry, sandbox: Sandbox
) -> None:
    hub_of(registry, configuration(sandbox, "omo")).close()
    gc.collect()
    assert 'provider="omo"' not in generate_latest(registry).decode()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_count_the_jobs_of_its_parent(
    registry: CollectorRegistry, sandbox: Sandbox
) -> None:
    with hub_of(registry, configuration(sandbox, "omo")) as hub:
        hub.submit(sandbox.draw_text().task())
        sandbox.wait_for_jobs()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                before = of(registry, "jobs_in_flight", provider="omo")
                hub.health()
                code = 0 if (before, of(registry, "jobs_in_flight", provider="omo")) == (None, 0) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert of(registry, "jobs_in_flight", provider="omo") == 1
