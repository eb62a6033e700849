"""What code of others, called in the middle of ours, may raise."""

from __future__ import annotations

import asyncio

__all__ = ["FAULTS"]

FAULTS = (Exception, SystemExit, asyncio.CancelledError)
"""Faults of a call that does not wait: no cancellation can reach it from outside, and in the hub's thread
SystemExit would end the hub and not the program."""
