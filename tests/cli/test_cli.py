"""The command line as a user or a script meets it: arguments, streams, signals and exit codes."""

import contextlib
import http.client
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import attrs
import pytest
import yaml
from click.testing import CliRunner

from captchahub import Attempt, Hub, Image, ImageToText, Result, Solution, TextSolution, Vote, __version__
from captchahub.__main__ import main
from captchahub._config.loader import read_yaml
from captchahub._plugins.manager import Plugins
from captchahub.cli import cli
from captchahub.cli.demo.run import start_demo
from captchahub.cli.demo.view import show
from captchahub.cli.options import with_journal
from captchahub.cli.solve.files import FileOutcome
from captchahub.cli.solve.output import printer
from captchahub.cli.text import answer
from captchahub.errors import AllProvidersFailed, JobFailed, NotAsked, Overtaken, RateLimited
from captchahub.images import MAX_BYTES
from captchahub.testing import Fault, Sandbox, load_emulation
from tests.cli.running import TOKEN, run

PROGRAM = [sys.executable, "-m", "captchahub"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")


@pytest.fixture
def service() -> Iterator[Sandbox]:
    with Sandbox(load_emulation("omocaptcha"), job_time=0.1) as sandbox:
        yield sandbox


@pytest.fixture
def home(service: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration for the sandbox."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAPTCHAHUB_CONFIG", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_config(tmp_path / "captchahub.yaml", {"omo": service.settings(TOKEN)})
    return tmp_path


def write_config(path: Path, accounts: Mapping[str, Mapping[str, object]]) -> None:
    # The transport that is imported sooner, because many tests start the program in a process of its own.
    usual = {"plugin": "omocaptcha", "prices": {"image-to-text": 0.00055}, "transport": "requests"}
    providers = {name: {**usual, **own} for name, own in accounts.items()}
    path.write_text(yaml.safe_dump({"providers": providers}))


def text_file(home: Path, service: Sandbox, text: str) -> str:
    (home / f"{text}.png").write_bytes(service.draw_text(text).image.data)
    return f"{text}.png"


def json_lines(output: str) -> dict[str, dict[str, Any]]:
    """The objects of ``--json``, by file; Any, for JSON is looked into key by key."""
    return {record["file"]: record for record in map(json.loads, output.splitlines())}


# --- solve: answers


def test_stdin_is_a_file_and_a_slide_is_four_numbers(home: Path, service: Sandbox) -> None:
    drawn = service.draw_slide()
    result = run("solve", "--type", "phone-slide", "-", stdin=drawn.image.data)
    start, end = drawn.solution.start, drawn.solution.end
    assert result.exit_code == 0
    assert [float(word) for word in result.stdout.split()] == [start.x, start.y, end.x, end.y]


def test_several_files_give_a_line_each_and_the_others_go_on_when_one_fails(
    home: Path, service: Sandbox
) -> None:
    good, odd = text_file(home, service, "GOOD"), text_file(home, service, "ODD")
    service.script((home / odd).read_bytes(), TextSolution("a\x1bb"))
    with Sandbox(service.emulation) as elsewhere:
        unknown = text_file(home, elsewhere, "UNKNOWN")
    forbidden = text_file(home, service, "TOOLONG")
    result = run("solve", good, odd, unknown, forbidden, "--max-length", "5")
    assert sorted(result.stdout.splitlines()) == ["GOOD.png\tGOOD", "ODD.png\ta\\x1bb"]
    assert "UNKNOWN.png: no provider solved this" in result.stderr
    assert "JobFailed" in result.stderr
    assert "WrongSolution: 'TOOLONG' has 7 characters" in result.stderr
    assert result.exit_code == 1


def test_json_has_the_same_keys_for_every_end(home: Path, service: Sandbox) -> None:
    (home / "notes.txt").write_text("not a picture")
    with Sandbox(service.emulation) as elsewhere:
        unknown = text_file(home, elsewhere, "UNKNOWN")
    result = run("solve", "--json", text_file(home, service, "GOOD"), "notes.txt", unknown)
    ends = json_lines(result.stdout)
    solved, refused, failed = ends["GOOD.png"], ends["notes.txt"], ends["UNKNOWN.png"]
    assert result.stderr == ""
    assert solved.keys() == refused.keys() == failed.keys()
    assert solved["kind"] == "image-to-text"
    assert (solved["answer"], solved["solution"], solved["error"]) == ("GOOD", {"text": "GOOD"}, None)
    assert (solved["provider"], solved["cost"]) == ("omo", "0.00055")
    assert solved["job_id"] in {job.id for job in service.jobs}
    assert solved["elapsed"] > 0
    assert [attempt["error"] for attempt in solved["attempts"]] == [None]
    assert refused["error"]["type"] == "TaskError"
    assert failed["error"]["type"] == "AllProvidersFailed"
    assert failed["attempts"][0]["error"]["type"] == "JobFailed"
    assert result.exit_code == 4


def test_details_have_earlier_failures_and_the_options_that_were_not_sent(
    home: Path, service: Sandbox
) -> None:
    wrong = {**service.settings(TOKEN), "api_token": "wrong-token"}
    write_config(home / "two.yaml", {"first": wrong, "second": service.settings(TOKEN)})
    file = text_file(home, service, "GOOD")
    options = "--min-length 2 --max-length 8 --charset ODG --case-sensitive --one-word --no-math"
    words = ["--language", "en", "--hint", "four letters"]
    result = run("solve", "--verbose", "--config", "two.yaml", file, *options.split(), *words)
    assert (result.stdout, result.exit_code) == ("GOOD\n", 0)
    assert "GOOD.png: solved by second, job " in result.stderr
    assert "cost 0.00055" in result.stderr
    assert re.search(r"\n  - failed: first, .*AuthenticationError", result.stderr)
    every = "min_length, max_length, charset, case_sensitive, phrase, math, language, hint"
    assert f"not sent to the service: {every}\n" in result.stderr
    assert "wrong-token" not in result.output


@pytest.fixture
def disagreeing_services(home: Path) -> Iterator[str]:
    """A file with the text GOOD, which the first of three services takes for another; two must agree."""
    with contextlib.ExitStack() as stack:
        emulation = load_emulation("createtask", dialect="capsolver")
        services = [stack.enter_context(Sandbox(emulation)) for _ in range(3)]
        picture = services[0].draw_text("GOOD")
        for service in services:
            service.know(picture)
        services[0].script(picture.image, TextSolution("BAAD"))
        prices = {"image-to-text": 0.001}
        providers = {
            name: {"plugin": "createtask", "prices": prices, **service.settings()}
            for name, service in zip(("odd", "one", "two"), services, strict=True)
        }
        routes = {"image-to-text": {"providers": list(providers), "agree": 2}}
        (home / "votes.yaml").write_text(yaml.safe_dump({"providers": providers, "routes": routes}))
        (home / "GOOD.png").write_bytes(picture.image.data)
        yield "GOOD.png"


def test_details_have_the_votes_and_the_total_cost(disagreeing_services: str) -> None:
    result = run("solve", "-v", "--config", "votes.yaml", disagreeing_services)
    assert (result.stdout, result.exit_code) == ("GOOD\n", 0)
    head, *lines = result.stderr.splitlines()
    assert re.fullmatch(
        r"GOOD\.png: solved by one, job \S+, 2 of 3 answers agree, cost 0\.001 of 0\.003 in total, [\d.]+ s",
        head,
    )
    assert [line.split(",")[0].split(" (")[0] for line in lines] == [
        "  - outvoted: odd",
        "  - agreed too: two",
    ]
    assert re.search(r"Outvoted: .*BAAD", lines[0])


def test_json_has_the_votes_and_the_cost_of_each_attempt(disagreeing_services: str) -> None:
    result = run("solve", "--json", "--config", "votes.yaml", disagreeing_services)
    record = json_lines(result.stdout)["GOOD.png"]
    votes = {vote["provider"]: vote for vote in record["votes"]}
    assert (votes["odd"]["solution"], votes["odd"]["agrees"]) == ({"text": "BAAD"}, False)
    assert (votes["two"]["solution"], votes["two"]["agrees"]) == ({"text": "GOOD"}, True)
    assert votes["one"].keys() == {"provider", "job_id", "solution", "agrees"}
    assert votes["one"]["job_id"] == record["job_id"]
    assert [attempt["cost"] for attempt in record["attempts"]] == ["0.001"] * 3
    assert (record["cost"], record["total_cost"]) == ("0.001", "0.003")


def shown(
    capsys: pytest.CaptureFixture[str], end: FileOutcome, *, as_json: bool = False
) -> tuple[str, list[str]]:
    printer(as_json=as_json, several=False, verbose=True)(end)
    out, err = capsys.readouterr()
    return out, err.splitlines()


def test_details_have_every_other_attempt_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    attempts = (
        Attempt("first", 0.1, job_id=7, error=JobFailed("no answer"), cost=Decimal("0.001")),
        Attempt("full", 0.0, error=NotAsked("no place"), cost=Decimal(0)),
        Attempt("winner", 0.2, error=RateLimited("slow down"), cost=Decimal(0)),
        Attempt("winner", 1.0, job_id=8, cost=Decimal("0.001")),
        Attempt("slow", 2.0, job_id=9, error=Overtaken("winner was faster"), cost=None),
    )
    solved = Result[Solution](
        TextSolution("x"), "image-to-text", "winner", 8, Decimal("0.001"), 2.0, attempts
    )
    out, (head, *lines) = shown(capsys, FileOutcome("a.png", "image-to-text", solved))
    assert out == "x\n"
    assert head == "a.png: solved by winner, job 8, cost 0.001 of ? in total, 2.0 s"
    assert [line.split(",")[0] for line in lines] == [
        "  - failed: first (job 7)",
        "  - not tried: full",
        "  - failed: winner",
        "  - overtaken: slow (job 9)",
    ]
    record = json.loads(shown(capsys, FileOutcome("a.png", "image-to-text", solved), as_json=True)[0])
    assert [attempt["cost"] for attempt in record["attempts"]] == ["0.001", "0", "0", "0.001", None]
    assert (record["total_cost"], record["votes"]) == (None, [])


@pytest.mark.parametrize(
    ("cost", "facts"), [(Decimal("0.0010"), "job 8, cost 0.001, 2.0 s"), (None, "job 8, 2.0 s")]
)
def test_a_total_that_equals_the_cost_is_not_repeated(
    capsys: pytest.CaptureFixture[str], cost: Decimal | None, facts: str
) -> None:
    attempts = (Attempt("one", 1.0, job_id=8, cost=cost and Decimal("0.001")),)
    votes = (Vote[Solution]("one", 8, TextSolution("x"), agrees=True),)
    solved = Result[Solution](TextSolution("x"), "image-to-text", "one", 8, cost, 2.0, attempts, (), votes)
    assert shown(capsys, FileOutcome("a.png", "image-to-text", solved))[1] == [
        f"a.png: solved by one, {facts}"
    ]


@pytest.mark.parametrize(("second", "total"), [(Decimal("0.002"), "0.003"), (None, None)])
def test_the_cost_of_failed_attempts_is_in_the_json(
    capsys: pytest.CaptureFixture[str], second: Decimal | None, total: str | None
) -> None:
    attempts = [
        Attempt("one", 1.0, error=JobFailed("no"), cost=Decimal("0.001")),
        Attempt("two", 1.0, error=JobFailed("no"), cost=second),
    ]
    end = FileOutcome("a.png", "image-to-text", error=AllProvidersFailed("no provider solved this", attempts))
    record = json.loads(shown(capsys, end, as_json=True)[0])
    assert (record["cost"], record["total_cost"], record["votes"]) == (None, total, [])


# --- solve: what goes wrong


def test_time_that_runs_out_is_exit_code_5(home: Path, service: Sandbox) -> None:
    write_config(home / "captchahub.yaml", {"omo": service.settings(TOKEN, quick=False)})
    result = run("solve", "--timeout", "0.5s", text_file(home, service, "GOOD"))
    assert (result.stdout, result.exit_code) == ("", 5)
    assert "not solved within 0.5 s" in result.stderr


def test_a_file_that_is_no_picture_is_exit_code_4_and_named_once(home: Path) -> None:
    (home / "notes.txt").write_text("not a picture")
    result = run("solve", "notes.txt")
    assert result.exit_code == 4
    assert result.stderr.startswith("notes.txt: not a PNG")


def test_a_picture_that_is_too_large_is_refused_with_advice_for_the_command_line(home: Path) -> None:
    (home / "huge.png").write_bytes(bytes(MAX_BYTES + 1))
    result = run("solve", "huge.png")
    assert (result.stderr, result.exit_code) == (
        "huge.png: the picture is larger than 10000000 bytes (max_bytes); send a smaller one\n",
        4,
    )


def test_a_missing_file_is_exit_code_4(home: Path) -> None:
    result = run("solve", "none.png")
    assert (result.stderr, result.exit_code) == (
        "none.png: the picture can't be read: No such file or directory\n",
        4,
    )


def test_contradicting_options_are_refused_once_before_any_job_is_created(
    home: Path, service: Sandbox
) -> None:
    files = [text_file(home, service, text) for text in ("ONE", "TWO")]
    result = run("solve", *files, "--length", "3", "--max-length", "5")
    assert result.exit_code == 4
    assert result.stderr == "Error: pass either length, or min_length and max_length\n"
    assert service.calls == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--length", "5", "--hint", "x"], "--length, --hint"),
        (["--case-insensitive"], "--case-insensitive"),
        (["--phrase", "--no-math"], "--phrase, --no-math"),
    ],
)
def test_options_of_texts_are_wrong_usage_for_a_slide(home: Path, options: Sequence[str], named: str) -> None:
    result = run("solve", "--type", "phone-slide", "screen.png", *options)
    assert result.exit_code == 2
    assert f"Error: {named}: only for --type image-to-text" in result.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_must_be_a_positive_number(home: Path, seconds: str) -> None:
    result = run("solve", "x.png", "--timeout", seconds)
    assert result.exit_code == 2
    assert "--timeout" in result.stderr


def test_without_a_configuration_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAPTCHAHUB_CONFIG", raising=False)
    result = run("solve", "x.png")
    assert result.exit_code == 3
    assert "api_token: ${env:OMOCAPTCHA_TOKEN}" in result.stderr
    assert "captchahub sandbox" in result.stderr


def test_configurations_are_looked_for_in_the_order_of_the_help(home: Path) -> None:
    for name in ("given.yaml", "environment.yaml", "captchahub.yaml", "config.yaml"):
        (home / name).write_text(f"mistake_in_{name.split('.')[0]}: 1")
    environment = {"CAPTCHAHUB_CONFIG": "environment.yaml"}

    def found(*options: str, env: dict[str, str] | None = None) -> str:
        result = CliRunner().invoke(cli, ["solve", "x.png", *options], env=env)
        assert result.exit_code == 3
        match = re.search(r"mistake_in_(\w+)", result.stderr)
        assert match is not None
        return match[1]

    assert found("--config", "given.yaml", env=environment) == "given"
    assert found(env=environment) == "environment"
    assert found() == "captchahub"
    (home / "captchahub.yaml").unlink()
    assert found() == "config"


def test_a_task_that_no_provider_takes_is_a_matter_of_the_configuration(home: Path, service: Sandbox) -> None:
    config = yaml.safe_load((home / "captchahub.yaml").read_text())
    config["routes"] = {"phone-slide": ["nobody"]}
    (home / "captchahub.yaml").write_text(yaml.safe_dump(config))
    result = run("solve", text_file(home, service, "GOOD"))
    assert result.exit_code == 3
    assert "nobody" in result.stderr


@posix
@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [("<&-", 4, "-: there is no stdin"), ("< /dev/null", 4, "<stdin>: the picture is empty")],
)
def test_a_stdin_without_a_picture_is_exit_code_4(home: Path, redirection: str, code: int, said: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{shlex.join(PROGRAM)} solve - {redirection}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == code
    assert done.stderr.startswith(said)


# --- streams that fail


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    """What a shell makes of a command line; ``captchahub`` is the program."""
    line = f'captchahub() {{ {shlex.join(PROGRAM)} "$@"; }}; {command}'
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=20)


has_full_device = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs a device that is always full"
)


ANSWERS = ["привет", "naïve", "日本", "x😀y"]


@attrs.frozen
class Output:
    """The exit code of the program, and the bytes that it wrote."""

    returncode: object
    stdout: bytes
    stderr: bytes


def start_in_encoding(encoding: str, *arguments: str) -> Output:
    """Run the program in a process whose streams have another encoding, as a file on Windows has."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
        capture_output=True,
        check=False,
        timeout=30,
    )
    return Output(done.returncode, done.stdout, done.stderr)


def run_main(*arguments: str, stdout: TextIO | None, stderr: TextIO | None) -> object:
    """Run the program in this process with these streams, and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["captchahub", *arguments])
        patch.setattr(sys, "stdout", stdout)
        patch.setattr(sys, "stderr", stderr)
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code


def run_in_encoding(encoding: str, *arguments: str) -> Output:
    """As start_in_encoding, but in this process."""
    out, err = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(one, encoding, "strict", write_through=True) for one in (out, err)]
    code = run_main(*arguments, stdout=streams[0], stderr=streams[1])
    return Output(code, out.getvalue(), err.getvalue())


def run_with_full_stdout(*arguments: str) -> tuple[object, str]:
    """Run the program in this process with a stdout that takes nothing. Return exit code and stderr."""
    err = io.StringIO()
    with Path("/dev/full").open("wb", buffering=0) as full:
        stdout = io.TextIOWrapper(full, "utf-8", write_through=True)
        code = run_main(*arguments, stdout=stdout, stderr=err)
        with contextlib.suppress(OSError):
            stdout.detach()
    return code, err.getvalue()


def run_with_full_stderr(*arguments: str) -> tuple[object, str]:
    """Run the program in this process with a stderr that takes nothing. Return exit code and stdout."""
    out = io.StringIO()
    with Path("/dev/full").open("wb", buffering=0) as full:
        stderr = io.TextIOWrapper(full, "utf-8", write_through=True)
        code = run_main(*arguments, stdout=out, stderr=stderr)
        with contextlib.suppress(OSError):
            stderr.detach()
    return code, out.getvalue()


@pytest.fixture
def files_in_many_scripts(home: Path, service: Sandbox) -> list[str]:
    """Files with names and answers in several scripts."""
    files: list[str] = []
    for number, text in enumerate(ANSWERS):
        drawn = service.draw_text()
        service.script(drawn.image, TextSolution(text))
        files.append(f"ф{number}.png")
        (home / files[-1]).write_bytes(drawn.image.data)
    (home / "заметки.txt").write_text("not a picture")
    return [*files, "заметки.txt"]


@pytest.mark.parametrize(
    ("encoding", "start"),
    [("cp1252", start_in_encoding), ("ascii", run_in_encoding), ("cp1251", run_in_encoding)],
)
def test_what_the_encoding_lacks_is_spelt_out_and_stops_nothing(
    files_in_many_scripts: list[str], encoding: str, start: Callable[..., Output]
) -> None:
    done = start(encoding, "solve", "--verbose", *files_in_many_scripts)
    assert done.returncode == 4
    lines = [f"ф{number}.png\t{text}" for number, text in enumerate(ANSWERS)]
    expected = [line.encode(encoding, "backslashreplace").decode(encoding) for line in lines]
    assert sorted(done.stdout.decode(encoding).splitlines()) == sorted(expected)
    notes = "заметки.txt: not a PNG".encode(encoding, "backslashreplace")
    assert notes in done.stderr
    assert done.stderr.count(b": solved by omo") == 4


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_json_is_the_same_in_every_encoding(files_in_many_scripts: list[str], encoding: str) -> None:
    done = run_in_encoding(encoding, "solve", "--json", *files_in_many_scripts)
    found = json_lines(done.stdout.decode(encoding))
    assert {name: end["answer"] for name, end in found.items()} == dict(
        zip(files_in_many_scripts, [*ANSWERS, None], strict=True)
    )
    assert "заметки.txt" in found["заметки.txt"]["error"]["message"]


def test_what_resume_collects_is_json_in_every_encoding(home: Path, service: Sandbox) -> None:
    drawn = service.draw_text()
    service.script(drawn.image, TextSolution("naïve ответ"))
    (home / "ONE.png").write_bytes(drawn.image.data)
    leave_jobs(home, service, ["ONE.png"])
    done = run_in_encoding("ascii", "resume")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["solution"] == {"text": "naïve ответ"}


@pytest.mark.parametrize("arguments", [("config", "check"), ("config", "show"), ("config", "show", "--json")])
def test_a_configuration_is_shown_in_every_encoding(home: Path, arguments: Sequence[str]) -> None:
    named = home / "настройки.yaml"
    named.write_text((home / "captchahub.yaml").read_text().replace("omo:", "счёт-é:"), encoding="utf-8")
    done = run_in_encoding("ascii", *arguments, named.name)
    assert done.returncode == 0, done.stderr
    if "--json" in arguments:
        assert "счёт-é" in json.loads(done.stdout)["configuration"]["providers"]
    else:
        assert "счёт-é".encode("ascii", "backslashreplace") in done.stdout
    broken = run_in_encoding("cp1252", *arguments[:2], "нет.yaml")
    assert "нет.yaml".encode("cp1252", "backslashreplace") in broken.stderr
    assert broken.returncode == 3


@posix
def test_answers_that_a_closed_pipe_does_not_take_go_to_stderr_with_their_jobs(
    home: Path, service: Sandbox
) -> None:
    files = " ".join(text_file(home, service, text) for text in ("ONE", "TWO"))
    done = shell(f"{{ captchahub solve {files}; echo $? >&2; }} | true")
    assert done.stderr.count("cannot write to stdout: Broken pipe; missing there:\n") == 2
    for name in ("ONE", "TWO"):
        assert re.search(rf"\n{name}.png\\t{name}\n{name}.png: solved by omo, job \d+", done.stderr)
    assert done.stderr.endswith("\n6\n")


@posix
def test_without_a_stdout_no_job_is_created(home: Path, service: Sandbox) -> None:
    done = shell(f"captchahub solve {text_file(home, service, 'GOOD')} >&-")
    assert done.returncode == 6
    assert "no stdout" in done.stderr
    assert service.calls == []


def test_without_a_stdout_no_job_is_created_for_json_either(home: Path, service: Sandbox) -> None:
    stderr = io.StringIO()
    code = run_main("solve", "--json", text_file(home, service, "GOOD"), stdout=None, stderr=stderr)
    assert code == 6
    assert "no stdout" in stderr.getvalue()
    assert service.calls == []


@has_full_device
def test_answers_that_stdout_does_not_take_go_to_stderr_with_their_jobs(home: Path, service: Sandbox) -> None:
    files = " ".join(text_file(home, service, text) for text in ("ONE", "TWO"))
    done = shell(f"captchahub solve {files} >/dev/full")
    assert done.returncode == 6
    assert done.stderr.count("cannot write to stdout: No space left on device; missing there:\n") == 2
    for name in ("ONE", "TWO"):
        assert re.search(rf"\n{name}.png\\t{name}\n{name}.png: solved by omo, job \d+", done.stderr)


@has_full_device
def test_no_more_files_are_begun_when_stdout_has_failed(home: Path, service: Sandbox) -> None:
    many = [text_file(home, service, f"PIC{number}") for number in range(34)]
    code, stderr = run_with_full_stdout("solve", "--json", *many)
    assert code == 6
    assert "2 files not started" in stderr
    assert len(service.jobs) == stderr.count("missing there") == 32


@has_full_device
def test_a_failing_stderr_costs_no_answers(home: Path, service: Sandbox) -> None:
    (home / "notes.txt").write_text("not a picture")
    files = [text_file(home, service, text) for text in ("ONE", "TWO")]
    code, stdout = run_with_full_stderr("solve", "--verbose", "notes.txt", *files)
    assert sorted(stdout.splitlines()) == ["ONE.png\tONE", "TWO.png\tTWO"]
    assert code == 4


@has_full_device
@pytest.mark.parametrize(
    ("arguments", "code"), [("--bogus", 2), ("solve --length", 2), ("sandbox --plugin nobody", 3)]
)
def test_a_failing_stderr_does_not_change_the_exit_code(arguments: str, code: int) -> None:
    assert run_with_full_stderr(*arguments.split())[0] == code


@has_full_device
def test_a_failing_stderr_does_not_change_the_exit_code_of_the_process() -> None:
    # Python flushes the streams once more when it ends, and can exit with 120.
    assert shell("captchahub --bogus 2>/dev/full").returncode == 2


@has_full_device
@pytest.mark.parametrize("arguments", ["--help", "solve --help", "sandbox --pictures shots"])
def test_a_failing_stdout_is_a_plain_error_for_every_command(home: Path, arguments: str) -> None:
    code, stderr = run_with_full_stdout(*arguments.split())
    assert code == 6
    assert re.fullmatch(r"Error: cannot write to stdout: No space left on device\n", stderr)


@has_full_device
def test_a_failing_stdout_is_a_plain_error_of_the_process() -> None:
    done = shell("captchahub --help >/dev/full")
    assert done.returncode == 6
    assert re.fullmatch(r"Error: cannot write to stdout: No space left on device\n", done.stderr)


@has_full_device
def test_a_record_that_stdout_does_not_take_goes_to_stderr_too(home: Path) -> None:
    (home / "notes.txt").write_text("not a picture")
    code, stderr = run_with_full_stdout("solve", "--json", "notes.txt")
    first, record = stderr.splitlines()
    assert first == "cannot write to stdout: No space left on device; missing there:"
    assert json.loads(record)["error"]["type"] == "TaskError"
    assert code == 6


# --- signals


@contextlib.contextmanager
def started(*arguments: str, cwd: Path) -> Generator["subprocess.Popen[str]"]:
    """The program as a process of its own, which does not outlive the test."""
    environment = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """Its stdout up to the line with these words."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"ended before {words!r}: {''.join(lines)}")


def leave_jobs(home: Path, service: Sandbox, files: Sequence[str]) -> None:
    """Create a job for each file and close the hub before there are answers, as an interrupted solve does."""
    service.add_faults(Fault.hang(on="getJobResult"))
    plugins = Plugins()
    settings = with_journal(read_yaml(home / "captchahub.yaml", plugins))
    with Hub(settings, plugins=plugins) as hub:
        for file in files:
            hub.submit(ImageToText(Image.open(home / file)))
        # A poll is sent only after the id of the job is in the journal.
        service.wait_for_calls("getJobResult", len(files), timeout=20)
    service.clear_faults()


def solve_and_signal(
    home: Path, service: Sandbox, files: Sequence[str], number: signal.Signals
) -> tuple[str, str, int]:
    """Start to solve the files, send a signal once all jobs are polled, and return how the program ends."""
    service.add_faults(Fault.hang(on="getJobResult"))
    with started("solve", *files, cwd=home) as process:
        service.wait_for_calls("getJobResult", len(files), timeout=20)
        process.send_signal(number)
        out, err = process.communicate(timeout=5)
    service.clear_faults()
    return out, err, process.returncode


UNFINISHED = (
    f"interrupted: {{}} unfinished; {sys.executable} -m captchahub resume collects the answers later\n"
)


@posix
@pytest.mark.parametrize(
    ("number", "texts", "end"),
    [
        (signal.SIGINT, ["ONE", "TWO"], (UNFINISHED.format("2 files"), 130)),
        (signal.SIGTERM, ["ONE"], (UNFINISHED.format("1 file"), 143)),
        (signal.SIGKILL, ["ONE", "TWO"], ("", -signal.SIGKILL)),
    ],
)
def test_a_solve_that_a_signal_ends_leaves_its_jobs_to_resume(
    home: Path, service: Sandbox, number: signal.Signals, texts: Sequence[str], end: tuple[str, int]
) -> None:
    files = [text_file(home, service, text) for text in texts]
    assert solve_and_signal(home, service, files, number) == ("", *end)
    collected = run("resume")
    assert (collected.exit_code, collected.stderr) == (0, "")
    found = [json.loads(line) for line in collected.stdout.splitlines()]
    assert sorted(one["solution"]["text"] for one in found) == texts
    assert {one["fingerprint"] for one in found} == {
        ImageToText(Image.open(home / name)).fingerprint for name in files
    }
    assert run("resume").stdout == ""
    # A journal, and nothing of those who have used it.
    left = (home / "state" / "captchahub").iterdir()
    assert {path.name for path in left} <= {"jobs.db", "jobs.db-wal", "jobs.db-shm"}


@posix
def test_the_job_of_a_killed_solve_is_not_paid_again(home: Path, service: Sandbox) -> None:
    file = text_file(home, service, "ONE")
    solve_and_signal(home, service, [file], signal.SIGKILL)
    again = run("solve", file)
    assert (again.exit_code, again.stdout) == (0, "ONE\n")
    assert len(service.jobs) == 1


@posix
def test_resume_reports_the_jobs_of_a_running_process(home: Path, service: Sandbox) -> None:
    file = text_file(home, service, "ONE")
    service.add_faults(Fault.hang(on="getJobResult"))
    with started("solve", file, cwd=home) as process:
        service.wait_for_calls("getJobResult", 1, timeout=20)
        resumed = run("resume")
        process.kill()
    assert (resumed.exit_code, resumed.stdout) == (1, "")
    again = "if it is no longer running, run this again after"
    message = rf"1 job held by another process; {again} \d\d:\d\d:\d\d\n"
    assert re.fullmatch(message, resumed.stderr)


def test_resume_names_the_jobs_of_another_account_and_leaves_them(home: Path, service: Sandbox) -> None:
    leave_jobs(home, service, [text_file(home, service, "ONE")])
    theirs = (home / "captchahub.yaml").read_text()
    write_config(home / "captchahub.yaml", {"omo": service.settings("an0ther-t0ken")})
    asked = len(service.calls_to("getJobResult"))
    resumed = run("resume")
    assert (resumed.exit_code, resumed.stdout) == (0, "")
    where = service.url.removesuffix("/api")
    left = "1 job of an account that is not configured here"
    assert resumed.stderr == f"{left}: omo (omocaptcha at {where}), {service.jobs[0].id}\n"
    assert len(service.calls_to("getJobResult")) == asked
    (home / "captchahub.yaml").write_text(theirs)
    (line,) = run("resume").stdout.splitlines()
    assert json.loads(line)["solution"] == {"text": "ONE"}


@posix
def test_resume_waits_for_no_process_of_another_account(home: Path, service: Sandbox) -> None:
    file = text_file(home, service, "ONE")
    service.add_faults(Fault.hang(on="getJobResult"))
    with started("solve", file, cwd=home) as process:
        service.wait_for_calls("getJobResult", 1, timeout=20)
        write_config(home / "captchahub.yaml", {"omo": service.settings("an0ther-t0ken")})
        resumed = run("resume")
        process.kill()
    assert (resumed.exit_code, resumed.output) == (0, "")


@has_full_device
def test_what_resume_can_not_print_goes_to_stderr_and_the_rest_is_left(home: Path, service: Sandbox) -> None:
    leave_jobs(home, service, [text_file(home, service, text) for text in ("ONE", "TWO", "THREE")])
    code, stderr = run_with_full_stdout("resume")
    assert code == 6
    line, error = stderr.splitlines()
    assert error.startswith(
        "Error: cannot write to stdout: No space left on device; the line above is missing there"
    )
    rest = run("resume")
    found = [json.loads(one)["solution"]["text"] for one in [line, *rest.stdout.splitlines()]]
    assert sorted(found) == ["ONE", "THREE", "TWO"]


@posix
def test_an_interrupted_resume_ends_at_once_with_130_and_loses_nothing(home: Path, service: Sandbox) -> None:
    leave_jobs(home, service, [text_file(home, service, text) for text in ("ONE", "TWO")])
    service.add_faults(Fault.hang(on="getJobResult"))
    asked = len(service.calls_to("getJobResult"))
    with started("resume", cwd=home) as process:
        service.wait_for_calls("getJobResult", asked + 2, timeout=20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=5)
    assert (out, process.returncode) == ("", 130)
    assert err == f"interrupted: the next {sys.executable} -m captchahub resume prints the rest\n"
    service.clear_faults()
    assert len(run("resume").stdout.splitlines()) == 2


@posix
def test_an_interrupted_demo_ends_at_once_with_130(tmp_path: Path) -> None:
    with started("demo", cwd=tmp_path) as process:
        read_until(process, "1/12")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=5)
    assert (err, process.returncode) == ("interrupted\n", 130)


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox_answers_any_client_until_a_signal_ends_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    with started("sandbox", "--token", "t", "--balance", "2.5", cwd=tmp_path) as process:
        said = read_until(process, "Press Ctrl-C to stop")
        assert "only the pictures that it has drawn since its start (with --pictures DIR)" in said
        assert "captchahub accounts --config sandbox.yaml" in said
        [curl] = [line for line in said.splitlines() if line.strip().startswith("curl ")]
        balance = reply_to(curl)
        process.send_signal(number)
        out, err = process.communicate(timeout=5)
    assert balance == {"error": False, "balance": "2.50000", "message": "Get balance success."}
    assert "1 call, 0 jobs, 0 charged" in out
    assert (err, process.returncode) == ("", 0)


@posix
@pytest.mark.parametrize(
    ("options", "dialect"), [([], "2captcha"), (["--option", "dialect=capsolver"], "capsolver")]
)
def test_what_the_sandbox_of_a_dialect_prints_is_all_it_takes(
    options: Sequence[str], dialect: str, home: Path
) -> None:
    few = ["--pictures", "shots", "--count", "3", "--job-time", "0.1"]
    with started("sandbox", "--plugin", "createtask", *options, *few, cwd=home) as process:
        said = read_until(process, "Pictures it can answer: 3")
        [curl] = [line for line in said.splitlines() if line.strip().startswith("curl ")]
        balance = reply_to(curl)
        snippet = said.partition("sandbox.yaml:\n")[2].partition("\nPictures")[0]
        Path("captchahub.yaml").write_text(snippet)
        result = run("solve", "--json", *map(str, Path("shots").glob("*.png")))
    assert isinstance(balance, dict)
    assert balance["balance"] == 10
    assert f"dialect: {dialect}" in snippet
    truths = json.loads(Path("shots/answers.json").read_text())
    answers = {Path(file).name: end["answer"] for file, end in json_lines(result.stdout).items()}
    assert answers == {name: truth["answer"] for name, truth in truths.items()}
    assert sorted(answers) == ["text-01.png", "text-02.png", "text-03.png"]


@posix
def test_the_sandbox_answers_pictures_of_the_users_own(home: Path, service: Sandbox) -> None:
    """In the short form, and in that of --pictures."""
    drawn = {name: service.draw_text(name.upper()) for name in ("one", "two")}
    for name, picture in drawn.items():
        (home / f"{name}.png").write_bytes(picture.image.data)
    (home / "short.json").write_text('{"one.png": "ONE"}')
    (home / "long.json").write_text(
        '{"two.png": {"kind": "image-to-text", "answer": "TWO", "solution": {"text": "TWO"}}}'
    )
    known = ["--answers", "short.json", "--answers", "long.json", "--job-time", "0.1"]
    with started("sandbox", *known, cwd=home) as process:
        said = read_until(process, "Press Ctrl-C to stop")
        snippet = said.partition("sandbox.yaml:\n")[2].partition("\nPictures")[0]
        Path("captchahub.yaml").write_text(snippet)
        result = run("solve", "--json", "one.png", "two.png")
    assert "Pictures of your own that it can answer: 2." in said
    answers = {Path(file).name: end["answer"] for file, end in json_lines(result.stdout).items()}
    assert answers == {"one.png": "ONE", "two.png": "TWO"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "answers.json: No such file or directory"),
        ("[]", "answers.json does not map pictures to answers"),
        ('{"none.png": "x"}', "none.png: the picture can't be read: No such file or directory"),
        ('{"answers.json": "x"}', "answers.json: not a PNG"),
    ],
)
def test_answers_that_can_not_be_read_are_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "answers.json").write_text(text)
    result = run("sandbox", "--answers", "answers.json")
    assert (result.stdout, result.exit_code) == ("", 2)
    assert f"Invalid value for --answers: {said}" in result.stderr


def reply_to(curl: str) -> object:
    """Make the call of the printed example, and return the reply. curl itself need not be installed."""
    words = shlex.split(curl)
    _, _, host, path = words[-1].split("/", 3)
    header, _, value = words[words.index("-H") + 1].partition(": ")
    connection = http.client.HTTPConnection(host, timeout=5)
    with contextlib.closing(connection):
        method, body = words[words.index("-X") + 1], words[words.index("-d") + 1]
        connection.request(method, f"/{path}", body, {header: value})
        return json.loads(connection.getresponse().read())


# --- sandbox


@posix
@pytest.mark.parametrize(
    ("options", "printed"),
    [
        (
            ["--pictures", "my shots", "--count", "1"],
            "solve --config 'my shots/sandbox.yaml' 'my shots/text-01.png'",
        ),
        (["--answers", "answers.json"], "solve --config sandbox.yaml --type phone-slide one.png"),
    ],
)
def test_the_command_that_the_sandbox_prints_works_where_it_was_started(
    options: Sequence[str], printed: str, service: Sandbox, tmp_path: Path
) -> None:
    slide = service.draw_slide()
    (tmp_path / "one.png").write_bytes(slide.image.data)
    answer = {"kind": slide.kind, "solution": attrs.asdict(slide.solution)}
    (tmp_path / "answers.json").write_text(json.dumps({"one.png": answer}))
    with started("sandbox", "--job-time", "0.1", *options, cwd=tmp_path) as process:
        said = read_until(process, "Press Ctrl-C to stop")
        command = said.partition("in a second terminal:\n\n")[2].partition("\n")[0].strip()
        if "this sandbox.yaml" in said:
            (tmp_path / "sandbox.yaml").write_text(
                said.partition("sandbox.yaml:\n")[2].partition("\nPictures")[0].partition("\nIt can")[0]
            )
        ran = subprocess.run(command, check=False, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert command.endswith(f" -m captchahub {printed}")
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    assert ran.stdout


def test_the_printed_configuration_solves_a_drawn_picture_and_prints_the_answer_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--token", "${odd}", "--pictures", "shots", "--count", "4", "--job-time", "0.1"]
    with started("sandbox", *options, cwd=tmp_path) as process:
        said = read_until(process, "Pictures it can answer: 4")
        snippet = said.partition("sandbox.yaml:\n")[2].partition("\nPictures")[0]
        Path("captchahub.yaml").write_text(snippet)
        result = run("solve", "shots/text-02.png")
    truth = json.loads(Path("shots/answers.json").read_text())
    assert sorted(truth) == ["slide-01.png", "text-01.png", "text-02.png", "text-03.png"]
    assert truth["slide-01.png"]["solution"].keys() == {"start", "end", "screen"}
    expected = truth["text-02.png"]["answer"] + "\n"
    assert (result.stdout, result.stderr, result.exit_code) == (expected, "", 0)


def test_a_port_that_is_taken_is_a_plain_error(service: Sandbox) -> None:
    before = signal.getsignal(signal.SIGINT)
    port = service.url.split(":")[2].split("/")[0]
    result = run("sandbox", "--port", port)
    assert result.exit_code == 1
    assert "cannot listen on that port" in result.stderr
    assert "--port" in result.stderr
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--failure-rate", "1.5"], "--failure-rate"),
        (["--failure-rate", "some"], "--failure-rate"),
        (["--balance", "-1"], "--balance"),
        (["--latency", "inf"], "--latency"),
        (["--job-time", "-2"], "--job-time"),
        (["--port", "70000"], "--port"),
        (["--port", "five"], "'five' is not a valid whole number"),
        (["--token", ""], "--token"),
        (["--pictures", __file__], "is a file, not a directory"),
        (["--count", "3"], "--count needs --pictures"),
        (["--option", "dialect"], "--option': 'dialect' is not NAME=VALUE such as dialect=capsolver"),
        (["--option", "=x"], "'=x' is not NAME=VALUE"),
        (["--option", "flags=[x"], "the value of flags is not YAML: '[x'"),
        (["--option", f"flags={'9' * 5000}"], "the value of flags is not YAML: '99"),
    ],
)
def test_the_sandbox_refuses_options_that_make_no_sense(options: Sequence[str], named: str) -> None:
    result = run("sandbox", *options)
    assert (result.stdout, result.exit_code) == ("", 2)
    assert named in " ".join(result.stderr.split())


def test_a_service_that_nobody_emulates_is_a_configuration_error() -> None:
    result = run("sandbox", "--plugin", "nobody")
    assert result.exit_code == 3
    assert "omocaptcha" in result.stderr


@pytest.mark.parametrize(
    ("plugin", "option", "said"),
    [
        (
            "createtask",
            "dialect=2captch",
            "dialect can't be '2captch'; did you mean '2captcha'? valid: 2captcha",
        ),
        (
            "createtask",
            "dialekt=capsolver",
            "did you mean 'dialect'? options: dialect, min_poll_interval, spoken",
        ),
        ("createtask", "spoken=x", "spoken must be a Dialect, not 'x'"),
        ("createtask", "min_poll_interval=soon", "min_poll_interval must be a number, not 'soon'"),
        ("omocaptcha", "dialect=capsolver", "it has no option 'dialect'; options: closed, flags"),
        ("omocaptcha", "with_messages=", "with_messages must be true or false, not nothing"),
    ],
)
def test_an_option_that_the_emulation_does_not_take_is_a_configuration_error(
    plugin: str, option: str, said: str
) -> None:
    result = run("sandbox", "--plugin", plugin, "--option", option)
    assert (result.stdout, result.exit_code) == ("", 3)
    assert said in result.stderr


def test_the_help_of_the_sandbox_has_the_exit_codes() -> None:
    codes = run("sandbox", "--help").stdout.partition("Exit codes:")[2]
    assert re.findall(r"^ {4}(\d) ", codes, re.MULTILINE) == ["0", "1", "2", "3", "6"]


def test_a_directory_that_cannot_be_written_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("sandbox", "--pictures", str(tmp_path / "file" / "shots"), "--count", "1")
    assert (result.stdout, result.exit_code) == ("", 1)
    assert "cannot write the pictures" in result.stderr


# --- demo

SWIFT = 74  # a seed whose first jobs are all done at the first question


def test_the_demo_gets_every_picture_right_in_plain_lines(tmp_path: Path) -> None:
    result = run("demo", "--seed", str(SWIFT), "--pictures", "3", "--save", str(tmp_path / "shots"))
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout
    truth = json.loads((tmp_path / "shots" / "answers.json").read_text())
    for name in ("text-01", "text-02", "slide-01"):
        [row] = [line for line in result.stdout.splitlines() if line.startswith(f" {name} ")]
        shown = re.sub(r"[,\s]+|->", " ", row).split()
        answer = truth[f"{name}.png"]["answer"].split()
        assert shown[1 : 1 + len(answer)] == answer
        assert shown[1 + len(answer)] == "right"
    assert "3 of 3 right" in result.stdout
    assert "not created again there; spare solved it" in " ".join(result.stdout.split())
    lines = result.stdout.partition("\n picture")[2].splitlines()
    assert max(map(len, lines)) <= 80


@posix
def test_on_a_terminal_the_demo_is_live_and_leaves_one_table_that_owns_up_to_mistakes() -> None:
    with start_demo(2, SWIFT) as scene:
        first, second = scene.pictures
        scene.sandbox.script(first.drawn.image, TextSolution("NONSENSE"))
        scene.sandbox.script(second.drawn.image, None)
        shown = on_a_terminal(lambda: show(scene))
        assert not scene.is_all_right()
    live, _, left = shown.rpartition(SHOW_CURSOR)
    assert "0 of 2" in live
    assert re.search(r"job 10000\d at (main|spare)", live)
    left = re.sub(r"\x1b\[[\d;]*m", "", left)
    assert re.search(r"text-01 +NONSENSE \(it is +WRONG", left)
    assert re.search(r"text-02 +not solved +WRONG +- +2 ", left)
    assert "0 of 2 right" in left
    assert "no account solved it" in " ".join(left.split())


@posix
def test_on_a_narrow_terminal_the_demo_keeps_picture_answer_and_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with start_demo(1, SWIFT) as scene:
        shown = re.sub(r"\x1b\[[\d;]*m", "", on_a_terminal(lambda: show(scene)))
    left = shown.rpartition(SHOW_CURSOR)[2]
    assert "1 text to read," in shown
    [text] = [answer(picture.drawn.solution) for picture in scene.pictures]
    assert re.search(rf"^ text-01 +{text} +right *\r$", left, re.MULTILINE)
    assert re.search(r"^ picture +answer *\r$", left, re.MULTILINE)


SHOW_CURSOR = "\x1b[?25h"


def on_a_terminal(work: Callable[[], None]) -> str:
    """What some work shows on a terminal of 80 columns, or as $COLUMNS says."""
    import pty  # noqa: PLC0415 - POSIX only

    master, slave = pty.openpty()
    shown = io.BytesIO()

    def collect() -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            while block := os.read(master, 4096):
                shown.write(block)

    reader = threading.Thread(target=collect)
    with os.fdopen(slave, "w", encoding="utf-8") as terminal, contextlib.redirect_stdout(terminal):
        reader.start()
        work()
    reader.join()
    os.close(master)
    return shown.getvalue().decode()


# --- the program


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"captchahub, version {__version__}\n"


@pytest.mark.parametrize("command", ["demo", "solve", "sandbox", "new-plugin"])
def test_every_help_has_examples(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"\n  Examples:\n    captchahub {command}" in result.stdout


OF_THE_LIBRARY = {"captchahub._config", "captchahub._engine", "captchahub.testing"}
HEAVY = {"asyncio", "captcha", "cattrs", "PIL", "requests", "rich", "sqlite3", "urllib3", "yaml"}


@pytest.mark.parametrize(
    ("arguments", "completing", "printed"),
    [
        (["--help"], None, "Commands:"),
        (["--version"], None, __version__),
        ([], ("captchahub ba", "1"), "plain,batch"),
    ],
)
def test_what_runs_no_command_imports_none(
    arguments: list[str], completing: tuple[str, str] | None, printed: str
) -> None:
    code = (
        "import atexit, sys; from captchahub.__main__ import main;"
        "atexit.register(lambda: print(*sys.modules)); main()"
    )
    # coverage imports sqlite3 into each process that it measures.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    if completing is not None:
        words, place = completing
        environment |= {"_CAPTCHAHUB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": place}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
        env=environment,
    )
    assert printed in done.stdout
    modules = done.stdout.splitlines()[-1].split()
    assert "captchahub.cli.program" in modules
    assert (HEAVY | OF_THE_LIBRARY).intersection(modules) == set()
    assert [name for name in modules if re.match(r"captchahub\.cli\.(\w+\.command|jobs|watch)", name)] == []


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("click", "--help"),
        ("captchahub.cli", "--version"),
        ("captchahub.cli.solve.command", "solve --help"),
    ],
)
@pytest.mark.parametrize(
    "start",
    [
        "from captchahub.__main__ import main; main()",
        "runpy.run_module('captchahub', run_name='__main__', alter_sys=True)",
    ],
    ids=["script", "module"],
)
def test_ctrl_c_during_an_import_ends_it_with_one_line(start: str, module: str, arguments: str) -> None:
    code = f"""if True:
        import runpy, sys
        class Interrupting:
            def find_spec(self, name, path=None, target=None):
                if name == {module!r}:
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Interrupting())
        sys.argv = ["captchahub", *{arguments.split()!r}]
        {start}
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_without_its_packages_it_says_how_to_get_them() -> None:
    # None in sys.modules is how Python itself marks a module that can't be imported.
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['click', 'rich']));"
        "from captchahub.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 1
    assert "click and rich" in done.stderr
    assert "pip install 'captchahub[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_one_of_its_packages_it_says_how_to_get_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(SystemExit) as ended:
        main()
    needed = "captchahub: the command line needs rich: pip install 'captchahub[cli]'"
    assert ended.value.code == needed  # Python prints a text on stderr, and exits with 1


def test_without_the_drawing_packages_the_demo_says_how_to_get_them() -> None:
    # In a process that has not imported them. Nothing of them is imported before PIL is found missing.
    code = """if True:
        import json, sys
        from click.testing import CliRunner
        from captchahub.cli import cli
        for missing in ("PIL", "captcha"):
            sys.modules[missing] = None
            result = CliRunner().invoke(cli, ["demo"])
            del sys.modules[missing]
            print(json.dumps([missing, result.exit_code, result.stderr]))
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert [missing for missing, _, _ in ends] == ["PIL", "captcha"]
    for missing, code, stderr in ends:
        assert code == 1
        assert re.fullmatch(rf"Error: .* {missing}.*: pip install 'captchahub\[testing\]'\n", stderr)
