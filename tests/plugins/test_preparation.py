"""Plugins that take too long to prepare tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from captchahub import Hub, ImageToText
from captchahub.extending import Prepared
from captchahub.hookspecs import hookimpl
from captchahub.testing import Sandbox
from tests.quick_omo import QuickOmo


class Stuck:
    """A plugin that hangs until the test is over."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.is_over = threading.Event()

    @hookimpl
    def captchahub_prepare_task(self, task: ImageToText) -> Prepared | None:
        self.begun.set()
        self.is_over.wait(60)
        return None


def test_a_plugin_that_hangs_costs_a_solve_some_time_and_no_more(
    configured: Callable[..., dict[str, Any]],
    sandbox: Sandbox,
    quick: QuickOmo,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck = Stuck()
    with Hub.from_mapping(configured("omo"), plugins=[quick, stuck]) as hub:
        result = hub.solve(sandbox.draw_text("x7kp2").task(), timeout=4)
        assert (result.solution.text, stuck.begun.is_set()) == ("x7kp2", True)
        assert "captchahub_prepare_task took more than 1.0 s: the task is sent as it was" in caplog.text
        stuck.is_over.set()


def test_one_that_hangs_again_and_again_is_not_asked_any_more(
    configured: Callable[..., dict[str, Any]],
    sandbox: Sandbox,
    quick: QuickOmo,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck = Stuck()
    with Hub.from_mapping(configured("omo"), plugins=[quick, stuck]) as hub:
        for _ in range(4):
            hub.solve(sandbox.draw_text("x7kp2").task(), timeout=1, share=False)
        stuck.begun.clear()
        assert "this hub prepares no more tasks, after 4 timeouts in a row" in caplog.text
        hub.solve(sandbox.draw_text("x7kp2").task(), timeout=1, share=False)
        assert not stuck.begun.is_set()
        stuck.is_over.set()
