"""Checks that the output of a batch is no file that the program reads or keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captchahub.cli.batch.entries import ANSWERS
from captchahub.errors import ConfigError
from captchahub.settings import HubSettings

__all__ = ["refuse_own"]


def refuse_own(output: Path, configuration: Path, settings: HubSettings, sources: Sequence[Path]) -> None:
    """Raise ConfigError if the output is a file that the program reads or keeps: a batch would damage it."""
    journal = settings.journal.path
    journals = (
        () if journal is None else [journal.with_name(journal.name + end) for end in ("", "-wal", "-shm")]
    )
    answers = [source / ANSWERS for source in sources if source.is_dir()]
    for what, files in (
        ("the journal", journals),
        ("the configuration", [configuration]),
        ("one of the sources", [*sources, *answers]),
    ):
        if any(_is_same(file, output) for file in files):
            raise ConfigError(f"{output}: it is {what}; name another file for -o")


def _is_same(file: Path, output: Path) -> bool:
    try:
        return file.samefile(output)
    except OSError:
        # One of them does not exist yet, as the journal before the first job.
        return file.absolute() == output.absolute()
