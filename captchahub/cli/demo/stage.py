"""What the demo does: a sandbox with two accounts, one of them in trouble, and a hub that solves anyway."""

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

__all__ = ["ACCOUNTS", "Scene", "stage"]

PLUGIN = "omocaptcha"

ACCOUNTS = ("main", "spare")
"""The names of the accounts, in the order in which they are asked."""

_JOB_TIME = LogNormal(median=2.0, sigma=0.4)

_LATENCY = LogNormal(median=0.03, sigma=0.5)

# The main account has money for so much of the work.
_FUNDED = Decimal("0.7")


@attrs.define
class Scene:
    """The pictures, the hub that solves them, and how far it is."""

    sandbox: Sandbox
    hub: Hub
    pictures: Sequence[NamedPicture]
    outcomes: dict[str, Outcome[Solution]] = attrs.field(factory=dict[str, Outcome[Solution]])
    """By picture name, in order of completion."""
    seconds: float = 0.0
    """How long all of it took."""

    def run(self) -> Iterator[NamedPicture]:
        """Solve the pictures; each is given when it is done."""
        began = time.monotonic()
        tasks = (picture.drawn.task() for picture in self.pictures)
        in_flight = max(4, len(self.pictures) // 2)
        for outcome in self.hub.solve_many(tasks, in_flight=in_flight):
            picture = self.pictures[outcome.index]
            self.outcomes[picture.name] = outcome
            self.seconds = time.monotonic() - began
            yield picture

    def is_right(self, picture: NamedPicture) -> bool:
        """Whether the picture was solved, and the answer is what was drawn."""
        outcome = self.outcomes.get(picture.name)
        if outcome is None or outcome.result is None:
            return False
        return picture.drawn.accepts(outcome.result.solution)

    def is_all_right(self) -> bool:
        """Whether every picture was solved, and rightly."""
        return all(self.is_right(picture) for picture in self.pictures)

    def job_of(self, picture: NamedPicture) -> JobRecord | None:
        """The latest job for a picture, from the sandbox's books."""
        jobs = [job for job in self.sandbox.jobs if job.picture == picture.drawn.image.sha256]
        return jobs[-1] if jobs else None

    @property
    def lost_polls(self) -> int:
        """How many questions for an answer met an HTTP error or a broken connection."""
        polls = self.sandbox.calls_to(self.sandbox.emulation.poll_call)
        return sum(poll.status is None or poll.status >= 500 for poll in polls)


@contextmanager
def stage(count: int, seed: int) -> Generator[Scene]:
    """The scene, ready to run; everything is let go of at the end."""
    emulation = load_emulation(PLUGIN)
    with Sandbox(
        emulation, seed=seed, job_time=_JOB_TIME, latency=_LATENCY, faults=_trouble(emulation)
    ) as sandbox:
        pictures = draw(sandbox, count)
        with Hub.from_mapping(_configuration(sandbox, pictures)) as hub:
            yield Scene(sandbox, hub, pictures)


def _trouble(emulation: Emulation) -> Iterator[Fault]:
    """What happens to the main account, beside running out of money."""
    main, create, poll = ACCOUNTS[0], emulation.create_call, emulation.poll_call
    yield Fault.drop(handled=True, on=create, token=main, after=1, times=1)
    yield Fault.status(429, retry_after=5, on=create, token=main, after=3, times=1)
    yield Fault.status(502, on=poll, token=main, after=3, times=2)
    yield Fault.drop(on=poll, token=main, after=2, times=1)
    failed = Answer.json({"error": False, "status": "fail", "result": None})
    yield Fault.reply(failed, on=poll, token=main, after=3, times=1)


def _configuration(sandbox: Sandbox, pictures: Sequence[NamedPicture]) -> dict[str, object]:
    prices = sandbox.emulation.prices
    work = sum((prices[picture.drawn.kind] for picture in pictures), Decimal(0))
    balances = (work * _FUNDED, work * 2)
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
