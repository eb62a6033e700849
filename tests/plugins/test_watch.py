"""The hook ``captchahub_watch``: when a plugin receives the status of a hub, and what it can read there."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from captchahub import AuthenticationError, Balance, Hub, ProviderState
from captchahub.extending import HubStatus, ProviderStatus
from captchahub.hookspecs import hookimpl
from captchahub.testing import Sandbox

Configured = Callable[..., dict[str, Any]]


class Watcher:
    """A plugin that keeps what it receives."""

    def __init__(self) -> None:
        self.received: list[HubStatus] = []

    @hookimpl
    def captchahub_watch(self, hub: HubStatus) -> None:
        self.received.append(hub)


class Faulty:
    @hookimpl
    def captchahub_watch(self, hub: HubStatus) -> None:
        raise OSError("no memory is left")


def test_it_is_called_before_the_first_task_with_every_provider(configured: Configured) -> None:
    watcher = Watcher()
    with Hub.from_mapping(configured("omo", "spare"), plugins=[watcher]):
        [status] = watcher.received
        idle = ProviderStatus(ProviderState.HEALTHY, 0)
        assert status.providers() == {"omo": idle, "spare": idle}


def test_it_is_called_again_after_a_reload_and_the_object_shows_the_new_providers(
    configured: Configured, tmp_path: Path
) -> None:
    path, watcher = tmp_path / "config.yaml", Watcher()
    path.write_text(yaml.safe_dump(configured("omo")))
    with Hub.from_yaml(path, plugins=[watcher]) as hub:
        hub.balances()
        [status] = watcher.received
        path.write_text(yaml.safe_dump(configured("spare")))
        hub.reload()
        assert watcher.received == [status, status]
        assert status.providers() == {"spare": ProviderStatus(ProviderState.HEALTHY, 0)}


def test_the_balance_is_the_one_that_was_read_last(configured: Configured, sandbox: Sandbox) -> None:
    watcher = Watcher()
    mapping = configured("omo", "wrong")
    mapping["providers"]["wrong"]["api_token"] = "another-token"
    with Hub.from_mapping(mapping, plugins=[watcher]) as hub:
        assert isinstance(hub.balances()["wrong"], AuthenticationError)
        providers = watcher.received[0].providers()
    balance = providers["omo"].balance
    assert isinstance(balance, Balance)
    assert balance.amount == Decimal(1000)
    assert providers["wrong"].balance is None


def test_an_error_is_logged_and_the_other_plugins_are_called(
    configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher()
    with Hub.from_mapping(configured("omo"), plugins=[Faulty(), watcher]):
        assert len(watcher.received) == 1
    assert "captchahub_watch of Faulty failed: ignored" in caplog.messages
