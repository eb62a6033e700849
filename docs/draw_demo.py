"""Draw ``docs/images/demo.svg``: the output of ``captchahub demo``, as a terminal shows it.

Run with ``make picture``. The pictures and the answers are the same in every run; the times differ a little.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent / "images" / "demo.svg"
# The width for which the demo lays out its table.
COLUMNS = 80
# The progress lines of a run without a terminal. A terminal overwrites them, so they are not in the picture.
PROGRESS = re.compile(r"^ *\d+/\d+ \S+: .*\n", re.MULTILINE)
# The sandbox listens on a free port, a different one each time.
PORT = re.compile(r"127\.0\.0\.1:\d+")
# rich's pictures fetch their font from the web. Without this rule the reader's own monospaced font is used.
WEB_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def demo_output() -> str:
    """Run the demo and return what it prints, with its colours. Raises CalledProcessError if it fails."""
    program = Path(sys.executable).with_name("captchahub")
    colours = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "PYTHONUTF8": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    ran = subprocess.run(  # noqa: S603 - a fixed command of this project
        [program, "demo"], env={**environment, **colours}, capture_output=True, encoding="utf-8", check=True
    )
    return PORT.sub("127.0.0.1:8080", PROGRESS.sub("", ran.stdout))


def drawn(output: str) -> str:
    """Return the output of a terminal program as an SVG picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    console.print(Text("$ make demo", "bold"))
    console.print(Text.from_ansi(output.rstrip()))
    return WEB_FONT.sub("", console.export_svg(title="captchahub", unique_id="demo"))


def main() -> None:
    """Draw the picture and write it."""
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawn(demo_output()), encoding="utf-8")
    print(f"wrote {PICTURE.name}")


if __name__ == "__main__":
    main()
