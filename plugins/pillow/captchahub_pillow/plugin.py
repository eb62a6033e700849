"""Which pictures are worked on, and what becomes of the task."""

from __future__ import annotations

import logging
from collections.abc import Collection

import attrs

from captchahub import Image, Solution, Task
from captchahub.extending import Prepared
from captchahub.frames import Frame
from captchahub.hookspecs import hookimpl
from captchahub.images import ImageFormat
from captchahub_pillow.shrinking import Limits, fitting, is_bomb

__all__ = ["Pillow"]

_log = logging.getLogger("captchahub.pillow")


class Pillow:
    """The plugin, for pictures as one's services want them.

    ``formats`` are those that they take, png or jpeg among them; ``max_bytes`` is the largest file and
    ``max_side`` the longest side in pixels, None for no limit. ``providers`` names those that it is for, as
    in the configuration; None for all of them. Raises ValueError for limits that no picture can keep,
    and TypeError for one name alone.
    """

    captchahub_contract = 1

    def __init__(
        self,
        *,
        formats: Collection[ImageFormat] = ("png", "jpeg", "gif"),
        max_bytes: int | None = 500_000,
        max_side: int | None = None,
        providers: Collection[str] | None = None,
    ) -> None:
        self._limits = Limits(formats, max_bytes, max_side)
        if isinstance(providers, str):
            raise TypeError(f"providers is a list of names: write [{providers!r}]")
        self._providers = None if providers is None else frozenset(providers)

    @hookimpl
    def captchahub_prepare_task(self, task: Task[Solution], provider: str) -> Prepared | None:
        """The task with a picture within the limits, None where its own is, or can't be made so."""
        image = task.image
        is_meant = self._providers is None or provider in self._providers
        if not is_meant or self._limits.allow(image) or not attrs.has(type(task)):
            return None
        if is_bomb(image):
            _log.warning("%r has too many pixels to be worked on: it is sent as it is", image)
            return None
        made = fitting(image, self._limits)
        if made is None:
            _log.info("%r can't be brought within the limits: it is sent as it is", image)
            return None
        _log.debug("%s gets %r made of %r", provider, made, image)
        changed = attrs.evolve(task, image=made)  # type: ignore[misc]  # an attrs class, as was asked above
        return Prepared(changed, _frame(image, made))


def _frame(image: Image, made: Image) -> Frame:
    return Frame(across=image.width / made.width, down=image.height / made.height)
