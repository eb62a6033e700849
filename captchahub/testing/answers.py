"""The user's own pictures and their answers, for :meth:`Sandbox.know` and for the file of ``--answers``."""

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

_SOLUTION_TYPES: Final[Mapping[str, type[Solution]]] = {
    ImageToText.kind: TextSolution,
    PhoneSlide.kind: SlideSolution,
}


def picture_of(given: object) -> Image:
    """Return the picture in an Image, in bytes or at a path. Raises TaskError if it is not a picture."""
    if isinstance(given, Image):
        return given
    if isinstance(given, (str, os.PathLike)):
        return Image.open(cast("str | os.PathLike[str]", given))
    return Image.from_bytes(cast("bytes", given))


def solution_of(answer: object) -> Solution:
    """Return an answer as a solution; a text becomes a TextSolution. Raises TypeError for anything else."""
    if isinstance(answer, Solution):
        return answer
    if not isinstance(answer, str):
        found = "nothing" if answer is None else f"a {type(answer).__name__}"
        raise TypeError(
            f"the answer to a picture must be a text or a Solution, not {found}: know(picture, 'x7kp2')"
        )
    return TextSolution(answer)


def answers(kind: str, solution: Solution) -> bool:
    """Return whether a task of a kind accepts this solution. Any solution fits a kind that a plugin adds."""
    expected = _SOLUTION_TYPES.get(kind)
    return expected is None or isinstance(solution, expected)


def read_answers(path: Path) -> Iterator[tuple[Path, Image, Solution]]:
    """Yield the paths and pictures that a file of answers names, each with its answer.

    The pictures are in the file's folder. The file has the format that ``captchahub sandbox --pictures``
    writes: ``{"login.png": {"kind": "image-to-text", "solution": {"text": "x7kp2"}}}``, or for a text only
    ``{"login.png": "x7kp2"}``. Raises ValueError for another format, OSError if the file can't be read, and
    TaskError if a picture is not one.
    """
    try:
        document: object = json.loads(decoded(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError(f"{path} does not map pictures to answers; {_FORMS}")  # noqa: TRY004 - one error for a wrong file
    for name, answer in cast("dict[str, object]", document).items():
        solution = _solution_in(answer)
        if solution is None:
            raise ValueError(f"{path}: {name!r:.60} has no valid answer; {_FORMS}")
        yield path.parent / name, Image.open(path.parent / name), solution


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
