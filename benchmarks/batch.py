"""What a batch of many pictures does when it is killed in the middle: answers, payments, memory.

Run with ``make bench``; ``BATCH_PICTURES=10000`` in the environment sets the number of pictures.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

from captchahub.testing import Sandbox, load_emulation

PICTURES = int(os.environ.get("BATCH_PICTURES", "1000"))
CONCURRENCY = 64


def main() -> None:
    """Draw, solve, kill, solve the rest, and print what was found."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(load_emulation("omocaptcha"), job_time=0.2) as sandbox,
    ):
        home = Path(folder)
        draw(sandbox, home / "shots")
        account = {"plugin": "omocaptcha", **sandbox.settings("bench", balance="1000")}
        configuration = {"providers": {"omo": account}, "journal": "jobs.db"}
        (home / "captchahub.yaml").write_text(yaml.safe_dump(configuration))
        killed, first = run(home, kill_at=PICTURES // 2)
        require(killed == -signal.SIGKILL, f"the first run ended with {killed}")
        done = records(home)
        ended, second = run(home)
        answers = {record["file"]: record for record in records(home).values() if record["answer"]}
        in_doubt = PICTURES - len(answers)
        require(ended == (1 if in_doubt else 0), f"the second run ended with {ended}")
        if in_doubt:
            ended, _ = run(home, "--retry-failed")
            require(ended == 0, f"the third run ended with {ended}")
        final = records(home)
        require(len(final) == PICTURES, f"there are {len(final)} records")
        require(all(record["is_right"] for record in final.values()), "an answer is wrong")

        paid = Counter(job.picture for job in sandbox.jobs)
        require(len(paid) == PICTURES, f"jobs were created for {len(paid)} pictures")
        twice = sum(count - 1 for count in paid.values())
        require(twice <= in_doubt, f"{twice} jobs were paid twice, and {in_doubt} were in doubt")
        print(f"pictures: {PICTURES}, all answered, all right")
        print(f"killed with {len(done)} records; the runs took {first:.1f} s and {second:.1f} s")
        print(
            f"creates in doubt at the kill: {in_doubt}, paid for twice by --retry-failed: {twice}; others: 0"
        )


def require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - what is required
    """End the program if a condition does not hold."""
    if not condition:
        raise SystemExit(otherwise)


def draw(sandbox: Sandbox, folder: Path) -> None:
    """Draw distinct pictures, and write them with their answers."""
    folder.mkdir()
    names: dict[str, str] = {}
    answers: dict[str, str] = {}
    while len(names) < PICTURES:
        picture = sandbox.draw_text()
        digest = hashlib.sha256(picture.image.data).hexdigest()
        name = f"{len(names):06}.png"
        if digest not in names:
            names[digest] = name
            answers[name] = picture.solution.text
            (folder / name).write_bytes(picture.image.data)
    (folder / "answers.json").write_text(json.dumps(answers))


def run(home: Path, *options: str, kill_at: int | None = None) -> tuple[int, float]:
    """Run the batch, and return its exit code and its time in seconds; kill it at a number of records."""
    command = [sys.executable, "-m", "captchahub", "batch", "shots", "-o", "out.jsonl"]
    began = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - our own program
        [*command, "--concurrency", str(CONCURRENCY), *options], cwd=home, stdout=subprocess.DEVNULL
    ) as process:
        low = high = 0
        while process.poll() is None:
            resident = memory(process.pid)
            low, high = low or resident, max(high, resident)
            if kill_at is not None and lines(home / "out.jsonl") >= kill_at:
                process.kill()
            time.sleep(0.02)
    print(f"memory: {low // 1024} MB after the start, {high // 1024} MB at most")
    return process.returncode, time.monotonic() - began


def memory(pid: int) -> int:
    """Return the resident memory of a process in kilobytes, or 0 if it has ended or is still starting."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    # Until its modules are imported, a process has not started to work.
    return int(found[0]) if found and int(found[0]) > 60_000 else 0


def lines(path: Path) -> int:
    """Return the number of lines of a file, or 0 if there is none."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def records(home: Path) -> dict[str, dict[str, object]]:
    """Return the records of the batch by their ids; each id has one."""
    found: dict[str, dict[str, object]] = {}
    for line in (home / "out.jsonl").read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            record = json.loads(line)
            require(record["id"] not in found, f"{record['id']} has two records")
            found[record["id"]] = record
    return found


if __name__ == "__main__":
    main()
