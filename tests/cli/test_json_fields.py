"""The fields that ``--json`` prints are those of the reference."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from captchahub.cli import cli
from captchahub.testing import Fault, Sandbox, load_emulation
from tests.cli.running import TOKEN, commands, run
from tests.cli.test_cli import leave_jobs, posix, started

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text()


def documented() -> Mapping[str, set[str]]:
    """The fields of each row of the table."""
    rows = re.findall(r"^\| ((?:each of )?`[^|]+`) \|[^|]*\| ([^|]+) \|$", PAGE, re.MULTILINE)
    fields = {name.replace("`", ""): set(re.findall(r"`([a-z_ ]+)`", text)) for name, text in rows}
    return {name: fields["jobs list"] if found == {"jobs list"} else found for name, found in fields.items()}


FIELDS = documented()


def printed(*arguments: str, code: int = 0) -> Sequence[dict[str, Any]]:
    """The objects that a command prints: one, or one per line."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    try:
        found = [json.loads(result.stdout)]
    except ValueError:
        found = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(isinstance(one, dict) for one in found)
    return found


def check(row: str, found: Sequence[Mapping[str, Any]]) -> None:
    assert found, row
    for one in found:
        assert set(one) == FIELDS[row], row


def test_every_command_with_json_is_in_the_table_and_only_these() -> None:
    own = {
        " ".join(words)
        for words, command in commands(cli)
        if any("--json" in parameter.opts for parameter in command.params) or words == ("resume",)
    }
    assert own == {row for row in FIELDS if row != "budget" and not row.startswith("each of")}


@pytest.fixture
def budgeted(home: Path) -> Path:
    """The configuration with budgets, a second account at the same service, and answers that must agree."""
    file = home / "captchahub.yaml"
    configuration = yaml.safe_load(file.read_text())
    budget = {"limit": 1, "per": "day"}
    configuration["providers"]["omo"]["budget"] = configuration["budget"] = budget
    configuration["providers"]["spare"] = {**configuration["providers"]["omo"], "api_token": f"{TOKEN}-2"}
    configuration["routes"] = {"image-to-text": {"providers": ["omo", "spare"], "agree": 2}}
    file.write_text(yaml.safe_dump(configuration))
    return file


@pytest.mark.usefixtures("budgeted")
def test_commands_that_solve_print_the_documented_fields(shots: Path, service: Sandbox) -> None:
    service.settings(f"{TOKEN}-2")
    (solved,) = printed("solve", "--json", str(shots / "ABC.png"))
    check("solve", [solved])
    check("each of attempts", solved["attempts"])
    check("each of votes", solved["votes"])
    (failed,) = printed("solve", "--json", "captchahub.yaml", code=4)
    check("solve", [failed])
    check("batch", printed("batch", str(shots), "-o", "out.jsonl", "--json"))
    (found,) = printed("accounts", "--json")
    check("accounts", [found])
    check("each of accounts", found["accounts"])
    check("each of prices", list(found["accounts"][0]["prices"].values()))
    check("budget", [found["budget"], found["accounts"][0]["budget"]])
    for by in ("day", "provider", "kind"):
        (spent,) = printed("spend", "--json", "--by", by)
        check("spend", [spent])
        check("each of totals", spent["totals"])
        for row in spent["rows"]:
            assert set(row) == FIELDS["each of rows"] - {"day", "provider", "kind"} | {by}


def test_commands_about_jobs_print_the_documented_fields(shots: Path, home: Path, service: Sandbox) -> None:
    leave_jobs(home, service, ["shots/ABC.png"])
    check("resume", printed("resume"))
    check("jobs list", printed("jobs", "list", "--json"))
    check("jobs show", printed("jobs", "show", "1", "--json"))
    check("watch", printed("watch", "--once", "--json"))
    if find_spec("vl_convert"):
        check("report", printed("report", "-o", "report.html", "--json"))
    service.add_faults(Fault.drop(on="createJob"))
    printed("solve", "--json", str(shots / "GHI.png"), "--timeout", "2", code=1)
    check("jobs resolve", printed("jobs", "resolve", "2", "failed", "--json"))


def test_a_report_of_an_answer_prints_the_documented_fields(home: Path) -> None:
    with Sandbox(load_emulation("createtask"), job_time=0.05) as service:
        configuration = {
            "providers": {"two": {"plugin": "createtask", **service.settings()}},
            "journal": "two.db",
        }
        (home / "captchahub.yaml").write_text(yaml.safe_dump(configuration))
        (home / "one.png").write_bytes(service.draw_text().image.data)
        printed("solve", "--json", "one.png")
        check("jobs report", printed("jobs", "report", "1", "--wrong", "--json"))


def test_commands_about_the_installation_print_the_documented_fields(home: Path) -> None:
    check("doctor", printed("doctor", "--json"))
    check("plugins", printed("plugins", "--json"))
    check("config check", printed("config", "check", "--json"))
    check("config show", printed("config", "show", "--json"))
    (home / "wrong.yaml").write_text("providers: 3")
    (wrong,) = printed("config", "check", "wrong.yaml", "--json", code=3)
    check("config check", [wrong])
    check("each of problems", wrong["problems"])


@posix
def test_a_sandbox_prints_the_documented_fields_and_nothing_else(tmp_path: Path) -> None:
    with started("sandbox", "--json", "--pictures", "shots", "--count", "1", cwd=tmp_path) as process:
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    check("sandbox", [found])
    assert found["pictures"] == [str(Path("shots", "text-01.png"))]
    assert (out, err, process.returncode) == ("", "", 0)
