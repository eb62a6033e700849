"""Fixtures for pytest: ``pytest_plugins = ["captchahub.testing.pytest_plugin"]`` in a ``conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Unpack

import pytest

from captchahub.testing.emulation import Emulation
from captchahub.testing.emulations import load_emulation
from captchahub.testing.sandbox import Sandbox, SandboxFactory, SandboxOptions

__all__ = ["captchahub_sandbox"]


@pytest.fixture
def captchahub_sandbox() -> Iterator[SandboxFactory]:
    """Starts sandboxes, as many as the test needs; all are stopped after it."""
    with ExitStack() as stack:

        def start(emulation: str | Emulation, /, **options: Unpack[SandboxOptions]) -> Sandbox:
            service = load_emulation(emulation) if isinstance(emulation, str) else emulation
            return stack.enter_context(Sandbox(service, **options))

        yield start
