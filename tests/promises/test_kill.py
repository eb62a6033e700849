"""Programs that are killed with SIGKILL at any moment, and started again on the same journal.

Two at a time solve against the sandbox; each is killed at a moment of its own. In the end nothing is lost:
the service's own books and the journal agree, and the answer of every job with an id is collected. How many
are killed is CAPTCHAHUB_KILLS; ``-s`` prints the figures.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs
import pytest

from captchahub import Hub, ImageToText, TextSolution
from captchahub.jobs import JobEntry, JobState
from captchahub.testing import JobRecord, LogNormal, Sandbox, load_emulation
from tests.conftest import QuickOmo

KILLS = int(os.environ.get("CAPTCHAHUB_KILLS", "12"))
SEED = int(os.environ.get("CAPTCHAHUB_SEED", "4"))
CHILD = Path(__file__).parent / "killed_program.py"
AT_ONCE = 2
PICTURES = 30
PRICE = Decimal("0.00055")
# The wall clocks of two generations are so far apart, in seconds: more than the lease of a hub.
APART = 120.0
PATIENCE = 30.0
# More jobs than there will be.
ALL = 1_000_000
# The last moment at which one is killed, in seconds after what was waited for.
LATEST = 0.03


class Nursery:
    """The program that begins the processes, and sees how they end."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with log.open("wb") as stderr:
            self._program = subprocess.Popen(
                [sys.executable, CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def begin(self, orders: object) -> int:
        """The id of a new process."""
        return self._ask(orders)

    def kill(self, pid: int) -> None:
        """Kill one, which has to be what ends it."""
        os.kill(pid, signal.SIGKILL)
        assert self._ask(pid) == -signal.SIGKILL, self._log.read_text()

    def _ask(self, question: object) -> int:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(f"{json.dumps(question)}\n")
        self._program.stdin.flush()
        return int(self._program.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.communicate()
        if error is not None:
            error.add_note(f"the processes told: {self._log.read_text()}")
        else:
            assert self._log.read_text() == ""


@attrs.frozen
class Site:
    """Where it all happens."""

    sandbox: Sandbox
    folder: Path
    texts: dict[str, str]
    """What a picture shows, by its hash."""
    fingerprints: dict[str, str]
    """The hash of a picture, by the fingerprint of its task."""

    @classmethod
    def make(cls, sandbox: Sandbox, folder: Path) -> Site:
        texts: dict[str, str] = {}
        fingerprints: dict[str, str] = {}
        (folder / "pictures").mkdir()
        for number in range(PICTURES):
            drawn = sandbox.draw_text()
            (folder / "pictures" / f"{number:02}.png").write_bytes(drawn.image.data)
            texts[drawn.image.sha256] = drawn.text
            fingerprints[ImageToText(drawn.image).fingerprint] = drawn.image.sha256
        return cls(sandbox, folder, texts, fingerprints)

    @property
    def journal(self) -> Path:
        return self.folder / "jobs.db"

    @property
    def mapping(self) -> dict[str, object]:
        account = {"plugin": "omocaptcha", "prices": {"image-to-text": str(PRICE)}}
        accounts = {name: self.sandbox.settings(name, balance="1000") for name in ("one", "two")}
        return {
            "providers": {name: {**account, **own} for name, own in accounts.items()},
            "routes": {"image-to-text": {"providers": ["one", "two"], "strategy": "balanced"}},
            "journal": str(self.journal),
        }

    def orders(self, behind: float, seed: int) -> dict[str, object]:
        return {
            "mapping": self.mapping,
            "pictures": str(self.folder / "pictures"),
            "results": str(self.folder / "results.jsonl"),
            "behind": behind,
            "seed": seed,
        }

    def place(self, row: JobEntry) -> tuple[str, str]:
        """At which provider, and for which picture."""
        return row.provider, self.fingerprints[row.fingerprint]

    def results(self) -> list[dict[str, object]]:
        lines = (self.folder / "results.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def wait_for_its_moment(sandbox: Sandbox, chance: random.Random) -> None:
    """Perhaps until some more calls were made, and a moment more; else it may just open the journal."""
    call = chance.choice(["", "createJob", "createJob", "getJobResult"])
    if call:
        made = len(sandbox.calls_to(call))
        sandbox.wait_for_calls(call, made + chance.randint(1, 25), timeout=PATIENCE)
    time.sleep(chance.uniform(0.0, LATEST))


def kill_generation(site: Site, nursery: Nursery, behind: float, many: int, chance: random.Random) -> None:
    pids = [nursery.begin(site.orders(behind, chance.getrandbits(32))) for _ in range(many)]
    chance.shuffle(pids)
    for pid in pids:
        wait_for_its_moment(site.sandbox, chance)
        nursery.kill(pid)


@pytest.mark.timeout(60 + 5 * KILLS)
def test_whoever_is_killed_at_any_moment_loses_no_job(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    generations = [AT_ONCE] * (KILLS // AT_ONCE) + [1] * (KILLS % AT_ONCE)
    omo = load_emulation("omocaptcha")
    with Sandbox(omo, latency=LogNormal(0.004), job_time=LogNormal(0.05, 0.8), seed=SEED) as sandbox:
        site = Site.make(sandbox, tmp_path)
        begun = time.monotonic()
        with Nursery(tmp_path / "stderr") as nursery:
            for number, many in enumerate(generations):
                kill_generation(site, nursery, APART * (len(generations) - number), many, chance)
        seconds = time.monotonic() - begun
        with Hub.from_mapping(site.mapping, plugins=[QuickOmo()]) as hub:
            collected = list(hub.resume())
            for one in collected:
                assert one.error is None, one
                check_answer(site, one.entry, one.solution)
            tell(site, hub, len(collected), seconds)
            check_books(site, hub)
            check_results(site, hub)
            settle_by_hand(site, hub)
        with closing(sqlite3.connect(site.journal)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def check_answer(site: Site, entry: JobEntry, solution: object) -> None:
    """The answer is what the job's own picture shows."""
    shown = site.texts[site.fingerprints[entry.fingerprint]]
    assert solution == TextSolution(shown), entry


def check_books(site: Site, hub: Hub) -> None:
    """The journal has every job of the service: by its id, or as one of which nobody knows more."""
    rows = hub.jobs(limit=ALL)
    jobs = {job.id: job for job in site.sandbox.jobs}
    assert {row.state for row in rows} <= {JobState.SOLVED, JobState.AMBIGUOUS}

    solved = [row for row in rows if row.state is JobState.SOLVED]
    known = [row.job_id for row in solved]
    assert len(set(known)) == len(known)
    for row in solved:
        job = jobs[int(str(row.job_id))]
        assert site.place(row) == whose(job)
        assert job.delivered >= 1
        check_answer(site, row, TextSolution(str((row.answer or {})["text"])))

    # An id was in the journal before it was used.
    assert {call.call.json()["job_id"] for call in site.sandbox.calls_to("getJobResult")} <= set(known)

    lost = Counter(map(whose, unknown(site, hub)))
    ambiguous = Counter(site.place(row) for row in rows if row.job_id is None)
    assert lost <= ambiguous
    for name in ("one", "two"):
        assert spent(hub, name) >= charged(site, name)
        # And what it has too much is the price of those that never arrived.
        unsent = sum(many for (whose, _), many in (ambiguous - lost).items() if whose == name)
        assert spent(hub, name) == charged(site, name) + PRICE * unsent


def check_results(site: Site, hub: Hub) -> None:
    """What anybody got is the answer of that job, each time; and the journal had it before."""
    solved = {row.job_id: row for row in hub.jobs(state=JobState.SOLVED, limit=ALL)}
    texts: dict[object, set[object]] = defaultdict(set)
    for result in site.results():
        texts[result["job_id"]].add(result["text"])
    assert {job_id: {str((solved[int(str(job_id))].answer or {})["text"])} for job_id in texts} == texts


def settle_by_hand(site: Site, hub: Hub) -> None:
    """With the service's own books at hand the ambiguous ones are settled, and then nothing is left over."""
    lost = Counter(map(whose, unknown(site, hub)))
    for row in hub.jobs(state=JobState.AMBIGUOUS, limit=ALL):
        place = site.place(row)
        is_there = lost[place] > 0
        lost[place] -= is_there
        hub.resolve(row, JobState.FAILED if is_there else JobState.NOT_SENT)
    assert hub.jobs(state=JobState.AMBIGUOUS) == []
    assert {name: spent(hub, name) for name in ("one", "two")} == {
        name: charged(site, name) for name in ("one", "two")
    }


def unknown(site: Site, hub: Hub) -> list[JobRecord]:
    """The jobs of which the journal has no id."""
    known = {row.job_id for row in hub.jobs(limit=ALL)}
    return [job for job in site.sandbox.jobs if job.id not in known]


def whose(job: JobRecord) -> tuple[str, str]:
    return job.account.token, job.picture


def spent(hub: Hub, provider: str) -> Decimal:
    return sum((line.amount for line in hub.spend() if line.provider == provider), Decimal(0))


def charged(site: Site, provider: str) -> Decimal:
    prices = [job.price for job in site.sandbox.jobs if job.account.token == provider]
    return sum(prices, Decimal(0))


def tell(site: Site, hub: Hub, last: int, seconds: float) -> None:
    """Print the figures."""
    got = site.results()
    how = Counter(result["how"] for result in got)
    told = Counter(result["job_id"] for result in got)
    ambiguous = len(hub.jobs(state=JobState.AMBIGUOUS, limit=ALL))
    print(  # noqa: T201 - for who reads it with -s
        f"\n{KILLS} kills in {seconds:.0f} s (seed {SEED}): {len(site.sandbox.jobs)} jobs at the service, "
        f"{len(site.sandbox.calls)} calls; "
        f"{how['solved']} results by the solve that ordered, {how['resumed']} by the resume of a later one, "
        f"{last} by the last; {sum(many > 1 for many in told.values())} got twice; "
        f"{ambiguous} ambiguous, of which the service has {len(unknown(site, hub))}"
    )
