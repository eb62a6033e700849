"""Pictures that services take: converted and shrunk with Pillow, before they are sent.

Loaded by its name it has the limits that most services have; :class:`Pillow` is for others.
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
    """The task with a picture that most services take, None where its own is one."""
    return _USUAL.captchahub_prepare_task(task, provider)
