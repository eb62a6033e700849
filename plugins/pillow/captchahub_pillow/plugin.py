"""The plugin: it decides which pictures to change, and makes the prepared task."""

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
    """The plugin with the limits of particular services.

    ``formats`` are the formats that they accept, with png or jpeg among them. ``max_bytes`` is the largest
    file in bytes and ``max_side`` the longest side in pixels; None means no limit. ``providers`` are the
    names of the providers that the limits apply to, or None for all. Raises ValueError for limits that no
    picture can meet, and TypeError if ``providers`` is a single name.
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
            raise TypeError(f"providers must be a list of names: write [{providers!r}]")
        self._providers = None if providers is None else frozenset(providers)

    @hookimpl
    def captchahub_prepare_task(self, task: Task[Solution], provider: str) -> Prepared | None:
        """Return the task with a picture within the limits, or None if no change is needed or possible."""
        image = task.image
        is_for_provider = self._providers is None or provider in self._providers
        if not is_for_provider or self._limits.allow(image) or not attrs.has(type(task)):
            return None
        if is_bomb(image):
            _log.warning("%r has too many pixels to be changed: it is sent unchanged", image)
            return None
        made = fitting(image, self._limits)
        if made is None:
            _log.info("%r cannot be brought within the limits: it is sent unchanged", image)
            return None
        _log.debug("%s receives %r, made from %r", provider, made, image)
        changed = attrs.evolve(task, image=made)  # type: ignore[misc]  # an attrs class, as was checked above
        return Prepared(changed, _frame(image, made))


def _frame(image: Image, made: Image) -> Frame:
    return Frame(across=image.width / made.width, down=image.height / made.height)
