"""Tools for tests and trials: the sandbox, a virtual clock, transports without a network."""

from __future__ import annotations

from captchahub.testing.call_records import CallRecord
from captchahub.testing.clock import VirtualClockLoop, run_virtual
from captchahub.testing.emulation import Account, Answer, Call, Emulation, JobRecord, World, unpack_base64
from captchahub.testing.emulations import installed_emulations, load_emulation
from captchahub.testing.faults import ALL_WIRE_FAULTS, Fault, Where, wire_faults
from captchahub.testing.hubs import HubFactory
from captchahub.testing.pictures import CLEAR_CHARACTERS, DrawnPicture, DrawnSlide, DrawnText, Painter
from captchahub.testing.sandbox import Sandbox, SandboxFactory, SandboxOptions
from captchahub.testing.timing import LogNormal, Seconds
from captchahub.testing.transport import (
    EmulatedTransport,
    Hang,
    Mishap,
    ScriptedTransport,
    Sent,
    Slow,
    json_reply,
)

__all__ = [
    "ALL_WIRE_FAULTS",
    "CLEAR_CHARACTERS",
    "Account",
    "Answer",
    "Call",
    "CallRecord",
    "DrawnPicture",
    "DrawnSlide",
    "DrawnText",
    "EmulatedTransport",
    "Emulation",
    "Fault",
    "Hang",
    "HubFactory",
    "JobRecord",
    "LogNormal",
    "Mishap",
    "Painter",
    "Sandbox",
    "SandboxFactory",
    "SandboxOptions",
    "ScriptedTransport",
    "Seconds",
    "Sent",
    "Slow",
    "VirtualClockLoop",
    "Where",
    "World",
    "installed_emulations",
    "json_reply",
    "load_emulation",
    "run_virtual",
    "unpack_base64",
    "wire_faults",
]
