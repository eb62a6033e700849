"""Which processes live: a lock that the system releases when a process ends, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from captchahub._journal.liveness import ProcessLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="this system has no such locks")

PROGRAM = """
import sys
from pathlib import Path
from captchahub._journal.liveness import ProcessLock
presence = ProcessLock(Path(sys.argv[1]))
presence.acquire("other")
print("there", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@contextmanager
def another_process(journal: Path) -> Generator[subprocess.Popen[str]]:
    """One that is there as ``other``."""
    command = [sys.executable, "-c", PROGRAM, str(journal)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "there\n"
        yield running


def test_a_lock_is_held_by_a_process_that_lives_and_free_once_it_is_killed(journal: Path) -> None:
    here = ProcessLock(journal)
    with another_process(journal) as running:
        assert not here.is_free("other")
        running.kill()
        running.wait()
        assert here.is_free("other")
        assert here.is_free("other")
    # Nothing is left of it.
    assert list(journal.parent.iterdir()) == []


def test_two_hubs_of_one_process_see_each_others_locks(journal: Path) -> None:
    here, there = ProcessLock(journal), ProcessLock(journal)
    here.acquire("me")
    here.acquire("me")
    assert not there.is_free("me")
    assert not here.is_free("me")
    here.release("me")
    assert list(journal.parent.iterdir()) == []


def test_a_hub_without_a_file_is_not_known_to_be_dead(journal: Path) -> None:
    assert not ProcessLock(journal).is_free("somebody on another machine")


def test_a_journal_in_memory_needs_no_files() -> None:
    alone = ProcessLock(None)
    alone.acquire("me")
    assert not alone.is_free("me")
    alone.release("me")


def test_a_hub_whose_file_cannot_be_made_is_not_known_to_be_dead(tmp_path: Path) -> None:
    nowhere = ProcessLock(tmp_path / "missing" / "jobs.db")
    nowhere.acquire("me")
    assert not nowhere.is_free("me")
    nowhere.release("me")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_does_not_hold_the_lock_of_its_parent(journal: Path) -> None:
    here, there = ProcessLock(journal), ProcessLock(journal)
    here.acquire("me")
    (may_end, end), (is_there, tell) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"!")
        os.close(end)
        os.read(may_end, 1)
        os._exit(0)
    try:
        assert os.read(is_there, 1) == b"!"
        assert not there.is_free("me")
        # As the end of the parent would.
        here.after_fork(is_child=True)
        assert there.is_free("me")
    finally:
        for pipe in (may_end, end, is_there, tell):
            os.close(pipe)
        os.waitpid(child, 0)
