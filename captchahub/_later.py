"""What must get into the journal: where it can't be written now, it is written later, in its order."""

from __future__ import annotations

from captchahub._journal import Journal, Work
from captchahub._log import log
from captchahub.errors import CaptchaHubError

__all__ = ["Later"]


class Later:
    """The works that a journal did not take. To do one of them twice does no harm."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[Work[object]] = []

    async def write(self, work: Work[object], what: str) -> None:
        """Write now, or where that fails, with the next :meth:`catch_up`; ``what`` it is, is for the log."""
        if not self._waiting:
            try:
                await self._journal.write(work)
            except CaptchaHubError as error:
                log.error("%s could not be written into the journal, and is tried again: %s", what, error)
                self._waiting.append(work)
            return
        self._waiting.append(work)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Write what could not be written before."""
        try:
            while self._waiting:
                work = self._waiting[0]
                await self._journal.write(work)
                # Two can be at it at the same time.
                if self._waiting[:1] == [work]:
                    del self._waiting[0]
        except CaptchaHubError as error:
            log.warning("the journal still fails; %d entries wait for it: %s", len(self._waiting), error)
