"""The plugin in whole hubs, which solve against the sandbox over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from captchahub_prometheus import Prometheus
from prometheus_client import REGISTRY, CollectorRegistry

from captchahub import AllProvidersFailed, Hub
from captchahub.testing import Fault, Sandbox, load_emulation

README = (Path(__file__).parents[1] / "README.md").read_text()
OUTCOME = {"provider": "prom", "kind": "image-to-text", "outcome": "solved"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A service that answers at once."""
    with Sandbox(load_emulation("createtask", dialect="capsolver")) as running:
        yield running


def attempts(registry: CollectorRegistry, **labels: str) -> float:
    return registry.get_sample_value("captchahub_attempts_total", OUTCOME | labels) or 0.0


def test_two_hubs_that_load_it_by_its_name_count_in_the_default_registry(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    path, before = tmp_path / "config.yaml", attempts(REGISTRY)
    providers = {"prom": {"plugin": "createtask", **sandbox.settings()}}
    path.write_text(yaml.safe_dump({"providers": providers, "plugins": {"load": ["prometheus"]}}))
    for text in ("first", "second"):
        with Hub.from_yaml(path) as hub:
            hub.solve(sandbox.draw_text(text).task())
    assert attempts(REGISTRY) - before == 2


def test_an_object_counts_in_its_own_registry(sandbox: Sandbox) -> None:
    registry, before = CollectorRegistry(), attempts(REGISTRY)
    providers = {"prom": {"plugin": "createtask", **sandbox.settings()}}
    with Hub.from_mapping({"providers": providers}, plugins=[Prometheus(registry)]) as hub:
        hub.solve(sandbox.draw_text().task())
        sandbox.add_faults(Fault.status(502, on="createTask", times=1))
        with pytest.raises(AllProvidersFailed):
            hub.solve(sandbox.draw_text().task())
    assert attempts(registry) == attempts(registry, outcome="AmbiguousCreate") == 1
    assert registry.get_sample_value("captchahub_solve_duration_seconds_count", _solve("solved")) == 1
    assert registry.get_sample_value("captchahub_solves_total", _solve("AllProvidersFailed")) == 1
    assert attempts(REGISTRY) == before


def _solve(outcome: str) -> dict[str, str]:
    return {"kind": "image-to-text", "outcome": outcome}


class TestTheReadme:
    def test_its_code_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        [code] = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
        exec(compile(code, "README.md", "exec"), {})
        assert "captchahub_solves_total" in capsys.readouterr().out

    def test_its_table_has_every_metric(self) -> None:
        registry = CollectorRegistry()
        Prometheus(registry)
        rows = dict(re.findall(r"^\| `(captchahub_\w+)` \| (\w+) \|", README, re.MULTILINE))
        families = {
            one.name + ("_total" if one.type == "counter" else ""): one.type for one in registry.collect()
        }
        assert rows == families
