"""Machines that share nothing but a database, with the service and the database of a test."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import PIL.Image
from psycopg import sql

from captchahub import Hub, Image, JobState
from captchahub.testing import Sandbox
from tests.journal.stores import Place
from tests.postgres_server import execute, with_options
from tests.promises.machine import Arguments, Outcome
from tests.quick_omo import QuickOmo

PRICE = Decimal("0.00055")

_MACHINE = Path(__file__).parent / "machine.py"
# More jobs than there will be.
_ALL = 1_000_000


class Machine:
    """A process group of its own, with a folder of its own."""

    def __init__(self, arguments: Arguments, folder: Path) -> None:
        folder.mkdir()
        self._log = (folder / "stderr").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, _MACHINE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=folder,
            env={**os.environ, "XDG_STATE_HOME": str(folder), "HOME": str(folder)},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        json.dump(attrs.asdict(arguments), self._process.stdin)
        self._process.stdin.close()

    def outcomes(self) -> list[Outcome]:
        """Wait for the end of the machine, and return how its pictures ended."""
        assert self._process.stdout is not None
        found = [Outcome(**json.loads(line)) for line in self._process.stdout]
        self._log.seek(0)
        assert self._process.wait(60) == 0, self._log.read().decode()
        return found

    def kill(self) -> None:
        """Kill the whole process group."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@attrs.frozen
class Fleet:
    """The service, the database, and the machines of a test."""

    sandbox: Sandbox
    place: Place
    folder: Path
    machines: ExitStack

    def mapping(self, **keys: object) -> dict[str, Any]:
        account = {
            "plugin": "omocaptcha",
            "prices": {"image-to-text": str(PRICE)},
            # It is imported sooner than the other transport.
            "transport": "requests",
            **self.sandbox.settings("token", balance="1000"),
        }
        # The name by which the server lists the connections of this test.
        address = with_options(self.place.address, application_name=self.place.schema)
        journal = {"url": address, "schema": self.place.schema}
        return {"providers": {"omo": account}, "journal": journal, **keys}

    def pictures(self, count: int) -> list[str]:
        """Return distinct pictures, whose right texts are their places."""
        found: list[str] = []
        for number in range(count):
            picture = io.BytesIO()
            PIL.Image.new("RGB", (40, 20), (number % 256, number // 256, 99)).save(picture, "PNG")
            self.sandbox.know(Image.from_bytes(picture.getvalue()), str(number))
            found.append(base64.b64encode(picture.getvalue()).decode())
        return found

    def start(self, **arguments: Any) -> Machine:
        given: dict[str, Any] = {"mapping": self.mapping(), **arguments}
        machine = Machine(Arguments(**given), self.folder / f"machine-{len(list(self.folder.iterdir()))}")
        self.machines.callback(machine.close)
        return machine

    @contextmanager
    def hub(self) -> Generator[Hub]:
        with Hub.from_mapping(self.mapping(), plugins=[QuickOmo()]) as hub:
            yield hub

    def wait_for_connections(self, count: int) -> None:
        """Wait until machines have connected, which they do when their first solves begin.

        A connection that only listens does not count.
        """
        until = time.monotonic() + 30
        text = sql.SQL(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND query NOT LIKE 'LISTEN%%'"
        )
        while execute(self.place.address, text, self.place.schema)[0][0] != count:
            assert time.monotonic() < until
            time.sleep(0.02)

    def check_books(self, hub: Hub) -> None:
        """Check that the journal has the jobs of the service, each once, and what they cost."""
        rows = hub.jobs(limit=_ALL)
        at_service = {job.id for job in self.sandbox.jobs}
        with_id = Counter(row.job_id for row in rows if row.job_id is not None)
        assert set(with_id) == at_service
        assert set(with_id.values()) <= {1}
        assert {row.state for row in rows} <= {JobState.SOLVED, JobState.NOT_SENT}
        assert sum((line.amount for line in hub.spend()), Decimal(0)) == PRICE * len(at_service)


MakeFleet = Callable[..., Fleet]


def end_leases(place: Place) -> None:
    """Let the time pass that a machine without a sign of life counts as alive."""
    owners = sql.Identifier(place.schema, "owners")
    execute(place.address, sql.SQL("UPDATE {} SET alive_until = alive_until - 60").format(owners))
