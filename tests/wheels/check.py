"""Build the wheels, install them in a clean environment, and solve with them from outside the tree.

A plugin that ``captchahub new-plugin`` writes there is installed as well, and has to pass its own CI.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import yaml
from build import ProjectBuilder
from build.env import DefaultIsolatedEnv
from pyproject_hooks import quiet_subprocess_runner

TREE = Path(__file__).parents[2]
PLUGINS = ("createtask", "omocaptcha", "opentelemetry", "pillow", "procrastinate", "prometheus")
DISTRIBUTIONS = (TREE, *(TREE / "plugins" / name for name in PLUGINS))


def run(*command: str | Path, cwd: Path, fails: bool = False) -> str:
    """The output of a command; ends the check with it where the exit code is not the expected one."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    if (done.returncode != 0) != fails:
        sys.exit(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def build(folder: Path) -> list[Path]:
    """The wheels, built in an environment that contains what they require to be built and nothing else."""
    with DefaultIsolatedEnv() as isolated:
        builders = [
            ProjectBuilder.from_isolated_env(isolated, source, quiet_subprocess_runner)
            for source in DISTRIBUTIONS
        ]
        # One environment is as strict as one for each, because all require the same.
        (requirements,) = {frozenset(builder.build_system_requires) for builder in builders}
        isolated.install(requirements)
        return [Path(builder.build("wheel", folder)) for builder in builders]


def environment(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def install(python: Path, *wheels: str | Path, cwd: Path) -> None:
    # Most modules are never imported, and need no bytecode.
    options = ("--quiet", "--disable-pip-version-check", "--no-compile")
    run(python, "-m", "pip", "install", *options, *wheels, cwd=cwd)


def begin_a_plugin(python: Path, outside: Path) -> str:
    """Write a new plugin and run every command of its CI file; what its tests say."""
    run(python, "-m", "captchahub", "new-plugin", "my-service", cwd=outside)
    folder = outside / "captchahub-my-service"
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    said = ""
    for command in commands:
        program, *rest = shlex.split(command)
        # As in an environment that is active.
        said = run(python.parent / program, *rest, cwd=folder)
    return (
        f"{len(commands)} commands of its CI, the last of them: {said.strip().splitlines()[-1].strip('= ')}"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        outside = Path(name)
        core, *plugins = build(outside / "wheels")
        python = environment(outside / "environment")

        install(python, core, *plugins, cwd=outside)
        run(
            python,
            "-c",
            f"import captchahub, {', '.join(f'captchahub_{name}' for name in PLUGINS)}",
            cwd=outside,
        )
        advice = run(python, "-m", "captchahub", "--help", cwd=outside, fails=True)
        assert "captchahub[cli]" in advice, advice

        install(python, f"{core}[cli,testing]", *plugins, cwd=outside)
        print(run(python, TREE / "tests" / "wheels" / "solve.py", TREE, cwd=outside).strip())
        print(f"new-plugin: {begin_a_plugin(python, outside)}")


if __name__ == "__main__":
    main()
