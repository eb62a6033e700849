"""Pictures of the user's own with their answers: for a sandbox to know, and in the file of ``--answers``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from captchahub._journal.solutions import unpack_of_kind
from captchahub._support.text_files import decoded
from captchahub.images import Image
from captchahub.tasks import ImageToText, PhoneSlide, SlideSolution, Solution, TextSolution
from captchahub.words import fields_of

__all__ = ["answers", "picture_of", "read_answers", "solution_of"]

_ANSWERED_BY: Final[Mapping[str, type[Solution]]] = {
    ImageToText.kind: TextSolution,
    PhoneSlide.kind: SlideSolution,
}


def picture_of(given: object) -> Image:
    """The picture in an Image, in bytes or at a path. Raises TaskError where it is none."""
    if isinstance(given, Image):
        return given
    if isinstance(given, (str, os.PathLike)):
        return Image.open(cast("str | os.PathLike[str]", given))
    return Image.from_bytes(cast("bytes", given))


def solution_of(answer: object) -> Solution:
    """The solution that an answer stands for. Raises TypeError where it is none."""
    if isinstance(answer, Solution):
        return answer
    if not isinstance(answer, str):
        found = "nothing" if answer is None else f"a {type(answer).__name__}"
        raise TypeError(
            f"the answer of a picture is a text or a Solution, not {found}: know(picture, 'x7kp2')"
        )
    return TextSolution(answer)


def answers(kind: str, solution: Solution) -> bool:
    """Whether a task of a kind can be answered so; of kinds that plugins add nobody knows."""
    wanted = _ANSWERED_BY.get(kind)
    return wanted is None or isinstance(solution, wanted)


def read_answers(path: Path) -> Iterator[tuple[Image, Solution]]:
    """The pictures that a file names, beside it, each with its answer.

    It is such as ``captchahub sandbox --pictures`` writes: ``{"login.png": {"kind": "image-to-text",
    "solution": {"text": "x7kp2"}}}``, or for a text only ``{"login.png": "x7kp2"}``. Raises ValueError where
    it is not, OSError where it can't be read, TaskError where a picture is none.
    """
    try:
        document: object = json.loads(decoded(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError(f"{path} has no answers by picture; {_FORMS}")  # noqa: TRY004 - one error for a wrong file
    for name, answer in cast("dict[str, object]", document).items():
        solution = _solution_in(answer)
        if solution is None:
            raise ValueError(f"{path}: {name!r:.60} has no answer that can be read; {_FORMS}")
        yield Image.open(path.parent / name), solution


_FORMS = (
    'write {"login.png": "x7kp2"}, or {"login.png": {"kind": "image-to-text", "solution": {"text": "x7kp2"}}}'
)


def _solution_in(answer: object) -> Solution | None:
    if isinstance(answer, str):
        return TextSolution(answer)
    fields = fields_of(answer)
    kind, solution = fields.get("kind", ImageToText.kind), fields_of(fields.get("solution"))
    if kind == ImageToText.kind:
        text = solution.get("text", fields.get("answer"))
        return TextSolution(text) if isinstance(text, str) else None
    return unpack_of_kind(kind, solution) if isinstance(kind, str) else None
