"""``captchahub resume``: collect the answers that earlier runs did not deliver."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import click

from captchahub.cli.hubs import open_hub
from captchahub.cli.invocation import command
from captchahub.cli.options import config_option
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import ExitCode, StdoutFailed, need_stdout, put, say, writing_stdout
from captchahub.cli.text import counted, money_text, solution_fields
from captchahub.jobs import Collected, JobEntry, JobState

# More than any journal has: the messages are about all jobs, and hub.jobs() returns 100 by default.
_ALL = 1_000_000

_EPILOG = """
\b
Exit codes:
  0    every undelivered job is collected, or there was none; stderr lists jobs of other accounts
  1    a job could not be collected, or another process holds it; stderr says until when
  2    wrong usage
  3    the configuration is missing or wrong, or the journal can't be used
  6    stdout failed: its output is on stderr, and the other answers are kept for the next run
  130  interrupted, or 143 ended by SIGTERM: answers that were not printed are kept for the next run
"""


@click.command(cls=Subcommand, epilog=_EPILOG)
@config_option("The YAML file with the providers; found as by captchahub solve.")
def resume(config: Path | None) -> None:
    """Collect the answers of jobs that were created but not delivered, after a crash or Ctrl-C.

    Prints one JSON object per line. Its fingerprint identifies the task; captchahub solve --json prints it
    too. Each answer is printed once. Jobs of accounts that are not configured here stay as they are. The
    journal is the one in the configuration, or else jobs.db in the user's state folder, such as
    ~/.local/state/captchahub.
    """
    need_stdout()
    failed = False
    with open_hub(config)[0] as hub:
        try:
            for collected in hub.resume():
                failed |= collected.error is not None
                _print(json.dumps(_record(collected)))
        except KeyboardInterrupt as interrupt:
            # Of the same type, because SIGTERM has an exit code of its own.
            raise type(interrupt)(f"the next {command('resume')} prints the rest") from None
        # After the collecting, which has taken over the jobs of processes that died.
        open_jobs = hub.jobs(state=JobState.CREATED, limit=_ALL)
        held = list(_held_jobs(open_jobs))
        others = list(_other_accounts([*open_jobs, *hub.jobs(is_given=False, limit=_ALL)]))
    for message in [*held, *others]:
        say(message)
    failed |= bool(held)
    click.get_current_context().exit(ExitCode.UNSOLVED if failed else ExitCode.DONE)


def _held_jobs(jobs: Iterable[JobEntry]) -> Iterator[str]:
    """Yield a message about the jobs of processes that are alive or may be, if there are any."""
    held = [job.held_until for job in jobs if job.held_until and not job.is_of_other_account]
    if held:
        until = datetime.fromtimestamp(max(held)).astimezone().strftime("%H:%M:%S")
        number = counted(len(held), "job")
        yield f"{number} held by another process; if it is no longer running, run this again after {until}"


def _other_accounts(jobs: Iterable[JobEntry]) -> Iterator[str]:
    """Yield a message about the jobs of each account that is not configured here."""
    by_account: dict[int, list[JobEntry]] = {}
    for job in jobs:
        # A job that a process holds is that process's to deliver.
        is_open = job.state is JobState.CREATED and job.held_until is None
        if job.account is not None and job.is_of_other_account and (is_open or not job.is_given):
            by_account.setdefault(job.account, []).append(job)
    for found in by_account.values():
        job = found[0]
        ids = ", ".join(str(one.job_id) for one in found)
        yield (
            f"{counted(len(found), 'job')} of an account that is not configured here: {job.provider} "
            f"({job.plugin} at {job.address}), {ids}"
        )


def _print(line: str) -> None:
    """Print a line on stdout, or on stderr if that fails, because its answer counts as delivered."""
    try:
        with writing_stdout():
            put(line)
    except StdoutFailed as failure:
        say(line)
        message = (
            f"{failure}; the line above is missing there, and the next {command('resume')} prints the rest"
        )
        raise StdoutFailed(message) from failure


def _record(collected: Collected) -> dict[str, object]:
    entry = collected.entry
    solution = None if collected.solution is None else solution_fields(collected.solution)
    return {
        "file": entry.label,
        "fingerprint": entry.fingerprint,
        "kind": entry.kind,
        "provider": entry.provider,
        "job_id": entry.job_id,
        "solution": solution,
        "cost": None if collected.cost is None else money_text(collected.cost),
        "error": None if collected.error is None else str(collected.error),
    }
