"""Plugins on the command line: what is installed, commands of their own, and task types of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from captchahub.cli import cli
from captchahub.testing import Sandbox
from tests.installed_distributions import BROKEN, OUTDATED, WORKING, PackageFolder


def run(*arguments: str) -> Ran:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a configuration."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.delenv("CAPTCHAHUB_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return place


@pytest.fixture
def three(packages: PackageFolder, monkeypatch: pytest.MonkeyPatch) -> PackageFolder:
    """A broken, a blocked and an outdated plugin."""
    packages.install("three-broken", "three_broken", BROKEN, "three-broken")
    packages.install("three-blocked", "three_blocked", "raise RuntimeError('imported')", "three-blocked")
    packages.install("three-outdated", "three_outdated", OUTDATED, "three-outdated")
    monkeypatch.setenv("CAPTCHAHUB_BLOCK_PLUGINS", "three-blocked")
    return packages


class TestTheList:
    def test_has_every_plugin_with_its_state_and_why_it_can_not_be_used(self, three: PackageFolder) -> None:
        ran = run("plugins")
        assert ran.exit_code == 0
        rows = {line.split()[0]: line for line in ran.stdout.splitlines()}
        assert "loaded" in rows["omocaptcha"]
        assert "captchahub-createtask 0.1.0" in rows["createtask"]
        assert "failed" in rows["three-broken"]
        assert "blocked" in rows["three-blocked"]
        assert "incompatible" in rows["three-outdated"]
        assert "can't be imported: RuntimeError: no engine; update or reinstall it" in ran.stdout
        assert "is blocked by $CAPTCHAHUB_BLOCK_PLUGINS; take it out there to use it" in ran.stdout
        assert (
            "was written for version 0 of the plugin contract, and this is version 1; update it" in ran.stdout
        )
        assert "three_blocked" not in sys.modules

    def test_is_there_for_programs(self, three: PackageFolder) -> None:
        records = {
            record["name"]: record for record in map(json.loads, run("plugins", "--json").stdout.splitlines())
        }
        assert records["omocaptcha"] == {
            "name": "omocaptcha",
            "state": "loaded",
            "distribution": "captchahub-omocaptcha",
            "version": "0.1.0",
            "kinds": ["omocaptcha"],
            "tasks": [],
            "hooks": ["captchahub_provider_kinds"],
            "error": None,
            "traceback": None,
        }
        assert "RuntimeError: no engine" in records["three-broken"]["traceback"]
        assert records["three-blocked"]["traceback"] is None

    def test_shows_tracebacks_to_who_wants_them(self, three: PackageFolder) -> None:
        assert "Traceback" not in run("plugins").stdout
        assert "three_broken.py" in run("plugins", "--verbose").stdout

    def test_goes_by_what_a_configuration_blocks_whatever_else_is_wrong_there(
        self, packages: PackageFolder, nowhere: Path
    ) -> None:
        packages.install("own-blocked", "own_blocked", "raise RuntimeError('imported')", "own-blocked")
        (nowhere / "captchahub.yaml").write_text("plugins: {block: [own-blocked]}\nproviders: {}\n")
        assert "is blocked by plugins.block of the configuration" in run("plugins").stdout
        named = run("plugins", "--config", "captchahub.yaml")
        assert named.exit_code == 0
        assert "captchahub.yaml:2: providers" in named.stderr

    def test_names_are_whole_in_a_narrow_window(
        self, packages: PackageFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        name = "a-plugin-with-rather-a-long-name"
        package = f"captchahub-{name}-and-then-some"
        packages.install(package, "narrow_window", WORKING.format(names=[name]), name)
        lines = run("plugins").stdout.splitlines()
        assert f"plugin   {name}" in map(str.rstrip, lines)
        assert f"package  {package} 1.0" in map(str.rstrip, lines)

    def test_a_traceback_can_not_move_the_cursor(self, packages: PackageFolder) -> None:
        packages.install("of-escapes", "of_escapes", "raise RuntimeError('\\x1b[2J')", "of-escapes")
        shown = run("plugins", "--verbose").stdout
        assert "\x1b" not in shown
        assert "RuntimeError: \\x1b[2J" in shown


COMMAND = """
import click

@click.command()
def {name}():
    "Says it."
    click.echo("said by a plugin")
"""


class TestCommands:
    def install(self, packages: PackageFolder, distribution: str, source: str, name: str = "say") -> None:
        module = distribution.replace("-", "_")
        packages.install(distribution, module, source, group="captchahub.commands")
        points = packages.root / f"{module}-1.0.dist-info" / "entry_points.txt"
        points.write_text(f"[captchahub.commands]\n{name} = {module}:say\n")

    def test_of_plugins_are_commands_like_any_other(self, packages: PackageFolder) -> None:
        self.install(packages, "cmd-good", COMMAND.format(name="say"))
        assert run("say").stdout == "said by a plugin\n"
        assert "Says it." in run("say", "--help").stdout

    def test_are_listed_with_their_packages(self, packages: PackageFolder) -> None:
        self.install(packages, "cmd-listed", "raise RuntimeError('imported')", "tell")
        ran = run("--help")
        assert "tell" in ran.stdout
        assert "added by cmd-listed" in ran.stdout
        assert "cmd_listed" not in sys.modules

    @pytest.mark.parametrize(
        ("distribution", "source", "said"),
        [
            (
                "cmd-broken",
                BROKEN,
                (
                    "the command 'say' of cmd-broken can't be imported: RuntimeError: no engine; "
                    "update or reinstall it"
                ),
            ),
            ("cmd-exits", "import sys; sys.exit(3)", "can't be imported: SystemExit: 3"),
            ("cmd-none", "say = 5", "the command 'say' of cmd-none is a int, not a click command; update it"),
            ("cmd-gone", "", "can't be imported: AttributeError"),
        ],
    )
    def test_that_can_not_be_used_say_why(
        self, packages: PackageFolder, distribution: str, source: str, said: str
    ) -> None:
        self.install(packages, distribution, source)
        ran = run("say")
        assert ran.exit_code == 1
        assert said in ran.stderr

    def test_of_two_packages_with_one_name_are_neither(self, packages: PackageFolder) -> None:
        self.install(packages, "cmd-one", COMMAND.format(name="say"))
        self.install(packages, "cmd-two", COMMAND.format(name="say"))
        assert "cmd-one and cmd-two both add the command 'say'" in run("say").stderr

    def test_can_be_blocked(self, packages: PackageFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(packages, "cmd-blocked", "raise RuntimeError('imported')")
        monkeypatch.setenv("CAPTCHAHUB_BLOCK_PLUGINS", "cmd-blocked")
        assert "is blocked by $CAPTCHAHUB_BLOCK_PLUGINS" in run("say").stderr

    def test_take_no_place_of_the_librarys_own(self, packages: PackageFolder) -> None:
        self.install(packages, "cmd-solve", BROKEN, "solve")
        assert "Solve pictures" in run("solve", "--help").stdout

    def test_an_unknown_one_is_still_reported_as_that(self) -> None:
        ran = run("slove")
        assert ran.exit_code == 2
        assert "No such command 'slove'" in ran.stderr


def test_help_imports_no_plugin() -> None:
    code = (
        "import sys\nfrom captchahub.cli import cli\n"
        "try: cli(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('captchahub_')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert "dialects" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "[]"


COUNTING = '''
import attrs
from captchahub.hookspecs import hookimpl
from captchahub.images import Image
from captchahub.provider import LocalProvider, ProviderKind
from captchahub.tasks import Solution, Task

captchahub_contract = 1


@attrs.frozen
class Count(Solution):
    number: int


@attrs.frozen
class CountThings(Task[Count]):
    kind = "count-things"
    solution_type = Count
    image: Image
    things: str = attrs.field(default="cars", validator=attrs.validators.instance_of(str))

    def check(self, solution):
        return None if solution.number >= 0 else "fewer than none"


@attrs.frozen
class Settings:
    """No keys."""


class Counter(LocalProvider):
    kinds = frozenset({"count-things"})

    def sent_options(self, task):
        return ["things"]

    def solve(self, task):
        return Count(len(task.things))


@hookimpl
def captchahub_provider_kinds():
    return [ProviderKind("counter", Settings, lambda settings: Counter())]


@hookimpl
def captchahub_task_types():
    return [CountThings]
'''
CONFIG = "providers:\n  mine: {plugin: counter}\nroutes:\n  count-things: [mine]\n"


class TestATaskTypeOfAPlugin:
    @pytest.fixture
    def picture(self, packages: PackageFolder, nowhere: Path, sandbox: Sandbox) -> str:
        packages.install("kind-counter", "kind_counter", COUNTING, "counter")
        (nowhere / "captchahub.yaml").write_text(CONFIG)
        (nowhere / "shot.png").write_bytes(sandbox.draw_text("abc").image.data)
        return "shot.png"

    def start(self, *arguments: str, packages: PackageFolder) -> subprocess.CompletedProcess[str]:
        """Start Python, because a task type stays in the process that has imported it."""
        path = [str(packages.root), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        return subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def test_is_solved_like_the_librarys_own(self, picture: str, packages: PackageFolder) -> None:
        options = ["--json", "--type", "count-things", "-o", "things=bicycles"]
        ran = self.start("-m", "captchahub", "solve", *options, picture, packages=packages)
        record = json.loads(ran.stdout)
        assert (record["kind"], record["solution"]) == ("count-things", {"number": 8})
        assert record["provider"] == "mine"

    def test_with_other_options_is_wrong_usage(self, picture: str, packages: PackageFolder) -> None:
        messages = {
            "--type count-thing": "there is no type 'count-thing' of task; did you mean 'count-things'?",
            "--type count-things -o color=red": "has no option 'color'; options: things",
            "--type count-things -o things=5": "made with things: 'things' must be <class 'str'>",
            "--type count-things --length 5": "--length: only for --type image-to-text",
            "--type count-things -o things": "'things' is not NAME=VALUE",
        }
        # One process for all, because starting it takes most of the time.
        code = """if True:
            import json, sys
            from click.testing import CliRunner
            from captchahub.cli import cli
            for options in sys.argv[2:]:
                result = CliRunner().invoke(cli, ["solve", *options.split(), sys.argv[1]])
                print(json.dumps([options, result.exit_code, result.stderr]))
        """
        ran = self.start("-c", code, picture, *messages, packages=packages)
        ends = [json.loads(line) for line in ran.stdout.splitlines()]
        assert [options for options, _, _ in ends] == [*messages], ran.stderr
        for options, exit_code, stderr in ends:
            assert exit_code == 2
            assert messages[options] in stderr
