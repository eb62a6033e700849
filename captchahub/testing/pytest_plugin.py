"""Fixtures for pytest: ``pytest_plugins = ["captchahub.testing.pytest_plugin"]`` in a ``conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Unpack

import pytest

from captchahub.errors import ConfigError
from captchahub.testing.emulation import Emulation
from captchahub.testing.emulations import installed_emulations, load_emulation
from captchahub.testing.sandbox import Sandbox, SandboxFactory, SandboxOptions

__all__ = ["captchahub_sandbox"]


@pytest.fixture
def captchahub_sandbox() -> Iterator[SandboxFactory]:
    """Starts sandboxes: ``captchahub_sandbox("omocaptcha", job_time=0.2)``; all are stopped after the test.

    The service is the name of a provider kind or an Emulation, such as
    ``load_emulation("createtask", dialect="capsolver")``; without it, the only one that is installed.
    """
    with ExitStack() as stack:

        def start(emulation: str | Emulation | None = None, /, **options: Unpack[SandboxOptions]) -> Sandbox:
            service = _only_installed() if emulation is None else emulation
            loaded = load_emulation(service) if isinstance(service, str) else service
            return stack.enter_context(Sandbox(loaded, **options))

        yield start


def _only_installed() -> str:
    names = installed_emulations()
    if not names:
        raise ConfigError("no emulation is installed: install a plugin, or give an Emulation of your own")
    if len(names) > 1:
        there = ", ".join(names)
        raise ConfigError(f"several emulations are installed, {there}: captchahub_sandbox({names[0]!r})")
    return names[0]
