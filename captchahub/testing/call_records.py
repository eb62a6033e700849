"""The calls that a sandbox received, which a test can read and wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable

import attrs

from captchahub.testing.emulation import Call
from captchahub.testing.faults import Fault

__all__ = ["CallRecord"]


@attrs.frozen
class CallRecord:
    """One call as the service received it, recorded before the first byte of the reply is sent.

    ``connection`` is the number of the connection, from 1. ``fault`` is None if nothing went wrong on the
    wire. ``status`` is the HTTP status that was sent, or None if the client got none.
    """

    name: str
    call: Call
    connection: int
    fault: Fault | None
    status: int | None
    token: str | None = attrs.field(repr=False)

    @property
    def received(self) -> float:
        """When the call arrived, in seconds since the sandbox was created."""
        return self.call.received

    @property
    def handled(self) -> bool:
        """Whether the service handled the call. False if a fault struck before."""
        return self.fault is None or self.fault.handled


class CallLog:
    """The records, and the lock that guards them and all other state of a sandbox."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._calls: list[CallRecord] = []

    def record(self, call: CallRecord) -> None:
        """Add a call. The caller must hold ``changed``."""
        self._calls.append(call)
        self.changed.notify_all()

    @property
    def calls(self) -> list[CallRecord]:
        """Every call so far, in the order in which they were handled."""
        with self.changed:
            return list(self._calls)

    def calls_to(self, name: str) -> list[CallRecord]:
        """Return the calls with one name so far."""
        return [call for call in self.calls if call.name == name]

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until a condition holds, and check it after every call. False after ``timeout`` seconds."""
        with self.changed:
            return self.changed.wait_for(condition, timeout)
