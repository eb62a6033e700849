"""What ``captchahub solve`` shows on a terminal until the results are there."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from captchahub import ServiceUnavailable
from captchahub.cli.solve.live import LiveReporter
from captchahub.cli.solve.status import Status
from captchahub.errors import AllProvidersFailed, Attempt
from captchahub.events import Event, Failed, FellBack, JobCreated, Polled, Retrying, Submitted
from captchahub.testing import Sandbox
from tests.cli.running import TOKEN
from tests.unreachable_addresses import refusing

GONE = ServiceUnavailable("127.0.0.1:9: cannot connect", nothing_created=True)
KIND = "image-to-text"
SHOW_CURSOR = "\x1b[?25h"


def submitted(solve: str = "s") -> Event:
    return Submitted(solve=solve, timeout=120, at=0.0, kind=KIND)


def ordered(solve: str = "s", provider: str = "omo") -> Event:
    return JobCreated(solve=solve, provider=provider, job_id=7, price=None, at=0.0, kind=KIND)


def polled(solve: str = "s", error: ServiceUnavailable | None = None) -> Event:
    return Polled(
        solve=solve, provider="omo", job_id=7, number=1, is_done=False, error=error, at=0.0, kind=KIND
    )


def retrying(solve: str = "s") -> Event:
    return Retrying(solve=solve, provider="omo", error=GONE, at=0.0, kind=KIND)


def fell_back(solve: str = "s") -> Event:
    return FellBack(solve=solve, provider="omo", error=GONE, at=0.0, kind=KIND)


def failed(solve: str = "s") -> Event:
    return Failed(
        solve=solve,
        error=AllProvidersFailed("none", [Attempt("omo", 1.0, error=GONE)]),
        elapsed=1,
        at=0.0,
        kind=KIND,
    )


def lines(total: int, *steps: tuple[float, Event], now: float) -> list[str]:
    status = Status(total)
    for at, event in steps:
        status.record(event, at)
    return list(status.lines(now))


class TestOnePicture:
    @pytest.mark.parametrize(
        ("steps", "shown"),
        [
            ([], "queued"),
            ([(0, submitted())], "queued"),
            ([(0, submitted()), (1, ordered())], "ordered at omo for 9 s"),
            ([(0, submitted()), (1, ordered()), (4, polled()), (7, polled())], "polling omo for 9 s"),
            ([(0, submitted()), (1, ordered()), (4, polled(error=GONE))], f"polling omo for 9 s: {GONE}"),
            ([(0, submitted()), (2, retrying()), (5, retrying())], f"trying omo again for 8 s: {GONE}"),
            ([(0, submitted()), (7, fell_back())], f"falling back from omo for 3 s: {GONE}"),
            ([(0, submitted()), (7, fell_back()), (8, ordered("s", "spare"))], "ordered at spare for 2 s"),
        ],
    )
    def test_has_a_line_with_its_step(self, steps: list[tuple[float, Event]], shown: str) -> None:
        assert lines(1, *steps, now=10) == [shown]

    def test_has_none_after_its_result(self) -> None:
        status = Status(1)
        status.record(submitted(), 0)
        status.finish(is_solved=True)
        assert list(status.lines(1)) == []

    def test_ignores_what_comes_after_its_end(self) -> None:
        assert lines(1, (0, submitted()), (1, failed()), (2, polled()), now=3) == ["queued"]

    def test_shows_no_control_characters_of_a_service(self) -> None:
        error = ServiceUnavailable("down\x1b[2J", nothing_created=True)
        event = Retrying(solve="s", provider="omo", error=error, at=0.0, kind=KIND)
        assert "\x1b" not in lines(1, (0, submitted()), (0, event), now=1)[0]


def test_several_pictures_are_counted_by_their_steps() -> None:
    status = Status(9)
    for number in "abcdef":
        status.record(submitted(number), 0)
    for number in "abcd":
        status.record(ordered(number), 1 if number == "a" else 5)
    status.record(polled("a"), 6)
    status.record(polled("b"), 6)
    status.record(failed("c"), 7)
    status.record(retrying("e"), 8)
    status.finish(is_solved=False)
    assert list(status.lines(10)) == [
        "1 of 9 pictures done, 1 failed",
        "  1 ordered at omo for 5 s",
        "  2 polling omo for 9 s",
        f"  1 trying omo again for 2 s: {GONE}",
        "  4 queued",
    ]


def test_the_display_gives_way_to_a_result_and_to_the_end() -> None:
    terminal = io.StringIO()
    reporter = LiveReporter(Console(file=terminal, force_terminal=True, width=80), 2)
    with reporter.reporting():
        with reporter.printing(is_solved=True):
            terminal.write("the first result\n")
        with reporter.printing(is_solved=True):
            terminal.write("the second result\n")
    assert "the first result\n" in terminal.getvalue()
    assert SHOW_CURSOR in terminal.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals of POSIX")
def test_a_terminal_shows_what_is_tried_and_is_clean_after_ctrl_c(tmp_path: Path, sandbox: Sandbox) -> None:
    (tmp_path / "one.png").write_bytes(sandbox.draw_text().image.data)
    with refusing() as (*_, (host, port)):
        account = f"{{plugin: omocaptcha, api_token: {TOKEN}, base_url: 'http://{host}:{port}'}}"
        (tmp_path / "captchahub.yaml").write_text(f"providers: {{omo: {account}}}")
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "captchahub", "solve", "--timeout", "600", "one.png"],
            cwd=tmp_path,
            env={**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(tmp_path / "state")},
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
        )
        os.close(theirs)
        with process, io.FileIO(ours) as terminal:
            try:
                shown = _read_until(terminal, "trying omo again for")
                process.send_signal(signal.SIGINT)
                shown += _read_until(terminal, None)
                assert process.wait(60) == 130
            finally:
                process.kill()
            assert process.stdout is not None
            assert process.stdout.read() == ""
    assert "; trying again" not in shown  # the line that a pipe gets
    assert TOKEN not in shown
    # The display is erased, the cursor is back, and the last line is the program's own.
    end = shown.rpartition("\x1b[2K")[2]
    assert SHOW_CURSOR in shown.rpartition("trying omo again for")[2]
    assert end.startswith("interrupted: 1 file unfinished")


def _read_until(terminal: io.RawIOBase, words: str | None) -> str:
    """Return what the terminal shows up to these words, or up to the end."""
    shown = ""
    while words is None or words not in shown:
        try:
            read = terminal.read(4096)
        except OSError as error:  # Linux reports the end of a pseudo terminal so
            if error.errno != errno.EIO:
                raise
            read = b""
        if not read:
            assert words is None, shown
            break
        shown += read.decode()
    return shown
