"""The file that a batch writes: one record for each picture, appended as answers come.

A batch that is started again reads it to find what is done. Beside it stands a state file for as long as the
batch is not complete: it says when the batch began, and is locked while the batch runs.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from captchahub._support.wording import shown
from captchahub.cli.batch.totals import Done, Record, done_of, failure_of
from captchahub.cli.text import printable
from captchahub.errors import ConfigError

__all__ = ["COLUMNS", "Output", "why_unwritable"]


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
    "is_collected",
    "elapsed",
    "error",
    "fingerprint",
)
"""The columns of a CSV file."""

# The keys that distinguish a record of a batch from other JSON, and how its line begins.
_NEEDED = {"id", "total_cost", "error"}

_BEGIN = b'{"id": '


class Output:
    """An output file, open for appending.

    ``done`` has what was in it before, by the id of the entry. With ``retry_failed`` the records of pictures
    that were not solved are removed first. Raises :class:`~captchahub.errors.ConfigError` if the file holds
    something else, or if another batch writes to it.
    """

    def __init__(self, path: Path, *, retry_failed: bool) -> None:
        self.path = path
        self.begun = 0.0
        """When the batch began, in seconds since 1970; known after :meth:`begin`."""
        self.spent_before = Decimal(0)
        """What the accounts had spent when the batch began."""
        self.is_resumed = False
        """Whether an earlier run began the batch; known after :meth:`begin`."""
        self._is_csv = path.suffix.lower() == ".csv"
        self._state_path = path.with_name(f"{path.name}.state")
        with self._naming_itself():
            if path.exists() and not path.is_file():
                raise ConfigError(f"{path}: it is no file that can be read again; name another one for -o")
            self._is_state_new = not self._state_path.exists()
            self._state = self._lock()
        try:
            with self._naming_itself():
                self.done, self._places = self._read(retry_failed=retry_failed)
                self._file = path.open("a", encoding="utf-8", newline="")
                if self._is_csv and not self._file.tell():
                    self._append(_csv_line(COLUMNS))
        except BaseException:
            self._close_state()
            raise

    @contextmanager
    def _naming_itself(self) -> Generator[None]:
        """Raise ConfigError with the name of the file if the system refuses something in here."""
        try:
            yield
        except OSError as error:
            why = why_unwritable(error)
            raise ConfigError(
                f"{self.path}: it can't be written: {why}; create its folder, make it writable, or name "
                "another file for -o"
            ) from error

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
            self.is_resumed = True
            return
        begun, self.spent_before = time.time(), spent()
        with self._naming_itself():
            self._state.truncate(0)
            self._state.write(json.dumps({"begun": begun, "spent_before": str(self.spent_before)}))
            self._state.flush()
        self.begun = begun

    def has(self, fingerprint: str) -> bool:
        """Return whether the file had a record of a task when it was opened."""
        return fingerprint in self._places

    def find(self, fingerprint: str) -> Record | None:
        """Return the record of a task that was in the file when it was opened, or None if there was none."""
        place = self._places.get(fingerprint)
        if place is None:
            return None
        with self.path.open("rb") as file:
            file.seek(place)
            return self._record(file.readline().decode())

    def _read(self, *, retry_failed: bool) -> tuple[dict[str, Done], dict[str, int]]:
        """Return what is done, by the id of the entry, and where the record of each fingerprint begins."""
        if not self.path.exists():
            # Whatever the state file says is of a batch whose output was deleted.
            self._state.truncate(0)
            return {}, {}
        done: dict[str, Done] = {}
        places: dict[str, int] = {}
        for place, record in self._records():
            key = str(record["id"])
            done[key] = done_of(record)
            if record.get("fingerprint"):
                places[str(record["fingerprint"])] = place
        # Not before all the lines are known to be records of a batch.
        self._end_last_line()
        if not retry_failed or all(one.is_solved for one in done.values()):
            return done, places
        self._rewrite(record for _, record in self._records() if done_of(record).is_solved)
        return self._read(retry_failed=False)

    def _records(self) -> Iterator[tuple[int, Record]]:
        """Yield the records of the complete lines, and where each begins.

        Raises :class:`~captchahub.errors.ConfigError` if a line is something else.
        """
        place = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                record = self._parsed(line)
                is_head = self._is_csv and not place
                if record is None or (is_head and [*record.values()] != [*COLUMNS]):
                    raise self._not_ours(number, line)
                if not is_head:
                    yield place, record
                place += len(line)

    def _parsed(self, line: bytes) -> Record | None:
        """Return the record in a line, or None if it is none. The first line of a CSV file counts as one."""
        try:
            text = line.decode()
            return self._record(text)
        # csv.Error: a NUL or a cell without end. RecursionError: thousands of brackets.
        except (ValueError, RecursionError, csv.Error):
            return None

    def _record(self, line: str) -> Record | None:
        if self._is_csv:
            (cells,) = csv.reader([line], strict=True)
            return dict(zip(COLUMNS, cells, strict=True))
        record: Any = json.loads(line)
        return record if isinstance(record, dict) and record.keys() >= _NEEDED else None  # pyright: ignore[reportUnknownVariableType]  # the keys of JSON are text

    def _not_ours(self, number: int, line: bytes) -> ConfigError:
        text = shown(line.decode(errors="replace").rstrip())
        return ConfigError(f"{self.path}:{number}: {text} is no record of a batch; name another file for -o")

    def _end_last_line(self) -> None:
        """Remove the beginning of a record at the end: the process was killed while it wrote it.

        A whole record whose line has no end, as an editor may save it, is given one. Raises
        :class:`~captchahub.errors.ConfigError` if the line is the beginning of something else.
        """
        with self.path.open("rb+") as file:
            place, number, line = 0, 1, b""
            for line in file:
                if not line.endswith(b"\n"):
                    break
                place, number = place + len(line), number + 1
            else:
                return
            if not self._is_csv and self._parsed(line) is not None:
                file.seek(0, os.SEEK_END)
                file.write(b"\n")
            elif self._may_begin_record(line, is_first=not place):
                file.truncate(place)
            else:
                raise self._not_ours(number, line)

    def _may_begin_record(self, line: bytes, *, is_first: bool) -> bool:
        if self._is_csv and not is_first:
            return True  # the columns are those of a batch
        begin = _csv_line(COLUMNS).encode() if self._is_csv else _BEGIN
        return line.startswith(begin) or begin.startswith(line)

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
        self._close_state()

    def _close_state(self) -> None:
        # Of a batch that did not begin nothing has to be remembered.
        if self._is_state_new and not self.begun:
            self._state_path.unlink(missing_ok=True)
        with suppress(OSError):
            self._state.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(is_complete=False)


def why_unwritable(error: OSError) -> str:
    """Return what the system says, in words that name the cause."""
    return "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))


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
        value = ": ".join(failure_of(record) or ())
    return printable(value if isinstance(value, str) else json.dumps(value))
