"""``captchahub batch``: many pictures into one file, once each."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from captchahub import Hub, Image, ImageToText, TextSolution
from captchahub.testing import Sandbox
from tests.cli.running import run


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
    assert "the budget of the hub" in result.stderr
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
    result = run("batch", "shots", "-o", "out.jsonl")
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
    assert "Traceback" not in stderr
    found = records(home / "out.jsonl")
    assert 0 < len(found) < 40
    assert len(found) == len(service.jobs)
