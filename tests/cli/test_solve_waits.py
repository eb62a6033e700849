"""What ``captchahub solve`` prints while it waits for a provider that can't be reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from captchahub import ServiceUnavailable
from captchahub.cli import cli
from captchahub.cli.solve.waits import Waits
from captchahub.errors import AllProvidersFailed, Attempt
from captchahub.events import (
    Cancelled,
    Event,
    Failed,
    FellBack,
    JobCreated,
    Polled,
    Retrying,
    Submitted,
)
from captchahub.testing import Sandbox
from tests.unreachable_addresses import refusing

GONE = ServiceUnavailable("127.0.0.1:9: cannot connect: Connection refused", nothing_created=True)
KIND = "image-to-text"


def submitted(solve: str = "s") -> Event:
    return Submitted(solve=solve, timeout=120, at=0.0, kind=KIND)


def retrying(solve: str = "s", provider: str = "omo") -> Event:
    return Retrying(solve=solve, provider=provider, error=GONE, at=0.0, kind=KIND)


def fell_back(provider: str, solve: str = "s") -> Event:
    return FellBack(solve=solve, provider=provider, error=GONE, at=0.0, kind=KIND)


def ordered(solve: str = "s") -> Event:
    return JobCreated(solve=solve, provider="omo", job_id=7, price=None, at=0.0, kind=KIND)


def polled(error: ServiceUnavailable | None) -> Event:
    return Polled(
        solve="s",
        provider="omo",
        job_id=7,
        number=1,
        is_done=False,
        error=error,
        at=0.0,
        kind=KIND,
    )


class Timeline:
    """Events at their times, and the lines that are printed."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, str]] = []
        self._waits = Waits()
        self._now = 0.0

    def at(self, now: float, *events: Event) -> Timeline:
        """Let time pass until ``now``, and record the events then."""
        while self._now < now:
            self._now += 0.5
            self.lines += [(self._now, line) for line in self._waits.due(self._now)]
        for event in events:
            self.lines += [(now, line) for line in self._waits.record(event, now)]
        return self

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.lines]


class TestAProviderThatIsNotThere:
    def test_is_reported_at_once_and_every_few_seconds(self) -> None:
        timeline = Timeline().at(0, submitted(), retrying()).at(1, retrying()).at(2, retrying()).at(17)
        assert timeline.lines == [
            (0, f"omo: {GONE}; trying again"),
            (5, f"omo: still trying after 5 s: {GONE}"),
            (10, f"omo: still trying after 10 s: {GONE}"),
            (15, f"omo: still trying after 15 s: {GONE}"),
        ]

    def test_is_reported_once_however_many_solves_wait_for_it(self) -> None:
        timeline = Timeline()
        for number in range(32):
            timeline.at(0, submitted(str(number)), retrying(str(number)))
        assert timeline.at(6).lines == [
            (0, f"omo: {GONE}; trying again"),
            (5, f"omo: still trying after 5 s, 32 pictures wait: {GONE}"),
        ]

    def test_is_reported_by_itself(self) -> None:
        timeline = Timeline().at(0, submitted(), retrying(), submitted("t"), retrying("t", "spare"))
        assert [line.partition(":")[0] for _, line in timeline.lines] == ["omo", "spare"]

    @pytest.mark.parametrize(
        "end",
        [
            Cancelled(solve="s", elapsed=1, at=0.0, kind=KIND),
            Failed(
                solve="s",
                error=AllProvidersFailed("none", [Attempt("omo", 1.0, error=GONE)]),
                elapsed=1,
                at=0.0,
                kind=KIND,
            ),
            ordered(),
        ],
    )
    def test_is_not_reported_any_more_if_no_solve_waits_for_it(self, end: Event) -> None:
        assert Timeline().at(0, submitted(), retrying()).at(2, end).at(60).times == [0]

    def test_is_reported_again_after_it_was_back(self) -> None:
        timeline = Timeline().at(0, submitted(), retrying()).at(7, ordered()).at(20, retrying()).at(26)
        assert timeline.times == [0, 5, 20, 25]

    def test_whose_polls_fail_is_reported_at_the_second_one(self) -> None:
        timeline = (
            Timeline()
            .at(0, submitted(), ordered())
            .at(2, polled(GONE))
            .at(3, polled(None))
            .at(4, polled(GONE))
        )
        assert timeline.at(5, polled(GONE)).times == [5]


class TestOneProviderAfterTheOther:
    def test_is_not_reported(self) -> None:
        assert Timeline().at(0, submitted(), fell_back("omo")).at(1, ordered()).at(30).lines == []

    def test_is_reported_if_the_second_one_fails_too(self) -> None:
        timeline = Timeline().at(0, submitted(), fell_back("omo"), fell_back("spare")).at(1, fell_back("omo"))
        assert timeline.lines == [(1, f"omo: {GONE}; trying again")]

    def test_is_reported_if_it_takes_long(self) -> None:
        assert Timeline().at(0, submitted(), fell_back("omo")).at(6).times == [5]


@pytest.fixture
def unreachable(tmp_path: Path, sandbox: Sandbox) -> Iterator[Path]:
    """A folder with a picture, and the configuration of a service that is not there."""
    with refusing() as (*_, (host, port)):
        own = {**sandbox.settings("s3cret"), "base_url": f"http://{host}:{port}", "plugin": "omocaptcha"}
        (tmp_path / "captchahub.yaml").write_text(json.dumps({"providers": {"omo": own}}))
        for name in ("one.png", "two.png"):
            (tmp_path / name).write_bytes(sandbox.draw_text().image.data)
        yield tmp_path


@contextmanager
def solving(folder: Path, *arguments: str) -> Generator[subprocess.Popen[str]]:
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    program = [sys.executable, "-m", "captchahub", "solve", *arguments]
    with subprocess.Popen(
        program, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        guard = threading.Timer(60, process.kill)
        guard.start()
        try:
            yield process
        finally:
            guard.cancel()
            process.kill()


@pytest.mark.parametrize("arguments", [("one.png", "two.png"), ("--json", "one.png")])
def test_an_unreachable_service_is_reported_on_stderr_while_it_is_tried(
    unreachable: Path, arguments: tuple[str, ...]
) -> None:
    with solving(unreachable, "--timeout", "600", *arguments) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert process.poll() is None
    assert line.startswith("omo: 127.0.0.1:")
    assert line.endswith("trying again\n")
    assert "Connection refused" in line
    assert "s3cret" not in line


def test_what_is_reported_meanwhile_is_not_on_stdout(
    unreachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(unreachable)
    monkeypatch.setenv("XDG_STATE_HOME", str(unreachable / "state"))
    result = CliRunner().invoke(cli, ["solve", "--json", "--timeout", "2.5", "one.png"])
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == ["one.png"]
    assert result.stderr.count("trying again") == 1
    assert result.exit_code in (1, 5)
