"""Runs the demo: a sandbox with two accounts, one of which fails, and a hub that solves nevertheless."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

import attrs

from captchahub.cli.pictures import NamedPicture, draw
from captchahub.hub import Hub
from captchahub.results import Outcome
from captchahub.tasks import Solution
from captchahub.testing import Answer, Emulation, Fault, JobRecord, LogNormal, Sandbox, load_emulation

PLUGIN = "omocaptcha"

ACCOUNTS = ("main", "spare")
"""The names of the accounts, in the order in which they are tried."""

_JOB_TIME = LogNormal(median=2.0, sigma=0.4)

_LATENCY = LogNormal(median=0.03, sigma=0.5)

# The main account has money for this share of the work. Then it runs out, so that the demo shows that too.
_MAIN_BALANCE_SHARE = Decimal("0.7")


@attrs.define
class DemoRun:
    """The pictures, the hub that solves them, and the progress so far."""

    sandbox: Sandbox
    hub: Hub
    pictures: Sequence[NamedPicture]
    outcomes: dict[str, Outcome[Solution]] = attrs.field(factory=dict[str, Outcome[Solution]])
    """By picture name, in order of completion."""
    seconds: float = 0.0
    """The duration so far."""

    def run(self) -> Iterator[NamedPicture]:
        """Solve the pictures, and yield each one when it is done."""
        began = time.monotonic()
        tasks = (picture.drawn.task() for picture in self.pictures)
        in_flight = max(4, len(self.pictures) // 2)
        for outcome in self.hub.solve_many(tasks, in_flight=in_flight):
            picture = self.pictures[outcome.index]
            self.outcomes[picture.name] = outcome
            self.seconds = time.monotonic() - began
            yield picture

    def is_right(self, picture: NamedPicture) -> bool:
        """Return whether the picture was solved rightly."""
        outcome = self.outcomes.get(picture.name)
        if outcome is None or outcome.result is None:
            return False
        return picture.drawn.accepts(outcome.result.solution)

    def is_all_right(self) -> bool:
        """Return whether every picture was solved rightly."""
        return all(self.is_right(picture) for picture in self.pictures)

    def job_of(self, picture: NamedPicture) -> JobRecord | None:
        """Return the latest job for a picture, or None."""
        jobs = [job for job in self.sandbox.jobs if job.picture == picture.drawn.image.sha256]
        return jobs[-1] if jobs else None

    @property
    def lost_polls(self) -> int:
        """The number of polls that met an HTTP error or a broken connection."""
        polls = self.sandbox.calls_to(self.sandbox.emulation.poll_call)
        return sum(poll.status is None or poll.status >= 500 for poll in polls)


@contextmanager
def start_demo(count: int, seed: int) -> Generator[DemoRun]:
    """Start the sandbox and the hub, and stop them at the end."""
    emulation = load_emulation(PLUGIN)
    with Sandbox(
        emulation, seed=seed, job_time=_JOB_TIME, latency=_LATENCY, faults=_faults(emulation)
    ) as sandbox:
        pictures = draw(sandbox, count)
        with Hub.from_mapping(_configuration(sandbox, pictures)) as hub:
            yield DemoRun(sandbox, hub, pictures)


def _faults(emulation: Emulation) -> Iterator[Fault]:
    """Yield the faults of the main account, which also runs out of money."""
    main, create, poll = ACCOUNTS[0], emulation.create_call, emulation.poll_call
    # The service creates a job and its reply is lost, so the hub must not create another one there.
    yield Fault.drop(handled=True, on=create, token=main, after=1, times=1)
    # It cools the account down, and later tasks start at the other one.
    yield Fault.status(429, retry_after=5, on=create, token=main, after=3, times=1)
    # Both are harmless, because a poll is free and can be repeated.
    yield Fault.status(502, on=poll, token=main, after=3, times=2)
    yield Fault.drop(on=poll, token=main, after=2, times=1)
    # The job is paid for and has no answer.
    failed = Answer.json({"error": False, "status": "fail", "result": None})
    yield Fault.reply(failed, on=poll, token=main, after=3, times=1)


def _configuration(sandbox: Sandbox, pictures: Sequence[NamedPicture]) -> dict[str, object]:
    prices = sandbox.emulation.prices
    total = sum((prices[picture.drawn.kind] for picture in pictures), Decimal(0))
    balances = (total * _MAIN_BALANCE_SHARE, total * 2)
    return {
        "providers": {
            name: {
                "plugin": PLUGIN,
                "prices": prices,
                **sandbox.settings(name, balance=balance, quick=False),
            }
            for name, balance in zip(ACCOUNTS, balances, strict=True)
        },
        "timeout": "25s",
    }
