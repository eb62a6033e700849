"""The file that a batch writes: one record for each picture, appended as answers come.

A batch that is started again reads it to find what is done. Beside it stands a state file for as long as the
batch is not complete: it says when the batch began, and is locked while the batch runs.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from captchahub._support.wording import shown
from captchahub.cli.text import printable
from captchahub.errors import ConfigError
from captchahub.provider import money
from captchahub.words import fields_of

__all__ = ["COLUMNS", "Done", "Output", "Record", "done_of"]

Record = Mapping[str, object]


@attrs.frozen
class Done:
    """What the totals of a batch need of a record. ``is_right`` is None if the right answer is unknown.

    ``cost`` is that of all attempts, or None if it is unknown.
    """

    is_solved: bool
    is_right: bool | None
    cost: Decimal | None


def done_of(record: Record) -> Done:
    """Return what the totals need of a record, as it was made or as it was read from a file."""
    is_right, cost = record.get("is_right"), record.get("total_cost")
    return Done(
        not record.get("error"),
        None if is_right in (None, "") else is_right in (True, "true"),
        money(cost) if isinstance(cost, str) and cost else None,
    )


COLUMNS: Sequence[str] = (
    "id",
    "file",
    "kind",
    "answer",
    "truth",
    "is_right",
    "provider",
    "job_id",
    "cost",
    "total_cost",
    "elapsed",
    "error",
    "fingerprint",
)
"""The columns of a CSV file."""


class Output:
    """An output file, open for appending.

    ``done`` has what was in it before, by the id of the entry. With ``retry_failed`` the records of pictures
    that were not solved are removed first. Raises :class:`~captchahub.errors.ConfigError` if the file holds
    something else, or if another batch writes to it.
    """

    def __init__(self, path: Path, *, retry_failed: bool) -> None:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: it is no file that can be read again; name another one for -o")
        self.path = path
        self.begun = 0.0
        """When the batch began, in seconds since 1970; known after :meth:`begin`."""
        self.spent_before = Decimal(0)
        """What the accounts had spent when the batch began."""
        self._is_csv = path.suffix.lower() == ".csv"
        self._state_path = path.with_name(f"{path.name}.state")
        self._state = self._lock()
        try:
            self.done = self._read(retry_failed=retry_failed)
            self.is_resumed = bool(self.done)
            self._file = path.open("a", encoding="utf-8", newline="")
            if self._is_csv and not self._file.tell():
                self._append(_csv_line(COLUMNS))
        except BaseException:
            self._state.close()
            raise

    def _lock(self) -> io.TextIOWrapper:
        state = self._state_path.open("a+", encoding="utf-8")
        # Two batches that write to one file would pay for the same pictures. Windows has no fcntl; there the
        # state file is not locked.
        with suppress(ImportError):
            import fcntl  # noqa: PLC0415 - see above

            try:
                fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                state.close()
                raise ConfigError(
                    f"{self.path}: another batch is writing to it; wait for its end, or name another file"
                ) from None
        return state

    def begin(self, spent: Callable[[], Decimal]) -> None:
        """Find out when the batch began; if it begins now, write that down with what was ``spent`` before."""
        self._state.seek(0)
        with suppress(ValueError, TypeError, KeyError, ArithmeticError):
            state = json.loads(self._state.read())
            self.begun, self.spent_before = float(state["begun"]), Decimal(state["spent_before"])
            return
        self.begun, self.spent_before = time.time(), spent()
        self._state.truncate(0)
        self._state.write(json.dumps({"begun": self.begun, "spent_before": str(self.spent_before)}))
        self._state.flush()

    def _read(self, *, retry_failed: bool) -> dict[str, Done]:
        if not self.path.exists():
            # Whatever the state file says is of a batch whose output was deleted.
            self._state.truncate(0)
            return {}
        self._cut_incomplete_line()
        done = {str(record["id"]): done_of(record) for record in self._records()}
        if not retry_failed or all(one.is_solved for one in done.values()):
            return done
        self._rewrite(record for record in self._records() if done_of(record).is_solved)
        return {key: one for key, one in done.items() if one.is_solved}

    def _records(self) -> Iterator[Record]:
        with self.path.open(encoding="utf-8", newline="") as file:
            yield from _csv_records(file, self.path) if self._is_csv else _json_records(file, self.path)

    def _cut_incomplete_line(self) -> None:
        """Remove a last line without its end: the process was killed while it wrote it."""
        with self.path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            end = size
            while end:
                start = max(0, end - 65_536)
                file.seek(start)
                found = file.read(end - start).rfind(b"\n")
                if found >= 0:
                    end = start + found + 1
                    break
                end = start
            if end < size:
                file.truncate(end)

    def _rewrite(self, records: Iterable[Record]) -> None:
        """Replace the whole file, at once, so that no crash can lose a record."""
        new = self.path.with_name(f"{self.path.name}.new")
        with new.open("w", encoding="utf-8", newline="") as file:
            if self._is_csv:
                file.write(_csv_line(COLUMNS))
            file.writelines(map(self._line, records))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    def write(self, record: Record) -> None:
        """Append a record. Raises OSError if that fails, for example because the disk is full."""
        self._append(self._line(record))

    def _append(self, line: str) -> None:
        self._file.write(line)
        self._file.flush()

    def _line(self, record: Record) -> str:
        if not self._is_csv:
            return json.dumps(record) + "\n"
        return _csv_line([_cell(name, record) for name in COLUMNS])

    def close(self, *, is_complete: bool) -> None:
        """Close the file. If the batch is complete, its state is not needed any more."""
        with suppress(OSError):
            self._file.close()
        if is_complete:
            self._state_path.unlink(missing_ok=True)
        self._state.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(is_complete=False)


def _json_records(lines: Iterable[str], path: Path) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        try:
            record: Any = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or "id" not in record:
            raise ConfigError(
                f"{path}:{number}: {shown(line.rstrip())} is no record of a batch; name another file for -o"
            )
        yield record  # pyright: ignore[reportUnknownVariableType]  # the keys of JSON are text


def _csv_records(lines: Iterable[str], path: Path) -> Iterator[Record]:
    rows = csv.DictReader(lines)
    if rows.fieldnames is not None and list(rows.fieldnames) != list(COLUMNS):
        raise ConfigError(f"{path}: it was not written by a batch; name another file for -o")
    yield from rows


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _cell(name: str, record: Record) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if name == "error" and isinstance(value, Mapping):
        value = _reasons(record)
    return printable(value if isinstance(value, str) else json.dumps(value))


def _reasons(record: Record) -> str:
    """Return why a picture was not solved, with the error of each attempt."""
    error = fields_of(record["error"])
    attempts: Any = record.get("attempts") or []
    failed = [one for one in attempts if one["error"]]
    found = [f"{one['provider']}: {one['error']['message']}" for one in failed]
    return "; ".join([str(error["message"]), *found])
