"""The engine of a hub in this process: whatever a fork would have two processes share is made for each."""

from __future__ import annotations

from captchahub._engine.engine import Engine
from captchahub._plugins.manager import Plugins
from captchahub._support.forking import keep, process
from captchahub.settings import HubSettings

__all__ = ["ProcessEngine"]


class ProcessEngine:
    """One engine a process: a forked child makes its own, when it first needs one.

    An engine has an owner id in the journal, locks, connections and threads, and each of them stands for one
    process. So a child leaves its parent's engine alone, whether or not that was used. Raises what making an
    engine raises: here at once, and in a child from :meth:`get`.
    """

    def __init__(self, settings: HubSettings, plugins: Plugins | None = None) -> None:
        engine = Engine(settings, plugins=plugins)
        self._settings = settings
        self.plugins = engine.plugins
        self._process = process()
        self._engine: Engine | None = engine

    def follow(self, settings: HubSettings, plugins: Plugins) -> None:
        """Make the engines of later children with these settings and plugins."""
        self._settings, self.plugins = settings, plugins

    @property
    def made(self) -> Engine | None:
        """This process's engine, None in a child that has not needed one so far."""
        if self._process != process():
            keep(self._engine)
            self._process, self._engine = process(), None
        return self._engine

    def get(self) -> Engine:
        """This process's engine."""
        engine = self.made
        if engine is None:
            # Not right after the fork: an error there would reach nobody.
            engine = self._engine = Engine(self._settings, plugins=self.plugins)
        return engine
