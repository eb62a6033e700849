"""A job whose price is unknown: its cost is None wherever it is returned, and never 0."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from captchahub import Hub, JobState, Result, Solution, events
from captchahub.cli.demo.report import summary
from captchahub.cli.demo.run import start_demo
from captchahub.results import Outcome
from captchahub.testing import Sandbox, load_emulation


@pytest.fixture
def silent() -> Iterator[Sandbox]:
    """A service that has no price list, and whose replies name no cost."""
    with Sandbox(load_emulation("createtask", dialect="custom"), job_time=1000) as running:
        yield running


@pytest.fixture
def mapping(silent: Sandbox, tmp_path: Path) -> dict[str, object]:
    provider = {"plugin": "createtask", **silent.settings()}
    return {"providers": {"silent": provider}, "journal": str(tmp_path / "jobs.db")}


def leave_behind(mapping: dict[str, object], silent: Sandbox) -> str:
    """Order a job and close the hub, and return the token of the job."""
    with Hub.from_mapping(mapping) as hub:
        is_created = threading.Event()
        hub.on(events.JobCreated, lambda _: is_created.set())
        ticket = hub.submit(silent.draw_text("x7kp2").task())
        assert is_created.wait(10)
        token = ticket.token
    assert token is not None
    silent.finish_jobs()
    return token


class TestOfAJob:
    def test_that_is_solved(self, mapping: dict[str, object], silent: Sandbox) -> None:
        with Hub.from_mapping(mapping) as hub:
            ticket = hub.submit(silent.draw_text().task())
            silent.wait_for_jobs()
            silent.finish_jobs()
            result = ticket.result(10)
            [entry] = hub.jobs()
        assert (result.cost, result.total_cost, [one.cost for one in result.attempts]) == (None, None, [None])
        assert (entry.price, entry.cost) == (None, None)

    def test_that_is_collected_from_the_service(self, mapping: dict[str, object], silent: Sandbox) -> None:
        leave_behind(mapping, silent)
        with Hub.from_mapping(mapping) as hub:
            [collected] = hub.resume()
        assert (collected.error, collected.solution, collected.cost) == (
            None,
            silent.jobs[0].solution,
            None,
        )

    def test_that_is_collected_from_the_journal(self, mapping: dict[str, object], silent: Sandbox) -> None:
        token = leave_behind(mapping, silent)
        with Hub.from_mapping(mapping) as hub:
            hub.attach(token).result(10)
        # By now the service does not know the job, and its answer is in the journal.
        silent.world.jobs.clear()
        with Hub.from_mapping(mapping) as hub:
            attached = hub.attach(token).result(10)
        assert (attached.cost, attached.total_cost) == (None, None)

    def test_that_was_refused_is_known(self, mapping: dict[str, object], silent: Sandbox) -> None:
        mapping["providers"]["silent"]["client_key"] = "another-key"  # type: ignore[index]
        with Hub.from_mapping(mapping) as hub:
            with pytest.raises(ExceptionGroup) as caught:
                hub.solve(silent.draw_text().task())
            [entry] = hub.jobs()
        assert (entry.state, entry.price) == (JobState.REFUSED, None)
        assert entry.cost == 0
        assert [one.cost for one in getattr(caught.value, "attempts", ())] == [0]

    def test_whose_price_is_configured_is_what_was_reserved(
        self, mapping: dict[str, object], silent: Sandbox
    ) -> None:
        mapping["providers"]["silent"]["prices"] = {"image-to-text": "0.002"}  # type: ignore[index]
        leave_behind(mapping, silent)
        with Hub.from_mapping(mapping) as hub:
            [collected] = hub.resume()
        assert collected.cost == collected.entry.cost == Decimal("0.002")

    def test_that_is_free_costs_nothing(self, mapping: dict[str, object], silent: Sandbox) -> None:
        mapping["providers"]["silent"]["prices"] = {"image-to-text": 0}  # type: ignore[index]
        leave_behind(mapping, silent)
        with Hub.from_mapping(mapping) as hub:
            [collected] = hub.resume()
        assert collected.cost == collected.entry.cost == 0


class TestSpending:
    def test_counts_the_jobs_without_a_price(self, mapping: dict[str, object], silent: Sandbox) -> None:
        leave_behind(mapping, silent)
        mapping["providers"]["silent"]["prices"] = {"phone-slide": 1}  # type: ignore[index]
        leave_behind(mapping, silent)
        with Hub.from_mapping(mapping) as hub:
            [line] = hub.spend()
            assert (line.jobs, line.unpriced, line.amount) == (2, 2, Decimal(0))
            for entry in hub.jobs():
                hub.resolve(entry, JobState.FAILED, cost=Decimal("0.001"))
            [line] = hub.spend()
        assert (line.jobs, line.unpriced, line.amount) == (2, 0, Decimal("0.002"))

    def test_a_job_that_was_refused_is_not_one(self, mapping: dict[str, object], silent: Sandbox) -> None:
        mapping["providers"]["silent"]["client_key"] = "another-key"  # type: ignore[index]
        with Hub.from_mapping(mapping) as hub:
            with pytest.raises(ExceptionGroup):
                hub.solve(silent.draw_text().task())
            [line] = hub.spend()
        assert (line.jobs, line.unpriced, line.amount) == (0, 0, Decimal(0))

    def test_a_priced_job_is_not_one(self, mapping: dict[str, object], silent: Sandbox) -> None:
        mapping["providers"]["silent"]["prices"] = {"image-to-text": "0.002"}  # type: ignore[index]
        leave_behind(mapping, silent)
        with Hub.from_mapping(mapping) as hub:
            [line] = hub.spend()
        assert (line.jobs, line.unpriced, line.amount) == (1, 0, Decimal("0.002"))


def test_the_demo_names_no_total_if_one_cost_is_unknown() -> None:
    with start_demo(2, seed=74) as run:
        for _ in run.run():
            pass
        assert "The answers cost 0.0" in "\n".join(summary(run))
        name, outcome = next(iter(run.outcomes.items()))
        run.outcomes[name] = Outcome(outcome.index, outcome.task, _without_cost(outcome.unwrap()))
        assert "The answers cost -. The service charged 0.0" in "\n".join(summary(run))


def _without_cost(result: Result[Solution]) -> Result[Solution]:
    return attrs.evolve(result, cost=None)
