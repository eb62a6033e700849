"""Telling observers how solves begin and end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar, cast

from captchahub._plugins.dispatcher import EventDispatcher
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub.errors import AllProvidersFailed, HubClosed
from captchahub.events import Cancelled, Failed, Solved, Submitted
from captchahub.results import Result
from captchahub.tasks import Solution

__all__ = ["narrated"]

S = TypeVar("S", bound=Solution)


class End(Protocol):
    """Takes note of a solve's result, and gives it on."""

    def __call__(self, result: Result[S]) -> Result[S]:
        """The result."""
        ...


@contextmanager
def narrated(dispatcher: EventDispatcher, solve: str, kind: str, timeout: float) -> Generator[End]:
    """Tell of a solve that it was submitted, and how what is done in here ends."""
    begun = now()
    dispatcher.emit(lambda at: Submitted(at=at, solve=solve, kind=kind, timeout=timeout))

    def end(result: Result[S]) -> Result[S]:
        told = cast("Result[Solution]", result)
        dispatcher.emit(lambda at: Solved(at=at, solve=solve, kind=kind, result=told))
        return result

    try:
        yield end
    except asyncio.CancelledError:
        dispatcher.emit(lambda at: Cancelled(at=at, solve=solve, kind=kind, elapsed=now() - begun))
        raise
    except Exception as error:
        # No variable here may hold the error, whose frames hold this one.
        _log_failure(kind, error, now() - begun)
        dispatcher.emit(partial(_failed, solve, kind, error, now() - begun))
        raise


def _log_failure(kind: str, error: Exception, elapsed: float) -> None:
    # The attempts have lines of their own.
    said = error.message if isinstance(error, AllProvidersFailed) else f"{type(error).__name__}: {error}"
    # Whoever closes a hub knows that nothing comes of what is under way.
    level = logging.INFO if isinstance(error, HubClosed) else logging.WARNING
    log.log(level, "%s: no answer after %.1f s: %s", kind, elapsed, said)


def _failed(solve: str, kind: str, error: Exception, elapsed: float, at: float) -> Failed:
    return Failed(at=at, solve=solve, kind=kind, error=error, elapsed=elapsed)
