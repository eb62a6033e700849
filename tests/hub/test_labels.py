"""Labels of tasks, and what a hub says of its jobs and budgets."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from captchahub import AsyncHub, Hub, Image, ImageToText, tasks_from
from captchahub.jobs import BudgetStatus, JobState
from captchahub.settings import Period
from captchahub.testing import Sandbox

Configure = Callable[..., dict[str, Any]]
PRICES = {"image-to-text": "0.5"}


def task(sandbox: Sandbox, text: str) -> ImageToText:
    return ImageToText(Image.from_bytes(sandbox.draw_text(text).image.data))


def test_the_journal_keeps_the_label_of_a_task(sandbox: Sandbox, configured: Configure) -> None:
    with Hub.from_mapping(configured("omo")) as hub:
        hub.solve(task(sandbox, "ONE"), label="one.png")
        hub.submit(task(sandbox, "TWO"), label="\udcff two").result()
        hub.solve(task(sandbox, "THREE"))
        assert [job.label for job in hub.jobs()] == [None, "\\udcff two", "one.png"]


def test_files_are_labelled_by_their_paths(tmp_path: Path, sandbox: Sandbox, configured: Configure) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(sandbox.draw_text("ONE").image.data)
    with Hub.from_mapping(configured("omo")) as hub:
        assert [
            outcome.unwrap().solution.text for outcome in hub.solve_many(tasks_from([path], ImageToText))
        ] == ["ONE"]
        (own,) = hub.solve_many([task(sandbox, "TWO")], label=lambda _item: "mine")
        assert own.result is not None
        assert [job.label for job in hub.jobs()] == ["mine", str(path)]


def test_a_label_is_text(sandbox: Sandbox, configured: Configure) -> None:
    with Hub.from_mapping(configured("omo")) as hub, pytest.raises(TypeError, match="label must be a text"):
        hub.solve(task(sandbox, "ONE"), label=Path("one.png"))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # a likely slip


def test_jobs_can_be_narrowed(sandbox: Sandbox, configured: Configure) -> None:
    with Hub.from_mapping(configured("omo", "spare")) as hub:
        hub.solve(task(sandbox, "ONE"))
        (job,) = hub.jobs(provider="omo")
        assert hub.job(job.id) == job
        assert hub.job(job.id + 1) is None
        assert hub.jobs(provider="spare") == []
        assert hub.jobs(state=JobState.FAILED) == []
        assert hub.jobs(is_given=False) == []
        assert hub.jobs(since=datetime.now(UTC) - timedelta(hours=1)) == [job]
        assert hub.jobs(since=datetime.now(UTC) + timedelta(hours=1)) == []


@pytest.mark.parametrize(
    "wrong", [{"provider": 1}, {"is_given": "no"}, {"since": "today"}, {"state": "solved"}], ids=str
)
def test_a_wrong_argument_is_refused(configured: Configure, wrong: dict[str, Any]) -> None:
    with Hub.from_mapping(configured("omo")) as hub, pytest.raises(TypeError, match=next(iter(wrong))):
        hub.jobs(**wrong)


def test_budgets_say_what_is_left(sandbox: Sandbox, configured: Configure) -> None:
    budgets = {"budget": {"limit": 5, "per": "total"}}
    mapping = {**configured("omo", prices=PRICES, budget={"limit": 1, "per": "day"}), **budgets}
    with Hub.from_mapping(mapping) as hub:
        hub.solve(task(sandbox, "ONE"))
        whole, omo = hub.budgets()
    assert whole == BudgetStatus(None, Decimal(5), Period.TOTAL, Decimal("0.5"))
    assert (omo.provider, omo.spent, omo.left) == ("omo", Decimal("0.5"), Decimal("0.5"))
    assert omo.until is not None
    assert omo.until > datetime.now(UTC)


def test_a_hub_of_an_event_loop_has_them_too(sandbox: Sandbox, configured: Configure) -> None:
    async def main() -> None:
        async with AsyncHub.from_mapping(configured("omo")) as hub:
            await hub.solve(task(sandbox, "ONE"), label="one")
            async for outcome in hub.solve_many([task(sandbox, "TWO")], label=lambda _item: "two"):
                assert outcome.result is not None
            jobs = await hub.jobs(provider="omo")
            assert [job.label for job in jobs] == ["two", "one"]
            assert await hub.job(jobs[0].id) == jobs[0]
            assert await hub.budgets() == []

    asyncio.run(main())
