"""The pictures of a batch: a folder, a pattern of file names, or a list in CSV or JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from glob import glob
from pathlib import Path
from typing import Any

import attrs
import click

from captchahub._support.paths import expanded
from captchahub._support.wording import shown
from captchahub.words import fields_of

__all__ = ["ANSWERS", "Entry", "other_files", "read_entries"]

_PICTURES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})

ANSWERS = "answers.json"
"""The file in a folder of pictures that names their right answers, as ``captchahub sandbox`` writes it."""

_OWN_KEYS = ("file", "id", "type", "truth")


@attrs.frozen
class Entry:
    """A picture of a batch. ``kind`` is None for the type that the command line names.

    ``truth`` is the right answer, as text or as the fields of a solution, or None if it is unknown.
    ``source`` says where the entry was found, as in ``list.csv:7``.
    """

    id: str
    file: Path
    source: str
    kind: str | None = None
    options: Mapping[str, object] = attrs.field(factory=dict[str, object])
    truth: object = None


def read_entries(sources: Iterable[str]) -> list[Entry]:
    """Return the entries of all sources, each with an id of its own.

    Raises :class:`click.UsageError` if a source can't be read, holds no picture, or if an id is used twice.
    """
    found: dict[str, Entry] = {}
    for source in sources:
        before = len(found)
        for entry in _entries_of(source):
            other = found.setdefault(entry.id, entry)
            if other is not entry:
                raise click.UsageError(
                    f"{entry.source}: {entry.id!r} is named in {other.source} too; give each entry its own id"
                )
        if len(found) == before:
            raise click.UsageError(f"{source}: there is no picture in it ({', '.join(sorted(_PICTURES))})")
    return list(found.values())


def other_files(sources: Iterable[str]) -> Iterator[Path]:
    """Yield the files in folders and of patterns that are left out, because they are no pictures.

    A link to a file that does not exist is one of them.
    """
    for source in sources:
        path = expanded(source)
        is_folder = path.is_dir()
        for file in path.rglob("*") if is_folder else () if path.exists() else _matches(path):
            is_entry = _is_picture(file) and (file.is_file() or not is_folder)
            if not (is_entry or file.is_dir() or file.name == ANSWERS):
                yield file


def _matches(pattern: Path) -> list[Path]:
    names = glob(str(pattern), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    return [Path(name) for name in sorted(names)]


def _entries_of(source: str) -> Iterator[Entry]:
    path = expanded(source)
    if path.is_dir():
        return _of_folder(path)
    if path.exists():
        return _of_file(path)
    if any(sign in source for sign in "*?["):
        return (_picture(file) for file in _matches(path) if _is_picture(file))
    raise click.UsageError(f"{source}: there is no such file or folder")


def _of_file(path: Path) -> Iterator[Entry]:
    match path.suffix.lower():
        case ".csv":
            return _of_rows(path, _csv_rows(path))
        case ".jsonl" | ".ndjson":
            return _of_rows(path, _json_rows(path))
        case ".json":
            return _of_answers(path)
        case _:
            # A file with another ending may be a picture all the same; opening it decides.
            return iter([_picture(path)])


def _is_picture(name: str | Path) -> bool:
    return Path(name).suffix.lower() in _PICTURES


def _picture(path: Path) -> Entry:
    return Entry(str(path), path, str(path))


def _of_folder(folder: Path) -> Iterator[Entry]:
    """Yield the pictures in a folder and below; an ``answers.json`` in it names types and right answers."""
    known: dict[Path, Entry] = {}
    if (folder / ANSWERS).exists():
        known = {entry.file: entry for entry in _of_answers(folder / ANSWERS)}
    for path in sorted(folder.rglob("*")):
        if _is_picture(path) and path.is_file():
            yield known.get(path) or _picture(path)


def _of_answers(path: Path) -> Iterator[Entry]:
    """Yield the pictures of an ``answers.json``: file names, each with a text or with kind and solution."""
    answers = _parsed(path.read_text(encoding="utf-8-sig"), str(path))
    for name, answer in answers.items():
        file = path.parent / name
        fields = fields_of(answer)
        kind = fields.get("kind")
        if isinstance(answer, str):
            yield Entry(str(file), file, str(path), truth=answer)
        elif isinstance(kind, str):
            yield Entry(str(file), file, str(path), kind, truth=fields.get("solution"))
        else:
            raise click.UsageError(f"{path}: the answer to {name!r} is neither text nor an object")


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                if None in row:
                    raise click.UsageError(f"{path}:{reader.line_num}: more cells than the first line has")
                yield reader.line_num, {key: cell for key, cell in row.items() if cell}
    except csv.Error as error:
        raise click.UsageError(f"{path}: not CSV: {error}") from error


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, _parsed(line, f"{path}:{number}")


def _parsed(text: str, place: str) -> dict[str, object]:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{place}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise click.UsageError(f"{place}: expected a JSON object, found {shown(value)}")
    return value  # pyright: ignore[reportUnknownVariableType]  # the keys of JSON are text


def _of_rows(path: Path, rows: Iterable[tuple[int, Mapping[str, object]]]) -> Iterator[Entry]:
    """Yield an entry for each row. All keys but those of the batch itself are options of the task."""
    for number, row in rows:
        place = f"{path}:{number}"
        file, key, kind = (row.get(name) for name in ("file", "id", "type"))
        if not isinstance(file, str):
            raise click.UsageError(f"{place}: it has no file; name the picture under 'file'")
        if kind is not None and not isinstance(kind, str):
            raise click.UsageError(f"{place}: type must be the name of a task type, not {shown(kind)}")
        picture = path.parent / expanded(file)
        options = {name: value for name, value in row.items() if name not in _OWN_KEYS and value is not None}
        yield Entry(
            str(picture) if key is None else str(key), picture, place, kind, options, row.get("truth")
        )
