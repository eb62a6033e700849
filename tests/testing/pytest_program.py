"""Runs pytest in a process of its own, with the plugin of captchahub and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_pytest(where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, and return how it ended."""
    command = [sys.executable, "-m", "pytest", "-p", "captchahub.testing.pytest_plugin", *arguments]
    # The plugins that happen to be installed take longer to import than pytest itself.
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        command, cwd=where, env=alone, capture_output=True, text=True, timeout=100, check=False
    )
