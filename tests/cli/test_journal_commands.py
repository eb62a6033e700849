"""``captchahub spend``, ``jobs``, ``watch`` and ``report``: what the journal says, without any token."""

import csv
import errno
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from captchahub.cli.invocation import command
from captchahub.cli.replacing import replacing
from captchahub.testing import Sandbox, load_emulation
from tests.cli.running import run


@pytest.fixture
def journal(home: Path, shots: Path, service: Sandbox) -> Path:
    """A journal with two answers and a failed job; the token that was used is not known any more."""
    service.script((shots / "GHI.png").read_bytes(), None)
    run("solve", "shots/ABC.png")
    run("solve", "shots/DEF.png")
    run("solve", "shots/GHI.png")
    path = home / "captchahub.yaml"
    configuration: dict[str, Any] = yaml.safe_load(path.read_text())
    configuration["providers"]["omo"]["api_token"] = "${env:NO_SUCH_TOKEN}"
    path.write_text(yaml.safe_dump(configuration))
    return home / "jobs.db"


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("journal")
class TestSpend:
    def test_a_row_for_each_day_and_a_total(self) -> None:
        result = run("spend")
        assert result.exit_code == 0
        day, total = result.stdout.splitlines()[1:]
        assert day.split()[1:3] == ["3", "0.00165"]
        assert total == "total: 0.00165 for 3 jobs"

    @pytest.mark.parametrize(("by", "key"), [("provider", "omo"), ("kind", "image-to-text")])
    def test_json_and_csv_have_the_same_rows(self, by: str, key: str) -> None:
        row = {by: key, "amount": "0.00165", "currency": None, "jobs": 3, "unpriced": 0}
        found = json.loads(run("spend", "--by", by, "--json").stdout)
        assert found["rows"] == [row]
        assert found["totals"] == [{"amount": "0.00165", "currency": None, "jobs": 3, "unpriced": 0}]
        (line,) = csv.DictReader(io.StringIO(run("spend", "--by", by, "--csv").stdout))
        assert line == {by: key, "amount": "0.00165", "currency": "", "jobs": "3", "unpriced": "0"}

    def test_earlier_jobs_can_be_left_out(self) -> None:
        assert "for 3 jobs" in run("spend", "--since", "today").stdout
        assert "for 3 jobs" in run("spend", "--since", "1d").stdout
        assert run("spend", "--since", "2999-01-01").stdout == "nothing was spent\n"
        assert run("spend", "--since", "yesterday").exit_code == 2

    def test_a_file_can_be_named_without_a_configuration(self, journal: Path) -> None:
        (journal.parent / "captchahub.yaml").unlink()
        assert "for 3 jobs" in run("spend", "--journal", str(journal)).stdout


@pytest.mark.usefixtures("journal")
class TestJobs:
    def test_the_list_names_the_files_newest_first(self) -> None:
        result = run("jobs", "list")
        assert result.exit_code == 0
        found = [line.split() for line in result.stdout.splitlines()[1:]]
        assert [line[2] for line in found] == ["failed", "solved", "solved"]
        assert [Path(line[5]).name for line in found] == ["GHI.png", "DEF.png", "ABC.png"]

    def test_the_list_can_be_narrowed(self) -> None:
        assert [
            job["state"] for job in json_lines(run("jobs", "list", "--state", "failed", "--json").stdout)
        ] == ["failed"]
        assert len(json_lines(run("jobs", "list", "--limit", "1", "--json").stdout)) == 1
        assert run("jobs", "list", "--provider", "other").stdout == "no such jobs\n"
        assert run("jobs", "list", "--undelivered").stdout == "no such jobs\n"

    def test_one_job_is_shown_with_everything_that_is_known(self) -> None:
        (job,) = json_lines(run("jobs", "list", "--state", "failed", "--json").stdout)
        shown = run("jobs", "show", str(job["id"]))
        assert "state         failed" in shown.stdout
        assert "GHI.png" in shown.stdout
        assert json.loads(run("jobs", "show", str(job["id"]), "--json").stdout) == job

    def test_a_job_that_does_not_exist(self) -> None:
        result = run("jobs", "show", "999")
        assert result.exit_code == 1
        assert "there is no job 999 in the journal" in result.stderr

    def test_a_settled_job_can_not_be_settled_again(self) -> None:
        (job,) = json_lines(run("jobs", "list", "--state", "failed", "--json").stdout)
        result = run("jobs", "resolve", str(job["id"]), "solved")
        assert result.exit_code == 1
        assert "can't be settled as solved by hand" in result.stderr


def test_an_answer_is_reported_to_the_service(home: Path, shots: Path, service: Sandbox) -> None:
    run("solve", "shots/ABC.png")
    (job,) = json_lines(run("jobs", "list", "--json").stdout)
    result = run("jobs", "report", str(job["id"]), "--wrong")
    if result.exit_code == 1:
        assert "offers no" in result.stderr or "takes no" in result.stderr
    else:
        assert service.jobs[0].reported is False
    assert home.exists()


@pytest.mark.usefixtures("journal")
class TestWatch:
    def test_once_prints_a_line_for_each_provider(self) -> None:
        result = run("watch", "--once")
        assert result.exit_code == 0
        assert result.stdout.startswith(
            "omo: health healthy, in flight 0, oldest -, answered 2/min, failed 1/min, takes "
        )
        assert "today 0.00165" in result.stdout

    def test_json_has_numbers(self) -> None:
        (omo,) = json_lines(run("watch", "--once", "--json").stdout)
        assert (omo["provider"], omo["answered"], omo["failed"], omo["today"]) == ("omo", 2, 1, "0.00165")
        assert omo["success"] == pytest.approx(2 / 3)


class TestReport:
    def test_the_page_is_complete_in_itself(self, home: Path, journal: Path) -> None:
        pytest.importorskip("vl_convert")
        result = run("report", "-o", "report.html", "--csv", "report.csv")
        assert result.exit_code == 0
        page = (home / "report.html").read_text()
        for title in (
            "Solved by hour",
            "Failed and open by hour",
            "Time to solve by provider",
            "Cost by hour",
            "Errors by class",
        ):
            assert f"<h2>{title}</h2>" in page
        assert "<script" not in page
        assert 'href="' not in page.replace('xlink:href="', "")
        assert "66.7 %" in page
        with (home / "report.csv").open(newline="") as file:
            (row,) = csv.DictReader(file)
        assert (row["provider"], row["solved"], row["failed"], row["spent"]) == ("omo", "2", "1", "0.00165")
        assert journal.exists()

    @pytest.mark.usefixtures("journal")
    def test_without_jobs_there_is_nothing_to_write(self, home: Path) -> None:
        result = run("report", "-o", "report.html", "--since", "2999-01-01")
        assert result.exit_code == 1
        assert "there is no job to report on" in result.stderr
        assert not (home / "report.html").exists()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "command", [("spend",), ("jobs", "list"), ("watch", "--once"), ("report", "-o", "x.html")]
)
def test_a_journal_that_does_not_exist_is_not_made(home: Path, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.exit_code == 3
    assert "there is no journal yet" in result.stderr
    assert not (home / "jobs.db").exists()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("address", ["postgresql://me:pa55@127.0.0.1/db", "postgres://me:pa55@127.0.0.1/db"])
def test_an_address_instead_of_a_file_is_not_repeated(address: str) -> None:
    result = run("spend", "--journal", address)
    assert result.exit_code == 2
    assert "Name the database in a configuration" in " ".join(result.stderr.split())
    assert "pa55" not in result.stderr


def test_a_wrong_journal_key_is_reported(home: Path) -> None:
    (home / "captchahub.yaml").write_text("providers: {}\njournal: nowhere/jobs.db\n")
    result = run("spend")
    assert result.exit_code == 3
    assert "journal" in result.stderr


def write_half(file: Path) -> None:
    with replacing(file) as new:
        new.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.usefixtures("journal")
class TestFiles:
    def test_without_the_package_for_charts_the_page_has_the_numbers(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "vl_convert", None)
        result = run("report", "-o", "report.html")
        assert result.exit_code == 0
        assert 'without charts; they need: pip install "captchahub[report]"' in result.stderr
        page = (home / "report.html").read_text()
        assert "without charts" in page
        assert "<svg" not in page

    def test_a_missing_folder_is_one_error_with_what_to_do(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "vl_convert", None)
        result = run("report", "-o", "no/report.html")
        assert result.exit_code == 1
        assert result.stderr == (
            "Error: no/report.html: the file can't be written: No such file or directory; "
            "create the folder no first\n"
        )
        assert not (home / "no").exists()

    def test_a_file_that_can_not_be_written_stays_as_it_was(self, home: Path) -> None:
        file = home / "report.html"
        file.write_text("before")
        with pytest.raises(click.ClickException, match="No space left on device; free some space"):
            write_half(file)
        assert file.read_text() == "before"
        assert not [path for path in home.iterdir() if path.name.endswith("-report.html")]


@pytest.mark.usefixtures("journal")
def test_a_report_needs_to_know_whether_the_answer_was_right() -> None:
    result = run("jobs", "report", "1")
    assert result.exit_code == 2
    assert "say whether the answer was right: --right or --wrong" in result.stderr
    assert len(json_lines(run("jobs", "list", "-n", "1", "--json").stdout)) == 1


@pytest.mark.usefixtures("home")
def test_a_folder_is_for_batch(shots: Path) -> None:
    result = run("solve", str(shots))
    assert result.exit_code == 4
    batch = command("batch", str(shots), "-o", "answers.jsonl")
    assert result.stderr == f"{shots}: it is a folder; {batch} solves the pictures in it\n"


def test_the_sandbox_says_that_it_does_not_know_a_picture(home: Path) -> None:
    with Sandbox(load_emulation("omocaptcha")) as other:
        (home / "old.png").write_bytes(other.draw_text("OLD").image.data)
    assert "the sandbox does not know this picture" in run("solve", "old.png").stderr
