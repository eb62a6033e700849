"""Records the health of a hub's providers in the journal, so that other processes can read it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from captchahub._journal.journal import Journal
from captchahub._policy.health_record import HealthRecord, is_news, record_of
from captchahub._providers.registry import ProviderRegistry
from captchahub._support.background import BackgroundTasks
from captchahub._support.clock import now


class HealthRecorder:
    """Writes to the journal which providers are cooling or out, each time that this has changed."""

    def __init__(self, accounts: ProviderRegistry, journal: Journal, background: BackgroundTasks) -> None:
        self._accounts = accounts
        self._journal = journal
        self._background = background
        self._recorded: Mapping[str, HealthRecord] = {}
        self._writing: asyncio.Task[None] | None = None

    def note_change(self) -> None:
        """Write in the background what has changed. Changes during a write are written together after it."""
        if self._writing is None or self._writing.done():
            self._writing = self._background.start(self._write())

    async def _write(self) -> None:
        while is_news(self._recorded, present := self._present(), self._journal.now):
            self._recorded = present
            await self._journal.record_health(present)

    def _present(self) -> Mapping[str, HealthRecord]:
        moment, wall = now(), self._journal.now
        records = {
            name: record_of(account.admission.health, account.admission.error, now=moment, wall=wall)
            for name, account in self._accounts.items()
            # A plugin that can't be used is a matter of this process, not of the account.
            if account.settings.unusable is None
        }
        return {name: record for name, record in records.items() if record is not None}
