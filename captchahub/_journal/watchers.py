"""The solves of a hub that wait for a job of an equal task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager


class Watchers:
    """Who is called when a job may have ended, by the fingerprint of its task. For one event loop."""

    def __init__(self) -> None:
        self._looks: dict[str, set[Callable[[], None]]] = {}

    @property
    def fingerprints(self) -> Collection[str]:
        """The tasks whose jobs are waited for."""
        return self._looks.keys()

    @contextmanager
    def watch(self, fingerprint: str, look: Callable[[], None]) -> Generator[None]:
        """Call ``look`` when a job with this fingerprint may have ended, until the context ends."""
        looks = self._looks.setdefault(fingerprint, set())
        looks.add(look)
        try:
            yield
        finally:
            looks.discard(look)
            if not looks:
                del self._looks[fingerprint]

    def look(self, fingerprint: str | None) -> None:
        """Let those look that wait for a fingerprint, or all of them."""
        groups = [*self._looks.values()] if fingerprint is None else [self._looks.get(fingerprint, ())]
        for look in [look for group in groups for look in group]:
            look()
