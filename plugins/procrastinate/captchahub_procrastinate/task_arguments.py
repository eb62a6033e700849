"""Tasks as the arguments of a job, which are plain JSON without the picture, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping

from captchahub import Image, ImageToText, PhoneSlide, Solution, Task, TaskError
from captchahub.tasks import OptionValue

__all__ = ["TaskTypes"]

_OPTION_TYPES = (str, int, bool)


class TaskTypes:
    """The task types that can be deferred: those of captchahub, and given ones."""

    def __init__(self, more: Iterable[type[Task[Solution]]] = ()) -> None:
        known: tuple[type[Task[Solution]], ...] = (ImageToText, PhoneSlide, *more)
        self._types: dict[str, Callable[..., Task[Solution]]] = {one.kind: one for one in known}

    def arguments(
        self, task: Task[Solution], *, label: str | None, timeout: float | None, callback: str | None
    ) -> dict[str, object]:
        """Return the arguments of a job that solves a task. Raises TaskError, TypeError or ValueError."""
        if not isinstance(task, Task):  # pyright: ignore[reportUnnecessaryIsInstance]  # not all callers check types
            raise TaskError(f"pass a task, such as ImageToText(Image.open(path)), not {type(task).__name__}")
        if self._types.get(task.kind) is not type(task):
            raise TaskError(
                f"the solver does not know the task type {type(task).__name__} of kind {task.kind!r}: pass "
                f"Solver(..., task_types=[{type(task).__name__}])"
            )
        options = dict(task.options)
        for name, value in options.items():
            if not isinstance(value, _OPTION_TYPES):  # pyright: ignore[reportUnnecessaryIsInstance]  # a plugin's
                raise TaskError(f"{name} must be text, a whole number or a truth value, to be stored as JSON")
        arguments: dict[str, object] = {
            "kind": task.kind,
            "options": options,
            "label": _checked_label(label),
            "timeout": _checked_timeout(timeout),
            "callback": callback,
        }
        if not _is_storable(json.dumps(arguments, ensure_ascii=False)):
            raise TaskError(
                "an option or the label has a NUL or half a surrogate pair, which PostgreSQL can't store"
            )
        return arguments

    def task(self, kind: str, options: Mapping[str, OptionValue], picture: bytes) -> Task[Solution]:
        """Return the task of a job. Raises TaskError if this process does not know its kind or an option."""
        make = self._types.get(kind)
        if make is None:
            raise TaskError(
                f"this worker does not know the kind {kind!r}: pass its task type to Solver(task_types=)"
            )
        image = Image.from_bytes(picture, max_bytes=len(picture))
        try:
            return make(image=image, **options)
        except TypeError as error:
            raise TaskError(f"this worker does not know an option of {kind}: {error}") from error


def _checked_label(label: str | None) -> str | None:
    if label is not None and not isinstance(label, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
        raise TypeError(f"label must be text, not {label!r}")
    return label


def _checked_timeout(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    if not (math.isfinite(timeout) and timeout > 0):
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")
    return float(timeout)


def _is_storable(text: str) -> bool:
    # json.dumps() has escaped the NUL itself.
    return "\\u0000" not in text and not any("\ud800" <= one <= "\udfff" for one in text)
