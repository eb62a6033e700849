"""Programs that are killed with SIGKILL at any moment, and started again on the same journal.

Two at a time solve against the sandbox, and each is killed at a random moment. In the end nothing is lost:
the records of the service and the journal agree, and the answer of every job with an id is collected.
CAPTCHAHUB_KILLS is the number of kills; ``-s`` prints the figures.
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
from tests.journal.stores import STORES, Place, place_of
from tests.quick_omo import QuickOmo

pytestmark = pytest.mark.search

KILLS = int(os.environ.get("CAPTCHAHUB_KILLS", "12"))
SEED = int(os.environ.get("CAPTCHAHUB_SEED", "4"))
CHILD = Path(__file__).parent / "killed_program.py"
AT_ONCE = 2
PICTURES = 30
PRICE = Decimal("0.00055")
# The difference between the wall clocks of two generations, in seconds: more than the lease of a hub.
CLOCK_STEP = 120.0
WAIT_TIMEOUT = 30.0
# More jobs than there will be.
ALL = 1_000_000
# A process is killed at most this long after the call that was waited for, in seconds.
LONGEST_DELAY = 0.03


class ProcessStarter:
    """The program that forks the processes, and waits for their ends."""

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

    def start(self, arguments: object) -> int:
        """Start a process, and return its id."""
        return self._request(arguments)

    def kill(self, pid: int) -> None:
        """Kill a process, and check that it did not end by itself before."""
        os.kill(pid, signal.SIGKILL)
        assert self._request(pid) == -signal.SIGKILL, self._log.read_text()

    def _request(self, request: object) -> int:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(f"{json.dumps(request)}\n")
        self._program.stdin.flush()
        return int(self._program.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.communicate()
        if error is not None:
            error.add_note(f"the processes printed: {self._log.read_text()}")
        else:
            assert self._log.read_text() == ""


@attrs.frozen
class KillTest:
    """The sandbox, its pictures and the files of one run."""

    sandbox: Sandbox
    folder: Path
    journal: Place
    texts: dict[str, str]
    """The text of each picture, by the hash of the picture."""
    fingerprints: dict[str, str]
    """The hash of each picture, by the fingerprint of its task."""

    @classmethod
    def make(cls, sandbox: Sandbox, folder: Path, journal: Place) -> KillTest:
        texts: dict[str, str] = {}
        fingerprints: dict[str, str] = {}
        (folder / "pictures").mkdir()
        for number in range(PICTURES):
            drawn = sandbox.draw_text()
            (folder / "pictures" / f"{number:02}.png").write_bytes(drawn.image.data)
            texts[drawn.image.sha256] = drawn.text
            fingerprints[ImageToText(drawn.image).fingerprint] = drawn.image.sha256
        return cls(sandbox, folder, journal, texts, fingerprints)

    @property
    def mapping(self) -> dict[str, object]:
        account = {"plugin": "omocaptcha", "prices": {"image-to-text": str(PRICE)}}
        accounts = {name: self.sandbox.settings(name, balance="1000") for name in ("one", "two")}
        return {
            "providers": {name: {**account, **own} for name, own in accounts.items()},
            "routes": {"image-to-text": {"providers": ["one", "two"], "strategy": "balanced"}},
            "journal": self.journal.configured,
        }

    def arguments(self, behind: float, seed: int) -> dict[str, object]:
        return {
            "mapping": self.mapping,
            "pictures": str(self.folder / "pictures"),
            "results": str(self.folder / "results.jsonl"),
            "behind": behind,
            "seed": seed,
        }

    def provider_and_picture(self, row: JobEntry) -> tuple[str, str]:
        """Return the provider of a job, and the hash of its picture."""
        return row.provider, self.fingerprints[row.fingerprint]

    def results(self) -> list[dict[str, object]]:
        lines = (self.folder / "results.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def wait_a_random_time(sandbox: Sandbox, chance: random.Random) -> None:
    """Wait until some more calls were made, and a little longer; sometimes only until a journal is opened."""
    call = chance.choice(["", "createJob", "createJob", "getJobResult"])
    if call:
        made = len(sandbox.calls_to(call))
        sandbox.wait_for_calls(call, made + chance.randint(1, 25), timeout=WAIT_TIMEOUT)
    time.sleep(chance.uniform(0.0, LONGEST_DELAY))


def kill_generation(
    test: KillTest, starter: ProcessStarter, behind: float, many: int, chance: random.Random
) -> None:
    pids = [starter.start(test.arguments(behind, chance.getrandbits(32))) for _ in range(many)]
    chance.shuffle(pids)
    for pid in pids:
        wait_a_random_time(test.sandbox, chance)
        starter.kill(pid)
    if test.journal.path is None:
        end_leases(test.journal)


def end_leases(journal: Place) -> None:
    """Let the time pass that hubs are alive for, by the clock of the database; other clocks do not count."""
    with closing(journal.opened()) as store:
        store.transact([lambda connection: connection.execute("UPDATE owners SET alive_until = 0")])


@pytest.mark.timeout(60 + 5 * KILLS)
@pytest.mark.parametrize("store", STORES)
def test_a_process_that_is_killed_at_any_moment_loses_no_job(tmp_path: Path, store: str) -> None:
    with place_of(store, tmp_path) as journal:
        kill_and_check(tmp_path, journal)


def kill_and_check(tmp_path: Path, journal: Place) -> None:
    chance = random.Random(SEED)
    generations = [AT_ONCE] * (KILLS // AT_ONCE) + [1] * (KILLS % AT_ONCE)
    omo = load_emulation("omocaptcha")
    with Sandbox(omo, latency=LogNormal(0.004), job_time=LogNormal(0.05, 0.8), seed=SEED) as sandbox:
        test = KillTest.make(sandbox, tmp_path, journal)
        begun = time.monotonic()
        with ProcessStarter(tmp_path / "stderr") as starter:
            for number, many in enumerate(generations):
                kill_generation(test, starter, CLOCK_STEP * (len(generations) - number), many, chance)
        seconds = time.monotonic() - begun
        with Hub.from_mapping(test.mapping, plugins=[QuickOmo()]) as hub:
            collected = list(hub.resume())
            for one in collected:
                assert one.error is None, one
                check_answer(test, one.entry, one.solution)
            print_figures(test, hub, len(collected), seconds)
            check_journal(test, hub)
            check_results(test, hub)
            settle_by_hand(test, hub)
    if journal.path is not None:
        with closing(sqlite3.connect(journal.path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def check_answer(test: KillTest, entry: JobEntry, solution: object) -> None:
    """Check that an answer is the text of the job's own picture."""
    shown = test.texts[test.fingerprints[entry.fingerprint]]
    assert solution == TextSolution(shown), entry


def check_journal(test: KillTest, hub: Hub) -> None:
    """Check that the journal has every job of the service, by its id or as an ambiguous one."""
    rows = hub.jobs(limit=ALL)
    jobs = {job.id: job for job in test.sandbox.jobs}
    assert {row.state for row in rows} <= {JobState.SOLVED, JobState.AMBIGUOUS}

    solved = [row for row in rows if row.state is JobState.SOLVED]
    known = [row.job_id for row in solved]
    assert len(set(known)) == len(known)
    for row in solved:
        job = jobs[int(str(row.job_id))]
        assert test.provider_and_picture(row) == account_and_picture(job)
        assert job.delivered >= 1
        check_answer(test, row, TextSolution(str((row.answer or {})["text"])))

    # An id was in the journal before it was used.
    assert {call.call.json()["job_id"] for call in test.sandbox.calls_to("getJobResult")} <= set(known)

    lost = Counter(map(account_and_picture, unknown(test, hub)))
    ambiguous = Counter(test.provider_and_picture(row) for row in rows if row.job_id is None)
    assert lost <= ambiguous
    for name in ("one", "two"):
        assert spent(hub, name) >= charged(test, name)
        # The difference is the price of the jobs that never arrived.
        unsent = sum(many for (provider, _), many in (ambiguous - lost).items() if provider == name)
        assert spent(hub, name) == charged(test, name) + PRICE * unsent


def check_results(test: KillTest, hub: Hub) -> None:
    """Check that each result is the answer of its job, and that the journal has it too."""
    solved = {row.job_id: row for row in hub.jobs(state=JobState.SOLVED, limit=ALL)}
    texts: dict[object, set[object]] = defaultdict(set)
    for result in test.results():
        texts[result["job_id"]].add(result["text"])
    assert {job_id: {str((solved[int(str(job_id))].answer or {})["text"])} for job_id in texts} == texts


def settle_by_hand(test: KillTest, hub: Hub) -> None:
    """Settle the ambiguous jobs by the records of the service, and check that the ledger agrees with it."""
    lost = Counter(map(account_and_picture, unknown(test, hub)))
    for row in hub.jobs(state=JobState.AMBIGUOUS, limit=ALL):
        key = test.provider_and_picture(row)
        is_there = lost[key] > 0
        lost[key] -= is_there
        hub.resolve(row, JobState.FAILED if is_there else JobState.NOT_SENT)
    assert hub.jobs(state=JobState.AMBIGUOUS) == []
    assert {name: spent(hub, name) for name in ("one", "two")} == {
        name: charged(test, name) for name in ("one", "two")
    }


def unknown(test: KillTest, hub: Hub) -> list[JobRecord]:
    """Return the jobs whose id is not in the journal."""
    known = {row.job_id for row in hub.jobs(limit=ALL)}
    return [job for job in test.sandbox.jobs if job.id not in known]


def account_and_picture(job: JobRecord) -> tuple[str, str]:
    return job.account.token, job.picture


def spent(hub: Hub, provider: str) -> Decimal:
    return sum((line.amount for line in hub.spend() if line.provider == provider), Decimal(0))


def charged(test: KillTest, provider: str) -> Decimal:
    prices = [job.price for job in test.sandbox.jobs if job.account.token == provider]
    return sum(prices, Decimal(0))


def print_figures(test: KillTest, hub: Hub, last: int, seconds: float) -> None:
    """Print the figures."""
    got = test.results()
    how = Counter(result["how"] for result in got)
    times = Counter(result["job_id"] for result in got)
    ambiguous = len(hub.jobs(state=JobState.AMBIGUOUS, limit=ALL))
    print(  # noqa: T201 - shown by pytest -s
        f"\n{KILLS} kills in {seconds:.0f} s (seed {SEED}): {len(test.sandbox.jobs)} jobs at the service, "
        f"{len(test.sandbox.calls)} calls; "
        f"{how['solved']} results by the solve that created the job, "
        f"{how['resumed']} by the resume of a later process, "
        f"{last} by the last; {sum(many > 1 for many in times.values())} got twice; "
        f"{ambiguous} ambiguous, of which the service has {len(unknown(test, hub))}"
    )
