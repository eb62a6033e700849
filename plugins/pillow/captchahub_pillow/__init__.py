"""Converts and shrinks pictures with Pillow before they are sent, so that services accept them.

The plugin has the limits of most services if the configuration loads it by name. Pass a :class:`Pillow` to
the hub for other limits.
"""

from __future__ import annotations

from captchahub import Solution, Task
from captchahub.extending import Prepared
from captchahub.hookspecs import hookimpl
from captchahub_pillow.plugin import Pillow

__all__ = ["Pillow", "captchahub_contract", "captchahub_prepare_task"]

captchahub_contract = 1

_USUAL = Pillow()


@hookimpl
def captchahub_prepare_task(task: Task[Solution], provider: str) -> Prepared | None:
    """Return the task with a picture that most services accept, or None if its own is accepted."""
    return _USUAL.captchahub_prepare_task(task, provider)
