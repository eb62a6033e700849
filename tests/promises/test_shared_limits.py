"""Limits of an account that real processes keep together, counted at the sandbox."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from captchahub import AllProvidersFailed, CaptchaHubError, Hub, ImageToText, TextSolution, Ticket
from captchahub.testing import DrawnText, JobRecord, LogNormal, Sandbox, load_emulation
from tests.hub.test_forks import Forks, Tell
from tests.quick_omo import QuickOmo

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Forking with threads is the point.
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


@pytest.fixture
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.end()


def configured(sandbox: Sandbox, folder: Path, **account: object) -> Mapping[str, object]:
    """Return the configuration of processes with one account and one journal."""
    omo = {"plugin": "omocaptcha", **sandbox.settings("omo"), **account}
    return {"providers": {"omo": omo}, "journal": str(folder / "jobs.db")}


def solving(mapping: Mapping[str, object], pictures: Sequence[DrawnText]) -> Callable[[Tell], list[str]]:
    """Return what a process does: it solves pictures, all at once, and returns the texts."""

    def solve(tell: Tell) -> list[str]:
        with Hub.from_mapping(mapping, plugins=[QuickOmo()]) as hub:
            tickets = [hub.submit(ImageToText(drawn.image), timeout=40) for drawn in pictures]
            tell()
            return [ticket.result().solution.text for ticket in tickets]

    return solve


def is_solved(ticket: Ticket[TextSolution]) -> bool:
    """Wait for a solve, and return whether it has an answer."""
    try:
        ticket.result()
    except CaptchaHubError:
        return False
    return True


def most_open(jobs: Sequence[JobRecord]) -> int:
    """Return the most jobs that were open at a time."""
    return max(sum(one.created_at <= job.created_at < one.ready_at for one in jobs) for job in jobs)


def test_three_processes_have_no_more_jobs_in_flight_than_the_account_allows(
    tmp_path: Path, forks: Forks
) -> None:
    with Sandbox(load_emulation("omocaptcha"), job_time=LogNormal(0.05, 0.5)) as sandbox:
        mapping = configured(sandbox, tmp_path, max_in_flight=3)
        pictures = [sandbox.draw_text() for _ in range(15)]
        children = [forks.fork(solving(mapping, pictures[first::3])) for first in range(3)]
        texts = [child.result() for child in children]
        assert texts == [[drawn.text for drawn in pictures[first::3]] for first in range(3)]
        assert len(sandbox.jobs) == len(pictures)
        assert most_open(sandbox.jobs) <= 3


def test_a_killed_process_leaves_its_share_to_the_others(tmp_path: Path, forks: Forks) -> None:
    with Sandbox(load_emulation("omocaptcha"), job_time=1000) as sandbox:
        mapping = configured(sandbox, tmp_path, max_in_flight=2)
        pictures = [sandbox.draw_text() for _ in range(4)]
        killed = forks.fork(solving(mapping, pictures[:2]))
        sandbox.wait_for_jobs(2)
        others = [forks.fork(solving(mapping, [drawn])) for drawn in pictures[2:]]
        for other in others:
            other.wait_until_begun()
        assert len(sandbox.jobs) == 2
        killed.kill()
        sandbox.wait_for_jobs(4)
        sandbox.finish_jobs()
        assert [other.result() for other in others] == [[drawn.text] for drawn in pictures[2:]]


def test_three_processes_create_no_more_jobs_than_the_rate_allows(tmp_path: Path, forks: Forks) -> None:
    with Sandbox(load_emulation("omocaptcha")) as sandbox:
        mapping = configured(sandbox, tmp_path, rate="6/minute")
        pictures = [sandbox.draw_text() for _ in range(12)]

        def solved(_tell: Tell, first: int) -> int:
            with Hub.from_mapping(mapping, plugins=[QuickOmo()]) as hub:
                tickets = [hub.submit(ImageToText(one.image), timeout=5) for one in pictures[first::3]]
                return sum(is_solved(ticket) for ticket in tickets)

        children = [forks.fork(partial(solved, first=first)) for first in range(3)]
        assert sum(child.result() for child in children) == 6
        assert len(sandbox.jobs) == 6


def test_a_refused_token_is_known_to_another_process_without_a_call(tmp_path: Path, forks: Forks) -> None:
    with Sandbox(load_emulation("omocaptcha")) as sandbox:
        mapping = configured(sandbox, tmp_path, api_token="n0t-a-t0ken")
        task = ImageToText(sandbox.draw_text().image)

        def refused(_tell: Tell) -> str:
            with Hub.from_mapping(mapping, plugins=[QuickOmo()]) as hub:
                with pytest.raises(AllProvidersFailed) as caught:
                    hub.solve(task)
                return str(caught.value.exceptions[0])

        with Hub.from_mapping(mapping, plugins=[QuickOmo()]) as hub:
            with pytest.raises(AllProvidersFailed):
                hub.solve(task)
            calls = len(sandbox.calls)
            assert "AuthenticationError, as another process has found" in forks.fork(refused).result()
            assert len(sandbox.calls) == calls
