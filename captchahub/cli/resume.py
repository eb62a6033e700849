"""``captchahub resume``: collect what earlier runs have left behind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import click

from captchahub._plugins.manager import Plugins
from captchahub.cli.options import config_option, find_config, with_journal
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import ExitCode, StdoutFailed, need_stdout, put, say, writing_stdout
from captchahub.cli.text import counted, solution_fields
from captchahub.config import load_yaml
from captchahub.hub import Hub
from captchahub.jobs import Collected, JobEntry, JobState

__all__ = ["resume"]

_ALL = 1_000_000

_EPILOG = """
\b
Exit codes:
  0    every job that was left behind is collected, or there was none; stderr names those of other accounts
  1    a job could not be collected, or another process has it; stderr says until when
  2    wrong usage
  3    the configuration is missing or wrong, or the journal can't be used
  6    stdout failed: what it should have got is on stderr, and the rest is left for the next time
  130  interrupted, or 143 ended by SIGTERM: what was not printed is left for the next time
"""


@click.command(cls=Subcommand, epilog=_EPILOG)
@config_option("The YAML file that names the providers; looked for as by captchahub solve.")
def resume(config: Path | None) -> None:
    """Collect the answers of jobs that were ordered and never read, after a crash or Ctrl-C.

    Each is a JSON object on a line: the fingerprint of the task, which captchahub solve --json tells as well,
    says which one it is. Every answer is given once. Jobs of accounts that are not configured here are left
    to whoever has these accounts. The journal is the one that the configuration names,
    else jobs.db in the state folder of the user, such as ~/.local/state/captchahub.
    """
    need_stdout()
    failed = False
    plugins = Plugins()
    settings = with_journal(load_yaml(find_config(config), plugins))
    with Hub(settings, plugins=plugins) as hub:
        try:
            for collected in hub.resume():
                failed |= collected.error is not None
                _print(json.dumps(_told(collected)))
        except KeyboardInterrupt as interrupt:
            raise type(interrupt)("captchahub resume gives the rest the next time") from None
        open_jobs = hub.jobs(state=JobState.CREATED, limit=_ALL)
        held = _held(open_jobs)
        others = _others([*open_jobs, *hub.jobs(state=JobState.SOLVED, limit=_ALL)])
    if held is not None:
        failed = True
        say(held)
    for left in others:
        say(left)
    click.get_current_context().exit(ExitCode.UNSOLVED if failed else ExitCode.DONE)


def _held(jobs: Iterable[JobEntry]) -> str | None:
    """What to say of jobs that somebody works on, or who can't be asked whether it is still alive."""
    held = [job.held_until for job in jobs if job.held_until and not job.is_of_other_account]
    if not held:
        return None
    until = datetime.fromtimestamp(max(held)).astimezone().strftime("%H:%M:%S")
    number = counted(len(held), "job")
    return f"{number} held by another process; should that be dead, run this again after {until}"


def _others(jobs: Iterable[JobEntry]) -> Iterator[str]:
    """What to say of the jobs that are left to hubs with other accounts, by account."""
    left: dict[int, list[JobEntry]] = {}
    for job in jobs:
        is_open = job.state is JobState.CREATED and job.held_until is None
        if job.account is not None and job.is_of_other_account and (is_open or not job.is_given):
            left.setdefault(job.account, []).append(job)
    for found in left.values():
        job = found[0]
        ids = ", ".join(str(one.job_id) for one in found)
        yield (
            f"{counted(len(found), 'job')} of another account left to whoever has it: {job.provider} "
            f"({job.plugin} at {job.address}), {ids}"
        )


def _print(line: str) -> None:
    """Put a line on stdout, else on stderr, for its answer counts as given; then no more are asked for."""
    try:
        with writing_stdout():
            put(line)
    except StdoutFailed as failure:
        say(line)
        lost = f"{failure}; lost there is the line above, and captchahub resume gives all that came after it"
        raise StdoutFailed(lost) from failure


def _told(collected: Collected) -> dict[str, object]:
    entry = collected.entry
    solution = None if collected.solution is None else solution_fields(collected.solution)
    return {
        "fingerprint": entry.fingerprint,
        "kind": entry.kind,
        "provider": entry.provider,
        "job_id": entry.job_id,
        "solution": solution,
        "cost": None if collected.cost is None else str(collected.cost),
        "error": None if collected.error is None else str(collected.error),
    }
