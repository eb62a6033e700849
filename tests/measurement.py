"""What is measured when the tests run under coverage, which makes code take twice as long.

Tests that repeat what other tests do, in order to search for failures, are not measured: those with the mark
``search``, and all but the first examples of a property. The processes that tests fork are not measured
either, because they end without writing what was measured.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from coverage import Coverage

# Hardly any further example runs a line that none of these has run.
MEASURED_EXAMPLES = 10
# What makes coverage measure a process that is started.
_CONFIGURATION = "COVERAGE_PROCESS_CONFIG"


class Property(Protocol):
    """What hypothesis attaches to a test for plugins of pytest."""

    inner_test: Callable[..., object]


def leave_forked_processes_out() -> None:
    """Measure none of the processes that this one forks from now on."""
    if Coverage.current() is not None:
        os.register_at_fork(after_in_child=_stop_tracing)


def _stop_tracing() -> None:
    threading.settrace(None)
    sys.settrace(None)


@contextmanager
def unmeasured() -> Generator[None]:
    """Suspend the measurement, and start processes that are not measured."""
    measurement = Coverage.current()
    if measurement is None:
        yield
        return
    measurement.stop()
    configuration = os.environ.pop(_CONFIGURATION, None)
    try:
        yield
    finally:
        if configuration is not None:
            os.environ[_CONFIGURATION] = configuration
        measurement.start()


@contextmanager
def first_examples_measured(searched: Property) -> Generator[None]:
    """Suspend the measurement after the first examples of a property."""
    original, tried = searched.inner_test, 0
    with ExitStack() as until_the_end:

        @functools.wraps(original)
        def counted(*arguments: object, **keywords: object) -> object:
            nonlocal tried
            tried += 1
            if tried == MEASURED_EXAMPLES + 1:
                until_the_end.enter_context(unmeasured())
            return original(*arguments, **keywords)

        searched.inner_test = counted
        try:
            yield
        finally:
            searched.inner_test = original
