"""What earlier processes have learned of an account, read from the journal before its first poll."""

from __future__ import annotations

from captchahub._journal.journal import Journal
from captchahub._policy.polling import LearnedPolling
from captchahub._providers.account import RemoteAccount
from captchahub._support.background import BackgroundTasks
from captchahub._support.log import log
from captchahub.errors import CaptchaHubError


def start_restoring(account: RemoteAccount, kind: str, journal: Journal, background: BackgroundTasks) -> None:
    """Start to read what is known of the jobs of a kind, unless that was done before. Nothing waits for it.

    A reservation that follows is written later, so that it is known when the job is created.
    """
    speed = account.speed[kind]
    if not speed.is_restored:
        speed.is_restored = True
        background.start(_restore(account, kind, speed.polling, journal))


async def _restore(account: RemoteAccount, kind: str, polling: LearnedPolling, journal: Journal) -> None:
    try:
        text = await journal.job_times(account.identity, kind)
    except CaptchaHubError as error:
        log.warning("%s: what %s jobs take is learned anew: %s", account.name, kind, error)
        return
    if text is not None:
        polling.restore(text)
