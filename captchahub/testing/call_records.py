"""What happened in a sandbox: a record of every call, which a test can read and wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable

import attrs

from captchahub.testing.emulation import Call
from captchahub.testing.faults import Fault

__all__ = ["CallRecord"]


@attrs.frozen
class CallRecord:
    """One call as the service saw it; recorded before the first byte of the reply is sent.

    ``connection`` counts from 1. ``fault`` is None where nothing went wrong on the wire. ``status`` is the
    HTTP status that was sent, None where the client got none.
    """

    name: str
    call: Call
    connection: int
    fault: Fault | None
    status: int | None
    token: str | None = attrs.field(repr=False)

    @property
    def received(self) -> float:
        """When the call arrived, in seconds of the world's time."""
        return self.call.received

    @property
    def handled(self) -> bool:
        """Whether the service had the call, or a fault came first."""
        return self.fault is None or self.fault.handled


class Books:
    """The records, and the one lock under which a sandbox works."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._calls: list[CallRecord] = []

    def record(self, call: CallRecord) -> None:
        """Write a call down; the caller holds ``changed``."""
        self._calls.append(call)
        self.changed.notify_all()

    @property
    def calls(self) -> list[CallRecord]:
        """Every call until now, in order of handling."""
        with self.changed:
            return list(self._calls)

    def calls_to(self, name: str) -> list[CallRecord]:
        """The calls of one name until now."""
        return [call for call in self.calls if call.name == name]

    def wait_until(self, happened: Callable[[], bool], timeout: float) -> bool:
        """Wait until something is true, looked at after every call; False where time ran out, in seconds."""
        with self.changed:
            return self.changed.wait_for(happened, timeout)
