"""Draw the pictures of terminals in ``docs/images``: what the program prints, with its colours.

Run with ``make picture``. Each scene runs the real program. The pictures and the answers are the same in
every run; the times differ a little.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from rich.console import Console
from rich.text import Text

from captchahub.testing import Sandbox, load_emulation

PICTURES = Path(__file__).parent / "images"
# The width for which the demo lays out its table.
COLUMNS = 80
# The progress lines of a run without a terminal. A terminal overwrites them, so they are not in the picture.
PROGRESS = re.compile(r"^ *\d+/\d+ \S+: .*\n", re.MULTILINE)
# The sandbox listens on a free port, a different one each time.
PORT = re.compile(r"127\.0\.0\.1:\d+")
# rich's pictures fetch their font from the web. Without this rule the reader's own monospaced font is used.
WEB_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)

MISTAKEN = """\
providers:
  omo:
    plugin: omocaptcha
    api_tokn: ${env:OMOCAPTCHA_TOKEN}
    timeout: 60
  backup:
    plugin: omocaptcha
    api_token: ${env:BACKUP_TOKEN}
routes:
  image-to-text: [omo, bakcup]
"""


def output(*arguments: str, folder: Path | None = None, code: int = 0) -> str:
    """Run the program and return what it prints, with its colours. Raises RuntimeError for any other code."""
    program = Path(sys.executable).with_name("captchahub")
    colours = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "PYTHONUTF8": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    ran = subprocess.run(  # noqa: S603 - a fixed command of this project
        [program, *arguments],
        cwd=folder,
        env={**environment, **colours, "OMOCAPTCHA_TOKEN": "t0ken"},
        stdout=subprocess.PIPE,
        # A terminal shows both.
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if ran.returncode != code:
        raise RuntimeError(f"captchahub {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}")
    return ran.stdout


def demo() -> Mapping[str, str]:
    """Return the demo: what is typed, and what is printed."""
    return {"make demo": PORT.sub("127.0.0.1:8080", PROGRESS.sub("", output("demo")))}


def solve() -> Mapping[str, str]:
    """Return solves of a picture on a sandbox."""
    with tempfile.TemporaryDirectory() as name, Sandbox(load_emulation("omocaptcha")) as sandbox:
        folder = Path(name)
        (folder / "shots").mkdir()
        for number in (1, 2):
            drawn = sandbox.draw_text(length=5)
            (folder / "shots" / f"text-0{number}.png").write_bytes(drawn.image.data)
        providers = {"sandbox": {"plugin": "omocaptcha", **sandbox.settings()}}
        (folder / "captchahub.yaml").write_text(yaml.safe_dump({"providers": providers}))
        commands = (
            "solve shots/text-01.png",
            "solve -v shots/text-01.png shots/text-02.png",
        )
        return {f"captchahub {typed}": output(*typed.split(), folder=folder) for typed in commands}


def config_check() -> Mapping[str, str]:
    """Return the problems of a configuration with mistakes."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "captchahub.yaml").write_text(MISTAKEN)
        return {"captchahub config check": output("config", "check", folder=Path(name), code=3)}


SCENES: Mapping[str, Callable[[], Mapping[str, str]]] = {
    "demo": demo,
    "solve": solve,
    "config-check": config_check,
}


def drawn(scene: Mapping[str, str], name: str) -> str:
    """Return the output of a terminal program as an SVG picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    for typed, printed in scene.items():
        console.print(Text(f"$ {typed}", "bold"))
        console.print(Text.from_ansi(printed.rstrip()))
    return WEB_FONT.sub("", console.export_svg(title="captchahub", unique_id=name))


def main() -> None:
    """Draw the pictures and write them."""
    PICTURES.mkdir(exist_ok=True)
    for name, scene in SCENES.items():
        file = PICTURES / f"{name}.svg"
        file.write_text(drawn(scene(), name), encoding="utf-8")
        print(f"wrote {file.name}")


if __name__ == "__main__":
    main()
