"""A service in the process of a benchmark, without HTTP, so that little else than the engine is measured."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TypeVar

from captchahub_omocaptcha.emulation import OmoEmulation

from captchahub import TextSolution
from captchahub._journal.database import Database, Work
from captchahub.settings import ProviderSettings
from captchahub.testing import EmulatedTransport, World

ANSWER = "x7kp2"

T = TypeVar("T")


class EmulatedService:
    """A service that answers every picture at once, with the same text."""

    def __init__(self) -> None:
        self._worlds: list[World] = []

    def connect(self, _settings: ProviderSettings) -> EmulatedTransport:
        """Return the way to the service."""
        world = World(
            now=time.monotonic,
            read_picture=lambda _kind, _picture: TextSolution(ANSWER),
            job_seconds=lambda: 0.0,
        )
        world.add_account("t0ken", "1000")
        self._worlds.append(world)
        return EmulatedTransport(OmoEmulation(), world)

    @property
    def pictures(self) -> int:
        """How many different pictures it has jobs for."""
        return len({job.picture for world in self._worlds for job in world.jobs.values()})


def configuration() -> Mapping[str, object]:
    """Return the configuration of a hub with an account at the service."""
    omo = {
        "plugin": "omocaptcha",
        "api_token": "t0ken",
        "prices": {"image-to-text": "0.00055"},
        "max_in_flight": 1000,
    }
    return {"providers": {"omo": omo}, "budget": {"limit": 1000, "per": "day"}}


class CountingDatabase:
    """Counts the commits to a database; on a disk each is an fsync."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.commits = 0

    def transact(self, works: Sequence[Work[T]]) -> list[T | Exception]:
        """See :meth:`Database.transact`."""
        self.commits += 1
        return self._database.transact(works)

    def read(self, work: Work[T]) -> T:
        """See :meth:`Database.read`."""
        return self._database.read(work)

    def close(self) -> None:
        """See :meth:`Database.close`."""
        self._database.close()
