"""What code of others, called in the middle of ours, may raise."""

from __future__ import annotations

__all__ = ["FAULTS"]

FAULTS = (BaseException,)
"""Faults of a call that does not wait.

No cancellation can reach it from outside, in the hub's thread SystemExit would end the hub and not the
program, and engines written in other languages raise what is no Exception. Only Ctrl-C is to pass, by an
``except KeyboardInterrupt`` before.
"""
