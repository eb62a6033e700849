"""``captchahub batch``: many pictures into one file, once each."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from captchahub import Hub, Image, ImageToText, TextSolution
from captchahub.testing import Sandbox
from tests.cli.running import TOKEN, run


def records(path: Path) -> dict[str, dict[str, Any]]:
    """The records of a file by the name of the picture; Any, because JSON is looked into key by key."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return {Path(record["file"]).name: record for record in found}


def configured(home: Path, **keys: object) -> None:
    """Change keys of the configuration."""
    path = home / "captchahub.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **keys}))


@pytest.mark.usefixtures("shots")
def test_a_folder_with_answers_is_solved_and_judged(home: Path) -> None:
    result = run("batch", "shots", "-o", "out.jsonl")
    assert result.exit_code == 0
    assert "3 of 3 pictures solved, 0 failed" in result.stdout
    assert "66.6 % right: 2 of 3 whose right answers are known" in result.stdout
    assert "0.00165 spent" in result.stdout
    found = records(home / "out.jsonl")
    assert {name: (one["answer"], one["truth"], one["is_right"]) for name, one in found.items()} == {
        "ABC.png": ("ABC", "ABC", True),
        "DEF.png": ("DEF", "DEF", True),
        "GHI.png": ("GHI", "other", False),
    }
    assert not (home / "out.jsonl.state").exists()


def test_started_again_it_solves_only_what_is_new(home: Path, shots: Path, service: Sandbox) -> None:
    run("batch", "shots", "-o", "out.jsonl")
    (shots / "NEW.png").write_bytes(service.draw_text("NEW").image.data)
    result = run("batch", "shots", "-o", "out.jsonl", "--json")
    totals = json.loads(result.stdout)
    assert (totals["total"], totals["solved"], totals["done_before"]) == (4, 4, 3)
    assert totals["spent"] == "0.00220"
    assert len(service.jobs) == 4


def test_a_list_in_csv_has_options_and_its_answers_go_into_csv(
    home: Path, shots: Path, service: Sandbox
) -> None:
    (shots / "list.csv").write_text("file,id,length,charset\nABC.png,one,3,\nDEF.png,two,,0123456789\n")
    result = run("batch", "shots/list.csv", "-o", "out.csv")
    assert result.exit_code == 1
    with (home / "out.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert (rows["one"]["answer"], rows["one"]["error"]) == ("ABC", "")
    assert "which charset does not allow" in rows["two"]["error"]
    assert len(service.jobs) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,lenght\nABC.png,3\n", "list.csv:2: image-to-text has no option 'lenght'"),
        ("file,type\nABC.png,image\n", "list.csv:2: there is no type 'image' of task"),
        ("file,length\nABC.png,-3\n", "list.csv:2: length must be 1 or more"),
    ],
)
def test_a_wrong_option_is_reported_before_anything_is_solved(
    shots: Path, service: Sandbox, text: str, message: str
) -> None:
    (shots / "list.csv").write_text(text)
    result = run("batch", "shots/list.csv", "-o", "out.csv")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not service.jobs


def test_failed_pictures_are_solved_again_on_demand(home: Path, shots: Path, service: Sandbox) -> None:
    service.script((shots / "DEF.png").read_bytes(), None)
    assert run("batch", "shots", "-o", "out.jsonl").exit_code == 1
    assert run("batch", "shots", "-o", "out.jsonl").exit_code == 1
    assert len(service.jobs) == 3
    service.script((shots / "DEF.png").read_bytes(), TextSolution("DEF"))
    assert run("batch", "shots", "-o", "out.jsonl", "--retry-failed").exit_code == 0
    assert records(home / "out.jsonl")["DEF.png"]["answer"] == "DEF"
    assert len(service.jobs) == 4


def test_a_file_that_is_no_picture_fails_alone(home: Path, shots: Path) -> None:
    (shots / "broken.png").write_text("not a picture")
    assert run("batch", "shots", "-o", "out.jsonl").exit_code == 1
    found = records(home / "out.jsonl")
    assert found["broken.png"]["error"]["type"] == "TaskError"
    assert found["ABC.png"]["answer"] == "ABC"


def test_the_budget_is_for_all_runs_and_ends_the_batch(home: Path, shots: Path, service: Sandbox) -> None:
    # What was spent before the batch is not part of it.
    with Hub.from_yaml(home / "captchahub.yaml") as hub:
        hub.solve(ImageToText(Image.from_bytes(service.draw_text("BEFORE").image.data)))
    options = ("shots", "-o", "out.jsonl", "--concurrency", "1")
    result = run("batch", *options, "--budget", "0.0012")
    assert result.exit_code == 1
    assert "stopped early" in result.stderr
    assert "the budget of the batch (--budget), 0.0012 in total, has no room for 0.00055: 0.0011" in (
        result.stderr
    )
    assert len(records(home / "out.jsonl")) == 2
    assert len(records(home / "out.jsonl")) + 1 == len(service.jobs)
    assert run("batch", *options, "--budget", "0.0012").exit_code == 1
    assert len(service.jobs) == 3
    assert run("batch", *options, "--budget", "0.00165").exit_code == 0
    assert shots.exists()


def test_a_refused_account_ends_the_batch_and_leaves_the_rest_for_later(home: Path, shots: Path) -> None:
    del shots
    path = home / "captchahub.yaml"
    right = path.read_text()
    configuration = yaml.safe_load(right)
    configuration["providers"]["omo"]["api_token"] = "wrong"
    path.write_text(yaml.safe_dump(configuration))
    result = run("batch", "shots", "-o", "out.jsonl")
    assert result.exit_code == 1
    assert "the next pictures would fail as well" in result.stderr
    assert (home / "out.jsonl").read_text() == ""
    path.write_text(right)
    assert run("batch", "shots", "-o", "out.jsonl").exit_code == 0


@pytest.mark.usefixtures("shots")
@pytest.mark.parametrize(
    "options", [(), ("-o", "out.jsonl", "--concurrency", "0"), ("-o", "out.jsonl", "--budget", "x")]
)
def test_wrong_usage_exits_with_2(options: tuple[str, ...]) -> None:
    assert run("batch", "shots", *options).exit_code == 2


@pytest.mark.usefixtures("shots")
def test_the_output_has_to_be_a_file_that_can_be_read_again(service: Sandbox) -> None:
    result = run("batch", "shots", "-o", os.devnull)
    assert result.exit_code == 3
    assert "name another one for -o" in result.stderr
    assert not service.jobs


def spent(home: Path) -> Decimal:
    with Hub.from_yaml(home / "captchahub.yaml") as hub:
        return sum((one.amount for one in hub.spend()), Decimal(0))


def ordered(home: Path, shots: Path, *names: str) -> None:
    """Solve pictures as a batch that was killed before it wrote their records."""
    with Hub.from_yaml(home / "captchahub.yaml") as hub:
        for name in names:
            hub.solve(ImageToText(Image.open(shots / name)))


def test_answers_that_an_earlier_run_paid_for_count_in_the_totals(
    home: Path, shots: Path, service: Sandbox
) -> None:
    begin_only(home)
    ordered(home, shots, "ABC.png", "DEF.png")
    totals = json.loads(run("batch", "shots", "-o", "out.jsonl", "--json").stdout)
    assert Decimal(totals["spent"]) == spent(home) == Decimal("0.00165")
    found = records(home / "out.jsonl")
    assert {name: (one["cost"], one["total_cost"], one["is_collected"]) for name, one in found.items()} == {
        "ABC.png": ("0.00055", "0.00055", True),
        "DEF.png": ("0.00055", "0.00055", True),
        "GHI.png": ("0.00055", "0.00055", False),
    }
    assert len(service.jobs) == 3


def begin_only(home: Path) -> None:
    """Leave what a batch leaves that was killed at its beginning."""
    (home / "out.jsonl").touch()
    (home / "out.jsonl.state").write_text(json.dumps({"begun": time.time() - 1, "spent_before": "0"}))


def test_equal_pictures_count_an_earlier_job_once(home: Path, shots: Path, service: Sandbox) -> None:
    begin_only(home)
    (shots / "SAME.png").write_bytes((shots / "ABC.png").read_bytes())
    ordered(home, shots, "ABC.png")
    totals = json.loads(run("batch", "shots", "-o", "out.jsonl", "--json").stdout)
    assert Decimal(totals["spent"]) == spent(home)
    assert len(service.jobs) == 3


def test_what_failed_attempts_cost_stays_in_the_totals_after_a_retry(
    home: Path, shots: Path, service: Sandbox
) -> None:
    del shots
    first = run("batch", "shots", "-o", "out.jsonl", "--charset", "ABCDEF", "--json")
    assert json.loads(first.stdout)["errors"] == {"WrongSolution": 1}
    again = run("batch", "shots", "-o", "out.jsonl", "--charset", "ABCDEF", "--json", "--retry-failed")
    assert len(service.jobs) == 4
    assert Decimal(json.loads(again.stdout)["spent"]) == spent(home) == Decimal("0.0022")


def test_a_full_disk_ends_the_batch_and_the_next_run_collects_the_answers(
    home: Path, shots: Path, service: Sandbox
) -> None:
    resource = pytest.importorskip("resource")
    # The journal's files stay smaller than that.
    filler = json.dumps({"id": "x" * 400_000, "file": "", "total_cost": "0", "error": None}) + "\n"
    path = home / "out.jsonl"
    path.write_text(filler * 10)
    size = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, limits[1]))
    try:
        result = run("batch", "shots", "-o", "out.jsonl", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.exit_code == 1
    message = (
        "cannot write out.jsonl: File too large; what was paid for is in the journal: make room and start"
    )
    assert message in result.stderr
    totals = json.loads(result.stdout)
    assert message in totals["stopped"]
    assert Decimal(totals["spent"]) == spent(home)
    totals = json.loads(run("batch", "shots", "-o", "out.jsonl", "--json").stdout)
    assert (totals["solved"], Decimal(totals["spent"])) == (3, Decimal("0.00165"))
    assert (len(service.jobs), len(list(shots.glob("*.png")))) == (3, 3)


def test_failures_are_summed_up_with_an_example_and_how_to_go_on(shots: Path) -> None:
    (shots / "broken.png").write_text("not a picture")
    result = run("batch", "shots", "-o", "out.csv", "--charset", "ABCDEF")
    assert "1 picture failed with WrongSolution, such as shots/GHI.png: " in result.stderr
    assert "1 picture failed with TaskError, such as shots/broken.png: " in result.stderr
    assert "batch shots -o out.csv --charset ABCDEF --retry-failed" in result.stderr
    # As well from the file of an earlier run.
    again = run("batch", "shots", "-o", "out.csv", "--charset", "ABCDEF", "--json")
    assert json.loads(again.stdout)["errors"] == {"WrongSolution": 1, "TaskError": 1}


def test_files_that_are_no_pictures_cost_nothing(shots: Path) -> None:
    (shots / "broken.png").write_text("not a picture")
    result = run("batch", "shots", "-o", "out.jsonl")
    assert "\n0.00165 spent, in all runs" in result.stdout


def test_a_batch_stops_if_every_provider_is_down(home: Path, shots: Path, service: Sandbox) -> None:
    del shots
    down = service.settings(TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as free:
        down["base_url"] = f"http://127.0.0.1:{free.getsockname()[1]}"
    providers = yaml.safe_load((home / "captchahub.yaml").read_text())["providers"]
    configured(home, providers={"omo": {**providers["omo"], **down, "health": {"failures": 1}}})
    result = run("batch", "shots", "-o", "out.jsonl", "--timeout", "0.5", "--json")
    assert result.exit_code == 1
    assert (home / "out.jsonl").read_text() == ""
    totals = json.loads(result.stdout)
    assert "ServiceUnavailable" in totals["stopped"]
    assert totals["errors"] == {}
    assert "the same command goes on where the batch stopped: " in result.stderr
    configured(home, providers=providers)
    assert run("batch", "shots", "-o", "out.jsonl").exit_code == 0


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_a_picture_is_known_by_what_it_is_from_another_folder_too(
    home: Path, shots: Path, service: Sandbox, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("batch", "shots", "-o", name)
    (home / name).rename(shots / name)
    monkeypatch.chdir(shots)
    result = run("batch", ".", "-o", name, "--config", str(home / "captchahub.yaml"), "--json")
    assert len(service.jobs) == 3
    totals = json.loads(result.stdout)
    assert (totals["solved"], totals["right"], totals["spent"]) == (3, 2, "0.00165")
    text = (shots / name).read_text()
    assert len(text.splitlines()) == 6 + name.endswith("csv")


def test_a_copied_answer_is_judged_by_the_truth_of_its_own_entry(home: Path, shots: Path) -> None:
    run("batch", "shots/ABC.png", "-o", "out.jsonl")
    (home / "list.csv").write_text("file,id,truth\nshots/ABC.png,one,ABC\nshots/ABC.png,two,XYZ\n")
    run("batch", "list.csv", "-o", "out.jsonl")
    lines = [json.loads(line) for line in (home / "out.jsonl").read_text().splitlines()]
    assert {one["id"]: (one["is_right"], one["total_cost"], one["is_collected"]) for one in lines} == {
        "shots/ABC.png": (None, "0.00055", False),
        "one": (True, "0", True),
        "two": (False, "0", True),
    }
    assert shots.exists()


@pytest.mark.usefixtures("shots")
def test_an_unknown_type_is_refused_before_anything_else(home: Path, service: Sandbox) -> None:
    result = run("batch", "shots", "-o", "out.jsonl", "--type", "foo")
    assert result.exit_code == 2
    assert "there is no type 'foo' of task" in result.stderr
    assert not service.jobs
    assert not (home / "out.jsonl").exists()


@pytest.mark.usefixtures("shots")
@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("jobs.db", "the journal"),
        ("jobs.db-wal", "the journal"),
        ("jobs.db-shm", "the journal"),
        ("captchahub.yaml", "the configuration"),
        ("shots/ABC.png", "one of the sources"),
        ("shots/answers.json", "one of the sources"),
    ],
)
def test_files_that_the_program_needs_are_no_output(home: Path, output: str, what: str) -> None:
    before = {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}
    result = run("batch", "shots", "-o", output)
    assert result.exit_code == 3
    assert f"{output}: it is {what}; name another file for -o" in result.stderr
    assert {file: file.read_bytes() for file in home.rglob("*") if file.is_file()} == before


@pytest.mark.usefixtures("shots")
def test_an_output_that_can_not_be_written_is_named(service: Sandbox) -> None:
    result = run("batch", "shots", "-o", "nowhere/x.jsonl")
    assert result.exit_code == 3
    assert "nowhere/x.jsonl: it can't be written: " in result.stderr
    assert ".state" not in result.stderr
    assert not service.jobs


def test_other_files_in_a_folder_are_counted(shots: Path) -> None:
    (shots / "notes.txt").write_text("no picture")
    (shots / "gone.png").symlink_to("nowhere.png")
    result = run("batch", "shots", "-o", "shots/out.jsonl")
    assert result.exit_code == 0
    assert "2 other files were skipped, such as shots/" in result.stderr


def test_the_budget_of_the_batch_counts_every_account_from_its_beginning(
    home: Path, shots: Path, service: Sandbox
) -> None:
    accounts: dict[str, dict[str, object]] = {
        name: {
            "plugin": "omocaptcha",
            "prices": {"image-to-text": 0.0007},
            **service.settings(f"{TOKEN}-{name}"),
        }
        for name in ("alpha", "beta")
    }
    accounts["alpha"]["budget"] = {"limit": 1, "per": "day"}
    configured(home, providers=accounts, routes={"image-to-text": ["beta", "alpha"]})
    ordered(home, shots, "ABC.png", "DEF.png", "GHI.png")
    (shots / "NEW.png").write_bytes(service.draw_text("NEW").image.data)
    result = run("batch", "shots", "-o", "out.jsonl", "--budget", "0.002", "--concurrency", "1")
    assert result.exit_code == 1
    assert len(records(home / "out.jsonl")) == 2
    message = (
        "the budget of the batch (--budget), 0.002 in total, has no room for 0.0007: 0.0014 of it is spent"
    )
    assert message in result.stderr


posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def begin(home: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "captchahub", "batch", "shots", "-o", "out.jsonl", "--concurrency", "4"]
    return subprocess.Popen(
        command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(home)
    )


def environment(home: Path) -> Mapping[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(home / "state")}


@posix
def test_killed_and_started_again_it_pays_for_no_picture_twice(home: Path, service: Sandbox) -> None:
    (home / "shots").mkdir()
    for number in range(40):
        (home / "shots" / f"{number}.png").write_bytes(service.draw_text(f"T{number}").image.data)
    with begin(home) as process:
        while len(service.jobs) < 20 and process.poll() is None:
            pass
        process.kill()
    result = run("batch", "shots", "-o", "out.jsonl", "--json")
    assert Decimal(json.loads(result.stdout)["spent"]) == spent(home)
    found = records(home / "out.jsonl")
    in_doubt = [name for name, one in found.items() if one["error"]]
    assert len(found) == 40
    assert {found[name]["error"]["type"] for name in in_doubt} <= {"AmbiguousCreate"}
    assert result.exit_code == (1 if in_doubt else 0)
    assert max(Counter(job.picture for job in service.jobs).values()) == 1
    assert run("batch", "shots", "-o", "out.jsonl", "--retry-failed").exit_code == 0


@posix
def test_ctrl_c_waits_for_what_is_paid_for(home: Path, service: Sandbox) -> None:
    (home / "shots").mkdir()
    for number in range(40):
        (home / "shots" / f"{number}.png").write_bytes(service.draw_text(f"T{number}").image.data)
    with begin(home) as process:
        while len(service.jobs) < 8 and process.poll() is None:
            pass
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
    assert process.returncode == 130
    assert "waiting for the answers that are paid for" in stderr
    assert "the same command goes on where the batch stopped: " in stderr
    assert "Traceback" not in stderr
    found = records(home / "out.jsonl")
    assert 0 < len(found) < 40
    assert len(found) == len(service.jobs)
